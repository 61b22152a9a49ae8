/* A host whose own functions have names that libraries use inside, and whose own allocator every library gets.
 *
 *     names own|builtin FOLDER */

#define _GNU_SOURCE
#include <errno.h>

#include "host.h"

/* What the GNU C library has under the names that programs may replace. */
void *__libc_malloc(size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void *__libc_realloc(void *old, size_t size);
void __libc_free(void *memory);

static int allocations = 0;

static void *dirty(void *memory, size_t size) {
  __atomic_fetch_add(&allocations, 1, __ATOMIC_RELAXED);
  return memory ? memset(memory, 0xa5, size) : NULL;
}

/* Fresh memory is not zero. */
void *malloc(size_t size) {
  return dirty(__libc_malloc(size), size);
}

void *calloc(size_t count, size_t size) {
  void *memory = size && count > (size_t)-1 / size ? NULL : __libc_malloc(count * size);
  __atomic_fetch_add(&allocations, 1, __ATOMIC_RELAXED);
  return memory ? memset(memory, 0, count * size) : NULL;
}

void *realloc(void *old, size_t size) {
  return __libc_realloc(old, size);
}

void free(void *memory) {
  __libc_free(memory);
}

void *memalign(size_t alignment, size_t size) {
  return dirty(__libc_memalign(alignment, size), size);
}

void *aligned_alloc(size_t alignment, size_t size) {
  return memalign(alignment, size);
}

int posix_memalign(void **memory, size_t alignment, size_t size) {
  *memory = memalign(alignment, size);
  return *memory ? 0 : ENOMEM;
}

static int strayed = 0;

/* Functions of the host that nothing in npad may call. */
#define OWN(name)   \
  int name(void);   \
  int name(void) {  \
    strayed++;      \
    return -1;      \
  }
OWN(OrtGetApiBase)
OWN(crc32)
OWN(adler32)
OWN(crc32fast)
OWN(XXH64)
OWN(blake3_hasher_init)
OWN(inflate)
OWN(deflate)
OWN(sgemm_)
OWN(cblas_sgemm)
OWN(rust_panic)
OWN(rust_begin_unwind)
OWN(rust_eh_personality)
OWN(__rust_alloc)
OWN(__rust_dealloc)
OWN(__rust_start_panic)
OWN(rayon_core_join)
OWN(onnx_load)
OWN(guard)
OWN(version)

int main(int argc, char **argv) {
  int before;
  if (argc != 3) return 2;
  builtin = strcmp(argv[1], "builtin") == 0;
  make_images();
  scratch(pixels[PARTS - 1]);
  before = allocations;
  live(argv[2]);
  fail(argv[2]);
  CHECK(allocations > before);
  CHECK(strayed == 0);
  return done();
}
