/*
 * drive_p11kit MODULE: drives a PKCS#11 module through a header that is not ours (p11-kit's), as its clients do.
 *
 * Loads the module, takes its function list and, if the header knows them, its interfaces; initialises, lists slots and
 * mechanisms, opens a session with the first initialised token, digests "abc" with SHA-256 against the answer of
 * FIPS 180-4, and finalises. Prints what it did; exits 0 if everything held, 1 otherwise.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <p11-kit/pkcs11.h>

static void fail(const char *what, const char *why) {
  fprintf(stderr, "%s: %s\n", what, why);
  exit(1);
}

static void expect_ok(const char *function, CK_RV answer) {
  if (answer == CKR_OK) return;
  fprintf(stderr, "%s answered 0x%08lx\n", function, answer);
  exit(1);
}

/* The function of that name in the module, or a null pointer. ISO C has no cast from void * to a function pointer. */
static void find(void *module, const char *name, void *function) {
  void *symbol = dlsym(module, name);
  memcpy(function, &symbol, sizeof symbol);
}

/* Prints a field that is padded with spaces and has no terminator. */
static void print_field(const char *title, const unsigned char *field, size_t size) {
  while (size > 0 && field[size - 1] == ' ') size -= 1;
  printf("%s: %.*s\n", title, (int)size, (const char *)field);
}

#if CRYPTOKI_VERSION_MAJOR >= 3
static void show_interface(void *module) {
  CK_C_GetInterface get_interface;
  find(module, "C_GetInterface", &get_interface);
  if (get_interface == NULL) {
    printf("C_GetInterface: not exported\n");
    return;
  }
  CK_INTERFACE *found = NULL;
  expect_ok("C_GetInterface", get_interface(NULL, NULL, &found, 0));
  if (found == NULL || found->pFunctionList == NULL) fail("C_GetInterface", "answered CKR_OK without an interface");
  const CK_VERSION *version = (const CK_VERSION *)found->pFunctionList;
  printf("default interface: \"%s\" %d.%d\n", (const char *)found->pInterfaceName, version->major, version->minor);
}
#else
static void show_interface(void *module) {
  void *symbol = dlsym(module, "C_GetInterface");
  printf("C_GetInterface: %s; this header is of version %d.%d and does not know it\n",
         symbol == NULL ? "not exported" : "exported", CRYPTOKI_VERSION_MAJOR, CRYPTOKI_VERSION_MINOR);
}
#endif

static CK_SLOT_ID *list_slots(CK_FUNCTION_LIST *p11, CK_BBOOL token_present, CK_ULONG *count) {
  expect_ok("C_GetSlotList", p11->C_GetSlotList(token_present, NULL, count));
  CK_SLOT_ID *slots = (CK_SLOT_ID *)calloc(*count + 1, sizeof *slots);
  if (slots == NULL) fail("C_GetSlotList", "out of memory");
  expect_ok("C_GetSlotList", p11->C_GetSlotList(token_present, slots, count));
  return slots;
}

static void show_mechanisms(CK_FUNCTION_LIST *p11, CK_SLOT_ID slot) {
  CK_ULONG count = 0;
  expect_ok("C_GetMechanismList", p11->C_GetMechanismList(slot, NULL, &count));
  CK_MECHANISM_TYPE *types = (CK_MECHANISM_TYPE *)calloc(count + 1, sizeof *types);
  if (types == NULL) fail("C_GetMechanismList", "out of memory");
  expect_ok("C_GetMechanismList", p11->C_GetMechanismList(slot, types, &count));
  printf("mechanisms: %lu\n", count);
  for (CK_ULONG i = 0; i < count; i += 1) {
    CK_MECHANISM_INFO info;
    expect_ok("C_GetMechanismInfo", p11->C_GetMechanismInfo(slot, types[i], &info));
    printf("  0x%08lx: keys %lu to %lu, flags 0x%08lx\n", types[i], info.ulMinKeySize, info.ulMaxKeySize, info.flags);
  }
  free(types);
}

