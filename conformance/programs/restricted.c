/* The vendor interface in one page: a key whose plaintext only restricted buffers receive, and the buffer as a
   descriptor. Usage: restricted MODULE, with TOKEN and PIN in the environment. The README shows this program. */
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "strongroom.h"

static int failed;

static void claim(const char *text, int holds) {
  printf("%s - restricted: %s\n", holds ? "ok" : "not ok", text);
  failed |= !holds;
}

static void need(const char *what, CK_RV rv) {
  if (rv == CKR_OK) return;
  printf("not ok - %s answered 0x%lx\n", what, rv);
  exit(1);
}

int main(int count, char **arguments) {
  /* The two function lists. */
  void *module = count > 1 ? dlopen(arguments[1], RTLD_NOW) : NULL;
  CK_C_GetInterface get_interface = NULL;
  if (module) *(void **)&get_interface = dlsym(module, "C_GetInterface");
  if (!get_interface || !getenv("TOKEN") || !getenv("PIN")) return 2;
  CK_INTERFACE *interface;
  CK_VERSION v3_2 = {3, 2}, v1_0 = {1, 0};
  need("C_GetInterface", get_interface((CK_UTF8CHAR *)"PKCS 11", &v3_2, &interface, 0));
  CK_FUNCTION_LIST_3_2 *pkcs11 = interface->pFunctionList;
  need("C_GetInterface", get_interface((CK_UTF8CHAR *)CK_STRONGROOM_INTERFACE_NAME, &v1_0, &interface, 0));
  CK_STRONGROOM_FUNCTION_LIST *strongroom = interface->pFunctionList;

  /* A session on the first token. */
  CK_SLOT_ID slots[16];
  CK_ULONG slot_count = 16;
  CK_SESSION_HANDLE session;
  need("C_Initialize", pkcs11->C_Initialize(NULL));
  need("C_GetSlotList", pkcs11->C_GetSlotList(CK_TRUE, slots, &slot_count));
  if (slot_count == 0) return 2;
  need("C_OpenSession", pkcs11->C_OpenSession(slots[0], CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &session));
  need("C_Login", pkcs11->C_Login(session, CKU_USER, (CK_UTF8CHAR *)getenv("PIN"), strlen(getenv("PIN"))));

  /* A content key, and what its owner encrypts with it. */
  CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
  CK_ULONG key_length = 16;
  CK_ATTRIBUTE content[] = {{CKA_VALUE_LEN, &key_length, sizeof key_length},
                            {CKA_TOKEN, &no, sizeof no},
                            {CKA_ENCRYPT, &yes, sizeof yes},
                            {CKA_DECRYPT, &yes, sizeof yes}};
  CK_MECHANISM generate = {CKM_AES_KEY_GEN, NULL, 0};
  CK_OBJECT_HANDLE owner_key, player_key;
  need("C_GenerateKey", pkcs11->C_GenerateKey(session, &generate, content, 4, &owner_key));
  CK_BYTE nonce[12] = {1}, frame[] = "a frame that nobody may copy", sealed[sizeof frame + 16], plain[sizeof sealed];
  CK_GCM_PARAMS gcm = {nonce, sizeof nonce, 8 * sizeof nonce, NULL, 0, 128};
  CK_MECHANISM aes_gcm = {CKM_AES_GCM, &gcm, sizeof gcm};
  CK_ULONG sealed_length = sizeof sealed, plain_length = sizeof plain;
  need("C_EncryptInit", pkcs11->C_EncryptInit(session, &aes_gcm, owner_key));
  need("C_Encrypt", pkcs11->C_Encrypt(session, frame, sizeof frame, sealed, &sealed_length));

  /* The player's key: the same, for restricted output only. That is never taken back. */
  CK_ATTRIBUTE restricted[] = {{CKA_STRONGROOM_RESTRICTED_OUTPUT, &yes, sizeof yes}};
  CK_ATTRIBUTE unrestricted[] = {{CKA_STRONGROOM_RESTRICTED_OUTPUT, &no, sizeof no}};
  need("C_CopyObject", pkcs11->C_CopyObject(session, owner_key, restricted, 1, &player_key));
  claim("restricted output is never taken back",
        pkcs11->C_SetAttributeValue(session, player_key, unrestricted, 1) != CKR_OK);
  CK_RV rv = pkcs11->C_DecryptInit(session, &aes_gcm, player_key);
  if (rv == CKR_OK) rv = pkcs11->C_Decrypt(session, sealed, sealed_length, plain, &plain_length);
  claim("plain C_Decrypt with such a key is not permitted", rv == CKR_KEY_FUNCTION_NOT_PERMITTED);

  /* Decrypt into a restricted buffer. */
  CK_OBJECT_HANDLE buffer;
  CK_ULONG written = 0;
  need("AllocateBuffer", strongroom->AllocateBuffer(session, CKU_STRONGROOM_SECURE_VIDEO_PLAYBACK, 4096, 0, &buffer));
  need("DecryptIntoInit", strongroom->DecryptIntoInit(session, &aes_gcm, player_key));
  need("DecryptInto", strongroom->DecryptInto(session, sealed, sealed_length, buffer, 0, &written));
  claim("the plaintext lies in the restricted buffer", written == sizeof frame);

  sealed[0] ^= 1;
  written = 0;
  need("DecryptIntoInit", strongroom->DecryptIntoInit(session, &aes_gcm, player_key));
  rv = strongroom->DecryptInto(session, sealed, sealed_length, buffer, 0, &written);
  claim("a forged message writes nothing", rv == CKR_ENCRYPTED_DATA_INVALID && written == 0);

  /* The buffer as a descriptor: to be handed to another process, not to be read. */
  int descriptor = -1;
  need("ExportBuffer", strongroom->ExportBuffer(session, buffer, &descriptor));
  claim("the descriptor cannot be mapped",
        mmap(NULL, 4096, PROT_READ, MAP_SHARED, descriptor, 0) == MAP_FAILED && errno == ENODEV);
  claim("nor read", read(descriptor, plain, sizeof plain) <= 0);
  CK_OBJECT_HANDLE imported;
  need("ImportBuffer", strongroom->ImportBuffer(session, descriptor, &imported));
  claim("whoever holds it can hand it to the secure world",
        strongroom->WriteBuffer(session, imported, 4095, frame, 1) == CKR_OK);
  claim("but not write past its end",
        strongroom->WriteBuffer(session, imported, 4097, frame, 1) == CKR_STRONGROOM_OFFSET_RANGE);

  close(descriptor);
  need("C_Finalize", pkcs11->C_Finalize(NULL));
  return failed;
}
