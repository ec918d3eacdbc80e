/*
 * Holds include/pkcs11.h against the facts of the standard. Compiled as C11 and as C++17.
 *
 * facts.inc is made by Tests/CryptokiTests from the tables in conformance/facts. It is a sequence of
 *   TYPE(name, type)                                the typedef `name` is `type`
 *   CONSTANT(name, value)
 *   STRUCTURE(name, size, alignment)
 *   FIELD(structure, name, type, dimensions, offset, size)
 *   FUNCTION(name, parameters)
 *   LIST(structure, size)
 *   ENTRY(list, function, offset)
 */
#include "pkcs11.h"

/* The header comes first to show that it needs nothing before it, and twice to show its guard. */
#include "pkcs11.h"

#include <stddef.h>

#include "check.h"

#ifdef __cplusplus
#include <type_traits>
#define HAS_TYPE(expression, ...) std::is_same<decltype(expression), __VA_ARGS__>::value
#define ALIGNMENT(type) alignof(type)
#else
#define HAS_TYPE(expression, ...) _Generic((expression), __VA_ARGS__: 1, default: 0)
#define ALIGNMENT(type) _Alignof(type)
#endif

#define TYPE(name, ...) check(HAS_TYPE((name *)0, __VA_ARGS__ *), "type of " #name);
#define CONSTANT(name, value) check_number((unsigned long)(name), value, #name);
#define STRUCTURE(name, size, alignment)                  \
  check_number(sizeof(name), size, "size of " #name);     \
  check_number(ALIGNMENT(name), alignment, "alignment of " #name);
#define FIELD(structure, name, type, dimensions, offset, size)                                    \
  check_number(offsetof(structure, name), offset, "offset of " #structure "." #name);             \
  check_number(sizeof(((structure *)0)->name), size, "size of " #structure "." #name);            \
  check(HAS_TYPE(&((structure *)0)->name, type(*) dimensions), "type of " #structure "." #name);
#define FUNCTION(name, parameters)                                       \
  check(HAS_TYPE(&name, CK_RV(*) parameters), "type of " #name);         \
  check(HAS_TYPE((CK_##name)0, CK_RV(*) parameters), "type of CK_" #name);
#define LIST(structure, size)                                                \
  check_number(sizeof(structure), size, "size of " #structure);              \
  check_number(offsetof(structure, version), 0, "offset of " #structure ".version"); \
  check(HAS_TYPE(&((structure *)0)->version, CK_VERSION *), "type of " #structure ".version");
#define ENTRY(list, function, offset)                                                   \
  check_number(offsetof(list, function), offset, "offset of " #list "." #function);     \
  check(HAS_TYPE(&((list *)0)->function, CK_##function *), "type of " #list "." #function);

int main(void) {
#include "facts.inc"

  /* What no table says: the callbacks, the null pointer, the width of a number. */
  check(HAS_TYPE((CK_NOTIFY)0, CK_RV(*)(CK_SESSION_HANDLE, CK_NOTIFICATION, CK_VOID_PTR)), "type of CK_NOTIFY");
  check(HAS_TYPE((CK_CREATEMUTEX)0, CK_RV(*)(CK_VOID_PTR_PTR)), "type of CK_CREATEMUTEX");
  check(HAS_TYPE((CK_DESTROYMUTEX)0, CK_RV(*)(CK_VOID_PTR)), "type of CK_DESTROYMUTEX");
  check(HAS_TYPE((CK_LOCKMUTEX)0, CK_RV(*)(CK_VOID_PTR)), "type of CK_LOCKMUTEX");
  check(HAS_TYPE((CK_UNLOCKMUTEX)0, CK_RV(*)(CK_VOID_PTR)), "type of CK_UNLOCKMUTEX");
  CK_BYTE_PTR nothing = NULL_PTR;
  check(nothing == NULL_PTR, "NULL_PTR is a null pointer");
  check_number(sizeof(CK_ULONG), sizeof(CK_VOID_PTR), "size of CK_ULONG");
  return finish();
}
