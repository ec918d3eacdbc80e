/*
 * Strongroom's vendor interface, "Vendor Strongroom" 1.0.
 *
 * Decryption into restricted buffers: memory that belongs to the secure world, that a client holds by handle or by file
 * descriptor, and that no client can read. Obtain it with
 *
 *     CK_INTERFACE *interface;
 *     CK_VERSION version = {1, 0};
 *     C_GetInterface((CK_UTF8CHAR *)CK_STRONGROOM_INTERFACE_NAME, &version, &interface, 0);
 *     CK_STRONGROOM_FUNCTION_LIST *strongroom = interface->pFunctionList;
 *
 * Conventions are those of PKCS#11: every function answers a CK_RV, wants an initialised library and an open session, and writes
 * nothing on failure, except where it says so. Counts and offsets are bytes.
 */
#ifndef STRONGROOM_H
#define STRONGROOM_H

#include "pkcs11.h"

#ifdef __cplusplus
extern "C" {
#endif

#define CK_STRONGROOM_INTERFACE_NAME "Vendor Strongroom"

/* What a restricted buffer is for. Each use-case has a pool of its own and its own readers. */
typedef CK_ULONG CK_STRONGROOM_USE_CASE;
#define CKU_STRONGROOM_SECURE_VIDEO_PLAYBACK 1UL
#define CKU_STRONGROOM_TRUSTED_UI 2UL
#define CKU_STRONGROOM_SECURE_VIDEO_RECORDING 3UL
#define CKU_STRONGROOM_KEY_MATERIAL 4UL

/* Object class of restricted buffers: session objects with CKA_STRONGROOM_USE_CASE and CKA_VALUE_LEN, without CKA_VALUE.
   C_DestroyObject gives up the handle; the memory is zeroed and returned when no handle and no descriptor is left. */
#define CKO_STRONGROOM_BUFFER 0xd3520001UL

/* Key attribute, CK_BBOOL, default CK_FALSE: what this key decrypts goes into restricted buffers only. May be set, never
   cleared. C_Decrypt, C_Encrypt, C_Sign, C_Verify, C_WrapKey and C_DeriveKey with such a key answer
   CKR_KEY_FUNCTION_NOT_PERMITTED; C_UnwrapKey makes keys that are as restricted, by authenticated mechanisms only. */
#define CKA_STRONGROOM_RESTRICTED_OUTPUT 0x93520001UL
/* Key attribute, array of CK_STRONGROOM_USE_CASE: the use-cases whose buffers may receive what the key decrypts; empty or
   absent: all. It is given when the key is made and not changed. */
#define CKA_STRONGROOM_USE_CASES 0xd3520002UL
/* Buffer attribute, CK_STRONGROOM_USE_CASE. */
#define CKA_STRONGROOM_USE_CASE 0x93520003UL

/* The buffer exists no more: its last holder's descriptor was shut down, or the secure world has taken it back. */
#define CKR_STRONGROOM_BUFFER_REVOKED 0xd3520001UL
/* The offset lies past the end of the buffer. (A range that begins inside and ends outside: CKR_BUFFER_TOO_SMALL.) */
#define CKR_STRONGROOM_OFFSET_RANGE 0xd3520002UL
/* The key may not decrypt into a buffer of this use-case, or the use-case is unknown. */
#define CKR_STRONGROOM_USE_CASE_INVALID 0xd3520003UL
/* The file descriptor is not a restricted buffer of this secure world. */
#define CKR_STRONGROOM_DESCRIPTOR_INVALID 0xd3520004UL
/* The access matrix does not admit this peripheral to buffers of this use-case. */
#define CKR_STRONGROOM_ACCESS_DENIED 0xd3520005UL
/* No such peripheral: none was configured, or its process has ended. */
#define CKR_STRONGROOM_PERIPHERAL_UNAVAILABLE 0xd3520006UL
/* The decoder cannot make a picture of what it was given. */
#define CKR_STRONGROOM_BITSTREAM_INVALID 0xd3520007UL
/* A sample's subsamples do not add up to its length, or its pattern or IV is not one of the scheme's. */
#define CKR_STRONGROOM_SAMPLE_INVALID 0xd3520008UL

/* Common Encryption schemes (ISO/IEC 23001-7), as the four characters of the `schm` box. */
typedef CK_ULONG CK_STRONGROOM_SCHEME;
#define CKS_STRONGROOM_CENC 0x63656e63UL
#define CKS_STRONGROOM_CENS 0x63656e73UL
#define CKS_STRONGROOM_CBC1 0x63626331UL
#define CKS_STRONGROOM_CBCS 0x63626373UL

/* A run of clear bytes and the protected bytes after it. */
typedef struct CK_STRONGROOM_SUBSAMPLE {
  CK_ULONG ulClearLen;
  CK_ULONG ulProtectedLen;
} CK_STRONGROOM_SUBSAMPLE;
typedef CK_STRONGROOM_SUBSAMPLE *CK_STRONGROOM_SUBSAMPLE_PTR;

/* One sample, and where its plaintext goes. */
typedef struct CK_STRONGROOM_SAMPLE {
  CK_BYTE_PTR pData; /* the sample as it lies in the file */
  CK_ULONG ulDataLen;
  CK_BYTE iv[16]; /* 8-byte IVs are followed by zeros */
  CK_STRONGROOM_SUBSAMPLE_PTR pSubsamples; /* NULL and 0: the whole sample is protected */
  CK_ULONG ulSubsampleCount;
  CK_OBJECT_HANDLE hBuffer;
  CK_ULONG ulOffset; /* the whole sample, clear bytes included, goes to the buffer from here */
} CK_STRONGROOM_SAMPLE;
typedef CK_STRONGROOM_SAMPLE *CK_STRONGROOM_SAMPLE_PTR;

/* How a batch of samples is protected. */
typedef struct CK_STRONGROOM_SAMPLE_PARAMS {
  CK_STRONGROOM_SCHEME scheme;
  CK_ULONG ulCryptByteBlock; /* pattern: 16-byte blocks that are encrypted, 0..15; both 0: no pattern */
  CK_ULONG ulSkipByteBlock;  /* ... and left clear, 0..15 */
} CK_STRONGROOM_SAMPLE_PARAMS;
typedef CK_STRONGROOM_SAMPLE_PARAMS *CK_STRONGROOM_SAMPLE_PARAMS_PTR;

/* Codecs of the decoder. */
typedef CK_ULONG CK_STRONGROOM_CODEC;
#define CKC_STRONGROOM_H264 1UL
#define CKC_STRONGROOM_HEVC 2UL

/* A decoded picture in a restricted buffer of its own. */
typedef struct CK_STRONGROOM_FRAME {
  CK_OBJECT_HANDLE hBuffer;
  CK_ULONG ulWidth;
  CK_ULONG ulHeight;
  CK_LONG timestamp; /* as it was given with the sample */
} CK_STRONGROOM_FRAME;
typedef CK_STRONGROOM_FRAME *CK_STRONGROOM_FRAME_PTR;

/* What the display has shown. Digests are over the pictures' I420 planes without padding. */
typedef struct CK_STRONGROOM_DISPLAY_STATUS {
  CK_ULONG ulFrameCount;
  CK_BYTE sha256[32];  /* over all frames, in order */
  CK_BYTE lastMD5[16]; /* of the last frame */
} CK_STRONGROOM_DISPLAY_STATUS;
typedef CK_STRONGROOM_DISPLAY_STATUS *CK_STRONGROOM_DISPLAY_STATUS_PTR;

/* What this process has asked of the secure world so far. */
typedef struct CK_STRONGROOM_STATISTICS {
  CK_ULONG ulCrossings; /* invocations, and so round trips */
} CK_STRONGROOM_STATISTICS;
typedef CK_STRONGROOM_STATISTICS *CK_STRONGROOM_STATISTICS_PTR;

/* What the secure world that serves this process is made of. */
typedef struct CK_STRONGROOM_SECURE_WORLD_INFO {
  CK_UTF8CHAR libcrypto[64]; /* its cryptographic library and version, padded with blanks: "OpenSSL 3.0.22 25 Aug 2026" */
} CK_STRONGROOM_SECURE_WORLD_INFO;
typedef CK_STRONGROOM_SECURE_WORLD_INFO *CK_STRONGROOM_SECURE_WORLD_INFO_PTR;

typedef struct CK_STRONGROOM_FUNCTION_LIST CK_STRONGROOM_FUNCTION_LIST;
typedef CK_STRONGROOM_FUNCTION_LIST *CK_STRONGROOM_FUNCTION_LIST_PTR;

struct CK_STRONGROOM_FUNCTION_LIST {
  CK_VERSION version; /* 1.0 */

  /* Allocates a restricted buffer of ulSize bytes, zeroed, from the pool of a use-case. flags: 0.
     CKR_DEVICE_MEMORY: the pool is exhausted (others are not affected). CKR_STRONGROOM_USE_CASE_INVALID. */
  CK_RV (*AllocateBuffer)(CK_SESSION_HANDLE hSession, CK_STRONGROOM_USE_CASE useCase, CK_ULONG ulSize, CK_FLAGS flags,
                          CK_OBJECT_HANDLE_PTR phBuffer);

  /* A file descriptor (close-on-exec) that stands for the buffer and can be passed to another process. It can be neither
     read, written nor mapped; while one is open the buffer lives. */
  CK_RV (*ExportBuffer)(CK_SESSION_HANDLE hSession, CK_OBJECT_HANDLE hBuffer, int *pDescriptor);

  /* The buffer that a descriptor stands for; the descriptor stays the caller's. CKR_STRONGROOM_DESCRIPTOR_INVALID,
     CKR_STRONGROOM_BUFFER_REVOKED. */
  CK_RV (*ImportBuffer)(CK_SESSION_HANDLE hSession, int descriptor, CK_OBJECT_HANDLE_PTR phBuffer);

  /* Copies clear bytes in: lead-in, headers. */
  CK_RV (*WriteBuffer)(CK_SESSION_HANDLE hSession, CK_OBJECT_HANDLE hBuffer, CK_ULONG ulOffset, CK_BYTE_PTR pData,
                       CK_ULONG ulDataLen);

  /* Begins a decryption whose plaintext goes into restricted buffers: with any key that has CKA_DECRYPT. It is the session's
     decryption operation: C_SessionCancel and C_DecryptInit(NULL mechanism) end it, and it answers CKR_OPERATION_ACTIVE
     while another is active. */
  CK_RV (*DecryptIntoInit)(CK_SESSION_HANDLE hSession, CK_MECHANISM_PTR pMechanism, CK_OBJECT_HANDLE hKey);

  /* The whole operation in one part. *pulWritten is the count of plaintext bytes that lie at ulOffset then. With an AEAD
     mechanism nothing becomes visible before the tag has been verified; a wrong tag is CKR_ENCRYPTED_DATA_INVALID, as
     C_Decrypt has it. A place that does not serve (its buffer, offset, room, use-case) leaves the operation active; every
     other error ends it. */
  CK_RV (*DecryptInto)(CK_SESSION_HANDLE hSession, CK_BYTE_PTR pEncryptedData, CK_ULONG ulEncryptedDataLen,
                       CK_OBJECT_HANDLE hBuffer, CK_ULONG ulOffset, CK_ULONG_PTR pulWritten);

  /* The same in parts, each of which names its place. With an AEAD mechanism updates write nothing and the whole
     plaintext appears at the place that DecryptIntoFinal names. */
  CK_RV (*DecryptIntoUpdate)(CK_SESSION_HANDLE hSession, CK_BYTE_PTR pEncryptedPart, CK_ULONG ulEncryptedPartLen,
                             CK_OBJECT_HANDLE hBuffer, CK_ULONG ulOffset, CK_ULONG_PTR pulWritten);
  CK_RV (*DecryptIntoFinal)(CK_SESSION_HANDLE hSession, CK_OBJECT_HANDLE hBuffer, CK_ULONG ulOffset,
                            CK_ULONG_PTR pulWritten);

  /* Decrypts a batch of Common Encryption samples with an AES-128 key that has CKA_DECRYPT, in one crossing. All samples
     are checked before the first byte is written. hKey may be CK_INVALID_HANDLE when every byte of every sample is clear. */
  CK_RV (*DecryptSamples)(CK_SESSION_HANDLE hSession, CK_OBJECT_HANDLE hKey, CK_STRONGROOM_SAMPLE_PARAMS_PTR pParams,
                          CK_STRONGROOM_SAMPLE_PTR pSamples, CK_ULONG ulSampleCount);

  /* Opens a stream on the video decoder. pConfiguration: the codec's own (avcC, hvcC), or NULL and 0. The stream is given up
     with C_DestroyObject. CKR_STRONGROOM_PERIPHERAL_UNAVAILABLE, CKR_STRONGROOM_BITSTREAM_INVALID. */
  CK_RV (*OpenDecoder)(CK_SESSION_HANDLE hSession, CK_STRONGROOM_CODEC codec, CK_BYTE_PTR pConfiguration,
                       CK_ULONG ulConfigurationLen, CK_OBJECT_HANDLE_PTR phStream);

  /* Hands ulLen bytes of a buffer, one access unit, to the decoder; ulLen 0 flushes it. Pictures that are ready come back as
     frames, each in a restricted buffer from the pool for secure video playback that is the caller's to destroy. *pulCount is the
     room in pFrames on entry (16 always suffice) and the number of frames on return. */
  CK_RV (*Decode)(CK_SESSION_HANDLE hSession, CK_OBJECT_HANDLE hStream, CK_OBJECT_HANDLE hBuffer, CK_ULONG ulOffset,
                  CK_ULONG ulLen, CK_LONG timestamp, CK_STRONGROOM_FRAME_PTR pFrames, CK_ULONG_PTR pulCount);

  /* Hands a decoded frame's buffer to the display. With pCompletion NULL the call returns when the frame has been shown.
     Otherwise it returns at once with a descriptor to poll: POLLIN when the frame was shown, POLLIN with POLLERR when it was not
     (POLLHUP comes with either). Frames are shown in the order in which they were presented. CKR_STRONGROOM_BITSTREAM_INVALID: the buffer holds no picture, or something was written
     to it since. */
  CK_RV (*Present)(CK_SESSION_HANDLE hSession, CK_OBJECT_HANDLE hBuffer, int *pCompletion);

  /* How many frames the display has shown, and their digests. */
  CK_RV (*GetDisplayStatus)(CK_SESSION_HANDLE hSession, CK_STRONGROOM_DISPLAY_STATUS_PTR pStatus);

  /* Has the display write a contact sheet of all frames, contact-sheet.png, beside its frames. */
  CK_RV (*WriteContactSheet)(CK_SESSION_HANDLE hSession);

  /* Counters of this process. Needs no session. */
  CK_RV (*GetStatistics)(CK_STRONGROOM_STATISTICS_PTR pStatistics);

  /* What serves this process. Needs no session; one crossing. */
  CK_RV (*GetSecureWorldInfo)(CK_STRONGROOM_SECURE_WORLD_INFO_PTR pInfo);

  /* Memory of this process that the secure world has mapped as well: ulSize zeroed bytes from a page's start, flags 0. Input and
     output of at least 4 KiB that lie wholly in such memory (one or several, in any combination with ordinary memory, in any
     function) are worked on where they lie and not copied; shorter ones are sent as always. It belongs to the process, not to a
     session, and stays until FreeSharedMemory or C_Finalize. Needs no session. Do not unmap or remap it. A forked child does not
     have it (touching it is a fault). If the secure world dies it goes on as ordinary memory. An operation in place that fails
     may have changed its input. CKR_ARGUMENTS_BAD: no size. CKR_DEVICE_MEMORY: more than this client may share.
     CKR_HOST_MEMORY. */
  CK_RV (*AllocateSharedMemory)(CK_ULONG ulSize, CK_FLAGS flags, CK_BYTE_PTR *ppMemory);

  /* Gives back what AllocateSharedMemory gave. Operations that use it in other threads end well, but nobody sees their output.
     CKR_ARGUMENTS_BAD: not such memory, or given back already. */
  CK_RV (*FreeSharedMemory)(CK_BYTE_PTR pMemory);
};

#ifdef __cplusplus
}
#endif

#endif
