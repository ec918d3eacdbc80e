/*
 * Holds the tables of Sources/CFunctionTable against the order of the standard: each entry must lead to the function of
 * its name, and the tables must lie in memory that cannot be written to.
 *
 * facts.inc (see abi.c) names the functions; here each becomes a function that answers its own place in that order.
 */
#include <stdint.h>
#include <string.h>

#include "CFunctionTable.h"
#include "check.h"
#include "pkcs11.h"

#define TYPE(name, ...)
#define CONSTANT(name, value)
#define STRUCTURE(name, size, alignment)
#define FIELD(structure, name, type, dimensions, offset, size)
#define LIST(structure, size)
#define ENTRY(list, function, offset)

enum {
  FIRST_PLACE = 0,
#define FUNCTION(name, parameters) PLACE_##name,
#include "facts.inc"
#undef FUNCTION
};

#define FUNCTION(name, parameters) \
  CK_RV name parameters { return PLACE_##name; }
#include "facts.inc"
#undef FUNCTION

/* Whether the page of `address` is mapped without write permission. */
static int is_read_only(const void *address) {
  FILE *maps = fopen("/proc/self/maps", "r");
  if (maps == NULL) return 0;
  char line[512];
  int answer = 0;
  while (fgets(line, sizeof line, maps) != NULL) {
    unsigned long start, end;
    char permissions[5];
    if (sscanf(line, "%lx-%lx %4s", &start, &end, permissions) != 3) continue;
    if ((uintptr_t)address >= start && (uintptr_t)address < end) answer = permissions[1] == '-';
  }
  fclose(maps);
  return answer;
}

#undef ENTRY
#define ENTRY(list, function, offset) \
  check(*(CK_##function const *)((const char *)list##_table + offset) == function, #list " leads to " #function);
#define FUNCTION(name, parameters)

int main(void) {
  const CK_FUNCTION_LIST *CK_FUNCTION_LIST_table = strongroom_functions_2_40();
  const CK_FUNCTION_LIST_3_0 *CK_FUNCTION_LIST_3_0_table = strongroom_functions_3_0();
  const CK_FUNCTION_LIST_3_2 *CK_FUNCTION_LIST_3_2_table = strongroom_functions_3_2();
#include "facts.inc"

  size_t count = 0;
  const CK_INTERFACE *interfaces = strongroom_interfaces(&count);
  const struct {
    const void *list;
    CK_BYTE major, minor;
  } expected[] = {
    {CK_FUNCTION_LIST_3_2_table, 3, 2},
    {CK_FUNCTION_LIST_3_0_table, 3, 0},
    {CK_FUNCTION_LIST_table, 2, 40},
  };
  check(count >= 3, "there are the interfaces of three versions");
  for (size_t i = 0; i < 3 && i < count; i += 1) {
    const CK_VERSION *version = (const CK_VERSION *)interfaces[i].pFunctionList;
    check(strcmp((const char *)interfaces[i].pInterfaceName, "PKCS 11") == 0, "the interface is PKCS 11");
    check(interfaces[i].pFunctionList == expected[i].list, "the newest version comes first");
    check_number(version->major, expected[i].major, "major version");
    check_number(version->minor, expected[i].minor, "minor version");
  }
  for (size_t i = 0; i < count; i += 1) {
    check_number(interfaces[i].flags, 0, "flags of an interface");
    check(is_read_only(interfaces[i].pInterfaceName), "the name of an interface cannot be written to");
    check(is_read_only(interfaces[i].pFunctionList), "a function list cannot be written to");
  }
  check(is_read_only(interfaces), "the interfaces cannot be written to");
  int writable = 0;
  check(!is_read_only(&writable), "memory that can be written to is told apart");
  return finish();
}
