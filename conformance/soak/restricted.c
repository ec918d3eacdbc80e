// Items: restricted buffers and Common Encryption samples, through the vendor interface.
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "soak.h"

static CK_BBOOL yes = CK_TRUE, no = CK_FALSE;

// An AES key whose plaintext only restricted buffers receive.
static bool restricted_key(Thread *thread, const CK_BYTE *value, size_t length, CK_OBJECT_HANDLE *key) {
  CK_OBJECT_CLASS class = CKO_SECRET_KEY;
  CK_KEY_TYPE type = CKK_AES;
  CK_ATTRIBUTE template[] = {{CKA_CLASS, &class, sizeof class}, {CKA_KEY_TYPE, &type, sizeof type},
                             {CKA_VALUE, (void *)value, length}, {CKA_TOKEN, &no, 1},
                             {CKA_DECRYPT, &yes, 1},             {CKA_STRONGROOM_RESTRICTED_OUTPUT, &yes, 1}};
  DO(C_CreateObject, thread->session, template, COUNT(template), key);
  return true;
}

bool restricted(Thread *thread) {
  CK_BYTE value[32], iv[12];
  size_t length = 1 + any_length(thread) % 60000;
  CK_ULONG written = 0, size = length + below(thread, 1000);
  CK_OBJECT_HANDLE key, buffer, imported;
  fill(thread, value, sizeof value);
  fill(thread, iv, sizeof iv);
  fill(thread, thread->input, length);
  CK_GCM_PARAMS gcm = {iv, sizeof iv, 96, NULL, 0, 128};
  CK_MECHANISM mechanism = {CKM_AES_GCM, &gcm, sizeof gcm};
  size_t sealed = reference_encrypt(CIPHER_GCM, value, 32, iv, NULL, 0, thread->input, length, thread->output);
  if (!restricted_key(thread, value, 32, &key)) return false;
  CK_STRONGROOM_USE_CASE use = below(thread, 4) ? CKU_STRONGROOM_SECURE_VIDEO_PLAYBACK : CKU_STRONGROOM_TRUSTED_UI;
  VENDOR_DO(AllocateBuffer, thread->session, use, size, 0, &buffer);
  DO(C_DecryptInit, thread->session, &mechanism, key);
  CK_ULONG room = ROOM;
  WANT(CKR_KEY_FUNCTION_NOT_PERMITTED, C_Decrypt, thread->session, thread->output, sealed, thread->back, &room);

  VENDOR_DO(DecryptIntoInit, thread->session, &mechanism, key);
  VENDOR_DO(DecryptInto, thread->session, thread->output, sealed, buffer, size - length, &written);
  CHECK(written == length, "the whole plaintext lies in the buffer");
  VENDOR_DO(DecryptIntoInit, thread->session, &mechanism, key);
  size_t first = below(thread, sealed);
  VENDOR_DO(DecryptIntoUpdate, thread->session, thread->output, first, buffer, 0, &written);
  CHECK(written == 0, "nothing is visible before the tag is verified");
  VENDOR_DO(DecryptIntoUpdate, thread->session, thread->output + first, sealed - first, buffer, 0, &written);
  VENDOR_DO(DecryptIntoFinal, thread->session, buffer, 0, &written);
  CHECK(written == length, "the whole plaintext lies in the buffer after parts");
  thread->output[below(thread, sealed)] ^= 8;
  written = 0;
  VENDOR_DO(DecryptIntoInit, thread->session, &mechanism, key);
  VENDOR_WANT(CKR_ENCRYPTED_DATA_INVALID, DecryptInto, thread->session, thread->output, sealed, buffer, 0, &written);
  CHECK(written == 0, "a forged message writes nothing");
  if (below(thread, 4) == 0) {  // given up in the middle
    VENDOR_DO(DecryptIntoInit, thread->session, &mechanism, key);
    VENDOR_DO(DecryptIntoUpdate, thread->session, thread->output, first, buffer, 0, &written);
    DO(C_SessionCancel, thread->session, CKF_DECRYPT);
  }

  int descriptor = -1;
  VENDOR_DO(ExportBuffer, thread->session, buffer, &descriptor);
  bool unreadable = mmap(NULL, 4096, PROT_READ, MAP_SHARED, descriptor, 0) == MAP_FAILED && read(descriptor, value, 1) <= 0;
  if (!holds(thread, unreadable, "nobody reads the buffer through its descriptor")) return close(descriptor), false;
  // Two holders then, who go in either order.
  CK_RV answer = VENDOR_CALL(ImportBuffer, thread->session, descriptor, &imported);
  close(descriptor);
  if (!expected(thread, "ImportBuffer", CKR_OK, answer)) return false;
  VENDOR_DO(WriteBuffer, thread->session, imported, size - 1, thread->input, 1);
  VENDOR_WANT(CKR_STRONGROOM_OFFSET_RANGE, WriteBuffer, thread->session, imported, size + 1, thread->input, 1);
  DO(C_DestroyObject, thread->session, buffer);
  VENDOR_DO(WriteBuffer, thread->session, imported, 0, thread->input, size < LARGEST ? size : LARGEST);
  DO(C_DestroyObject, thread->session, imported);
  DO(C_DestroyObject, thread->session, key);
  return true;
}

bool samples(Thread *thread) {
  static const CK_STRONGROOM_SCHEME schemes[] = {CKS_STRONGROOM_CENC, CKS_STRONGROOM_CENS, CKS_STRONGROOM_CBC1, CKS_STRONGROOM_CBCS};
  CK_STRONGROOM_SAMPLE batch[20];
  CK_STRONGROOM_SUBSAMPLE parts[COUNT(batch)][2];
  CK_BYTE value[16];
  CK_OBJECT_HANDLE key, buffer;
  size_t which = below(thread, COUNT(schemes)), count = 1 + below(thread, COUNT(batch)), offset = 0;
  CK_STRONGROOM_SAMPLE_PARAMS parameters = {schemes[which], which % 2 ? 1 : 0, which % 2 ? 9 : 0};
  fill(thread, value, sizeof value);
  for (size_t i = 0; i < count; i++) {
    size_t clear = below(thread, 100), blocks = 16 * below(thread, 600);
    parts[i][0] = (CK_STRONGROOM_SUBSAMPLE){clear, blocks};
    parts[i][1] = (CK_STRONGROOM_SUBSAMPLE){10, 0};
    batch[i] = (CK_STRONGROOM_SAMPLE){.pData = thread->input + offset, .ulDataLen = clear + blocks + 10, .iv = {(CK_BYTE)i},
                                      .pSubsamples = parts[i], .ulSubsampleCount = 2, .ulOffset = offset};
    offset += clear + blocks + 10;
  }
  if (!restricted_key(thread, value, sizeof value, &key)) return false;
  VENDOR_DO(AllocateBuffer, thread->session, CKU_STRONGROOM_SECURE_VIDEO_PLAYBACK, offset, 0, &buffer);
  for (size_t i = 0; i < count; i++) batch[i].hBuffer = buffer;
  VENDOR_DO(DecryptSamples, thread->session, key, &parameters, batch, count);
  parts[0][1].ulClearLen = 11;
  VENDOR_WANT(CKR_STRONGROOM_SAMPLE_INVALID, DecryptSamples, thread->session, key, &parameters, batch, count);
  DO(C_DestroyObject, thread->session, key);
  if (below(thread, 2)) DO(C_DestroyObject, thread->session, buffer);  // else it goes with the session
  return true;
}
