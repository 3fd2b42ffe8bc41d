#include "cproj/lib/step8.h"

int main(void) { return step8(0) == 36 ? 0 : 1; }
