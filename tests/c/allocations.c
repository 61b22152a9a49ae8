/* Scoring into the caller's memory asks the heap for nothing once it is warm. What ONNX Runtime does inside its library is its
 * own matter. */

#define _GNU_SOURCE
#include <pthread.h>

#include "check.h"
#include "heap.h"

enum { CALLS = 2, ROUNDS = 50 };

static void score(const npad_model *model) {
  static npad_region regions[8];
  static float map[SIDE * SIDE];
  npad_output output = {0};
  output.size = sizeof output;
  output.map = map;
  output.regions = regions;
  output.region_size = sizeof regions[0];
  output.region_capacity = 8;
  WORKS(npad_score_into(model, &images[PARTS - 1], &output, &error));
  CHECK(output.region_count > 0);
}

static npad_model *fitted(const char *const settings[][2]) {
  npad_options *options = quick_options();
  npad_model *model = NULL;
  WORKS(npad_options_set(options, "threads", "2", &error));
  for (; (*settings)[0]; settings++) WORKS(npad_options_set(options, (*settings)[0], (*settings)[1], &error));
  WORKS(npad_fit(images, PARTS - 1, options, &model, &error));
  npad_options_free(options);
  return model;
}

/* Models take turns. */
static void check_warm(npad_model **models, int count, const char *what) {
  int round, n;
  for (n = 0; n < count; n++) score(models[n]);
  heap_refuse(LONG_MAX, LONG_MAX);
  for (round = 0; round < ROUNDS; round++)
    for (n = 0; n < count; n++) score(models[n]);
  if (heap_count) fprintf(stderr, "%ld allocations by warm models: %s\n", heap_count, what);
  CHECK(heap_count == 0);
  for (n = 0; n < count; n++) npad_model_free(models[n]);
}

static void warm_models(void) {
  /* Five shifts of that size take a batch of three and one of two; the tiles are of several sizes. */
  static const char *const settings[][4][2] = {
      {{"npad.shifts", "1"}, {0}},
      {{"npad.shifts", "5"}, {"size", "200"}, {"threads", "4"}, {0}},
      {{"npad.levels", "pixel+patch+centroids"}, {0}},
      {{"size", "320x288"}, {"tile", "256"}, {0}},
      {{"scales", "1+1.6+2"}, {"npad.shifts", "5"}, {0}},
      {{"method", "fastflow"}, {"fastflow.epochs", "2"}, {0}},
      {{"method", "padim"}, {0}},
      {{"method", "patchcore"}, {0}},
      {{"method", "spade"}, {0}},
      {{"method", "spade"}, {"spade.scaling", "whitened"}, {0}},
  };
  static const char *const sizes[][2][2] = {{{"size", "96"}, {0}}, {{"size", "64"}, {0}}, {{"size", "80x112"}, {0}}};
  npad_model *models[3];
  size_t i;
  for (i = 0; i < sizeof settings / sizeof settings[0]; i++) {
    models[0] = fitted(settings[i]);
    check_warm(models, 1, settings[i][0][1]);
  }
  for (i = 0; i < 3; i++) models[i] = fitted(sizes[i]);
  check_warm(models, 3, "three sizes");
}

static pthread_barrier_t barrier;

static void *line(void *model) {
  npad_output output = {0};
  int round;
  output.size = sizeof output;
  pthread_barrier_wait(&barrier);
  pthread_barrier_wait(&barrier);
  for (round = 0; round < ROUNDS; round++) WORKS(npad_score_into(model, &images[0], &output, &error));
  pthread_barrier_wait(&barrier);
  return NULL;
}

/* Two calls at once, many times, so that each kind of working memory is needed twice. */
static void warm_up_prepares_for_concurrent_calls(void) {
  static const char *const settings[][3][2] = {{{"max_calls", "2"}, {0}}, {{"max_calls", "2"}, {"scales", "1+1.6"}, {0}}};
  size_t i;
  int n;
  for (i = 0; i < 2; i++) {
    npad_model *model = fitted(settings[i]);
    pthread_t threads[CALLS];
    WORKS(npad_model_warm_up(model, SIDE, SIDE, &error));
    pthread_barrier_init(&barrier, NULL, CALLS + 1);
    for (n = 0; n < CALLS; n++) CHECK(pthread_create(&threads[n], NULL, line, model) == 0);
    pthread_barrier_wait(&barrier);
    heap_refuse(LONG_MAX, LONG_MAX);
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    CHECK(heap_count == 0);
    for (n = 0; n < CALLS; n++) CHECK(pthread_join(threads[n], NULL) == 0);
    pthread_barrier_destroy(&barrier);
    npad_model_free(model);
  }
}

/* It allocates no more than its error. */
static void cancelled_batch_allocates_no_maps(void) {
  static const char *const settings[][2] = {{0}};
  npad_model *model = fitted(settings);
  npad_cancellation *cancellation = npad_cancellation_new();
  npad_result *results[PARTS];
  npad_cancellation_cancel(cancellation);
  heap_refuse(LONG_MAX, LONG_MAX);
  FAILS(npad_score_batch(model, images, PARTS, cancellation, results, &error), NPAD_STATUS_CANCELLED, "cancelled");
  CHECK(heap_count > 0 && heap_count < PARTS);
  npad_cancellation_free(cancellation);
  npad_model_free(model);
}

int main(void) {
  make_images();
  scratch(pixels[PARTS - 1]);
  CHECK(heap_watch());
  warm_models();
  warm_up_prepares_for_concurrent_calls();
  cancelled_batch_allocates_no_maps();
  return done();
}
