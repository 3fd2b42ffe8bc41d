#include "cproj/lib/step4.h"

#include "cproj/lib/step3.h"

int step4(int x) { return step3(x) + 4; }
