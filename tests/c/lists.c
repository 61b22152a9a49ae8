/* What a program can find out: options, methods, devices, and what a model knows. */

#include "check.h"

static const char *get(npad_options *options, const char *name) {
  const char *value = NULL;
  WORKS(npad_options_get(options, name, &value, &error));
  return value ? value : "(none)";
}

static size_t find(const char *name) {
  size_t i = 0;
  while (i < npad_option_count() && strcmp(npad_option_name(i), name) != 0) i++;
  return i;
}

static void options_are_complete(void) {
  static const char *const general[] = {"method",     "size",        "grid_step",       "tile",     "device",
                                        "device_cache", "scoring", "export_opset", "export_batch", "export_size",
                                        "threads",    "max_calls",   "call_timeout",    "seed",     "false_alarm_rate",
                                        "review_rate", "smoothing",  "peak_share",      "min_region_area", "backbone",
                                        "backbone_mean", "backbone_std", "npad.channels", "padim.channels"};
  npad_options *options = npad_options_new();
  const size_t count = npad_option_count();
  size_t i, j;
  CHECK(count > sizeof general / sizeof general[0]);
  for (i = 0; i < sizeof general / sizeof general[0]; i++) {
    if (find(general[i]) == count) fprintf(stderr, "not listed: %s\n", general[i]);
    CHECK(find(general[i]) < count);
  }
  for (i = 0; i < count; i++) {
    const char *name = npad_option_name(i);
    const npad_option_type type = npad_option_get_type(i);
    CHECK(name == npad_option_name(i) && npad_option_default(i) == npad_option_default(i));
    CHECK(strlen(npad_option_help(i)) > 5 && strlen(npad_option_range(i)) > 2);
    CHECK(type >= NPAD_OPTION_TYPE_INTEGER && type <= NPAD_OPTION_TYPE_PATH);
    for (j = 0; j < i; j++) CHECK(strcmp(name, npad_option_name(j)) != 0);
    /* What is listed is what options have, and may be set. */
    CHECK(strcmp(get(options, name), npad_option_default(i)) == 0);
    WORKS(npad_options_set(options, name, npad_option_default(i), &error));
    CHECK(strcmp(get(options, name), npad_option_default(i)) == 0);
  }
  CHECK(npad_option_get_type(find("threads")) == NPAD_OPTION_TYPE_INTEGER);
  CHECK(npad_option_get_type(find("smoothing")) == NPAD_OPTION_TYPE_NUMBER);
  CHECK(npad_option_get_type(find("npad.fusion")) == NPAD_OPTION_TYPE_CHOICE);
  CHECK(npad_option_get_type(find("npad.levels")) == NPAD_OPTION_TYPE_FLAGS);
  CHECK(npad_option_get_type(find("backbone")) == NPAD_OPTION_TYPE_PATH);
  CHECK(!npad_option_name(count) && !npad_option_default(count) && !npad_option_range(count) && !npad_option_help(count));
  CHECK(!npad_option_name(SIZE_MAX) && npad_option_get_type(count) == NPAD_OPTION_TYPE_TEXT);
  npad_options_free(options);
}

static void values(void) {
  npad_options *options = npad_options_new();
  const char *size = NULL, *rate = NULL, *again = (const char *)1;
  WORKS(npad_options_set(options, "size", "96x64", &error));
  WORKS(npad_options_get(options, "size", &size, &error));
  WORKS(npad_options_get(options, "npad.channels", &rate, &error));
  FAILS(npad_options_set(options, "size", "none", &error), NPAD_STATUS_INVALID_OPTION, "size is 'none'");
  WORKS(npad_options_get(options, "size", &again, &error));
  CHECK(again == size && strcmp(size, "96x64") == 0 && strlen(rate) > 0);
  WORKS(npad_options_set(options, "size", "128", &error));
  CHECK(strcmp(get(options, "size"), "128") == 0);
  FAILS(npad_options_get(options, "sise", &again, &error), NPAD_STATUS_NOT_FOUND, "sise");
  CHECK(again == NULL);
  FAILS(npad_options_get(options, "npad.none", &again, &error), NPAD_STATUS_NOT_FOUND, "npad.none");
  FAILS(npad_options_get(options, "none.channels", &again, &error), NPAD_STATUS_NOT_FOUND, "none");
  FAILS(npad_options_get(NULL, "size", &again, &error), NPAD_STATUS_INVALID_ARGUMENT, "options is null");
  FAILS(npad_options_get(options, NULL, &again, &error), NPAD_STATUS_INVALID_ARGUMENT, "key is null");
  FAILS(npad_options_get(options, "size", NULL, &error), NPAD_STATUS_INVALID_ARGUMENT, "value is null");
  npad_options_free(options);
}

static void methods_and_devices(void) {
  npad_options *options = npad_options_new();
  size_t i, npad_found = 0, cpu_found = 0;
  CHECK(npad_method_count() >= 4 && npad_device_count() >= 2);
  for (i = 0; i < npad_method_count(); i++) {
    WORKS(npad_options_set(options, "method", npad_method_name(i), &error));
    CHECK(strlen(npad_method_help(i)) > 5);
    npad_found += strcmp(npad_method_name(i), "npad") == 0;
  }
  for (i = 0; i < npad_device_count(); i++) {
    WORKS(npad_options_set(options, "device", npad_device_name(i), &error));
    cpu_found += strcmp(npad_device_name(i), "cpu") == 0;
  }
  CHECK(npad_found == 1 && cpu_found == 1);
  CHECK(!npad_method_name(npad_method_count()) && !npad_method_help(npad_method_count()));
  CHECK(!npad_device_name(npad_device_count()));
  WORKS(npad_device_check("cpu", &error));
  WORKS(npad_device_check("auto", &error));
  /* No machine has so many. */
  FAILS(npad_device_check("cuda:999", &error), NPAD_STATUS_DEVICE, "device 'cuda:999' cannot be used");
  FAILS(npad_device_check("abacus", &error), NPAD_STATUS_INVALID_OPTION, "openvino[:CPU");
  FAILS(npad_device_check(NULL, &error), NPAD_STATUS_INVALID_ARGUMENT, "device is null");
  CHECK(npad_device_check("cuda:999", NULL) == NPAD_STATUS_DEVICE);
  npad_options_free(options);
}

static void model_getters(void) {
  npad_options *options = quick_options();
  npad_model *model = NULL;
  WORKS(npad_options_set(options, "size", "64x96", &error));
  WORKS(npad_options_set(options, "false_alarm_rate", "0.02", &error));
  WORKS(npad_fit(images, 10, options, &model, &error));
  CHECK(npad_model_input_height(model) == 64 && npad_model_input_width(model) == 96);
  CHECK(npad_model_image_count(model) == 10 && npad_model_false_alarm_rate(model) == 0.02);
  CHECK(strcmp(npad_model_method(model), "npad") == 0 && strcmp(npad_model_device(model), "cpu") == 0);
  CHECK(strlen(npad_model_backbone(model)) > 5 && npad_model_backbone(model) == npad_model_backbone(model));
  WORKS(npad_model_warm_up(model, SIDE, SIDE, &error));
  npad_model_free(model);
  npad_options_free(options);
}

int main(void) {
  make_images();
  options_are_complete();
  values();
  methods_and_devices();
  model_getters();
  return done();
}
