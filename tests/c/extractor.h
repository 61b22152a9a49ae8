/* A host's feature extractor, which is quick and needs no ONNX Runtime: two outputs with values of the image itself. A
 * test may look on at every image. */
#ifndef EXTRACTOR_H
#define EXTRACTOR_H

#include "check.h"

/* Called before each image with the data of the extractor; may be null. */
static void (*on_extract)(void *user_data);

static int32_t extract(void *user_data, const float *input, int32_t height, int32_t width, float *const *outputs,
                       npad_callback_error *error) {
  int tap, i;
  (void)error;
  if (on_extract) on_extract(user_data);
  for (tap = 0; tap < 2; tap++) {
    const int stride = 8 << tap, positions = ((height + stride - 1) / stride) * ((width + stride - 1) / stride);
    for (i = 0; i < 4 * positions; i++) outputs[tap][i] = input[i * 13 % (height * width)];
  }
  return 0;
}

/* Options for quick fits whose files do not depend on the day. */
static inline npad_options *host_options(void *user_data) {
  static const int32_t strides[] = {8, 16}, channels[] = {4, 4};
  npad_extractor table = {0};
  npad_options *options = npad_options_new();
  table.size = sizeof table;
  table.name = "host";
  table.tap_count = 2;
  table.strides = strides;
  table.channels = channels;
  table.std[0] = table.std[1] = table.std[2] = 1;
  table.extract = extract;
  table.user_data = user_data;
  WORKS(npad_options_set(options, "size", "64", &error));
  WORKS(npad_options_set(options, "threads", "2", &error));
  WORKS(npad_options_set(options, "date", "none", &error));
  WORKS(npad_options_set_extractor(options, &table, &error));
  return options;
}

#endif
