/* Wrong use of every function gets the documented error, changes nothing and leaks nothing. */

#include "check.h"

/* Paths are UTF-8 on Windows, where this one is in no code page, and any bytes elsewhere. */
#ifdef _WIN32
#define ODD_PATH "\xe2\x98\x83-\xd0\xb6.npad"
#else
#define ODD_PATH "not-\xff\xfe-utf8.npad"
#endif

/* A struct says its size, and no other is used. */
static void wrong_sizes(const npad_model *model) {
  npad_image image = images[0], two[2];
  npad_mask mask = {0};
  npad_output output = {0}, outputs[2];
  npad_region region;
  npad_options *options = npad_options_new();
  npad_result *result = NULL, *results[2];
  struct {
    npad_image image;
    uint64_t later[8];
  } newer;
  size_t sizes[] = {0, 1, sizeof image - 1, 5000, SIZE_MAX};
  size_t i;
  for (i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
    image.size = sizes[i];
    FAILS(npad_score(model, &image, &result, &error), NPAD_STATUS_INVALID_ARGUMENT, "must be sizeof(npad_image)");
    FAILS(npad_fit(&image, 1, NULL, NULL, &error), NPAD_STATUS_INVALID_ARGUMENT, "null");
    output.size = sizes[i];
    FAILS(npad_score_into(model, &images[0], &output, &error), NPAD_STATUS_INVALID_ARGUMENT, "must be sizeof(npad_output)");
    mask.size = sizes[i] == sizeof image - 1 ? 31 : sizes[i];
    FAILS(npad_options_set_mask(options, &mask, &error), NPAD_STATUS_INVALID_ARGUMENT, "must be sizeof(npad_mask)");
  }
  memset(&newer, 0, sizeof newer);
  newer.image = images[0];
  newer.image.size = sizeof newer;
  WORKS(npad_score(model, &newer.image, &result, &error));
  FAILS(npad_result_region(result, 0, &region, 3, &error), NPAD_STATUS_INVALID_ARGUMENT, "does not exist");
  npad_result_free(result);
  newer.later[7] = 1;
  FAILS(npad_score(model, &newer.image, &result, &error), NPAD_STATUS_INVALID_ARGUMENT, "newer header");
  two[0] = two[1] = images[0];
  two[1].size += 8;
  FAILS(npad_score_batch(model, two, 2, NULL, results, &error), NPAD_STATUS_INVALID_ARGUMENT, "all must agree");
  memset(outputs, 0, sizeof outputs);
  outputs[0].size = sizeof outputs[0];
  two[1] = two[0];
  FAILS(npad_score_batch_into(model, two, 2, NULL, outputs, &error), NPAD_STATUS_INVALID_ARGUMENT, "all must agree");
  FAILS(npad_score_batch(model, two, SIZE_MAX / 2, NULL, NULL, &error), NPAD_STATUS_INVALID_ARGUMENT, "results is null");
  FAILS(npad_fit(two, SIZE_MAX / 2, NULL, (npad_model **)&result, &error), NPAD_STATUS_INVALID_ARGUMENT,
        "exceeds the address space");
  output = outputs[0];
  output.regions = &region;
  output.region_capacity = 1;
  output.region_size = 3;
  FAILS(npad_score_into(model, &images[0], &output, &error), NPAD_STATUS_INVALID_ARGUMENT, "size of an npad_region is 3");
  output.region_size = sizeof region;
  output.region_capacity = SIZE_MAX / 2;
  FAILS(npad_score_into(model, &images[0], &output, &error), NPAD_STATUS_INVALID_ARGUMENT, "exceeds the address space");
  npad_options_free(options);
}

