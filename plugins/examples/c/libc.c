// As much of a C library as the policy and its bindings need.
//
// All that a call allocates is freed when the call is over, so memory is handed out from the front of the heap, and the
// heap is empty again when its last block is freed.

#include <stddef.h>
#include <stdint.h>

#define ALIGN 16
#define PAGE 65536

extern unsigned char __heap_base;
static uintptr_t next, live;

void *malloc(size_t size) {
    if (live == 0) next = ((uintptr_t)&__heap_base + ALIGN - 1) / ALIGN * ALIGN;
    // Each block knows its size, for realloc.
    size_t *block = (size_t *)(next + ALIGN - sizeof(size_t));
    uintptr_t end = next + ALIGN + (size + ALIGN - 1) / ALIGN * ALIGN;
    uintptr_t have = __builtin_wasm_memory_size(0) * PAGE;
    if (end < next) __builtin_trap();
    if (end > have && __builtin_wasm_memory_grow(0, (end - have + PAGE - 1) / PAGE) == (size_t)-1) __builtin_trap();
    next = end;
    live++;
    *block = size;
    return block + 1;
}

void free(void *pointer) {
    if (pointer) live--;
}

void *memcpy(void *to, const void *from, size_t count) {
    unsigned char *out = to;
    for (const unsigned char *in = from; count; count--) *out++ = *in++;
    return to;
}

void *memset(void *to, int byte, size_t count) {
    for (unsigned char *out = to; count; count--) *out++ = (unsigned char)byte;
    return to;
}

void *realloc(void *pointer, size_t size) {
    void *moved = malloc(size);
    if (pointer) {
        size_t had = ((size_t *)pointer)[-1];
        memcpy(moved, pointer, had < size ? had : size);
        free(pointer);
    }
    return moved;
}

size_t strlen(const char *text) {
    size_t length = 0;
    while (text[length]) length++;
    return length;
}

_Noreturn void abort(void) { __builtin_trap(); }
