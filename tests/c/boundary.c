/* The boundary beyond fit and score: masks, rectangles, batches, thresholds, resumed fits, callbacks, and the same pixels in
 * every layout. */

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
  npad_mask mask = {0}, wrong;
  npad_image image = images[10], other;
  npad_model *masked = NULL;
  npad_result *result = NULL;
  int i, outside = 0;
  mask.size = sizeof mask;
  mask.data = left;
  mask.width = mask.height = SIDE;
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
  FAILS(npad_score(model, &image, &result, &error), NPAD_STATUS_INVALID_IMAGE, "mask has 63 x 64 pixels, but the image has 64 x 64");
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

/* A rectangle does what the mask does that excludes all else. */
static void rectangles(void) {
  static uint8_t inside[SIDE * SIDE];
  npad_options *rectangular = quick_options(), *masked = quick_options();
  npad_image by_mask = images[10], by_rectangle = images[10];
  npad_mask mask = {0};
  npad_model *a = NULL, *b = NULL;
  npad_result *result = NULL;
  int y;
  for (y = 8; y < 48; y++) memset(inside + y * SIDE + 16, 1, 32);
  mask.size = sizeof mask;
  mask.data = inside;
  mask.width = mask.height = SIDE;
  by_mask.mask = &mask;
  by_rectangle.roi_x = 16;
  by_rectangle.roi_y = 8;
  by_rectangle.roi_width = 32;
  by_rectangle.roi_height = 40;
  CHECK(score_of(model, &by_mask) == score_of(model, &by_rectangle));
  CHECK(score_of(model, &by_rectangle) != score_of(model, &images[10]));
  by_rectangle.roi_width = SIDE;
  FAILS(npad_score(model, &by_rectangle, &result, &error), NPAD_STATUS_INVALID_IMAGE, "region of interest is 64 x 40");
  by_rectangle.roi_width = INT32_MAX;
  FAILS(npad_score(model, &by_rectangle, &result, &error), NPAD_STATUS_INVALID_IMAGE, "region of interest");
  by_rectangle.roi_width = 32;
  FAILS(npad_fit(&by_rectangle, 1, NULL, &a, &error), NPAD_STATUS_INVALID_IMAGE, "");

  FAILS(npad_options_set_roi(NULL, 1, 1, 1, 1, &error), NPAD_STATUS_INVALID_ARGUMENT, "options is null");
  FAILS(npad_options_set_roi(rectangular, -1, 8, 32, 40, &error), NPAD_STATUS_INVALID_IMAGE, "32 x 40 pixels at (-1, 8)");
  FAILS(npad_options_set_roi(rectangular, 16, 8, 0, 40, &error), NPAD_STATUS_INVALID_IMAGE, "0 x 40 pixels");
  WORKS(npad_options_set_roi(rectangular, 16, 8, SIDE, 40, &error));
  FAILS(npad_fit(images, 10, rectangular, &a, &error), NPAD_STATUS_INVALID_IMAGE, "region of interest");
  WORKS(npad_options_set_roi(rectangular, 16, 8, 32, 40, &error));
  WORKS(npad_options_set_mask(masked, &mask, &error));
  WORKS(npad_fit(images, 10, rectangular, &a, &error));
  WORKS(npad_fit(images, 10, masked, &b, &error));
  CHECK(score_of(a, &images[10]) == score_of(b, &images[10]));
  npad_model_free(a);
  npad_model_free(b);
  WORKS(npad_options_set_roi(rectangular, 0, 0, 0, 0, &error));
  WORKS(npad_fit(images, 10, rectangular, &a, &error));
  CHECK(score_of(a, &images[10]) == score_of(model, &images[10]));
  npad_model_free(a);
  npad_options_free(rectangular);
  npad_options_free(masked);
}

