/* 16 threads score 10,000 images with one model: the results are those of one thread, and memory does not grow. */

/* For barriers. */
#define _XOPEN_SOURCE 600

#ifdef _WIN32
#include <windows.h>
#else
#include <malloc.h>
#endif
#include <pthread.h>

#include "check.h"

#define THREADS 16
#define CALLS 625
/* Calls of each thread after which memory is measured for the first time: by then each has its working memory. */
#define WARM_UP 100
/* What ONNX Runtime may still take for a thread that meets it late, in bytes. */
#define SLACK (1L << 20)

static npad_model *model;
static npad_output expected[PARTS];
static uint64_t expected_maps[PARTS];
static pthread_barrier_t warm;

static uint64_t sum_of(const float *map) {
  uint64_t sum = 1469598103934665603u;
  uint32_t bits;
  int i;
  for (i = 0; i < SIDE * SIDE; i++) {
    memcpy(&bits, &map[i], sizeof bits);
    sum = (sum ^ bits) * 1099511628211u;
  }
  return sum;
}

/* What the heap has given out and not got back. The resident size would also count what the C library's allocator keeps of
 * freed memory for each thread, which moves by megabytes without anything being lost. */
static long in_use(void) {
#ifdef _WIN32
  PROCESS_HEAP_ENTRY entry = {0};
  const HANDLE heap = GetProcessHeap();
  long sum = 0;
  HeapLock(heap);
  while (HeapWalk(heap, &entry)) sum += entry.wFlags & PROCESS_HEAP_ENTRY_BUSY ? (long)entry.cbData : 0;
  HeapUnlock(heap);
  return sum;
#else
  const struct mallinfo2 heap = mallinfo2();
  return (long)(heap.uordblks + heap.hblkhd);
#endif
}

static void *work(void *argument) {
  const int thread = *(const int *)argument;
  size_t wrong = 0;
  int call;
  for (call = 0; call < CALLS; call++) {
    const int n = (thread * 5 + call) % PARTS;
    if (call == WARM_UP) {
      pthread_barrier_wait(&warm);
      pthread_barrier_wait(&warm);
    }
    if (call % 2) {
      float map[SIDE * SIDE];
      npad_output output = {0};
      output.size = sizeof output;
      output.map = map;
      npad_score_into(model, &images[n], &output, NULL);
      wrong += output.score != expected[n].score || output.calibrated_score != expected[n].calibrated_score ||
               output.region_count != expected[n].region_count || sum_of(map) != expected_maps[n];
    } else {
      npad_result *result = NULL;
      npad_score(model, &images[n], &result, NULL);
      wrong += !result || npad_result_score(result) != expected[n].score || sum_of(npad_result_map(result)) != expected_maps[n];
      npad_result_free(result);
    }
  }
  return (void *)wrong;
}

int main(void) {
  static float map[SIDE * SIDE];
  pthread_t threads[THREADS];
  int numbers[THREADS], i;
  long before, after;
  npad_options *options = quick_options();
  make_images();
  WORKS(npad_options_set(options, "threads", "1", &error));
  WORKS(npad_fit(images, 10, options, &model, &error));
  if (!model) return 1;
  for (i = 0; i < PARTS; i++) {
    expected[i].size = sizeof expected[i];
    expected[i].map = map;
    WORKS(npad_score_into(model, &images[i], &expected[i], &error));
    expected_maps[i] = sum_of(map);
  }
  pthread_barrier_init(&warm, NULL, THREADS + 1);
  for (i = 0; i < THREADS; i++) {
    numbers[i] = i;
    pthread_create(&threads[i], NULL, work, &numbers[i]);
  }
  pthread_barrier_wait(&warm);
  before = in_use();
  pthread_barrier_wait(&warm);
  for (i = 0; i < THREADS; i++) {
    void *wrong = NULL;
    pthread_join(threads[i], &wrong);
    CHECK(wrong == NULL);
  }
  after = in_use();
  fprintf(stderr, "in use: %ld KB after %d calls, %ld KB after %d\n", before >> 10, THREADS * WARM_UP, after >> 10,
          THREADS * CALLS);
  CHECK(after - before < SLACK);
  pthread_barrier_destroy(&warm);
  npad_model_free(model);
  npad_options_free(options);
  return done();
}
