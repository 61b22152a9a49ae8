/* Calls the packaged library, and fits a model where NPAD_ONNXRUNTIME says where ONNX Runtime is. */

#include <stdio.h>
#include <stdlib.h>

#include "npad.h"

enum { SIDE = 64, COUNT = 8 };

/* A grey part with a gradient and some noise; a scratched one has a dark spot. */
static npad_image part(unsigned seed, int scratched, uint8_t *pixels) {
  npad_image image = {0};
  unsigned state = seed * 2654435761u + 1;
  for (int i = 0; i < SIDE * SIDE; i++) {
    state = state * 1664525u + 1013904223u;
    pixels[i] = (uint8_t)(100 + i % SIDE + (state >> 28));
    if (scratched && i % SIDE >= 30 && i % SIDE < 38 && i / SIDE >= 20 && i / SIDE < 28) pixels[i] = 5;
  }
  image.size = sizeof image;
  image.data[0] = pixels;
  image.width = image.height = SIDE;
  image.format = NPAD_PIXEL_FORMAT_GRAY8;
  return image;
}

static int failed(npad_error *error) {
  fprintf(stderr, "%s\n", error ? npad_error_message(error) : "an unexpected result");
  npad_error_free(error);
  return 1;
}

int main(void) {
  static uint8_t pixels[COUNT + 1][SIDE * SIDE];
  npad_image good[COUNT], scratched = part(COUNT, 1, pixels[COUNT]);
  npad_options *options = npad_options_new();
  npad_model *model = NULL;
  npad_result *result = NULL;
  npad_error *error = NULL;

  printf("npad %s\n", npad_version_string());
  if (npad_version_number() != NPAD_VERSION_NUMBER || npad_option_count() == 0) return failed(NULL);
  if (npad_options_set(options, "size", "-1", &error) != NPAD_STATUS_INVALID_OPTION || !error) return failed(error);
  npad_error_free(error);
  error = NULL;

  if (getenv("NPAD_ONNXRUNTIME")) {
    for (unsigned n = 0; n < COUNT; n++) good[n] = part(n, 0, pixels[n]);
    if (npad_options_set(options, "size", "64", &error) != NPAD_STATUS_OK ||
        npad_fit(good, COUNT, options, &model, &error) != NPAD_STATUS_OK ||
        npad_score(model, &scratched, &result, &error) != NPAD_STATUS_OK)
      return failed(error);
    if (!npad_result_is_anomalous(result)) return failed(NULL);
    puts("the scratched part is found");
  }
  npad_result_free(result);
  npad_model_free(model);
  npad_options_free(options);
  return 0;
}
