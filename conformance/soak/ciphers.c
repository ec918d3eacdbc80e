// Items: ciphers, messages, authentication codes, digests, random bytes, and operations that nobody ends.
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "soak.h"

// ---- ciphers

typedef struct Parameters {
  CK_BYTE iv[16], aad[40];
  CK_GCM_PARAMS gcm;
  CK_AES_CTR_PARAMS ctr;
  CK_MECHANISM mechanism;
} Parameters;

static void choose(Thread *thread, Cipher cipher, Parameters *p) {
  static const CK_MECHANISM_TYPE types[] = {CKM_AES_ECB, CKM_AES_CBC, CKM_AES_CBC_PAD, CKM_AES_CTR, CKM_AES_GCM};
  fill(thread, p->iv, sizeof p->iv);
  fill(thread, p->aad, sizeof p->aad);
  p->mechanism = (CK_MECHANISM){types[cipher], NULL, 0};
  switch (cipher) {
    case CIPHER_ECB: break;
    case CIPHER_CBC:
    case CIPHER_CBC_PAD: p->mechanism.pParameter = p->iv, p->mechanism.ulParameterLen = 16; break;
    case CIPHER_CTR:
      p->ctr.ulCounterBits = 128;
      memcpy(p->ctr.cb, p->iv, 16);
      p->mechanism.pParameter = &p->ctr, p->mechanism.ulParameterLen = sizeof p->ctr;
      break;
    case CIPHER_GCM:
      p->gcm = (CK_GCM_PARAMS){p->iv, 12, 96, p->aad, below(thread, sizeof p->aad + 1), 128};
      p->mechanism.pParameter = &p->gcm, p->mechanism.ulParameterLen = sizeof p->gcm;
      break;
  }
}

typedef enum Direction { ENCRYPT, DECRYPT } Direction;

static bool whole(Thread *thread, Direction way, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key, CK_BYTE *input, size_t length,
                  CK_BYTE *output, size_t room, size_t *total) {
  CK_ULONG count = room;
  if (way == ENCRYPT) {
    DO(C_EncryptInit, thread->session, mechanism, key);
    DO(C_Encrypt, thread->session, input, length, output, &count);
  } else {
    DO(C_DecryptInit, thread->session, mechanism, key);
    DO(C_Decrypt, thread->session, input, length, output, &count);
  }
  *total = count;
  return true;
}

static bool parts(Thread *thread, Direction way, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key, CK_BYTE *input, size_t length,
                  CK_BYTE *output, size_t room, size_t *total) {
  if (way == ENCRYPT)
    DO(C_EncryptInit, thread->session, mechanism, key);
  else
    DO(C_DecryptInit, thread->session, mechanism, key);
  size_t written = 0;
  for (size_t done = 0; done < length;) {
    // At most some sixteen parts, now and then a small one.
    size_t part = below(thread, 3) ? 1 + below(thread, length / 8 + 1) : 1 + below(thread, 40);
    if (done > 0 && below(thread, 16) == 0) part = length - done;
    if (part < length / 16) part = length / 16;
    if (part > length - done) part = length - done;
    CK_ULONG count = room - written;
    if (way == ENCRYPT)
      DO(C_EncryptUpdate, thread->session, input + done, part, output + written, &count);
    else
      DO(C_DecryptUpdate, thread->session, input + done, part, output + written, &count);
    written += count;
    done += part;
  }
  CK_ULONG count = room - written;
  if (way == ENCRYPT)
    DO(C_EncryptFinal, thread->session, output + written, &count);
  else
    DO(C_DecryptFinal, thread->session, output + written, &count);
  *total = written + count;
  return true;
}

