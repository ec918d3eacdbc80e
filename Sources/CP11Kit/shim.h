#pragma once
#define P11_KIT_FUTURE_UNSTABLE_API 1
#include <p11-kit/uri.h>
