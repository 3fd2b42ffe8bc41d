#include "cproj/lib/step8.h"

#include "cproj/lib/step7.h"

int step8(int x) { return step7(x) + 8; }