/* Every way in which an image's description can be wrong. */
static void wrong_images(npad_trainer *trainer, const npad_model *model) {
  struct {
    npad_image image;
    const char *text;
  } cases[12];
  int i;
  for (i = 0; i < 12; i++) cases[i].image = images[0];
  cases[0].image.data[0] = NULL;
  cases[0].text = "data pointer is null";
  cases[1].image.width = 0;
  cases[1].text = "0 x 64";
  cases[2].image.height = -5;
  cases[2].text = "height is -5";
  cases[3].image.width = 70000;
  cases[3].text = "1 to 65535";
  cases[4].image.stride = 10;
  cases[4].text = "stride is 10 bytes";
  cases[5].image.stride = -64;
  cases[5].text = "must not be negative";
  cases[6].image.format = 99;
  cases[6].text = "pixel format is 99";
  cases[7].image.format = -1;
  cases[7].text = "pixel format is -1";
  cases[8].image.significant_bits = 12;
  cases[8].text = "significant bits";
  cases[9].image.significant_bits = -1;
  cases[9].text = "significant bits is -1";
  cases[10].image.roi_width = -5;
  cases[10].text = "region of interest is -5 x 0";
  cases[11].image.stride = INT64_MAX;
  cases[11].text = "exceeds the address space";
  for (i = 0; i < 12; i++) {
    npad_result *result = (npad_result *)1;
    FAILS(npad_trainer_add_image(trainer, &cases[i].image, &error), NPAD_STATUS_INVALID_IMAGE, cases[i].text);
    FAILS(npad_score(model, &cases[i].image, &result, &error), NPAD_STATUS_INVALID_IMAGE, cases[i].text);
    CHECK(result == NULL);
  }
}

/* A trainer in use refuses further calls, from its own callbacks too. */
static npad_trainer *busy;
static int refusals;

static bool reenter(const char *stage, size_t done_steps, size_t total, void *user_data) {
  npad_model *model = NULL;
  (void)stage;
  (void)done_steps;
  (void)total;
  (void)user_data;
  FAILS(npad_trainer_add_image(busy, &images[0], &error), NPAD_STATUS_WRONG_STATE, "in use by another call");
  FAILS(npad_trainer_finish(busy, &model, &error), NPAD_STATUS_WRONG_STATE, "in use by another call");
  FAILS(npad_trainer_expect(busy, 3, &error), NPAD_STATUS_WRONG_STATE, "in use by another call");
  CHECK(model == NULL && npad_trainer_image_count(busy) <= 10);
  refusals++;
  return true;
}

static void reentrant_calls(const npad_model *model) {
  npad_options *options = quick_options();
  npad_model *same = NULL;
  int i;
  WORKS(npad_options_set_progress(options, reenter, NULL, &error));
  WORKS(npad_trainer_new(options, &busy, &error));
  for (i = 0; i < 10; i++) WORKS(npad_trainer_add_image(busy, &images[i], &error));
  CHECK(npad_trainer_image_count(busy) == 10);
  WORKS(npad_trainer_finish(busy, &same, &error));
  CHECK(refusals > 10 && npad_model_threshold(same) == npad_model_threshold(model));
  npad_model_free(same);
  npad_trainer_free(busy);
  npad_options_free(options);
}

