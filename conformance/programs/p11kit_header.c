// flags: $(pkg-config --cflags p11-kit-1)
// Drives the module through p11-kit's own header, which somebody else wrote from the same standard: structures,
// constants and the order of the functions have to mean the same to both.
#include <dlfcn.h>
#include <p11-kit/pkcs11.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool failed;

static bool check(bool holds, const char *claim) {
  printf("%s - p11kit_header: %s\n", holds ? "ok" : "not ok", claim);
  if (!holds) failed = true;
  return holds;
}

static bool returns(CK_RV rv, CK_RV expected, const char *claim) {
  if (rv != expected) printf("#   returned 0x%lx, expected 0x%lx\n", rv, expected);
  return check(rv == expected, claim);
}

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define MUST(call, claim) \
  if (!returns(call, CKR_OK, claim)) return

static CK_BBOOL yes = CK_TRUE, no = CK_FALSE;

static CK_SLOT_ID find_token(CK_FUNCTION_LIST *p11, const char *label) {
  CK_SLOT_ID slots[64];
  CK_ULONG count = COUNT(slots);
  if (!returns(p11->C_GetSlotList(CK_TRUE, slots, &count), CKR_OK, "slots are listed")) exit(1);
  for (CK_ULONG i = 0; i < count; i++) {
    CK_TOKEN_INFO info;
    memset(&info, 0xa5, sizeof info);
    if (p11->C_GetTokenInfo(slots[i], &info) != CKR_OK) continue;
    if (strncmp((char *)info.label, label, strlen(label)) == 0) {
      check(info.flags & CKF_TOKEN_INITIALIZED && info.flags & CKF_LOGIN_REQUIRED, "the token's flags are where they belong");
      check(info.label[31] == ' ' && info.model[15] != (CK_UTF8CHAR)0xa5, "its texts are padded with blanks");
      return slots[i];
    }
  }
  check(false, "the token is found by its label");
  exit(1);
}

