/*
 * The entry points of the vendor interface, as the module implements them.
 *
 * Not for applications, which reach them through CK_STRONGROOM_FUNCTION_LIST: this header lets the compiler check
 * the module's functions against the types of the list, and is not installed.
 */
#ifndef STRONGROOM_MODULE_H
#define STRONGROOM_MODULE_H

#include "strongroom.h"

#ifdef __cplusplus
extern "C" {
#endif

CK_RV strongroom_AllocateBuffer(CK_SESSION_HANDLE hSession, CK_STRONGROOM_USE_CASE useCase, CK_ULONG ulSize,
                                CK_FLAGS flags, CK_OBJECT_HANDLE_PTR phBuffer);
CK_RV strongroom_ExportBuffer(CK_SESSION_HANDLE hSession, CK_OBJECT_HANDLE hBuffer, int *pDescriptor);
CK_RV strongroom_ImportBuffer(CK_SESSION_HANDLE hSession, int descriptor, CK_OBJECT_HANDLE_PTR phBuffer);
CK_RV strongroom_WriteBuffer(CK_SESSION_HANDLE hSession, CK_OBJECT_HANDLE hBuffer, CK_ULONG ulOffset,
                             CK_BYTE_PTR pData, CK_ULONG ulDataLen);
CK_RV strongroom_DecryptIntoInit(CK_SESSION_HANDLE hSession, CK_MECHANISM_PTR pMechanism, CK_OBJECT_HANDLE hKey);
CK_RV strongroom_DecryptInto(CK_SESSION_HANDLE hSession, CK_BYTE_PTR pEncryptedData, CK_ULONG ulEncryptedDataLen,
                             CK_OBJECT_HANDLE hBuffer, CK_ULONG ulOffset, CK_ULONG_PTR pulWritten);
CK_RV strongroom_DecryptIntoUpdate(CK_SESSION_HANDLE hSession, CK_BYTE_PTR pEncryptedPart,
                                   CK_ULONG ulEncryptedPartLen, CK_OBJECT_HANDLE hBuffer, CK_ULONG ulOffset,
                                   CK_ULONG_PTR pulWritten);
CK_RV strongroom_DecryptIntoFinal(CK_SESSION_HANDLE hSession, CK_OBJECT_HANDLE hBuffer, CK_ULONG ulOffset,
                                  CK_ULONG_PTR pulWritten);
CK_RV strongroom_DecryptSamples(CK_SESSION_HANDLE hSession, CK_OBJECT_HANDLE hKey,
                                CK_STRONGROOM_SAMPLE_PARAMS_PTR pParams, CK_STRONGROOM_SAMPLE_PTR pSamples,
                                CK_ULONG ulSampleCount);
CK_RV strongroom_OpenDecoder(CK_SESSION_HANDLE hSession, CK_STRONGROOM_CODEC codec, CK_BYTE_PTR pConfiguration,
                             CK_ULONG ulConfigurationLen, CK_OBJECT_HANDLE_PTR phStream);
CK_RV strongroom_Decode(CK_SESSION_HANDLE hSession, CK_OBJECT_HANDLE hStream, CK_OBJECT_HANDLE hBuffer,
                        CK_ULONG ulOffset, CK_ULONG ulLen, CK_LONG timestamp, CK_STRONGROOM_FRAME_PTR pFrames,
                        CK_ULONG_PTR pulCount);
CK_RV strongroom_Present(CK_SESSION_HANDLE hSession, CK_OBJECT_HANDLE hBuffer, int *pCompletion);
CK_RV strongroom_GetDisplayStatus(CK_SESSION_HANDLE hSession, CK_STRONGROOM_DISPLAY_STATUS_PTR pStatus);
CK_RV strongroom_WriteContactSheet(CK_SESSION_HANDLE hSession);
CK_RV strongroom_GetStatistics(CK_STRONGROOM_STATISTICS_PTR pStatistics);
CK_RV strongroom_GetSecureWorldInfo(CK_STRONGROOM_SECURE_WORLD_INFO_PTR pInfo);
CK_RV strongroom_AllocateSharedMemory(CK_ULONG ulSize, CK_FLAGS flags, CK_BYTE_PTR *ppMemory);
CK_RV strongroom_FreeSharedMemory(CK_BYTE_PTR pMemory);

#ifdef __cplusplus
}
#endif

#endif
