#include "cproj/lib/step2.h"

#include "cproj/lib/step1.h"

int step2(int x) { return step1(x) + 2; }