static void aes(CK_FUNCTION_LIST *p11, CK_SESSION_HANDLE session) {
  CK_MECHANISM generate = {CKM_AES_KEY_GEN, NULL, 0};
  CK_ULONG length = 32;
  CK_ATTRIBUTE template[] = {
      {CKA_VALUE_LEN, &length, sizeof length}, {CKA_TOKEN, &no, 1},       {CKA_SENSITIVE, &yes, 1},
      {CKA_EXTRACTABLE, &no, 1},               {CKA_ENCRYPT, &yes, 1},    {CKA_DECRYPT, &yes, 1},
  };
  CK_OBJECT_HANDLE key = CK_INVALID_HANDLE;
  MUST(p11->C_GenerateKey(session, &generate, template, COUNT(template), &key), "an AES key is generated");

  CK_BYTE value[64];
  CK_ULONG type = 0;
  CK_ATTRIBUTE read[] = {
      {CKA_VALUE, value, sizeof value}, {CKA_KEY_TYPE, &type, sizeof type}, {0xcf534301, value, sizeof value}};
  CK_RV rv = p11->C_GetAttributeValue(session, key, read, COUNT(read));
  check(rv == CKR_ATTRIBUTE_SENSITIVE || rv == CKR_ATTRIBUTE_TYPE_INVALID, "a sensitive and an unknown attribute are refused");
  check(read[0].ulValueLen == CK_UNAVAILABLE_INFORMATION && read[2].ulValueLen == CK_UNAVAILABLE_INFORMATION &&
            read[1].ulValueLen == sizeof type && type == CKK_AES,
        "and the attribute between them is read all the same");

  CK_BYTE iv[12] = {1}, aad[20] = {2}, plain[100], cipher[116], back[100];
  memset(plain, 0x5c, sizeof plain);
  CK_GCM_PARAMS gcm;
  memset(&gcm, 0, sizeof gcm);
  gcm.iv_ptr = iv;
  gcm.iv_len = sizeof iv;
  gcm.iv_bits = sizeof iv * 8;
  gcm.aad_ptr = aad;
  gcm.aad_len = sizeof aad;
  gcm.tag_bits = 128;
  CK_MECHANISM mechanism = {CKM_AES_GCM, &gcm, sizeof gcm};
  CK_ULONG size = 0;
  MUST(p11->C_EncryptInit(session, &mechanism, key), "AES-GCM takes p11-kit's parameter structure");
  MUST(p11->C_Encrypt(session, plain, sizeof plain, NULL, &size), "the length is asked first");
  check(size == sizeof cipher, "and is the plaintext's plus the tag's");
  size = sizeof cipher - 1;
  returns(p11->C_Encrypt(session, plain, sizeof plain, cipher, &size), CKR_BUFFER_TOO_SMALL, "a short buffer is refused");
  size = sizeof cipher;
  MUST(p11->C_Encrypt(session, plain, sizeof plain, cipher, &size), "and the operation is still there");
  MUST(p11->C_DecryptInit(session, &mechanism, key), "decryption is started");
  size = sizeof back;
  MUST(p11->C_Decrypt(session, cipher, sizeof cipher, back, &size), "it decrypts");
  check(size == sizeof plain && memcmp(plain, back, sizeof plain) == 0, "to the plaintext");
  cipher[3] ^= 1;
  MUST(p11->C_DecryptInit(session, &mechanism, key), "decryption is started again");
  memset(back, 0, sizeof back);
  size = sizeof back;
  returns(p11->C_Decrypt(session, cipher, sizeof cipher, back, &size), CKR_ENCRYPTED_DATA_INVALID, "a changed byte is refused");
  bool untouched = true;
  for (size_t i = 0; i < sizeof back; i++) untouched = untouched && back[i] == 0;
  check(untouched, "and nothing of the plaintext is shown");
  returns(p11->C_DestroyObject(session, key), CKR_OK, "the key is destroyed");
  returns(p11->C_EncryptInit(session, &mechanism, key), CKR_KEY_HANDLE_INVALID, "and its handle means nothing any more");
}

static void elliptic(CK_FUNCTION_LIST *p11, CK_SESSION_HANDLE session) {
  CK_BYTE p256[] = {0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07}, id[] = {7, 7};
  CK_MECHANISM generate = {CKM_EC_KEY_PAIR_GEN, NULL, 0}, ecdsa = {CKM_ECDSA, NULL, 0};
  CK_ATTRIBUTE public[] = {{CKA_EC_PARAMS, p256, sizeof p256}, {CKA_ID, id, 2}, {CKA_VERIFY, &yes, 1}, {CKA_TOKEN, &yes, 1}};
  CK_ATTRIBUTE private[] = {{CKA_ID, id, 2}, {CKA_SIGN, &yes, 1}, {CKA_TOKEN, &yes, 1}, {CKA_PRIVATE, &yes, 1}};
  CK_OBJECT_HANDLE verifier, signer, found[4];
  MUST(p11->C_GenerateKeyPair(session, &generate, public, COUNT(public), private, COUNT(private), &verifier, &signer),
       "an EC key pair is generated on the token");
  CK_ATTRIBUTE search[] = {{CKA_ID, id, 2}};
  CK_ULONG count = 0;
  MUST(p11->C_FindObjectsInit(session, search, COUNT(search)), "a search by id begins");
  MUST(p11->C_FindObjects(session, found, COUNT(found), &count), "it finds");
  check(count == 2, "both halves of the pair");
  MUST(p11->C_FindObjectsFinal(session), "it ends");

  CK_BYTE digest[32] = {9}, signature[64];
  CK_ULONG size = sizeof signature;
  MUST(p11->C_SignInit(session, &ecdsa, signer), "signing begins");
  returns(p11->C_SignInit(session, &ecdsa, signer), CKR_OPERATION_ACTIVE, "a second one is refused");
  MUST(p11->C_Sign(session, digest, sizeof digest, signature, &size), "a digest is signed");
  check(size == sizeof signature, "in 64 bytes");
  MUST(p11->C_VerifyInit(session, &ecdsa, verifier), "verification begins");
  MUST(p11->C_Verify(session, digest, sizeof digest, signature, size), "the signature is valid");
  digest[0] ^= 1;
  MUST(p11->C_VerifyInit(session, &ecdsa, verifier), "verification begins again");
  returns(p11->C_Verify(session, digest, sizeof digest, signature, size), CKR_SIGNATURE_INVALID,
          "another digest's signature is not");
  returns(p11->C_Sign(session, digest, sizeof digest, signature, &size), CKR_OPERATION_NOT_INITIALIZED,
          "nothing is signed without C_SignInit");
}

