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
  npad_mask mask, wrong;
  npad_image image = images[10], other;
  npad_model *masked = NULL;
  npad_result *result = NULL;
  int i, outside = 0;
  memset(&mask, 0, sizeof mask);
  mask.size = sizeof mask;
  mask.data = left;
  mask.width = SIDE;
  mask.height = SIDE;
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

/* A region's pixels as runs, as a mask and as a contour say the same. */
static void region_shapes(const npad_result *result, const npad_region *region) {
  static uint8_t mask[SIDE * SIDE];
  size_t runs = 0, points = 0, i;
  const int32_t *run = npad_result_region_runs(result, 0, &runs);
  const int32_t *point = npad_result_region_contour(result, 0, &points);
  int64_t area = 0, inside = 0;
  int x, same = 1;
  WORKS(npad_result_region_mask(result, 0, mask, 0, &error));
  for (i = 0; i < runs; i++) {
    area += run[3 * i + 2] - run[3 * i + 1];
    for (x = run[3 * i + 1]; x < run[3 * i + 2]; x++)
      same &= mask[(run[3 * i] - region->y) * region->width + x - region->x] == 255;
  }
  for (x = 0; x < region->width * region->height; x++) inside += mask[x] == 255;
  CHECK(same && area == region->area && inside == area);
  CHECK(points >= 1);
  for (i = 0; i < points; i++)
    same &= mask[(point[2 * i + 1] - region->y) * region->width + point[2 * i] - region->x] == 255;
  CHECK(same);
  CHECK(npad_result_region_runs(result, 1000000, &runs) == NULL && runs == 0);
  CHECK(npad_result_region_contour(NULL, 0, &points) == NULL && points == 0);
  FAILS(npad_result_region_mask(result, 1000000, mask, 0, &error), NPAD_STATUS_INVALID_ARGUMENT, "does not exist");
  FAILS(npad_result_region_mask(result, 0, NULL, 0, &error), NPAD_STATUS_INVALID_ARGUMENT, "mask is null");
}

