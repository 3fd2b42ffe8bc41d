#include <stdio.h>

#include "cproj/lib/step8.h"

int main(void) {
    printf("eight steps from 0: %d\n", step8(0));
    return 0;
}