int main(int argc, char **argv) {
  if (argc != 2) return 2;
  void *library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
  if (!check(library != NULL, "the module is loaded")) {
    printf("#   %s\n", dlerror());
    return 1;
  }
  CK_C_GetFunctionList get = (CK_C_GetFunctionList)dlsym(library, "C_GetFunctionList");
  CK_FUNCTION_LIST *p11 = NULL;
  if (!check(get != NULL && get(&p11) == CKR_OK && p11 != NULL, "it gives its function list")) return 1;
  check(p11->version.major == 2 && p11->version.minor == 40, "whose version is 2.40");

  CK_INFO info;
  returns(p11->C_GetInfo(&info), CKR_CRYPTOKI_NOT_INITIALIZED, "nothing works before C_Initialize");
  CK_C_INITIALIZE_ARGS arguments;
  memset(&arguments, 0, sizeof arguments);
  arguments.flags = CKF_LIBRARY_CANT_CREATE_OS_THREADS | CKF_OS_LOCKING_OK;
  if (!returns(p11->C_Initialize(&arguments), CKR_OK, "it is initialised with p11-kit's flags")) return 1;
  returns(p11->C_Initialize(NULL), CKR_CRYPTOKI_ALREADY_INITIALIZED, "not twice");
  returns(p11->C_GetInfo(&info), CKR_OK, "it introduces itself");
  check(info.cryptokiVersion.major >= 2, "as a Cryptoki of version 2 or later");

  CK_SLOT_ID slot = find_token(p11, getenv("TOKEN"));
  CK_SESSION_HANDLE session;
  char *pin = getenv("PIN");
  returns(p11->C_OpenSession(slot, CKF_RW_SESSION, NULL, NULL, &session), CKR_SESSION_PARALLEL_NOT_SUPPORTED,
          "a session that is not serial is refused");
  if (!returns(p11->C_OpenSession(slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &session), CKR_OK,
               "a session opens"))
    return 1;
  if (!returns(p11->C_Login(session, CKU_USER, (CK_BYTE *)pin, strlen(pin)), CKR_OK, "the user logs in")) return 1;
  returns(p11->C_Login(session, CKU_USER, (CK_BYTE *)pin, strlen(pin)), CKR_USER_ALREADY_LOGGED_IN, "once");
  CK_SESSION_INFO state;
  returns(p11->C_GetSessionInfo(session, &state), CKR_OK, "the session's state is told");
  check(state.state == CKS_RW_USER_FUNCTIONS && state.slotID == slot, "it is the user's, read and write");
  aes(p11, session);
  elliptic(p11, session);
  returns(p11->C_Logout(session), CKR_OK, "the user logs out");
  returns(p11->C_CloseSession(session), CKR_OK, "the session closes");
  returns(p11->C_CloseSession(session), CKR_SESSION_HANDLE_INVALID, "once");
  returns(p11->C_Finalize(NULL), CKR_OK, "the module is finalised");
  returns(p11->C_GetSlotList(CK_TRUE, NULL, NULL), CKR_CRYPTOKI_NOT_INITIALIZED, "and nothing works any more");
  check(dlclose(library) == 0, "it is unloaded");
  return failed ? 1 : 0;
}
