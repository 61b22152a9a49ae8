/* What the programs about npad and its host share: features of the host's own, so that most of them need no ONNX
 * Runtime, and the life of a model from its fit to its end. */
#ifndef HOST_H
#define HOST_H

#include <pthread.h>
#include <unistd.h>

#include "check.h"

/* Whether the built-in backbone makes the features, by ONNX Runtime. */
static int builtin = 0;

/* Mean brightness of squares, and how much it changes to the right and downwards, with strides of 4 and 8 pixels. */
static inline int32_t squares(void *user_data, const float *input, int32_t height, int32_t width, float *const *outputs,
                              npad_callback_error *error) {
  static const int strides[] = {4, 8};
  int tap, y, x, c;
  (void)user_data;
  (void)error;
  for (tap = 0; tap < 2; tap++) {
    const int stride = strides[tap], rows = (height + stride - 1) / stride, cols = (width + stride - 1) / stride;
    for (y = 0; y < rows * stride && y < height; y++)
      for (x = 0; x < cols * stride && x < width; x++) {
        const float v = input[y * width + x], right = input[y * width + (x + 1 < width ? x + 1 : x)];
        const float below = input[(y + 1 < height ? y + 1 : y) * width + x];
        const float values[3] = {v, v > right ? v - right : right - v, v > below ? v - below : below - v};
        for (c = 0; c < 3; c++) {
          float *sum = &outputs[tap][(c * rows + y / stride) * cols + x / stride];
          *sum = (y % stride || x % stride ? *sum : 0) + values[c] / (float)(stride * stride);
        }
      }
  }
  return 0;
}

/* Options for a quick fit with the features of `builtin`. */
static inline npad_options *host_options(const char *threads) {
  static const int32_t strides[] = {4, 8}, channels[] = {3, 3};
  npad_options *options = npad_options_new();
  npad_extractor table;
  memset(&table, 0, sizeof table);
  table.size = sizeof table;
  table.name = "squares";
  table.tap_count = 2;
  table.strides = strides;
  table.channels = channels;
  table.std[0] = table.std[1] = table.std[2] = 1.0f;
  table.extract = squares;
  WORKS(npad_options_set(options, "size", "64", &error));
  WORKS(npad_options_set(options, "threads", threads, &error));
  WORKS(npad_options_set(options, "date", "none", &error));
  if (builtin) {
    WORKS(npad_options_set(options, "npad.channels", "8", &error));
  } else {
    WORKS(npad_options_set(options, "grid_step", "1", &error));
    WORKS(npad_options_set_extractor(options, &table, &error));
  }
  return options;
}

/* PATH of a file in a folder, in memory that the next call overwrites. */
static inline const char *in_folder(const char *folder, const char *name) {
  static char path[4096];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  return path;
}

static inline npad_model *fitted(const npad_options *options) {
  npad_model *model = NULL;
  WORKS(npad_fit(images, 10, options, &model, &error));
  if (!model) exit(1);
  return model;
}

/* The score of a scratched part; -1 where the call fails. */
static inline float score_of(const npad_model *model) {
  npad_result *result = NULL;
  float score = -1;
  WORKS(npad_score(model, &images[PARTS - 1], &result, &error));
  if (result) score = npad_result_score(result);
  npad_result_free(result);
  return score;
}

typedef struct {
  const npad_model *model;
  float score;
} scoring;

static inline void *score_in_thread(void *argument) {
  scoring *call = (scoring *)argument;
  call->score = score_of(call->model);
  return NULL;
}