static bool one_cipher(Thread *thread, Cipher cipher, CK_OBJECT_HANDLE key, const CK_BYTE *value, size_t key_length,
                       size_t length) {
  Parameters p;
  choose(thread, cipher, &p);
  if (cipher == CIPHER_ECB || cipher == CIPHER_CBC) length -= length % 16;
  fill(thread, thread->input, length);
  size_t encrypted, decrypted;
  if (!(below(thread, 3) ? whole : parts)(thread, ENCRYPT, &p.mechanism, key, thread->input, length, thread->output, ROOM,
                                          &encrypted))
    return false;
  if (value) {
    size_t wanted =
        reference_encrypt(cipher, value, key_length, p.iv, p.aad, p.gcm.ulAADLen, thread->input, length, thread->back);
    CHECK(wanted == encrypted && memcmp(thread->back, thread->output, wanted) == 0, "the ciphertext is libcrypto's");
  }
  // Back to where it came from, into memory of its own or in place.
  CK_BYTE *place = thread->back;
  bool (*how)(Thread *, Direction, CK_MECHANISM *, CK_OBJECT_HANDLE, CK_BYTE *, size_t, CK_BYTE *, size_t, size_t *) =
      below(thread, 3) ? whole : parts;
  if (how == whole && below(thread, 4) == 0) {
    place = thread->output;
  } else {
    memset(thread->back, 0xee, length + 32);
  }
  if (!how(thread, DECRYPT, &p.mechanism, key, thread->output, encrypted, place, ROOM, &decrypted)) return false;
  CHECK(decrypted == length && memcmp(place, thread->input, length) == 0, "the plaintext comes back");
  if (cipher == CIPHER_GCM && below(thread, 8) == 0) {
    size_t count = reference_encrypt(CIPHER_GCM, thread->input, 32, p.iv, p.aad, p.gcm.ulAADLen, thread->input, length,
                                     thread->output);  // under another key: its tag is wrong
    CK_ULONG room = ROOM;
    DO(C_DecryptInit, thread->session, &p.mechanism, key);
    WANT(CKR_ENCRYPTED_DATA_INVALID, C_Decrypt, thread->session, thread->output, count, thread->back, &room);
  }
  return true;
}

bool ciphers(Thread *thread) {
  Cipher cipher = (Cipher)below(thread, 5);
  size_t length = any_length(thread);
  if (cipher == CIPHER_GCM && length < 32) length += 32;
  if (below(thread, 2)) return one_cipher(thread, cipher, thread->shared[SHARED_AES], NULL, 32, length);
  if (below(thread, 2)) {
    CK_BYTE value[32];
    value_of("shared-known", value);
    return one_cipher(thread, cipher, thread->shared[SHARED_KNOWN], value, 32, length);
  }
  size_t key_length = 16 + 8 * below(thread, 3);
  CK_BYTE value[32];
  CK_OBJECT_HANDLE key;
  fill(thread, value, sizeof value);
  if (!session_key(thread, value, key_length, &key)) return false;
  if (!one_cipher(thread, cipher, key, value, key_length, length)) return false;
  DO(C_DestroyObject, thread->session, key);
  return true;
}

