/*
 * The function list of the vendor interface "Vendor Strongroom", in read-only memory like those of PKCS#11 (see
 * CFunctionTable.c), every entry checked here against its type in strongroom.h.
 */
#include "../../include/strongroom_module.h"

extern const CK_STRONGROOM_FUNCTION_LIST strongroom_vendor_functions;

const CK_STRONGROOM_FUNCTION_LIST strongroom_vendor_functions = {
  .version = {1, 0},
  .AllocateBuffer = strongroom_AllocateBuffer,
  .ExportBuffer = strongroom_ExportBuffer,
  .ImportBuffer = strongroom_ImportBuffer,
  .WriteBuffer = strongroom_WriteBuffer,
  .DecryptIntoInit = strongroom_DecryptIntoInit,
  .DecryptInto = strongroom_DecryptInto,
  .DecryptIntoUpdate = strongroom_DecryptIntoUpdate,
  .DecryptIntoFinal = strongroom_DecryptIntoFinal,
  .DecryptSamples = strongroom_DecryptSamples,
  .OpenDecoder = strongroom_OpenDecoder,
  .Decode = strongroom_Decode,
  .Present = strongroom_Present,
  .GetDisplayStatus = strongroom_GetDisplayStatus,
  .WriteContactSheet = strongroom_WriteContactSheet,
  .GetStatistics = strongroom_GetStatistics,
  .GetSecureWorldInfo = strongroom_GetSecureWorldInfo,
  .AllocateSharedMemory = strongroom_AllocateSharedMemory,
  .FreeSharedMemory = strongroom_FreeSharedMemory,
};