static void own_buffers_and_batches(void) {
  enum { STRIDE = SIDE + 3 };
  static float map[STRIDE * SIDE];
  static uint8_t bytes[SIDE * SIDE], own_bytes[SIDE * SIDE], picture[3 * SIDE * SIDE], from_output[3 * SIDE * SIDE];
  npad_result *result = NULL, *results[3];
  npad_region regions[2], first;
  npad_output output;
  npad_image scratched = images[11], bad;
  static uint8_t dark[SIDE * SIDE];
  int y, x, same = 1;
  memcpy(dark, pixels[11], sizeof dark);
  for (y = 20; y < 30; y++) memset(dark + y * SIDE + 20, 5, 12);
  scratched.data[0] = dark;
  WORKS(npad_score(model, &scratched, &result, &error));
  for (x = 0; x < STRIDE * SIDE; x++) map[x] = -7;
  memset(&output, 0, sizeof output);
  output.size = sizeof output;
  output.map = map;
  output.map_stride = STRIDE * sizeof(float);
  output.map_u8 = bytes;
  output.regions = regions;
  output.region_size = sizeof regions[0];
  output.region_capacity = 2;
  WORKS(npad_score_into(model, &scratched, &output, &error));
  for (y = 0; y < SIDE; y++)
    for (x = 0; x < STRIDE; x++) {
      if (y == SIDE - 1 && x >= SIDE) continue;
      same &= map[y * STRIDE + x] == (x < SIDE ? npad_result_map(result)[y * SIDE + x] : -7);
    }
  CHECK(same);
  CHECK(output.score == npad_result_score(result) && output.calibrated_score == npad_result_calibrated_score(result));
  CHECK(output.verdict == NPAD_VERDICT_DEFECTIVE && npad_result_verdict(result) == NPAD_VERDICT_DEFECTIVE);
  CHECK(output.region_count == npad_result_region_count(result) && output.region_count > 0);
  WORKS(npad_result_region(result, 0, &first, sizeof first, &error));
  CHECK(memcmp(&first, &regions[0], sizeof first) == 0 && first.calibrated_peak > 0.5f);
  WORKS(npad_result_map_u8(result, own_bytes, 0, &error));
  CHECK(memcmp(bytes, own_bytes, sizeof bytes) == 0);
  for (x = 0, same = 1; x < SIDE * SIDE; x++)
    same &= (bytes[x] >= 128) == (npad_result_map(result)[x] > npad_model_map_threshold(model));
  CHECK(same);
  region_shapes(result, &first);
  WORKS(npad_render(model, &scratched, result, picture, 0, NPAD_PIXEL_FORMAT_RGB8, &error));
  WORKS(npad_render_output(model, &scratched, &output, from_output, 0, NPAD_PIXEL_FORMAT_RGB8, &error));
  CHECK(memcmp(picture, from_output, sizeof picture) == 0 || output.region_count > 2);

  output.map = NULL;
  output.map_u8 = NULL;
  output.regions = NULL;
  WORKS(npad_score_into(model, &scratched, &output, &error));
  CHECK(output.score == npad_result_score(result));
  output.map = map;
  output.map_stride = 10;
  FAILS(npad_score_into(model, &scratched, &output, &error), NPAD_STATUS_INVALID_ARGUMENT, "at least 256");
  output.map_stride = 258;
  FAILS(npad_score_into(model, &scratched, &output, &error), NPAD_STATUS_INVALID_ARGUMENT, "multiple of 4");
  output.map_stride = INT64_MAX / 4 * 4;
  FAILS(npad_score_into(model, &scratched, &output, &error), NPAD_STATUS_INVALID_ARGUMENT, "address space");
  output.size = 3;
  FAILS(npad_score_into(model, &scratched, &output, &error), NPAD_STATUS_INVALID_ARGUMENT, "size");
  FAILS(npad_score_into(model, &scratched, NULL, &error), NPAD_STATUS_INVALID_ARGUMENT, "output is null");
  npad_result_free(result);

  WORKS(npad_score_batch(model, images, 3, NULL, results, &error));
  for (x = 0; x < 3; x++) {
    CHECK(npad_result_score(results[x]) == score_of(model, &images[x]));
    npad_result_free(results[x]);
  }
  bad = images[1];
  images[1].stride = 3;
  FAILS(npad_score_batch(model, images, 3, NULL, results, &error), NPAD_STATUS_INVALID_IMAGE, "image 1: ");
  CHECK(!results[0] && !results[1] && !results[2]);
  images[1] = bad;
  FAILS(npad_score_batch(model, NULL, 3, NULL, results, &error), NPAD_STATUS_INVALID_ARGUMENT, "images is null");
  FAILS(npad_score_batch(model, images, 3, NULL, NULL, &error), NPAD_STATUS_INVALID_ARGUMENT, "results is null");
  WORKS(npad_score_batch(model, NULL, 0, NULL, NULL, &error));
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
  CHECK(logged[NPAD_LOG_LEVEL_INFO] >= 1 && logged[NPAD_LOG_LEVEL_WARNING] == 1);
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
  for (i = 0; i < 8; i++) {
    views[i].size = sizeof views[i];
    views[i].width = views[i].height = SIDE;
  }
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

/* Everything that can be set can be listed, read and set to its default. */
static void lists_and_getters(void) {
  npad_options *own = npad_options_new();
  const char *value = NULL;
  size_t i, seen = 0;
  CHECK(npad_option_count() > 40 && npad_option_name(npad_option_count()) == NULL);
  for (i = 0; i < npad_option_count(); i++) {
    WORKS(npad_options_get(own, npad_option_name(i), &value, &error));
    CHECK(value && strcmp(value, npad_option_default(i)) == 0);
    WORKS(npad_options_set(own, npad_option_name(i), npad_option_default(i), &error));
    CHECK(strlen(npad_option_help(i)) > 5 && strlen(npad_option_range(i)) > 2);
    seen += npad_option_get_type(i) == NPAD_OPTION_TYPE_INTEGER;
  }
  CHECK(seen > 10);
  WORKS(npad_options_set(own, "threads", "3", &error));
  WORKS(npad_options_get(own, "threads", &value, &error));
  CHECK(value && strcmp(value, "3") == 0);
  FAILS(npad_options_get(own, "sise", &value, &error), NPAD_STATUS_INVALID_OPTION, "sise");
  CHECK(npad_method_count() >= 4 && strcmp(npad_method_name(0), "npad") == 0 && npad_method_help(99) == NULL);
  CHECK(npad_device_count() >= 2 && strcmp(npad_device_name(0), "cpu") == 0);
  CHECK(npad_model_input_width(model) == 64 && npad_model_input_height(model) == 64);
  CHECK(npad_model_image_count(model) == 10 && strcmp(npad_model_method(model), "npad") == 0);
  CHECK(strcmp(npad_model_device(model), "cpu") == 0 && strlen(npad_model_backbone(model)) > 4);
  CHECK(npad_model_false_alarm_rate(model) == 0.01 && npad_model_method(NULL)[0] == 0);
  npad_options_free(own);
}

/* Warm-up, cancelled batches, several outputs, rectangles and significant bits. */
static void calls_and_pixels(void) {
  npad_cancellation *cancellation = npad_cancellation_new();
  npad_output outputs[3];
  npad_result *results[3];
  npad_options *cut = quick_options();
  npad_model *part = NULL;
  npad_image image = images[10], other, twelve = images[10];
  static uint8_t scribbled[SIDE * SIDE];
  static uint16_t words[SIDE * SIDE];
  int i;
  WORKS(npad_model_warm_up(model, SIDE, SIDE, &error));
  FAILS(npad_model_warm_up(model, 0, SIDE, &error), NPAD_STATUS_INVALID_ARGUMENT, "0");
  memset(outputs, 0, sizeof outputs);
  for (i = 0; i < 3; i++) outputs[i].size = sizeof outputs[i];
  CHECK(!npad_cancellation_is_cancelled(cancellation) && !npad_cancellation_is_cancelled(NULL));
  WORKS(npad_score_batch_into(model, images, 3, cancellation, outputs, &error));
  for (i = 0; i < 3; i++) CHECK(outputs[i].score == score_of(model, &images[i]));
  npad_cancellation_cancel(cancellation);
  CHECK(npad_cancellation_is_cancelled(cancellation));
  FAILS(npad_score_batch(model, images, 3, cancellation, results, &error), NPAD_STATUS_CANCELLED, "cancel");
  CHECK(!results[0] && !results[1] && !results[2]);
  FAILS(npad_score_batch_into(model, images, 3, cancellation, outputs, &error), NPAD_STATUS_CANCELLED, "cancel");
  npad_cancellation_free(cancellation);
  npad_cancellation_free(NULL);

  /* What is outside a rectangle has no influence. */
  memcpy(scribbled, pixels[10], sizeof scribbled);
  for (i = 0; i < SIDE * SIDE; i++)
    if (i % SIDE >= 40) scribbled[i] = (uint8_t)(i * 7);
  image.roi_width = 40;
  image.roi_height = SIDE;
  other = image;
  other.data[0] = scribbled;
  CHECK(score_of(model, &image) == score_of(model, &other));
  image.roi_x = 30;
  FAILS(npad_score(model, &image, &results[0], &error), NPAD_STATUS_INVALID_IMAGE, "region of interest");
  WORKS(npad_options_set_roi(cut, 0, 0, 40, SIDE, &error));
  FAILS(npad_options_set_roi(cut, 0, 0, 40, -1, &error), NPAD_STATUS_INVALID_IMAGE, "region of interest");
  WORKS(npad_fit(images, 10, cut, &part, &error));
  other.roi_width = other.roi_height = 0;
  CHECK(score_of(part, &images[10]) == score_of(part, &other));
  npad_model_free(part);
  npad_options_free(cut);

  /* 12 bits that are 0 to 255 times 16 and a bit: nearly the scores of 8 bits. */
  for (i = 0; i < SIDE * SIDE; i++) words[i] = (uint16_t)(pixels[10][i] * 4095 / 255);
  twelve.data[0] = (const uint8_t *)words;
  twelve.format = NPAD_PIXEL_FORMAT_GRAY16;
  twelve.significant_bits = 12;
  CHECK(score_of(model, &twelve) > 0.8f * score_of(model, &images[10]));
  CHECK(score_of(model, &twelve) < 1.2f * score_of(model, &images[10]));
  twelve.significant_bits = 8;
  FAILS(npad_score(model, &twelve, &results[0], &error), NPAD_STATUS_INVALID_IMAGE, "8 significant bits");
  twelve.significant_bits = 17;
  FAILS(npad_score(model, &twelve, &results[0], &error), NPAD_STATUS_INVALID_IMAGE, "8 to 16");
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
  lists_and_getters();
  calls_and_pixels();
  npad_model_free(model);
  npad_options_free(options);
  return done();
}
