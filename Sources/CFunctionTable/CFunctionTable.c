#include "CFunctionTable.h"
