/* A host's feature extractor that is fast and asks nothing of anybody: brightness and its changes at two strides. */
#ifndef EXTRACTOR_H
#define EXTRACTOR_H

#include "check.h"

static inline float extractor_change(float a, float b) { return a > b ? a - b : b - a; }

static int32_t extractor_run(void *user_data, const float *input, int32_t height, int32_t width, float *const *outputs,
                             npad_callback_error *error) {
  int tap, row, col, y, x;
  (void)user_data;
  (void)error;
  for (tap = 0; tap < 2; tap++) {
    const int stride = tap ? 8 : 4, rows = (height + stride - 1) / stride, cols = (width + stride - 1) / stride;
    for (row = 0; row < rows; row++)
      for (col = 0; col < cols; col++) {
        float mean = 0, across = 0, down = 0;
        for (y = row * stride; y < (row + 1) * stride && y + 1 < height; y++)
          for (x = col * stride; x < (col + 1) * stride && x + 1 < width; x++) {
            const float *at = input + y * width + x;
            mean += at[0];
            across += extractor_change(at[0], at[1]);
            down += extractor_change(at[0], at[width]);
          }
        outputs[tap][row * cols + col] = mean;
        outputs[tap][(rows + row) * cols + col] = across;
        outputs[tap][(2 * rows + row) * cols + col] = down;
      }
  }
  return 0;
}

/* Sets the extractor, and one thread. */
static inline void set_extractor(npad_options *options) {
  static const int32_t strides[] = {4, 8}, channels[] = {3, 3};
  npad_extractor table;
  memset(&table, 0, sizeof table);
  table.size = sizeof table;
  table.name = "changes";
  table.tap_count = 2;
  table.strides = strides;
  table.channels = channels;
  table.std[0] = table.std[1] = table.std[2] = 1.0f;
  table.extract = extractor_run;
  WORKS(npad_options_set_extractor(options, &table, &error));
}

#endif
