#include "cproj/lib/step3.h"

#include "cproj/lib/step2.h"

int step3(int x) { return step2(x) + 3; }
