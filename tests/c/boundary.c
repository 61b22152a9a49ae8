/* The boundary beyond fit and score: masks, the caller's buffers, batches, thresholds, continued fits, callbacks, and the
 * same pixels in every layout. */

#include "check.h"

static npad_options *options;
static npad_model *model;

static float score_of(const npad_model *with, const npad_image *image) {
  npad_result *result = NULL;
  float score;
  WORKS(npad_score(with, image, &result, &error));
  score = npad_result_score(result);
  npad_result_free(result);
  return score;
}

static void masks(void) {
  static uint8_t left[SIDE * SIDE], none[SIDE * SIDE], scribbled[SIDE * SIDE];
  npad_options *masked_options = quick_options();
  npad_mask mask = {left, SIDE, SIDE, 0}, wrong;
  npad_image image = images[10], other;
  npad_model *masked = NULL;
  npad_result *result = NULL;
  int i, outside = 0;
  for (i = 0; i < SIDE * SIDE; i++) left[i] = i % SIDE < 40;
  memcpy(scribbled, pixels[10], sizeof scribbled);
  for (i = 0; i < SIDE * SIDE; i++)
    if (!left[i]) scribbled[i] = (uint8_t)(i * 7);

  /* Of one image. */
  image.mask = &mask;
  other = image;
  other.data[0] = scribbled;
  CHECK(score_of(model, &image) == score_of(model, &other));
  WORKS(npad_score(model, &other, &result, &error));
  for (i = 0; i < SIDE * SIDE; i++) outside += !left[i] && npad_result_map(result)[i] != 0;
  CHECK(outside == 0);
  npad_result_free(result);
  wrong = mask;
  wrong.width = SIDE - 1;
  image.mask = &wrong;
  FAILS(npad_score(model, &image, &result, &error), NPAD_STATUS_INVALID_IMAGE, "mask has 63 x 64 pixels, but the image 64 x 64");
  wrong = mask;
  wrong.data = NULL;
  FAILS(npad_score(model, &image, &result, &error), NPAD_STATUS_INVALID_IMAGE, "mask's data pointer is null");
  wrong = mask;
  wrong.stride = -1;
  FAILS(npad_score(model, &image, &result, &error), NPAD_STATUS_INVALID_IMAGE, "mask's stride is -1");
  wrong = mask;
  wrong.height = -1;
  FAILS(npad_score(model, &image, &result, &error), NPAD_STATUS_INVALID_IMAGE, "mask's height is -1");
  wrong = mask;
  wrong.stride = 5;
  FAILS(npad_score(model, &image, &result, &error), NPAD_STATUS_INVALID_IMAGE, "the mask: the stride is 5 bytes");
  wrong = mask;
  wrong.data = none;
  FAILS(npad_score(model, &image, &result, &error), NPAD_STATUS_INVALID_IMAGE, "leaves no pixel");

  /* Of a fit. */
  FAILS(npad_options_set_mask(masked_options, &wrong, &error), NPAD_STATUS_INVALID_IMAGE, "leaves no pixel");
  WORKS(npad_options_set_mask(masked_options, &mask, &error));
  image.mask = &mask;
  FAILS(npad_fit(&image, 1, masked_options, &masked, &error), NPAD_STATUS_INVALID_IMAGE, "one mask for all");
  WORKS(npad_fit(images, 10, masked_options, &masked, &error));
  image.mask = NULL;
  other.mask = NULL;
  CHECK(score_of(masked, &image) == score_of(masked, &other));
  image.height = SIDE - 1;
  FAILS(npad_score(masked, &image, &result, &error), NPAD_STATUS_INVALID_IMAGE, "mask of the fit");
  npad_model_free(masked);
  npad_options_free(masked_options);
}

