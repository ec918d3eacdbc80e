/*
 * The function lists and interfaces of the module, in read-only memory.
 *
 * The structures are declared in pkcs11.h. They are only named here: a header of this target that included a header of
 * another target would give Swift two copies of its types.
 */
#ifndef STRONGROOM_CFUNCTIONTABLE_H
#define STRONGROOM_CFUNCTIONTABLE_H

#include <stddef.h>

struct CK_FUNCTION_LIST;
struct CK_FUNCTION_LIST_3_0;
struct CK_FUNCTION_LIST_3_2;
struct CK_INTERFACE;

/* The function list of each version. It lives as long as the module and must not be written to. */
const struct CK_FUNCTION_LIST *strongroom_functions_2_40(void);
const struct CK_FUNCTION_LIST_3_0 *strongroom_functions_3_0(void);
const struct CK_FUNCTION_LIST_3_2 *strongroom_functions_3_2(void);

/*
 * The interfaces, the default one first; stores their number. They live as long as the module and must not be written
 * to.
 */
const struct CK_INTERFACE *strongroom_interfaces(size_t *count);

#endif