static void digest_abc(CK_FUNCTION_LIST *p11, CK_SESSION_HANDLE session) {
  static const unsigned char expected[32] = {
    0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40, 0xde, 0x5d, 0xae, 0x22, 0x23,
    0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17, 0x7a, 0x9c, 0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad,
  };
  unsigned char text[] = {'a', 'b', 'c'};
  unsigned char digest[64];
  CK_ULONG length = sizeof digest;
  CK_MECHANISM sha256 = {CKM_SHA256, NULL, 0};
  expect_ok("C_DigestInit", p11->C_DigestInit(session, &sha256));
  expect_ok("C_Digest", p11->C_Digest(session, text, sizeof text, digest, &length));
  if (length != sizeof expected) fail("C_Digest", "SHA-256 is not 32 bytes long");
  if (memcmp(digest, expected, sizeof expected) != 0) fail("C_Digest", "SHA-256 of \"abc\" is wrong");
  printf("SHA-256 of \"abc\": right\n");
}

int main(int argc, char **argv) {
  if (argc != 2) fail("usage", "drive_p11kit MODULE");
  void *module = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
  if (module == NULL) fail("dlopen", dlerror());

  CK_C_GetFunctionList get_function_list;
  find(module, "C_GetFunctionList", &get_function_list);
  if (get_function_list == NULL) fail(argv[1], "does not export C_GetFunctionList");
  CK_FUNCTION_LIST *p11 = NULL;
  expect_ok("C_GetFunctionList", get_function_list(&p11));
  if (p11 == NULL) fail("C_GetFunctionList", "answered CKR_OK without a list");
  printf("function list: %d.%d\n", p11->version.major, p11->version.minor);
  show_interface(module);

  expect_ok("C_Initialize", p11->C_Initialize(NULL));
  CK_INFO info;
  expect_ok("C_GetInfo", p11->C_GetInfo(&info));
  printf("Cryptoki: %d.%d\n", info.cryptokiVersion.major, info.cryptokiVersion.minor);
  print_field("manufacturer", info.manufacturerID, sizeof info.manufacturerID);
  print_field("library", info.libraryDescription, sizeof info.libraryDescription);

  CK_ULONG all = 0, count = 0;
  free(list_slots(p11, CK_FALSE, &all));
  CK_SLOT_ID *slots = list_slots(p11, CK_TRUE, &count);
  printf("slots: %lu, with a token: %lu\n", all, count);
  if (count == 0) fail("C_GetSlotList", "no slot has a token");
  const CK_SLOT_ID *usable = NULL;
  for (CK_ULONG i = 0; i < count; i += 1) {
    CK_SLOT_INFO slot;
    expect_ok("C_GetSlotInfo", p11->C_GetSlotInfo(slots[i], &slot));
    printf("slot %lu, ", slots[i]);
    print_field("description", slot.slotDescription, sizeof slot.slotDescription);
    CK_TOKEN_INFO token;
    expect_ok("C_GetTokenInfo", p11->C_GetTokenInfo(slots[i], &token));
    print_field("  token", token.label, sizeof token.label);
    print_field("  model", token.model, sizeof token.model);
    if (usable == NULL && (token.flags & CKF_TOKEN_INITIALIZED) != 0) usable = &slots[i];
  }
  if (usable == NULL) fail("C_GetTokenInfo", "no token is initialised");
  show_mechanisms(p11, *usable);

  CK_SESSION_HANDLE session = 0;
  expect_ok("C_OpenSession", p11->C_OpenSession(*usable, CKF_SERIAL_SESSION, NULL, NULL, &session));
  digest_abc(p11, session);
  expect_ok("C_CloseSession", p11->C_CloseSession(session));
  expect_ok("C_Finalize", p11->C_Finalize(NULL));
  printf("finalised\n");
  free(slots);
  if (dlclose(module) != 0) fail("dlclose", dlerror());
  return 0;
}
