#include "cproj/lib/step7.h"

#include "cproj/lib/step6.h"

int step7(int x) { return step6(x) + 7; }