bool large_cipher(Thread *thread) {
  // Memory of its own, given back: what is large once must not stay so, here or there.
  size_t length = (1 << 20) + below(thread, 7 << 20), room = length + 64;
  CK_BYTE *memory = mmap(NULL, 2 * room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(memory != MAP_FAILED, "there is memory");
  for (size_t i = 0; i < length; i += LARGEST) {
    size_t piece = length - i < LARGEST ? length - i : LARGEST;
    memcpy(memory + i, thread->input, piece);
  }
  Parameters p;
  size_t encrypted, decrypted;
  Cipher cipher = below(thread, 2) ? CIPHER_GCM : CIPHER_CTR;
  choose(thread, cipher, &p);
  bool good = (below(thread, 2) ? whole : parts)(thread, ENCRYPT, &p.mechanism, thread->shared[SHARED_AES], memory, length,
                                                 memory + room, room, &encrypted) &&
              whole(thread, DECRYPT, &p.mechanism, thread->shared[SHARED_AES], memory + room, encrypted, memory + room, room,
                    &decrypted);
  if (good)
    good = holds(thread, decrypted == length && memcmp(memory, memory + room, length) == 0, "the plaintext comes back");
  munmap(memory, 2 * room);
  return good;
}

// ---- messages

bool messages(Thread *thread) {
  CK_MECHANISM mechanism = {CKM_AES_GCM, NULL, 0};
  CK_OBJECT_HANDLE key = thread->shared[SHARED_KNOWN];
  CK_BYTE value[32], iv[12], tag[16], aad[20];
  value_of("shared-known", value);
  fill(thread, aad, sizeof aad);
  CK_GCM_MESSAGE_PARAMS p = {iv, sizeof iv, 0, CKG_NO_GENERATE, tag, 128};
  DO(C_MessageEncryptInit, thread->session, &mechanism, key);
  DO(C_MessageDecryptInit, thread->session, &mechanism, key);
  for (size_t i = 1 + below(thread, 8); i > 0; i--) {
    size_t length = any_length(thread), half = length / 2;
    CK_ULONG count = ROOM, more = ROOM;
    fill(thread, iv, sizeof iv);
    fill(thread, thread->input, length);
    if (below(thread, 3)) {
      DO(C_EncryptMessage, thread->session, &p, sizeof p, aad, sizeof aad, thread->input, length, thread->output, &count);
    } else {
      DO(C_EncryptMessageBegin, thread->session, &p, sizeof p, aad, sizeof aad);
      DO(C_EncryptMessageNext, thread->session, &p, sizeof p, thread->input, half, thread->output, &count, 0);
      more = ROOM - count;
      DO(C_EncryptMessageNext, thread->session, &p, sizeof p, thread->input + half, length - half, thread->output + count,
         &more, CKF_END_OF_MESSAGE);
      count += more;
    }
    size_t wanted =
        reference_encrypt(CIPHER_GCM, value, 32, iv, aad, sizeof aad, thread->input, length, thread->back);
    CHECK(count + 16 == wanted && memcmp(thread->back, thread->output, count) == 0 && memcmp(thread->back + count, tag, 16) == 0,
          "the message and its tag are libcrypto's");
    memset(thread->back, 0xee, length + 1);
    more = ROOM;
    if (below(thread, 8) == 0) {
      tag[3] ^= 4;
      WANT(CKR_AEAD_DECRYPT_FAILED, C_DecryptMessage, thread->session, &p, sizeof p, aad, sizeof aad, thread->output, count,
           thread->back, &more);
      tag[3] ^= 4;
      more = ROOM;
    }
    DO(C_DecryptMessage, thread->session, &p, sizeof p, aad, sizeof aad, thread->output, count, thread->back, &more);
    CHECK(more == length && memcmp(thread->back, thread->input, length) == 0, "the message comes back");
  }
  DO(C_MessageEncryptFinal, thread->session);
  DO(C_MessageDecryptFinal, thread->session);
  return true;
}

// ---- authentication codes and digests

bool macs(Thread *thread) {
  bool hmac = below(thread, 2);
  size_t length = any_length(thread), wanted_length = hmac ? 32 : 16;
  CK_BYTE value[32], wanted[64], code[64];
  CK_ULONG count = sizeof code;
  fill(thread, thread->input, length);
  value_of(hmac ? "shared-hmac" : "shared-known", value);
  if (hmac)
    reference_hmac("SHA256", value, 32, thread->input, length, wanted);
  else
    reference_cmac(value, 32, thread->input, length, wanted);
  CK_MECHANISM mechanism = {hmac ? CKM_SHA256_HMAC : CKM_AES_CMAC, NULL, 0};
  CK_OBJECT_HANDLE key = thread->shared[hmac ? SHARED_HMAC : SHARED_KNOWN];
  DO(C_SignInit, thread->session, &mechanism, key);
  if (below(thread, 3)) {
    DO(C_Sign, thread->session, thread->input, length, code, &count);
  } else {
    size_t first = below(thread, length + 1);
    DO(C_SignUpdate, thread->session, thread->input, first);
    DO(C_SignUpdate, thread->session, thread->input + first, length - first);
    DO(C_SignFinal, thread->session, code, &count);
  }
  CHECK(count == wanted_length && memcmp(code, wanted, count) == 0, "the code is libcrypto's");
  bool forged = below(thread, 2);
  code[below(thread, count)] ^= forged;
  DO(C_VerifyInit, thread->session, &mechanism, key);
  if (below(thread, 2)) {
    WANT(forged ? CKR_SIGNATURE_INVALID : CKR_OK, C_Verify, thread->session, thread->input, length, code, count);
  } else {
    DO(C_VerifyUpdate, thread->session, thread->input, length);
    WANT(forged ? CKR_SIGNATURE_INVALID : CKR_OK, C_VerifyFinal, thread->session, code, count);
  }
  return true;
}

bool digests(Thread *thread) {
  static const struct {
    CK_MECHANISM_TYPE type;
    const char *name;
  } hashes[] = {{CKM_SHA256, "SHA256"}, {CKM_SHA384, "SHA384"}, {CKM_SHA512, "SHA512"}, {CKM_SHA_1, "SHA1"}, {CKM_SHA3_256, "SHA3-256"}};
  size_t which = below(thread, COUNT(hashes)), length = any_length(thread);
  CK_BYTE wanted[64], digest[64];
  CK_ULONG count = sizeof digest;
  CK_MECHANISM mechanism = {hashes[which].type, NULL, 0};
  fill(thread, thread->input, length);
  size_t wanted_length = reference_digest(hashes[which].name, thread->input, length, wanted);
  DO(C_DigestInit, thread->session, &mechanism);
  if (below(thread, 2)) {
    DO(C_Digest, thread->session, thread->input, length, digest, &count);
  } else {
    size_t first = below(thread, length + 1);
    DO(C_DigestUpdate, thread->session, thread->input, first);
    DO(C_DigestUpdate, thread->session, thread->input + first, length - first);
    DO(C_DigestFinal, thread->session, digest, &count);
  }
  CHECK(count == wanted_length && memcmp(digest, wanted, count) == 0, "the digest is libcrypto's");
  return true;
}

bool random_bytes(Thread *thread) {
  size_t length = 16 + below(thread, below(thread, 4) ? 200 : 8000);
  for (int i = 0; i < 4; i++) {
    memset(thread->output, 0, length);
    DO(C_GenerateRandom, thread->session, thread->output, length);
    // Sixteen equal bytes, or the same bytes twice, come once in 2^120.
    size_t equal = 0;
    for (size_t j = length - 16; j < length; j++) equal += thread->output[j] == thread->output[length - 1];
    CHECK(equal < 16, "random bytes up to the end");
    CHECK(i == 0 || memcmp(thread->output, thread->back, length) != 0, "random bytes are new each time");
    memcpy(thread->back, thread->output, length);
  }
  return true;
}

// ---- operations that nobody ends

// What they hold there must go with the session, with C_SessionCancel, or with the next Init.
bool abandons(Thread *thread) {
  CK_SESSION_HANDLE session;
  Parameters p;
  CK_ULONG count = ROOM;
  if (!another_session(thread, CKF_RW_SESSION, &session)) return false;
  choose(thread, CIPHER_GCM, &p);
  CK_MECHANISM hmac = {CKM_SHA256_HMAC, NULL, 0}, sha = {CKM_SHA256, NULL, 0};
  CK_BBOOL yes = CK_TRUE;
  // Now and then all that there is, which is much when there are 100 000 objects.
  CK_ATTRIBUTE search[] = {{CKA_TOKEN, &yes, 1}, {CKA_LABEL, "shared-known", 12}};
  DO(C_DecryptInit, session, &p.mechanism, thread->shared[SHARED_AES]);
  DO(C_DecryptUpdate, session, thread->input, 100000, thread->output, &count);
  DO(C_SignInit, session, &hmac, thread->shared[SHARED_HMAC]);
  DO(C_SignUpdate, session, thread->input, 10000);
  DO(C_DigestInit, session, &sha);
  DO(C_FindObjectsInit, session, search, below(thread, 10) ? 2 : 1);
  if (below(thread, 2)) {
    DO(C_SessionCancel, session, CKF_DECRYPT | CKF_SIGN | CKF_DIGEST | CKF_FIND_OBJECTS);
    count = ROOM;
    WANT(CKR_OPERATION_NOT_INITIALIZED, C_DecryptFinal, session, thread->output, &count);
    DO(C_SignInit, session, &hmac, thread->shared[SHARED_HMAC]);
  }
  DO(C_CloseSession, session);
  return true;
}