static void own_buffers_and_batches(void) {
  enum { STRIDE = SIDE + 3 };
  static float map[STRIDE * SIDE];
  npad_result *result = NULL, *results[3];
  npad_region regions[2], first;
  npad_decision decision;
  npad_image scratched = images[11], bad;
  static uint8_t dark[SIDE * SIDE];
  int y, x, same = 1;
  memcpy(dark, pixels[11], sizeof dark);
  for (y = 20; y < 30; y++) memset(dark + y * SIDE + 20, 5, 12);
  scratched.data[0] = dark;
  WORKS(npad_score(model, &scratched, &result, &error));
  for (x = 0; x < STRIDE * SIDE; x++) map[x] = -7;
  WORKS(npad_score_into(model, &scratched, map, STRIDE * sizeof(float), regions, 2, &decision, &error));
  for (y = 0; y < SIDE; y++)
    for (x = 0; x < STRIDE; x++) {
      if (y == SIDE - 1 && x >= SIDE) continue;
      same &= map[y * STRIDE + x] == (x < SIDE ? npad_result_map(result)[y * SIDE + x] : -7);
    }
  CHECK(same);
  CHECK(decision.score == npad_result_score(result) && decision.calibrated_score == npad_result_calibrated_score(result));
  CHECK(decision.verdict == NPAD_VERDICT_DEFECTIVE && npad_result_verdict(result) == NPAD_VERDICT_DEFECTIVE);
  CHECK(decision.region_count == (int64_t)npad_result_region_count(result) && decision.region_count > 0);
  WORKS(npad_result_region(result, 0, &first, &error));
  CHECK(memcmp(&first, &regions[0], sizeof first) == 0);
  WORKS(npad_score_into(model, &scratched, NULL, 0, NULL, 99, &decision, &error));
  CHECK(decision.score == npad_result_score(result));
  FAILS(npad_score_into(model, &scratched, map, 10, NULL, 0, &decision, &error), NPAD_STATUS_INVALID_ARGUMENT, "at least 256");
  FAILS(npad_score_into(model, &scratched, map, 258, NULL, 0, &decision, &error), NPAD_STATUS_INVALID_ARGUMENT, "multiple of 4");
  FAILS(npad_score_into(model, &scratched, map, INT64_MAX / 4 * 4, NULL, 0, &decision, &error), NPAD_STATUS_INVALID_ARGUMENT,
        "exceeds the address space");
  FAILS(npad_score_into(model, &scratched, map, 0, NULL, 0, NULL, &error), NPAD_STATUS_INVALID_ARGUMENT, "decision is null");
  npad_result_free(result);

  WORKS(npad_score_batch(model, images, 3, results, &error));
  for (x = 0; x < 3; x++) {
    CHECK(npad_result_score(results[x]) == score_of(model, &images[x]));
    npad_result_free(results[x]);
  }
  bad = images[1];
  images[1].stride = 3;
  FAILS(npad_score_batch(model, images, 3, results, &error), NPAD_STATUS_INVALID_IMAGE, "image 1: ");
  CHECK(!results[0] && !results[1] && !results[2]);
  images[1] = bad;
  FAILS(npad_score_batch(model, NULL, 3, results, &error), NPAD_STATUS_INVALID_ARGUMENT, "images is null");
  FAILS(npad_score_batch(model, images, 3, NULL, &error), NPAD_STATUS_INVALID_ARGUMENT, "results is null");
  WORKS(npad_score_batch(model, NULL, 0, NULL, &error));
}