/* The same pixels from a camera with 10 or 12 bits. */
static void significant_bits(void) {
  static uint16_t wide[SIDE * SIDE];
  npad_image view = images[10];
  npad_result *result = NULL;
  const float expected = score_of(model, &images[10]);
  int bits, i;
  view.data[0] = (const uint8_t *)wide;
  view.format = NPAD_PIXEL_FORMAT_GRAY16;
  for (bits = 8; bits <= 16; bits += 2) {
    const int white = (1 << bits) - 1;
    for (i = 0; i < SIDE * SIDE; i++) wide[i] = (uint16_t)((pixels[10][i] * white + 127) / 255);
    view.significant_bits = bits;
    /* With 8 and 16 bits every grey value is there exactly; between, it is rounded. */
    if (bits == 8 || bits == 16) CHECK(score_of(model, &view) == expected);
    CHECK(score_of(model, &view) > 0.8f * expected && score_of(model, &view) < 1.2f * expected);
  }
  view.significant_bits = 10;
  wide[77] = 1024;
  FAILS(npad_score(model, &view, &result, &error), NPAD_STATUS_INVALID_IMAGE, "10");
  view.significant_bits = 17;
  FAILS(npad_score(model, &view, &result, &error), NPAD_STATUS_INVALID_IMAGE, "must be 8 to 16");
  view.significant_bits = 7;
  FAILS(npad_score(model, &view, &result, &error), NPAD_STATUS_INVALID_IMAGE, "must be 8 to 16");
}

static void batches(void) {
  npad_result *results[3];
  npad_image bad = images[1];
  int x;
  WORKS(npad_score_batch(model, images, 3, NULL, results, &error));
  for (x = 0; x < 3; x++) {
    CHECK(npad_result_score(results[x]) == score_of(model, &images[x]));
    npad_result_free(results[x]);
  }
  images[1].stride = 3;
  FAILS(npad_score_batch(model, images, 3, NULL, results, &error), NPAD_STATUS_INVALID_IMAGE, "image 1: ");
  CHECK(!results[0] && !results[1] && !results[2]);
  images[1] = bad;
  FAILS(npad_score_batch(model, NULL, 3, NULL, results, &error), NPAD_STATUS_INVALID_ARGUMENT, "images is null");
  FAILS(npad_score_batch(model, images, 3, NULL, NULL, &error), NPAD_STATUS_INVALID_ARGUMENT, "results is null");
  WORKS(npad_score_batch(model, NULL, 0, NULL, NULL, &error));
}

/* Good images that the model has not learnt. */
static npad_image others[PARTS];

static void thresholds(void) {
  static uint8_t brighter[PARTS][SIDE * SIDE];
  int n, i;
  npad_model *changed = NULL, *strict = NULL;
  npad_options *rates = npad_options_new();
  npad_result *result = NULL;
  const float score = score_of(model, &images[11]), limit = npad_model_threshold(model);
  CHECK(npad_model_review_threshold(model) == limit && npad_model_review_threshold(NULL) == 0);
  WORKS(npad_model_with_thresholds(model, limit, score - 0.001f, &changed, &error));
  WORKS(npad_score(changed, &images[11], &result, &error));
  CHECK(npad_result_verdict(result) == NPAD_VERDICT_REVIEW && !npad_result_is_anomalous(result));
  CHECK(npad_model_review_threshold(changed) == score - 0.001f && npad_model_threshold(model) == limit);
  npad_result_free(result);
  npad_model_free(changed);
  FAILS(npad_model_with_thresholds(model, -1, -1, &changed, &error), NPAD_STATUS_INVALID_ARGUMENT, "typical good image");
  FAILS(npad_model_with_thresholds(model, limit, limit + 1, &changed, &error), NPAD_STATUS_INVALID_ARGUMENT, "review");
  FAILS(npad_model_with_thresholds(NULL, 1, 1, &changed, &error), NPAD_STATUS_INVALID_ARGUMENT, "model is null");
  CHECK(changed == NULL);

  for (n = 0; n < PARTS; n++) {
    others[n] = images[n];
    for (i = 0; i < SIDE * SIDE; i++) brighter[n][i] = (uint8_t)(pixels[n][i] + i % 2);
    others[n].data[0] = brighter[n];
  }
  WORKS(npad_model_recalibrate(model, others, PARTS, NULL, &changed, &error));
  WORKS(npad_options_set(rates, "false_alarm_rate", "0.2", &error));
  WORKS(npad_options_set(rates, "review_rate", "0.4", &error));
  WORKS(npad_options_set(rates, "date", "2024-02-29", &error));
  WORKS(npad_model_recalibrate(model, others, PARTS, rates, &strict, &error));
  CHECK(strstr(npad_model_card(strict), "2024-02-29") != NULL && strstr(npad_model_card(changed), "2024-02-29") == NULL);
  CHECK(strstr(npad_model_info(strict), "\"threshold_source\":\"recalibrated\"") != NULL);
  CHECK(npad_model_threshold(strict) < npad_model_threshold(changed));
  CHECK(npad_model_review_threshold(strict) < npad_model_threshold(strict));
  CHECK(score_of(strict, &images[11]) == score);
  npad_model_free(changed);
  npad_model_free(strict);
  FAILS(npad_model_recalibrate(model, others, 1, NULL, &changed, &error), NPAD_STATUS_NOT_ENOUGH_IMAGES, "1 good images");
  FAILS(npad_model_recalibrate(model, images, 9, NULL, &changed, &error), NPAD_STATUS_NOT_ENOUGH_IMAGES, "do not count");
  FAILS(npad_model_recalibrate(model, NULL, 2, NULL, &changed, &error), NPAD_STATUS_INVALID_ARGUMENT, "images is null");
  npad_options_free(rates);
}

