#include "cproj/lib/step6.h"

#include "cproj/lib/step5.h"

int step6(int x) { return step5(x) + 6; }
