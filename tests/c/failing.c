/* Every block that npad asks the heap for is refused once, and from each block on all are: every call then works, or fails with
 * NPAD_STATUS_OUT_OF_MEMORY and can be repeated. Nothing ends the process.
 *
 *     failing METHOD [OPTION VALUE]...      with options, blocks at distances that grow */

#define _GNU_SOURCE
#include "extractor.h"
#include "heap.h"

static npad_options *options;
static npad_model *model;
static npad_buffer *saved;
static float reference;

static npad_status fit(void) {
  npad_model *own = NULL;
  const npad_status status = npad_fit(images, PARTS - 1, options, &own, NULL);
  npad_model_free(own);
  return status;
}

static npad_status resume(void) {
  npad_trainer *trainer = NULL;
  npad_model *own = NULL;
  npad_status status = npad_trainer_resume(model, options, &trainer, NULL);
  if (!status) status = npad_trainer_add_image(trainer, &images[PARTS - 2], NULL);
  if (!status) status = npad_trainer_finish(trainer, &own, NULL);
  npad_trainer_free(trainer);
  npad_model_free(own);
  return status;
}

/* A state is made, and merged into a new trainer and the same again. */
static npad_status merge(void) {
  npad_trainer *trainer = NULL, *own = NULL;
  npad_buffer *state = NULL;
  npad_status status = npad_trainer_new(options, &trainer, NULL);
  if (!status) status = npad_trainer_add_image(trainer, &images[PARTS - 2], NULL);
  if (!status) status = npad_trainer_save_memory(trainer, &state, NULL);
  if (!status) status = npad_trainer_load_memory(npad_buffer_data(state), npad_buffer_size(state), options, &own, NULL);
  if (!status) status = npad_trainer_add_image(trainer, &images[0], NULL);
  if (!status) status = npad_trainer_merge_memory(trainer, npad_buffer_data(state), npad_buffer_size(state), NULL);
  if (!status) CHECK(npad_trainer_image_count(trainer) == 2);
  npad_buffer_free(state);
  npad_trainer_free(trainer);
  npad_trainer_free(own);
  return status;
}

static npad_status save(void) {
  npad_buffer *buffer = NULL;
  npad_status status = npad_model_save(model, "failing.npad", NULL);
  if (!status) status = npad_model_save_memory(model, &buffer, NULL);
  npad_buffer_free(buffer);
  return status;
}

static npad_status load(void) {
  npad_model *own = NULL;
  npad_status status = npad_model_load("saved.npad", options, &own, NULL);
  npad_model_free(own);
  own = NULL;
  if (!status) status = npad_model_load_memory(npad_buffer_data(saved), npad_buffer_size(saved), options, &own, NULL);
  npad_model_free(own);
  return status;
}

/* The first score of a model allocates its working memory. */
static npad_status score(void) {
  npad_model *own = NULL;
  npad_result *results[2] = {NULL, NULL};
  static uint8_t overlay[3 * SIDE * SIDE];
  npad_status status = npad_model_with_thresholds(model, npad_model_threshold(model), npad_model_threshold(model), &own, NULL);
  if (!status) status = npad_score_batch(own, &images[PARTS - 2], 2, NULL, results, NULL);
  if (!status) {
    CHECK(npad_result_score(results[1]) == reference);
    CHECK(npad_result_region_count(results[1]) > 0);
    status = npad_result_map_u8(results[1], overlay, 0, NULL);
  }
  npad_result_free(results[0]);
  npad_result_free(results[1]);
  npad_model_free(own);
  return status;
}

static npad_status set(void) {
  npad_options *own = npad_options_new();
  const char *value;
  npad_status status = own ? NPAD_STATUS_OK : NPAD_STATUS_OUT_OF_MEMORY;
  if (!status) status = npad_options_set(own, "size", "320x200", NULL);
  if (!status) status = npad_options_set(own, "patchcore.neighbours", "2", NULL);
  if (!status) status = npad_options_get(own, "size", &value, NULL);
  npad_options_free(own);
  return status;
}

/* The error of a call must be there, or be the one for which there was no memory. */
static npad_status fail(void) {
  npad_error *error = NULL;
  npad_model *own = NULL;
  const npad_status status = npad_model_load("none.npad", options, &own, &error);
  CHECK(status == NPAD_STATUS_NOT_FOUND || status == NPAD_STATUS_OUT_OF_MEMORY);
  CHECK(npad_error_status(error) == status && strlen(npad_error_message(error)) > 0);
  npad_error_free(error);
  return status == NPAD_STATUS_NOT_FOUND ? NPAD_STATUS_OK : status;
}

/* Divides the number of a block by which the next one is further on. 0: every block. */
static long pace;

/* Refuses the call one block after the other, until it asks for no further one. */
static void walk(npad_status (*call)(void), const char *name) {
  int all;
  CHECK(call() == NPAD_STATUS_OK);
  for (all = 0; all < 2; all++) {
    long n = 0, failed = 0;
    do {
      npad_status status;
      n += pace ? 1 + n / pace : 1;
      heap_refuse(n, all ? LONG_MAX : n);
      status = call();
      if (status != NPAD_STATUS_OK && status != NPAD_STATUS_OUT_OF_MEMORY) {
        fprintf(stderr, "%s: status %d when block %ld is refused\n", name, (int)status, n);
        failures++;
      }
      failed += status != NPAD_STATUS_OK;
    } while (heap_refused > 0);
    heap_refuse(LONG_MAX, LONG_MAX);
    CHECK(n > 1);
    printf("%s: at most %ld blocks, %s refused: %ld calls failed\n", name, n - 1, all ? "all from one on" : "one of them", failed);
    CHECK(call() == NPAD_STATUS_OK);
  }
}

int main(int argc, char **argv) {
  int i;
  npad_result *result = NULL;
  const char *const method = argc > 1 ? argv[1] : "npad";
  make_images();
  scratch(pixels[PARTS - 1]);
  options = host_options(NULL);
  WORKS(npad_options_set(options, "threads", "1", &error));
  WORKS(npad_options_set(options, "size", "32x32", &error));
  WORKS(npad_options_set(options, "method", method, &error));
  if (argc > 2) pace = 10;
  for (i = 2; i + 1 < argc; i += 2) WORKS(npad_options_set(options, argv[i], argv[i + 1], &error));
  WORKS(npad_fit(images, PARTS - 2, options, &model, &error));
  if (failures) return 1;
  WORKS(npad_model_save(model, "saved.npad", &error));
  WORKS(npad_model_save_memory(model, &saved, &error));
  WORKS(npad_score(model, &images[PARTS - 1], &result, &error));
  reference = npad_result_score(result);
  npad_result_free(result);
  CHECK(heap_watch());
  walk(set, "options");
  walk(fail, "error");
  walk(score, "score");
  walk(load, "load");
  walk(save, "save");
  walk(fit, "fit");
  walk(resume, "resume");
  walk(merge, "merge");
  heap_refuse(1, LONG_MAX);
  CHECK(npad_options_new() == NULL && npad_cancellation_new() == NULL);
  heap_refuse(LONG_MAX, LONG_MAX);
  npad_buffer_free(saved);
  npad_model_free(model);
  npad_options_free(options);
  return done();
}