static void drift(void) {
  struct {
    npad_drift drift;
    uint64_t later[3];
  } newer;
  npad_model *changed = NULL;
  float scores[PARTS], wrong[PARTS];
  const float limit = npad_model_threshold(model);
  int i;
  for (i = 0; i < PARTS; i++) scores[i] = limit + (float)i;
  memset(&newer, 0, sizeof newer);
  newer.drift.size = sizeof newer;
  newer.drift.reserved = 7;
  WORKS(npad_model_drift(model, scores, PARTS, &newer.drift, &error));
  CHECK(newer.drift.size == sizeof newer && newer.drift.drifted == 1 && newer.drift.reserved == 0);
  CHECK(newer.drift.effect == 1 && newer.drift.p_value < 1e-4 && newer.drift.least_effect >= 0.28);
  CHECK(newer.drift.good_count == 10 && newer.drift.recent_count == PARTS && newer.drift.recent_median == (scores[5] + scores[6]) / 2);
  CHECK(newer.drift.good_median > 0 && newer.drift.good_median < limit);
  CHECK(newer.drift.above_count == PARTS - 1 && newer.drift.above_share == (PARTS - 1) / (double)PARTS);
  CHECK(newer.drift.above_low > 0.5 && newer.drift.above_low < newer.drift.above_share);
  CHECK(newer.drift.above_high > newer.drift.above_share && newer.drift.above_high < 1);
  CHECK(newer.drift.false_alarm_rate > 0.0099 && newer.drift.false_alarm_rate < 0.0101);

  /* A recalibrated model compares with the good images of the recalibration, and another threshold counts at once. */
  for (i = 0; i < PARTS; i++) scores[i] = newer.drift.good_median;
  WORKS(npad_model_with_thresholds(model, 2 * limit, 0, &changed, &error));
  WORKS(npad_model_drift(changed, scores, 10, &newer.drift, &error));
  CHECK(newer.drift.drifted == 0 && newer.drift.recent_count == 10 && newer.drift.above_count == 0);
  CHECK(newer.drift.above_low == 0 && newer.drift.above_high < 0.5 && newer.drift.false_alarm_rate < 0.0099);
  npad_model_free(changed);
  WORKS(npad_model_recalibrate(model, others, PARTS, NULL, &changed, &error));
  WORKS(npad_model_drift(changed, scores, 10, &newer.drift, &error));
  CHECK(newer.drift.good_count == PARTS);
  npad_model_free(changed);

  newer.drift.drifted = 7;
  newer.later[2] = 1;
  FAILS(npad_model_drift(model, scores, PARTS, &newer.drift, &error), NPAD_STATUS_INVALID_ARGUMENT, "newer header");
  newer.drift.size = 3;
  FAILS(npad_model_drift(model, scores, PARTS, &newer.drift, &error), NPAD_STATUS_INVALID_ARGUMENT, "size of an npad_drift is 3");
  newer.drift.size = sizeof newer.drift;
  FAILS(npad_model_drift(model, scores, PARTS, NULL, &error), NPAD_STATUS_INVALID_ARGUMENT, "drift is null");
  FAILS(npad_model_drift(NULL, scores, PARTS, &newer.drift, &error), NPAD_STATUS_INVALID_ARGUMENT, "model is null");
  FAILS(npad_model_drift(model, NULL, PARTS, &newer.drift, &error), NPAD_STATUS_INVALID_ARGUMENT, "scores is null");
  FAILS(npad_model_drift(model, NULL, 0, &newer.drift, &error), NPAD_STATUS_INVALID_ARGUMENT, "0 recent scores are too few");
  FAILS(npad_model_drift(model, scores, 9, &newer.drift, &error), NPAD_STATUS_INVALID_ARGUMENT, "at least 10");
  FAILS(npad_model_drift(model, scores, SIZE_MAX / 2, &newer.drift, &error), NPAD_STATUS_INVALID_ARGUMENT, "their number");
  memcpy(wrong, scores, sizeof wrong);
  wrong[11] = -1;
  FAILS(npad_model_drift(model, wrong, PARTS, &newer.drift, &error), NPAD_STATUS_INVALID_ARGUMENT, "score 11 is -1, but");
  wrong[11] = limit / 0.0f;
  FAILS(npad_model_drift(model, wrong, PARTS, &newer.drift, &error), NPAD_STATUS_INVALID_ARGUMENT, "score 11 is inf, but");
  CHECK(newer.drift.drifted == 7);
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

static npad_trainer *taught(int first, int end) {
  npad_options *undated = quick_options();
  npad_trainer *trainer = NULL;
  WORKS(npad_options_set(undated, "date", "none", &error));
  WORKS(npad_trainer_new(undated, &trainer, &error));
  npad_options_free(undated);
  for (; first < end; first++) WORKS(npad_trainer_add_image(trainer, &images[first], &error));
  return trainer;
}

/* A fit goes on from the state of another, and merged ones give the model of one fit. */
static void states(void) {
  npad_trainer *whole = taught(0, 10), *first = taught(0, 4), *rest = taught(4, 10), *loaded = NULL;
  npad_options *machine = quick_options(), *other = quick_options();
  npad_buffer *state = NULL, *expected = NULL, *found = NULL;
  npad_model *together = NULL, *merged = NULL;
  WORKS(npad_options_set(machine, "date", "none", &error));
  WORKS(npad_trainer_save(first, "first.state", &error));
  WORKS(npad_trainer_save_memory(rest, &state, &error));
  WORKS(npad_trainer_finish(whole, &together, &error));
  WORKS(npad_model_save_memory(together, &expected, &error));

  WORKS(npad_trainer_load("first.state", machine, &loaded, &error));
  CHECK(npad_trainer_image_count(loaded) == 4);
  WORKS(npad_trainer_merge_memory(loaded, npad_buffer_data(state), npad_buffer_size(state), &error));
  CHECK(npad_trainer_image_count(loaded) == 10);
  WORKS(npad_trainer_finish(loaded, &merged, &error));
  WORKS(npad_model_save_memory(merged, &found, &error));
  CHECK(npad_buffer_size(found) == npad_buffer_size(expected) &&
        memcmp(npad_buffer_data(found), npad_buffer_data(expected), npad_buffer_size(found)) == 0);
  npad_trainer_free(loaded);
  loaded = NULL;

  FAILS(npad_trainer_merge(whole, "first.state", &error), NPAD_STATUS_WRONG_STATE, "already finished");
  FAILS(npad_trainer_save(whole, "whole.state", &error), NPAD_STATUS_WRONG_STATE, "already finished");
  FAILS(npad_trainer_merge(rest, "none.state", &error), NPAD_STATUS_NOT_FOUND, "none.state");
  FAILS(npad_trainer_merge(rest, NULL, &error), NPAD_STATUS_INVALID_ARGUMENT, "path is null");
  FAILS(npad_trainer_merge_memory(rest, NULL, 3, &error), NPAD_STATUS_INVALID_ARGUMENT, "data is null");
  FAILS(npad_trainer_merge_memory(NULL, npad_buffer_data(state), 3, &error), NPAD_STATUS_INVALID_ARGUMENT, "trainer is null");
  FAILS(npad_trainer_merge_memory(rest, npad_buffer_data(state), 99, &error), NPAD_STATUS_INVALID_MODEL, "trainer state");
  FAILS(npad_trainer_merge_memory(rest, npad_buffer_data(found), npad_buffer_size(found), &error), NPAD_STATUS_INVALID_MODEL,
        "it is a model");
  FAILS(npad_trainer_save_memory(rest, NULL, &error), NPAD_STATUS_INVALID_ARGUMENT, "buffer is null");
  WORKS(npad_options_set(other, "seed", "5", &error));
  FAILS(npad_trainer_load_memory(npad_buffer_data(state), npad_buffer_size(state), other, &loaded, &error),
        NPAD_STATUS_INVALID_OPTION, "seed is 5");
  CHECK(loaded == NULL && npad_trainer_image_count(rest) == 6);
  WORKS(npad_trainer_new(other, &loaded, &error));
  FAILS(npad_trainer_merge(loaded, "first.state", &error), NPAD_STATUS_INVALID_ARGUMENT, "seed is 5 here and 0 there");
  npad_trainer_free(loaded);
  loaded = NULL;
  FAILS(npad_trainer_load("none.state", NULL, &loaded, &error), NPAD_STATUS_NOT_FOUND, "none.state");
  npad_buffer_free(state);
  npad_buffer_free(expected);
  npad_buffer_free(found);
  npad_model_free(together);
  npad_model_free(merged);
  npad_trainer_free(whole);
  npad_trainer_free(first);
  npad_trainer_free(rest);
  npad_options_free(machine);
  npad_options_free(other);
}

/* Of a later version, with a field that this library lacks. */
static void larger_known_defects(void) {
  struct {
    npad_known_defects known;
    uint64_t later[3];
  } newer;
  memset(&newer, 0, sizeof newer);
  newer.known.size = sizeof newer;
  newer.known.missed = 7;
  newer.later[2] = 1;
  FAILS(npad_model_known_defects(model, &newer.known, &error), NPAD_STATUS_INVALID_ARGUMENT, "newer header");
  CHECK(newer.known.missed == 7 && newer.later[2] == 1);
  newer.later[2] = 0;
  WORKS(npad_model_known_defects(model, &newer.known, &error));
  CHECK(newer.known.size == sizeof newer && newer.known.missed == 0);
}

static void known_defects(void) {
  npad_options *settings = quick_options();
  npad_trainer *trainer = NULL;
  npad_model *careful = NULL, *changed = NULL;
  npad_result *result = NULL;
  npad_known_defects known, before;
  npad_image defect = images[11], masked = images[11];
  uint8_t dark[SIDE * SIDE];
  int i;
  memcpy(dark, pixels[11], sizeof dark);
  scratch(dark);
  defect.data[0] = dark;
  memset(&known, 0x55, sizeof known);
  known.size = sizeof known;
  WORKS(npad_model_known_defects(model, &known, &error));
  CHECK(known.size == sizeof known && known.count == 0 && known.threshold == 0 && known.cost_threshold == 0);
  larger_known_defects();
  known.size = 3;
  FAILS(npad_model_known_defects(model, &known, &error), NPAD_STATUS_INVALID_ARGUMENT, "size of an npad_known_defects is 3");
  FAILS(npad_model_known_defects(model, NULL, &error), NPAD_STATUS_INVALID_ARGUMENT, "known is null");
  known.size = sizeof known;
  FAILS(npad_model_known_defects(NULL, &known, &error), NPAD_STATUS_INVALID_ARGUMENT, "model is null");

  WORKS(npad_options_set(settings, "operating_point", "catch_all", &error));
  FAILS(npad_options_set(settings, "operating_point", "all", &error), NPAD_STATUS_INVALID_OPTION, "catch_all");
  WORKS(npad_trainer_new(settings, &trainer, &error));
  npad_options_free(settings);
  FAILS(npad_trainer_add_defect(NULL, &defect, &error), NPAD_STATUS_INVALID_ARGUMENT, "trainer is null");
  FAILS(npad_trainer_add_defect(trainer, &defect, &error), NPAD_STATUS_WRONG_STATE, "good images before");
  for (i = 0; i < 10; i++) WORKS(npad_trainer_add_image(trainer, &images[i], &error));
  FAILS(npad_trainer_add_defect(trainer, NULL, &error), NPAD_STATUS_INVALID_ARGUMENT, "image is null");
  masked.roi_width = masked.roi_height = 8;
  FAILS(npad_trainer_add_defect(trainer, &masked, &error), NPAD_STATUS_INVALID_IMAGE, "of its own");
  FAILS(npad_trainer_finish(trainer, &careful, &error), NPAD_STATUS_WRONG_STATE, "no known defects");
  WORKS(npad_trainer_add_defect(trainer, &defect, &error));
  CHECK(npad_trainer_image_count(trainer) == 10);
  WORKS(npad_trainer_finish(trainer, &careful, &error));
  FAILS(npad_trainer_add_defect(trainer, &defect, &error), NPAD_STATUS_WRONG_STATE, "already finished");
  npad_trainer_free(trainer);
  WORKS(npad_model_known_defects(careful, &known, &error));
  CHECK(known.count == 1 && known.missed == 0 && known.threshold == npad_model_threshold(careful));
  CHECK(known.threshold == known.catch_all_threshold && known.false_alarm_rate == known.catch_all_false_alarm_rate);
  CHECK(known.rate_threshold >= known.catch_all_threshold && known.rate_threshold == npad_model_threshold(model));
  CHECK(known.rate_false_alarm_rate > 0.009 && known.rate_false_alarm_rate < 0.011);
  CHECK(strstr(npad_model_info(careful), "\"known_defects\":{\"count\":1,") != NULL);

  /* Above the defect's score it is missed, and nothing else changes. */
  WORKS(npad_score(careful, &defect, &result, &error));
  WORKS(npad_model_with_thresholds(careful, npad_result_score(result), 0, &changed, &error));
  before = known;
  WORKS(npad_model_known_defects(changed, &known, &error));
  CHECK(known.count == 1 && known.missed == 1 && known.threshold == npad_result_score(result));
  CHECK(known.rate_threshold == before.rate_threshold && known.catch_all_threshold == before.catch_all_threshold);
  npad_result_free(result);
  npad_model_free(changed);
  npad_model_free(careful);
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

/* Names a total, and leaves the trainer as it was when it is cancelled. */
static void expectations(void) {
  npad_options *told = quick_options();
  npad_trainer *trainer = NULL;
  npad_model *fitted = NULL;
  int i;
  memset(&progress, 0, sizeof progress);
  WORKS(npad_options_set_progress(told, on_progress, &progress, &error));
  WORKS(npad_trainer_new(told, &trainer, &error));
  WORKS(npad_trainer_expect(trainer, 10, &error));
  for (i = 0; i < 10; i++) WORKS(npad_trainer_add_image(trainer, &images[i], &error));
  CHECK(progress.calls == 10 && progress.total == 100);
  progress.stop_at = 11;
  FAILS(npad_trainer_finish(trainer, &fitted, &error), NPAD_STATUS_CANCELLED, "cancelled by the progress callback");
  CHECK(fitted == NULL && npad_trainer_image_count(trainer) == 10);
  WORKS(npad_trainer_finish(trainer, &fitted, &error));
  CHECK(score_of(fitted, &images[10]) == score_of(model, &images[10]));
  npad_model_free(fitted);
  npad_trainer_free(trainer);
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

int main(void) {
  make_images();
  options = quick_options();
  WORKS(npad_fit(images, 10, options, &model, &error));
  if (!model) return 1;
  masks();
  rectangles();
  significant_bits();
  batches();
  thresholds();
  drift();
  continued_fits();
  states();
  known_defects();
  callbacks();
  expectations();
  layouts();
  npad_model_free(model);
  npad_options_free(options);
  return done();
}