static void thresholds(void) {
  npad_model *changed = NULL, *strict = NULL;
  npad_options *rates = npad_options_new();
  npad_result *result = NULL;
  const float score = score_of(model, &images[11]), limit = npad_model_threshold(model);
  CHECK(npad_model_review_threshold(model) == limit && npad_model_review_threshold(NULL) == 0);
  WORKS(npad_model_with_thresholds(model, limit, score - 0.001f, npad_model_map_threshold(model), &changed, &error));
  WORKS(npad_score(changed, &images[11], &result, &error));
  CHECK(npad_result_verdict(result) == NPAD_VERDICT_REVIEW && !npad_result_is_anomalous(result));
  CHECK(npad_model_review_threshold(changed) == score - 0.001f && npad_model_threshold(model) == limit);
  npad_result_free(result);
  npad_model_free(changed);
  FAILS(npad_model_with_thresholds(model, -1, -1, 1, &changed, &error), NPAD_STATUS_INVALID_ARGUMENT, "typical good image");
  FAILS(npad_model_with_thresholds(model, limit, limit + 1, 99, &changed, &error), NPAD_STATUS_INVALID_ARGUMENT, "review");
  FAILS(npad_model_with_thresholds(model, limit, limit, 0, &changed, &error), NPAD_STATUS_INVALID_ARGUMENT, "map threshold");
  FAILS(npad_model_with_thresholds(NULL, 1, 1, 1, &changed, &error), NPAD_STATUS_INVALID_ARGUMENT, "model is null");
  CHECK(changed == NULL);

  WORKS(npad_model_recalibrate(model, images, PARTS, NULL, &changed, &error));
  WORKS(npad_options_set(rates, "false_alarm_rate", "0.2", &error));
  WORKS(npad_options_set(rates, "review_rate", "0.4", &error));
  WORKS(npad_model_recalibrate(model, images, PARTS, rates, &strict, &error));
  CHECK(npad_model_threshold(strict) < npad_model_threshold(changed));
  CHECK(npad_model_review_threshold(strict) < npad_model_threshold(strict));
  CHECK(score_of(strict, &images[11]) == score);
  npad_model_free(changed);
  npad_model_free(strict);
  FAILS(npad_model_recalibrate(model, images, 1, NULL, &changed, &error), NPAD_STATUS_NOT_ENOUGH_IMAGES, "1 good images");
  FAILS(npad_model_recalibrate(model, NULL, 2, NULL, &changed, &error), NPAD_STATUS_INVALID_ARGUMENT, "images is null");
  npad_options_free(rates);
}

static void continued_fits(void) {
  npad_trainer *trainer = NULL;
  npad_model *more = NULL;
  FAILS(npad_trainer_resume(NULL, NULL, &trainer, &error), NPAD_STATUS_INVALID_ARGUMENT, "model is null");
  WORKS(npad_trainer_resume(model, NULL, &trainer, &error));
  FAILS(npad_trainer_finish(trainer, &more, &error), NPAD_STATUS_NOT_ENOUGH_IMAGES, "no further good images");
  WORKS(npad_trainer_add_image(trainer, &images[10], &error));
  WORKS(npad_trainer_finish(trainer, &more, &error));
  CHECK(strstr(npad_model_info(more), "\"images\":11,") != NULL);
  npad_model_free(more);
  npad_trainer_free(trainer);
}

static struct {
  size_t calls, total;
  size_t stop_at;
} progress;

static bool on_progress(const char *stage, size_t done_steps, size_t total, void *user_data) {
  CHECK(user_data == &progress && strlen(stage) > 5 && (total == 0 || done_steps < total));
  progress.total += total;
  return ++progress.calls != progress.stop_at;
}

static int logged[5];

static void on_log(int32_t level, const char *message, void *user_data) {
  CHECK(user_data == logged && level >= 1 && level <= 4 && strlen(message) > 5);
  logged[level]++;
}

static void callbacks(void) {
  npad_options *told = quick_options();
  npad_model *fitted = (npad_model *)1;
  WORKS(npad_options_set_progress(told, on_progress, &progress, &error));
  WORKS(npad_log_set(on_log, logged, NPAD_LOG_LEVEL_INFO, &error));
  WORKS(npad_fit(images, 10, told, &fitted, &error));
  CHECK(progress.calls > 12 && progress.total >= 100);
  CHECK(logged[NPAD_LOG_LEVEL_INFO] >= 2 && logged[NPAD_LOG_LEVEL_WARNING] == 1);
  npad_model_free(fitted);
  progress.stop_at = progress.calls + 4;
  FAILS(npad_fit(images, 10, told, &fitted, &error), NPAD_STATUS_CANCELLED, "image 3: cancelled by the progress callback");
  CHECK(fitted == NULL);
  WORKS(npad_log_set(NULL, NULL, NPAD_LOG_LEVEL_ERROR, &error));
  FAILS(npad_log_set(on_log, logged, 9, &error), NPAD_STATUS_INVALID_ARGUMENT, "log level is 9");
  WORKS(npad_options_set_progress(told, NULL, NULL, &error));
  progress.calls = 0;
  WORKS(npad_fit(images, 10, told, &fitted, &error));
  CHECK(progress.calls == 0);
  npad_model_free(fitted);
  npad_options_free(told);
}