int main(void) {
  npad_options *options = quick_options();
  npad_trainer *trainer = NULL;
  npad_model *model = NULL, *copy = NULL;
  npad_buffer *buffer = NULL;
  npad_result *result = NULL;
  npad_region region;
  int i;
  make_images();

  /* The version, before anything else. */
  CHECK(npad_version_number() == NPAD_VERSION_NUMBER);
  CHECK(NPAD_VERSION_NUMBER == NPAD_VERSION_MAJOR * 1000000u + NPAD_VERSION_MINOR * 1000u + NPAD_VERSION_PATCH);
  CHECK(strlen(npad_version_string()) >= 5);

  /* Null is legal to free and to read. */
  npad_error_free(NULL);
  npad_options_free(NULL);
  npad_trainer_free(NULL);
  npad_model_free(NULL);
  npad_buffer_free(NULL);
  npad_result_free(NULL);
  npad_cancellation_free(NULL);
  npad_cancellation_cancel(NULL);
  CHECK(!npad_cancellation_is_cancelled(NULL));
  CHECK(npad_error_status(NULL) == NPAD_STATUS_OK && npad_error_message(NULL)[0] == '\0');
  CHECK(npad_result_score(NULL) == 0 && !npad_result_is_anomalous(NULL) && npad_result_map(NULL) == NULL);
  CHECK(npad_result_width(NULL) == 0 && npad_result_height(NULL) == 0 && npad_result_region_count(NULL) == 0);
  CHECK(npad_result_calibrated_score(NULL) == 0 && npad_trainer_image_count(NULL) == 0);
  CHECK(npad_model_threshold(NULL) == 0);
  CHECK(npad_model_info(NULL)[0] == '\0' && npad_model_method(NULL)[0] == '\0' && npad_model_backbone(NULL)[0] == '\0');
  CHECK(npad_model_card(NULL)[0] == '\0' && npad_model_device(NULL)[0] == '\0');
  CHECK(npad_model_input_width(NULL) == 0 && npad_model_input_height(NULL) == 0);
  CHECK(npad_model_image_count(NULL) == 0 && npad_model_false_alarm_rate(NULL) == 0);
  CHECK(npad_buffer_data(NULL) == NULL && npad_buffer_size(NULL) == 0);

  /* Options. */
  FAILS(npad_options_set(NULL, "size", "64", &error), NPAD_STATUS_INVALID_ARGUMENT, "options is null");
  FAILS(npad_options_set(options, NULL, "64", &error), NPAD_STATUS_INVALID_ARGUMENT, "key is null");
  FAILS(npad_options_set(options, "size", NULL, &error), NPAD_STATUS_INVALID_ARGUMENT, "value is null");
  {
    enum { TOO_LONG = (64 << 10) + 1 };
    static char text[TOO_LONG + 1];
    memset(text, 'a', TOO_LONG);
    FAILS(npad_options_set(options, "device_cache", text, &error), NPAD_STATUS_INVALID_ARGUMENT, "value has 65537 bytes");
    FAILS(npad_options_set(options, text, "64", &error), NPAD_STATUS_INVALID_ARGUMENT, "key has 65537 bytes");
    FAILS(npad_model_load(text, NULL, &model, &error), NPAD_STATUS_INVALID_ARGUMENT, "path has 65537 bytes");
    text[TOO_LONG - 1] = 0;
    WORKS(npad_options_set(options, "device_cache", text, &error));
    WORKS(npad_options_set(options, "device_cache", "", &error));
  }
  FAILS(npad_options_set(options, "size", "\xff\xfe", &error), NPAD_STATUS_INVALID_ARGUMENT, "UTF-8");
  FAILS(npad_options_set(options, "sise", "64", &error), NPAD_STATUS_INVALID_OPTION, "known are method, size");
  FAILS(npad_options_set(options, "npad.channels", "NaN", &error), NPAD_STATUS_INVALID_OPTION, "whole number");
  FAILS(npad_options_set(options, "method", "magic", &error), NPAD_STATUS_INVALID_OPTION, "npad");
  CHECK(npad_options_set(options, "sise", "64", NULL) == NPAD_STATUS_INVALID_OPTION);

  /* The trainer. */
  FAILS(npad_trainer_new(options, NULL, &error), NPAD_STATUS_INVALID_ARGUMENT, "trainer is null");
  CHECK(npad_trainer_new(options, &trainer, NULL) == NPAD_STATUS_OK);
  FAILS(npad_trainer_expect(NULL, 3, &error), NPAD_STATUS_INVALID_ARGUMENT, "trainer is null");
  FAILS(npad_trainer_add_image(NULL, &images[0], &error), NPAD_STATUS_INVALID_ARGUMENT, "trainer is null");
  FAILS(npad_trainer_add_image(trainer, NULL, &error), NPAD_STATUS_INVALID_ARGUMENT, "image is null");
  FAILS(npad_trainer_finish(trainer, &model, &error), NPAD_STATUS_NOT_ENOUGH_IMAGES, "0 good images");
  CHECK(npad_trainer_add_image(trainer, &images[0], NULL) == NPAD_STATUS_OK);
  FAILS(npad_trainer_finish(trainer, &model, &error), NPAD_STATUS_NOT_ENOUGH_IMAGES, "1 good images");
  for (i = 1; i < 10; i++) CHECK(npad_trainer_add_image(trainer, &images[i], NULL) == NPAD_STATUS_OK);
  FAILS(npad_trainer_finish(trainer, NULL, &error), NPAD_STATUS_INVALID_ARGUMENT, "model is null");
  CHECK(npad_trainer_image_count(trainer) == 10);
  CHECK(npad_trainer_finish(trainer, &model, NULL) == NPAD_STATUS_OK && model != NULL);
  FAILS(npad_trainer_finish(trainer, &copy, &error), NPAD_STATUS_WRONG_STATE, "already finished");
  FAILS(npad_trainer_expect(trainer, 3, &error), NPAD_STATUS_WRONG_STATE, "already finished");
  FAILS(npad_trainer_add_image(trainer, &images[0], &error), NPAD_STATUS_WRONG_STATE, "already finished");
  CHECK(copy == NULL && npad_trainer_image_count(trainer) == 0);
  npad_trainer_free(trainer);
  CHECK(npad_trainer_new(options, &trainer, NULL) == NPAD_STATUS_OK);
  wrong_images(trainer, model);
  CHECK(npad_trainer_image_count(trainer) == 0);
  npad_trainer_free(trainer);

  reentrant_calls(model);

  /* A fit in one call. */
  FAILS(npad_fit(NULL, 3, options, &copy, &error), NPAD_STATUS_INVALID_ARGUMENT, "images is null");
  FAILS(npad_fit(NULL, 0, options, &copy, &error), NPAD_STATUS_NOT_ENOUGH_IMAGES, "0 good images");
  images[2].width = -1;
  FAILS(npad_fit(images, 10, options, &copy, &error), NPAD_STATUS_INVALID_IMAGE, "image 2: ");
  images[2].width = SIDE;
  CHECK(npad_fit(images, 10, options, &copy, NULL) == NPAD_STATUS_OK);
  CHECK(npad_model_threshold(copy) == npad_model_threshold(model));
  npad_model_free(copy);

  /* Files and memory. */
  FAILS(npad_model_save(NULL, "x", &error), NPAD_STATUS_INVALID_ARGUMENT, "model is null");
  FAILS(npad_model_save(model, NULL, &error), NPAD_STATUS_INVALID_ARGUMENT, "path is null");
  FAILS(npad_model_save(model, "no/such/folder/x", &error), NPAD_STATUS_NOT_FOUND, "no/such/folder/x");
  FAILS(npad_model_export(NULL, "x.onnx", NULL, &error), NPAD_STATUS_INVALID_ARGUMENT, "model is null");
  FAILS(npad_model_export(model, NULL, NULL, &error), NPAD_STATUS_INVALID_ARGUMENT, "path is null");
  FAILS(npad_model_export(model, "x.npad", NULL, &error), NPAD_STATUS_INVALID_ARGUMENT, "ends in .onnx");
  FAILS(npad_model_export(model, "no/such/folder/x.onnx", options, &error), NPAD_STATUS_NOT_FOUND, "no/such/folder/x");
  WORKS(npad_model_export(model, "exported.onnx", NULL, &error));
  FAILS(npad_model_load("exported.onnx", options, &copy, &error), NPAD_STATUS_INVALID_MODEL, "intact");
  FAILS(npad_model_load("none", options, &copy, &error), NPAD_STATUS_NOT_FOUND, "none");
  CHECK(copy == NULL);
  FAILS(npad_model_load_memory((const uint8_t *)"junk", 4, options, &copy, &error), NPAD_STATUS_INVALID_MODEL, "intact");
  FAILS(npad_model_load_memory(NULL, 4, options, &copy, &error), NPAD_STATUS_INVALID_ARGUMENT, "data is null");
  CHECK(npad_model_save_memory(model, &buffer, NULL) == NPAD_STATUS_OK && npad_buffer_size(buffer) > 1000);
  CHECK(npad_model_load_memory(npad_buffer_data(buffer), npad_buffer_size(buffer), NULL, &copy, NULL) == NPAD_STATUS_OK);
#ifdef _WIN32
  FAILS(npad_model_save(model, "not-\xff\xfe-utf8.npad", &error), NPAD_STATUS_INVALID_ARGUMENT, "UTF-8");
  FAILS(npad_model_load("not-\xff\xfe-utf8.npad", options, &copy, &error), NPAD_STATUS_INVALID_ARGUMENT, "UTF-8");
#endif
  WORKS(npad_model_save(model, ODD_PATH, &error));
  npad_model_free(copy);
  copy = NULL;
  WORKS(npad_model_load(ODD_PATH, options, &copy, &error));
  FAILS(npad_runtime_open("/no/such/library", &error), NPAD_STATUS_NOT_FOUND, "/no/such/library");

  /* Scoring. */
  FAILS(npad_score(NULL, &images[0], &result, &error), NPAD_STATUS_INVALID_ARGUMENT, "model is null");
  FAILS(npad_score(model, NULL, &result, &error), NPAD_STATUS_INVALID_ARGUMENT, "image is null");
  FAILS(npad_score(model, &images[0], NULL, &error), NPAD_STATUS_INVALID_ARGUMENT, "result is null");
  CHECK(npad_score(model, &images[11], &result, NULL) == NPAD_STATUS_OK);
  CHECK(npad_result_width(result) == SIDE && npad_result_height(result) == SIDE && npad_result_map(result) != NULL);
  FAILS(npad_result_region(result, 1000000, &region, sizeof region, &error), NPAD_STATUS_INVALID_ARGUMENT, "does not exist");
  FAILS(npad_result_region(result, 0, NULL, sizeof region, &error), NPAD_STATUS_INVALID_ARGUMENT, "region is null");
  FAILS(npad_result_region(NULL, 0, &region, sizeof region, &error), NPAD_STATUS_INVALID_ARGUMENT, "result is null");
  CHECK(strstr(npad_model_info(model), "\"method\":\"npad\"") != NULL);

  wrong_sizes(model);
  FAILS(npad_model_warm_up(NULL, 64, 64, &error), NPAD_STATUS_INVALID_ARGUMENT, "model is null");
  FAILS(npad_model_warm_up(model, 0, 64, &error), NPAD_STATUS_INVALID_ARGUMENT, "0 x 64 pixels: both sides");
  FAILS(npad_model_warm_up(model, 64, -1, &error), NPAD_STATUS_INVALID_ARGUMENT, "64 x -1 pixels: both sides");
  FAILS(npad_model_warm_up(model, 70000, 64, &error), NPAD_STATUS_INVALID_ARGUMENT, "1 to 65535");

  /* Rendering. */
  {
    static uint8_t picture[SIDE * (SIDE * 3 + 8)], tight[SIDE * SIDE * 3];
    npad_image small = images[11];
    const int rgb = NPAD_PIXEL_FORMAT_RGB8, bgr = NPAD_PIXEL_FORMAT_BGR8;
    small.width = SIDE - 1;
    small.stride = SIDE;
    FAILS(npad_render(model, &small, result, tight, 0, rgb, &error), NPAD_STATUS_INVALID_IMAGE, "63 x 64 pixels");
    FAILS(npad_render(model, &images[11], result, NULL, 0, rgb, &error), NPAD_STATUS_INVALID_ARGUMENT, "pixels is null");
    FAILS(npad_render(model, &images[11], result, tight, 10, rgb, &error), NPAD_STATUS_INVALID_ARGUMENT, "at least 192");
    FAILS(npad_render(model, &images[11], result, tight, -1, rgb, &error), NPAD_STATUS_INVALID_ARGUMENT, "at least 192");
    FAILS(npad_render(model, &images[11], result, tight, 0, 0, &error), NPAD_STATUS_INVALID_ARGUMENT, "RGB8 or BGR8");
    FAILS(npad_render(model, &images[11], NULL, tight, 0, rgb, &error), NPAD_STATUS_INVALID_ARGUMENT, "result is null");
    CHECK(npad_render(model, &images[11], result, tight, 0, rgb, NULL) == NPAD_STATUS_OK);
    CHECK(npad_render(model, &images[11], result, picture, SIDE * 3 + 8, bgr, NULL) == NPAD_STATUS_OK);
    CHECK(picture[SIDE * 3 + 8] == tight[SIDE * 3 + 2] && picture[SIDE * 3 + 10] == tight[SIDE * 3]);
    CHECK(picture[SIDE * 3] == 0);
  }
  {
    float score = npad_result_score(result);
    npad_result_free(result);
    CHECK(npad_score(copy, &images[11], &result, NULL) == NPAD_STATUS_OK && npad_result_score(result) == score);
    npad_result_free(result);
  }

  npad_buffer_free(buffer);
  npad_model_free(copy);
  npad_model_free(model);
  npad_options_free(options);
  return done();
}
