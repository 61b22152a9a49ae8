/* A program of npad 0.1, compiled against its header, which tests/compatibility.rs runs with today's library.
 *
 *   client                  compares the versions before any other call, as the header asks for
 *   client MODEL unchecked  does not: what has changed must be refused, and the rest must work
 *
 * A 0.1 struct has no size: where today's begin with theirs, it has a pointer. */

#include <stdio.h>
#include <string.h>

#include "npad-0.1.h"

#define SIDE 64
#define COUNT 12

static int failures = 0;

static void check(int condition, const char *what, int line) {
  if (condition) return;
  fprintf(stderr, "line %d: %s\n", line, what);
  failures++;
}

#define CHECK(condition) check((condition) != 0, #condition, __LINE__)

/* The call must be refused for the size of a struct. */
#define REFUSED(call)                                                                                 \
  do {                                                                                                \
    npad_error *error = NULL;                                                                         \
    CHECK((call) == NPAD_STATUS_INVALID_ARGUMENT);                                                    \
    CHECK(npad_error_status(error) == NPAD_STATUS_INVALID_ARGUMENT);                                  \
    if (!strstr(npad_error_message(error), "must be sizeof(")) {                                      \
      fprintf(stderr, "line %d: '%s'\n", __LINE__, npad_error_message(error));                        \
      failures++;                                                                                     \
    }                                                                                                 \
    npad_error_free(error);                                                                           \
  } while (0)

static uint8_t pixels[SIDE * SIDE];
static npad_image images[COUNT];

static void use(const char *path) {
  npad_options *options = npad_options_new();
  npad_trainer *trainer = NULL;
  npad_model *model = NULL, *changed = NULL;
  npad_result *result = NULL;
  npad_buffer *buffer = NULL;
  npad_error *error = NULL;
  npad_mask mask = {NULL, SIDE, SIDE, 0};
  int n;
  mask.data = pixels;
  for (n = 0; n < COUNT; n++) {
    images[n].data[0] = pixels;
    images[n].width = images[n].height = SIDE;
    images[n].format = NPAD_PIXEL_FORMAT_GRAY8;
  }
  CHECK(npad_options_set(options, "size", "64", &error) == NPAD_STATUS_OK);
  CHECK(npad_options_set(options, "none", "64", &error) == NPAD_STATUS_INVALID_OPTION && error != NULL);
  npad_error_free(error);
  CHECK(npad_model_load(path, NULL, &model, &error) == NPAD_STATUS_OK);
  CHECK(npad_model_threshold(model) > 0 && strstr(npad_model_info(model), "0.1.0") != NULL);
  CHECK(npad_model_save_memory(model, &buffer, &error) == NPAD_STATUS_OK && npad_buffer_size(buffer) > 1000);
  npad_buffer_free(buffer);
  CHECK(npad_trainer_new(options, &trainer, &error) == NPAD_STATUS_OK && npad_trainer_image_count(trainer) == 0);

  REFUSED(npad_options_set_mask(options, &mask, &error));
  REFUSED(npad_fit(images, COUNT, options, &changed, &error));
  REFUSED(npad_trainer_add_image(trainer, &images[0], &error));
  REFUSED(npad_score(model, &images[0], &result, &error));
  REFUSED(npad_model_recalibrate(model, images, COUNT, NULL, &changed, &error));
  /* Also where the pointer is null. */
  images[0].data[0] = NULL;
  REFUSED(npad_score(model, &images[0], &result, &error));
  CHECK(changed == NULL && result == NULL && npad_trainer_image_count(trainer) == 0);

  npad_trainer_free(trainer);
  npad_model_free(model);
  npad_options_free(options);
}

int main(int argc, char **argv) {
  const uint32_t library = npad_version_number() / 1000, header = NPAD_VERSION_MAJOR * 1000 + NPAD_VERSION_MINOR;
  if (argc < 3 && library != header) {
    fprintf(stderr, "this program needs npad %d.%d, but the library is npad %s\n", NPAD_VERSION_MAJOR, NPAD_VERSION_MINOR,
            npad_version_string());
    return 3;
  }
  if (argc == 3) use(argv[1]);
  if (failures) return 1;
  puts("all as documented");
  return 0;
}
