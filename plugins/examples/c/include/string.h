// What `libc.c` has.
#pragma once
#include <stddef.h>
void *memcpy(void *to, const void *from, size_t count);
void *memset(void *to, int byte, size_t count);
size_t strlen(const char *text);
