/* Sees every block that npad itself asks the heap for, counts it, and refuses it where a test says so. What others ask for, ONNX
 * Runtime among them, passes. For one source file of a program, on Linux with glibc. */
#ifndef HEAP_H
#define HEAP_H

#include <errno.h>
#include <limits.h>
#include <link.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *block, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

/* Where libnpad.so is in memory. */
static uintptr_t heap_start, heap_end;
/* How often npad has asked, the numbers of the first and the last time that it gets nothing, and how often it got nothing. */
static long heap_count, heap_first = LONG_MAX, heap_last = LONG_MAX, heap_refused;

static int heap_find(struct dl_phdr_info *info, size_t size, void *data) {
  int i;
  (void)size;
  (void)data;
  if (!strstr(info->dlpi_name, "libnpad.so")) return 0;
  heap_start = UINTPTR_MAX;
  for (i = 0; i < info->dlpi_phnum; i++) {
    const uintptr_t start = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
    if (info->dlpi_phdr[i].p_type != PT_LOAD) continue;
    if (start < heap_start) heap_start = start;
    if (start + info->dlpi_phdr[i].p_memsz > heap_end) heap_end = start + info->dlpi_phdr[i].p_memsz;
  }
  return 1;
}

/* Begins to count. Returns whether npad was found. */
static int heap_watch(void) { return dl_iterate_phdr(heap_find, NULL); }

/* Refuses npad the blocks from the first to the last, counted from now. */
static void heap_refuse(long first, long last) {
  __atomic_store_n(&heap_count, 0, __ATOMIC_RELAXED);
  __atomic_store_n(&heap_refused, 0, __ATOMIC_RELAXED);
  heap_first = first;
  heap_last = last;
}

static int heap_refuses(uintptr_t caller) {
  long count;
  if (caller < heap_start || caller >= heap_end) return 0;
  count = __atomic_add_fetch(&heap_count, 1, __ATOMIC_RELAXED);
  if (count < heap_first || count > heap_last) return 0;
  __atomic_add_fetch(&heap_refused, 1, __ATOMIC_RELAXED);
  errno = ENOMEM;
  return 1;
}

#define HEAP_REFUSES heap_refuses((uintptr_t)__builtin_return_address(0))

void *malloc(size_t size) { return HEAP_REFUSES ? NULL : __libc_malloc(size); }

void *calloc(size_t count, size_t size) { return HEAP_REFUSES ? NULL : __libc_calloc(count, size); }

void *realloc(void *block, size_t size) { return HEAP_REFUSES ? NULL : __libc_realloc(block, size); }

int posix_memalign(void **block, size_t alignment, size_t size) {
  *block = HEAP_REFUSES ? NULL : __libc_memalign(alignment, size);
  return *block ? 0 : ENOMEM;
}

#endif