/* Scores from several threads at once; returns the score, which must be the same in all of them. */
static inline float score_in_threads(const npad_model *model) {
  enum { THREADS = 3 };
  pthread_t threads[THREADS];
  scoring calls[THREADS];
  int i;
  for (i = 0; i < THREADS; i++) {
    calls[i].model = model;
    CHECK(pthread_create(&threads[i], NULL, score_in_thread, &calls[i]) == 0);
  }
  for (i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
  for (i = 1; i < THREADS; i++) CHECK(calls[i].score == calls[0].score);
  return calls[0].score;
}

static inline void score_batches(const npad_model *model) {
  npad_result *results[PARTS] = {NULL};
  npad_output outputs[PARTS];
  int i;
  WORKS(npad_score_batch(model, images, PARTS, NULL, results, &error));
  memset(outputs, 0, sizeof outputs);
  for (i = 0; i < PARTS; i++) outputs[i].size = sizeof outputs[i];
  WORKS(npad_score_batch_into(model, images, PARTS, NULL, outputs, &error));
  for (i = 0; i < PARTS; i++) {
    CHECK(results[i] && npad_result_score(results[i]) == outputs[i].score);
    npad_result_free(results[i]);
  }
}

/* Fit, save, load, score in every way, and export, with files in a folder. Returns the score of a scratched part. */
static inline float live(const char *folder) {
  npad_options *options = host_options("2");
  npad_model *model = fitted(options), *loaded = NULL;
  npad_buffer *buffer = NULL;
  npad_result *result = NULL;
  const float score = score_of(model);
  WORKS(npad_model_warm_up(model, SIDE, SIDE, &error));
  WORKS(npad_model_save(model, in_folder(folder, "model.npad"), &error));
  WORKS(npad_model_save_memory(model, &buffer, &error));
  WORKS(npad_model_load(in_folder(folder, "model.npad"), options, &loaded, &error));
  if (!loaded) exit(1);
  CHECK(score_of(loaded) == score);
  CHECK(score_in_threads(loaded) == score);
  score_batches(loaded);
  /* A region with contour, and the metadata as text. */
  WORKS(npad_score(loaded, &images[PARTS - 1], &result, &error));
  CHECK(npad_result_region_count(result) > 0 && npad_result_region_contour(result, 0, NULL) != NULL);
  CHECK(npad_model_info(loaded)[0] == '{' && npad_model_card(loaded)[0] != 0);
  npad_result_free(result);
  if (builtin) {
    WORKS(npad_model_export(loaded, in_folder(folder, "model.onnx"), NULL, &error));
  } else {
    FAILS(npad_model_export(loaded, in_folder(folder, "model.onnx"), NULL, &error), NPAD_STATUS_INVALID_ARGUMENT, "");
  }
  npad_buffer_free(buffer);
  npad_model_free(loaded);
  npad_model_free(model);
  npad_options_free(options);
  return score;
}

static inline bool never(const char *stage, size_t done, size_t total, void *user_data) {
  (void)stage, (void)done, (void)total, (void)user_data;
  return false;
}

/* Calls that fail: options, files, models, images, a cancelled fit. */
static inline void fail(const char *folder) {
  npad_options *options = host_options("2");
  npad_model *model = NULL;
  npad_result *result = NULL;
  npad_image wrong = images[0];
  npad_cancellation *cancellation = npad_cancellation_new();
  FAILS(npad_options_set(options, "size", "none", &error), NPAD_STATUS_INVALID_OPTION, "size");
  FAILS(npad_options_set(options, "colour", "blue", &error), NPAD_STATUS_INVALID_OPTION, "colour");
  FAILS(npad_model_load(in_folder(folder, "missing.npad"), options, &model, &error), NPAD_STATUS_NOT_FOUND, "missing");
  FAILS(npad_model_load_memory((const uint8_t *)"no model", 8, options, &model, &error), NPAD_STATUS_INVALID_MODEL, "");
  FAILS(npad_device_check("abacus", &error), NPAD_STATUS_INVALID_OPTION, "abacus");
  FAILS(npad_plugin_load(in_folder(folder, "missing.so"), &error), NPAD_STATUS_NOT_FOUND, "missing.so");
  FAILS(npad_fit(images, 2, options, &model, &error), NPAD_STATUS_NOT_ENOUGH_IMAGES, "");
  model = fitted(options);
  wrong.width = 0;
  FAILS(npad_score(model, &wrong, &result, &error), NPAD_STATUS_INVALID_IMAGE, "");
  FAILS(npad_model_save(model, in_folder(folder, "none/model.npad"), &error), NPAD_STATUS_NOT_FOUND, "");
  npad_cancellation_cancel(cancellation);
  FAILS(npad_score_batch(model, images, 1, cancellation, &result, &error), NPAD_STATUS_CANCELLED, "");
  npad_model_free(model);
  WORKS(npad_options_set_progress(options, never, NULL, &error));
  FAILS(npad_fit(images, 10, options, &model, &error), NPAD_STATUS_CANCELLED, "");
  npad_cancellation_free(cancellation);
  npad_options_free(options);
}

#endif