/* The pixels of `from`, three bytes each in the order red, green, blue, in another layout. */
static void layouts(void) {
  enum { PADDED = 4 * SIDE + 12 };
  static uint8_t rgb[3 * SIDE * SIDE], bgr[3 * SIDE * SIDE], rgba[4 * SIDE * SIDE], bgra[PADDED * SIDE], planes[3][SIDE * SIDE];
  static uint8_t large[3 * (SIDE + 9) * (SIDE + 5)];
  static uint16_t wide[SIDE * SIDE];
  static float floats[SIDE * SIDE];
  npad_image views[8];
  npad_result *expected = NULL, *result = NULL;
  int i, c;
  memset(views, 0, sizeof views);
  for (i = 0; i < SIDE * SIDE; i++) {
    const int x = i % SIDE, y = i / SIDE;
    for (c = 0; c < 3; c++) {
      const uint8_t v = (uint8_t)(pixels[c][i] + 20 * c);
      rgb[3 * i + c] = v;
      bgr[3 * i + 2 - c] = v;
      rgba[4 * i + c] = v;
      bgra[y * PADDED + 4 * x + 2 - c] = v;
      planes[c][i] = v;
      large[3 * ((y + 2) * (SIDE + 9) + x + 4) + c] = v;
    }
    rgba[4 * i + 3] = (uint8_t)i;
    wide[i] = (uint16_t)(pixels[10][i] * 257);
    floats[i] = pixels[10][i] / 255.0f;
  }
  for (i = 0; i < 8; i++) views[i].width = views[i].height = SIDE;
  views[0].data[0] = rgb;
  views[0].format = NPAD_PIXEL_FORMAT_RGB8;
  views[1].data[0] = bgr;
  views[1].format = NPAD_PIXEL_FORMAT_BGR8;
  views[2].data[0] = rgba;
  views[2].format = NPAD_PIXEL_FORMAT_RGBA8;
  views[3].data[0] = bgra;
  views[3].format = NPAD_PIXEL_FORMAT_BGRA8;
  views[3].stride = PADDED;
  for (c = 0; c < 3; c++) views[4].data[c] = planes[c];
  views[4].format = NPAD_PIXEL_FORMAT_RGB8_PLANAR;
  views[5].data[0] = large + 3 * (2 * (SIDE + 9) + 4);
  views[5].stride = 3 * (SIDE + 9);
  views[5].format = NPAD_PIXEL_FORMAT_RGB8;
  WORKS(npad_score(model, &views[0], &expected, &error));
  for (i = 1; i < 6; i++) {
    WORKS(npad_score(model, &views[i], &result, &error));
    CHECK(memcmp(npad_result_map(expected), npad_result_map(result), sizeof(float) * SIDE * SIDE) == 0);
    CHECK(npad_result_score(expected) == npad_result_score(result));
    npad_result_free(result);
  }
  npad_result_free(expected);
  views[6].data[0] = (const uint8_t *)wide;
  views[6].format = NPAD_PIXEL_FORMAT_GRAY16;
  views[7].data[0] = (const uint8_t *)floats;
  views[7].format = NPAD_PIXEL_FORMAT_GRAYF32;
  CHECK(score_of(model, &views[6]) == score_of(model, &images[10]));
  CHECK(score_of(model, &views[7]) == score_of(model, &images[10]));
}

int main(void) {
  make_images();
  options = quick_options();
  WORKS(npad_fit(images, 10, options, &model, &error));
  if (!model) return 1;
  masks();
  own_buffers_and_batches();
  thresholds();
  continued_fits();
  callbacks();
  layouts();
  npad_model_free(model);
  npad_options_free(options);
  return done();
}
