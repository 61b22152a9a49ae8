/* A host with an inference engine of its own gives npad the features, and ONNX Runtime is never loaded. The "engine" here
 * averages brightness, and how much it changes, over squares of 4 and 8 pixels.
 *
 *     extractor MODEL        learns, saves MODEL, loads it again, and inspects a good and a scratched part */

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "npad.h"

enum { SIDE = 64, PARTS = 20, CHANNELS = 3 };

static const int32_t strides[] = {4, 8}, channels[] = {CHANNELS, CHANNELS};

/* What belongs to the engine; here, only how often it ran. */
typedef struct {
  long runs;
} engine;

/* One square: mean brightness, mean change to the right, mean change downwards. */
static void square(const float *red, int height, int width, int y0, int x0, int stride, float out[CHANNELS]) {
  int y, x, count = 0;
  out[0] = out[1] = out[2] = 0;
  for (y = y0; y < y0 + stride && y < height; y++)
    for (x = x0; x < x0 + stride && x < width; x++, count++) {
      const float v = red[y * width + x];
      out[0] += v;
      out[1] += fabsf(v - red[y * width + (x + 1 < width ? x + 1 : x)]);
      out[2] += fabsf(v - red[(y + 1 < height ? y + 1 : y) * width + x]);
    }
  for (x = 0; x < CHANNELS; x++) out[x] /= (float)count;
}

static int32_t extract(void *user_data, const float *input, int32_t height, int32_t width, float *const *outputs,
                       npad_callback_error *error) {
  int tap, y, x, c;
  if (height < 8 || width < 8) {
    snprintf(error->message, sizeof error->message, "an input of %d x %d is too small", height, width);
    return 1;
  }
  for (tap = 0; tap < 2; tap++) {
    const int stride = strides[tap], rows = (height + stride - 1) / stride, cols = (width + stride - 1) / stride;
    for (y = 0; y < rows; y++)
      for (x = 0; x < cols; x++) {
        float values[CHANNELS];
        square(input, height, width, y * stride, x * stride, stride, values);
        for (c = 0; c < CHANNELS; c++) outputs[tap][(c * rows + y) * cols + x] = values[c];
      }
  }
  ((engine *)user_data)->runs++;
  return 0;
}

static void free_engine(void *user_data) {
  printf("the engine ran %ld times\n", ((engine *)user_data)->runs);
  free(user_data);
}

/* Options that name the extractor. npad frees the engine when nothing needs it any more. */
static npad_options *options_with_extractor(npad_error **error) {
  npad_extractor table;
  npad_options *options = npad_options_new();
  engine *own = calloc(1, sizeof *own);
  int i;
  memset(&table, 0, sizeof table);
  table.size = sizeof table;
  table.name = "squares";
  table.tap_count = 2;
  table.strides = strides;
  table.channels = channels;
  for (i = 0; i < 3; i++) table.std[i] = 1.0f;
  table.extract = extract;
  table.free = free_engine;
  table.user_data = own;
  if (npad_options_set(options, "size", "64", error) == NPAD_STATUS_OK &&
      npad_options_set(options, "threads", "1", error) == NPAD_STATUS_OK &&
      npad_options_set(options, "grid_step", "1", error) == NPAD_STATUS_OK &&
      npad_options_set(options, "npad.regularisation", "0.0001", error) == NPAD_STATUS_OK &&
      npad_options_set_extractor(options, &table, error) == NPAD_STATUS_OK)
    return options;
  free(own);
  npad_options_free(options);
  return NULL;
}

static void part(unsigned seed, uint8_t *pixels) {
  int i;
  for (i = 0; i < SIDE * SIDE; i++) {
    seed = seed * 1664525u + 1013904223u;
    pixels[i] = (uint8_t)(90 + i % SIDE + (seed >> 28));
  }
}

static int inspect(const npad_model *model, const npad_image *image, const char *name, npad_error **error) {
  npad_result *result = NULL;
  if (npad_score(model, image, &result, error) != NPAD_STATUS_OK) return 0;
  printf("%s: %s\n", name, npad_result_is_anomalous(result) ? "DEFECTIVE" : "good");
  npad_result_free(result);
  return 1;
}

int main(int argc, char **argv) {
  static uint8_t pixels[PARTS + 1][SIDE * SIDE];
  npad_image images[PARTS + 1];
  npad_error *error = NULL;
  npad_model *model = NULL, *loaded = NULL;
  npad_options *options;
  int n, works;
  if (argc != 2) {
    fprintf(stderr, "usage: %s MODEL\n", argv[0]);
    return 2;
  }
  memset(images, 0, sizeof images);
  for (n = 0; n <= PARTS; n++) {
    part((unsigned)n + 1, pixels[n]);
    images[n].size = sizeof images[n];
    images[n].data[0] = pixels[n];
    images[n].width = images[n].height = SIDE;
    images[n].size = sizeof images[n];
    images[n].format = NPAD_PIXEL_FORMAT_GRAY8;
  }
  options = options_with_extractor(&error);
  works = options && npad_fit(images, PARTS, options, &model, &error) == NPAD_STATUS_OK &&
          npad_model_save(model, argv[1], &error) == NPAD_STATUS_OK &&
          npad_model_load(argv[1], options, &loaded, &error) == NPAD_STATUS_OK &&
          inspect(loaded, &images[PARTS], "fine", &error);
  for (n = 20; n < 40; n++) memset(pixels[PARTS] + n * SIDE + n, 10, 4);
  works = works && inspect(loaded, &images[PARTS], "scratched", &error);
  if (!works) fprintf(stderr, "%s\n", npad_error_message(error));
  npad_error_free(error);
  npad_options_free(options);
  npad_model_free(model);
  npad_model_free(loaded);
  return !works;
}
