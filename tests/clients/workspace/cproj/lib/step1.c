#include "cproj/lib/step1.h"

int step1(int x) { return x + 1; }
