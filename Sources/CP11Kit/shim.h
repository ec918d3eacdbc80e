#pragma once
// The names of the GNU style, so that these declarations are not taken for those of our own pkcs11.h.
#define CRYPTOKI_GNU 1
#define P11_KIT_FUTURE_UNSTABLE_API 1
#include <p11-kit/uri.h>
