#include "cproj/lib/step5.h"

#include "cproj/lib/step4.h"

int step5(int x) { return step4(x) + 5; }
