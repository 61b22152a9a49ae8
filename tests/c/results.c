/* What scoring returns: maps of both kinds, regions and their shapes, the caller's buffers, and pictures. */

#include "check.h"

enum { STRIDE = SIDE + 3 };

static npad_model *model;
static npad_image scratched;
static npad_result *result;

static void shapes(void) {
  static uint8_t by_runs[SIDE * SIDE], box[SIDE * STRIDE], on_contour[SIDE * SIDE];
  const float *map = npad_result_map(result);
  const float threshold = npad_model_threshold(model);
  const size_t regions = npad_result_region_count(result);
  size_t index, i, count = 99;
  int wrong = 0;
  CHECK(regions > 0);
  for (index = 0; index < regions; index++) {
    const int32_t *runs = npad_result_region_runs(result, index, &count), *contour;
    npad_region region;
    int64_t area = 0;
    int x, y;
    WORKS(npad_result_region(result, index, &region, sizeof region, &error));
    CHECK(region.calibrated_peak > 0.5f && region.peak > threshold);
    CHECK(runs != NULL && count > 0 && npad_result_region_runs(result, index, NULL) == runs);
    for (i = 0; i < count; i++) {
      const int32_t row = runs[3 * i], first = runs[3 * i + 1], end = runs[3 * i + 2];
      wrong += row < region.y || row >= region.y + region.height || first < region.x || end > region.x + region.width;
      wrong += first >= end || (i > 0 && (row < runs[3 * i - 3] || (row == runs[3 * i - 3] && first <= runs[3 * i - 1])));
      for (x = first; x < end; x++) by_runs[row * SIDE + x] = 255;
      area += end - first;
    }
    CHECK(area == region.area);
    memset(box, 7, sizeof box);
    WORKS(npad_result_region_mask(result, index, box, STRIDE, &error));
    for (y = 0; y < region.height; y++)
      for (x = 0; x < STRIDE; x++) {
        const uint8_t inside = x < region.width ? by_runs[(region.y + y) * SIDE + region.x + x] : 7;
        wrong += y * STRIDE + x < (region.height - 1) * STRIDE + region.width && box[y * STRIDE + x] != inside;
      }
    contour = npad_result_region_contour(result, index, &count);
    CHECK(contour != NULL && count > 0 && npad_result_region_contour(result, index, NULL) == contour);
    CHECK(contour[1] == region.y);
    for (i = 0; i < count; i++) {
      const int32_t *here = contour + 2 * i, *next = contour + 2 * ((i + 1) % count);
      wrong += by_runs[here[1] * SIDE + here[0]] != 255 || abs(here[0] - next[0]) > 1 || abs(here[1] - next[1]) > 1;
      on_contour[here[1] * SIDE + here[0]] = 1;
    }
    CHECK(on_contour[(int)region.y * SIDE + contour[0]]);
  }
  for (i = 0; i < SIDE * SIDE; i++) wrong += (by_runs[i] == 255) != (map[i] > threshold);
  CHECK(wrong == 0);

  CHECK(npad_result_region_runs(result, regions, &count) == NULL && count == 0);
  count = 99;
  CHECK(npad_result_region_contour(result, SIZE_MAX, &count) == NULL && count == 0);
  CHECK(npad_result_region_runs(NULL, 0, NULL) == NULL && npad_result_region_contour(NULL, 0, NULL) == NULL);
  FAILS(npad_result_region_mask(result, regions, box, 0, &error), NPAD_STATUS_INVALID_ARGUMENT, "does not exist");
  FAILS(npad_result_region_mask(NULL, 0, box, 0, &error), NPAD_STATUS_INVALID_ARGUMENT, "result is null");
  FAILS(npad_result_region_mask(result, 0, NULL, 0, &error), NPAD_STATUS_INVALID_ARGUMENT, "mask is null");
  FAILS(npad_result_region_mask(result, 0, box, 1, &error), NPAD_STATUS_INVALID_ARGUMENT, "the mask's stride is 1");
  FAILS(npad_result_region_mask(result, 0, box, -9, &error), NPAD_STATUS_INVALID_ARGUMENT, "the mask's stride is -9");
}

static void maps_in_bytes(void) {
  static uint8_t tight[SIDE * SIDE], padded[SIDE * STRIDE];
  const float *map = npad_result_map(result);
  const float threshold = npad_model_threshold(model);
  int i, wrong = 0;
  memset(padded, 77, sizeof padded);
  WORKS(npad_result_map_u8(result, tight, 0, &error));
  WORKS(npad_result_map_u8(result, padded, STRIDE, &error));
  for (i = 0; i < SIDE * SIDE; i++) {
    wrong += (tight[i] >= 128) != (map[i] > threshold) || padded[i / SIDE * STRIDE + i % SIDE] != tight[i];
  }
  for (i = 0; i < SIDE - 1; i++) wrong += padded[i * STRIDE + SIDE] != 77;
  CHECK(wrong == 0);
  FAILS(npad_result_map_u8(NULL, tight, 0, &error), NPAD_STATUS_INVALID_ARGUMENT, "result is null");
  FAILS(npad_result_map_u8(result, NULL, 0, &error), NPAD_STATUS_INVALID_ARGUMENT, "map is null");
  FAILS(npad_result_map_u8(result, tight, SIDE - 1, &error), NPAD_STATUS_INVALID_ARGUMENT, "at least 64");
  FAILS(npad_result_map_u8(result, tight, INT64_MAX, &error), NPAD_STATUS_INVALID_ARGUMENT, "exceed");
}

static void own_buffers(void) {
  static float map[STRIDE * SIDE];
  static uint8_t bytes[STRIDE * SIDE], expected[SIDE * SIDE];
  npad_region regions[2], first;
  npad_output output = {0}, bare = {0};
  int y, x, same = 1;
  WORKS(npad_result_map_u8(result, expected, 0, &error));
  for (x = 0; x < STRIDE * SIDE; x++) map[x] = -7;
  memset(bytes, 77, sizeof bytes);
  output.size = bare.size = sizeof output;
  output.map = map;
  output.map_stride = STRIDE * sizeof(float);
  output.map_u8 = bytes;
  output.map_u8_stride = STRIDE;
  output.regions = regions;
  output.region_size = sizeof regions[0];
  output.region_capacity = 2;
  WORKS(npad_score_into(model, &scratched, &output, &error));
  for (y = 0; y < SIDE; y++)
    for (x = 0; x < STRIDE; x++) {
      same &= map[y * STRIDE + x] == (x < SIDE ? npad_result_map(result)[y * SIDE + x] : -7);
      same &= bytes[y * STRIDE + x] == (x < SIDE ? expected[y * SIDE + x] : 77);
    }
  CHECK(same);
  CHECK(output.score == npad_result_score(result) && output.calibrated_score == npad_result_calibrated_score(result));
  CHECK(output.verdict == NPAD_VERDICT_DEFECTIVE && npad_result_verdict(result) == NPAD_VERDICT_DEFECTIVE);
  CHECK(output.region_count == npad_result_region_count(result) && output.region_count > 0);
  WORKS(npad_result_region(result, 0, &first, sizeof first, &error));
  CHECK(memcmp(&first, &regions[0], sizeof first) == 0);
  bare.region_capacity = 99;
  WORKS(npad_score_into(model, &scratched, &bare, &error));
  CHECK(bare.score == output.score && bare.region_count == output.region_count && bare.verdict == output.verdict);
  bare.map_u8 = bytes;
  WORKS(npad_score_into(model, &scratched, &bare, &error));
  CHECK(memcmp(bytes, expected, sizeof expected) == 0);

  output.score = -1;
  output.map_stride = 10;
  FAILS(npad_score_into(model, &scratched, &output, &error), NPAD_STATUS_INVALID_ARGUMENT, "at least 256");
  output.map_stride = 258;
  FAILS(npad_score_into(model, &scratched, &output, &error), NPAD_STATUS_INVALID_ARGUMENT, "multiple of 4");
  output.map_stride = -4;
  FAILS(npad_score_into(model, &scratched, &output, &error), NPAD_STATUS_INVALID_ARGUMENT, "stride is -4 bytes");
  output.map_stride = INT64_MAX / 4 * 4;
  FAILS(npad_score_into(model, &scratched, &output, &error), NPAD_STATUS_INVALID_ARGUMENT, "exceed the address space");
  output.map_stride = 0;
  output.map = (float *)(void *)(bytes + 1);
  FAILS(npad_score_into(model, &scratched, &output, &error), NPAD_STATUS_INVALID_ARGUMENT, "the map: ");
  output.map = map;
  output.map_u8_stride = 3;
  FAILS(npad_score_into(model, &scratched, &output, &error), NPAD_STATUS_INVALID_ARGUMENT, "the 8-bit map's stride is 3");
  CHECK(output.score == -1);
  FAILS(npad_score_into(model, &scratched, NULL, &error), NPAD_STATUS_INVALID_ARGUMENT, "output is null");
  FAILS(npad_score_into(NULL, &scratched, &output, &error), NPAD_STATUS_INVALID_ARGUMENT, "model is null");
}

static void batches(void) {
  static float maps[3][SIDE * SIDE];
  npad_output outputs[3], one = {0};
  npad_image three[3];
  int n;
  memset(outputs, 0, sizeof outputs);
  for (n = 0; n < 3; n++) {
    three[n] = n == 1 ? scratched : images[n];
    outputs[n].size = sizeof outputs[n];
    outputs[n].map = maps[n];
  }
  WORKS(npad_score_batch_into(model, three, 3, NULL, outputs, &error));
  for (n = 0; n < 3; n++) {
    static float map[SIDE * SIDE];
    one.size = sizeof one;
    one.map = map;
    WORKS(npad_score_into(model, &three[n], &one, &error));
    CHECK(one.score == outputs[n].score && one.verdict == outputs[n].verdict && one.region_count == outputs[n].region_count);
    CHECK(memcmp(map, maps[n], sizeof map) == 0);
  }
  outputs[2].map_stride = 4;
  FAILS(npad_score_batch_into(model, three, 3, NULL, outputs, &error), NPAD_STATUS_INVALID_ARGUMENT, "image 2: the map's");
  three[1].width = 0;
  FAILS(npad_score_batch_into(model, three, 3, NULL, outputs, &error), NPAD_STATUS_INVALID_IMAGE, "image 1: ");
  FAILS(npad_score_batch_into(model, three, 3, NULL, NULL, &error), NPAD_STATUS_INVALID_ARGUMENT, "outputs is null");
  FAILS(npad_score_batch_into(model, NULL, 3, NULL, outputs, &error), NPAD_STATUS_INVALID_ARGUMENT, "images is null");
  FAILS(npad_score_batch_into(NULL, three, 3, NULL, outputs, &error), NPAD_STATUS_INVALID_ARGUMENT, "model is null");
  WORKS(npad_score_batch_into(model, NULL, 0, NULL, NULL, &error));
}

static void pictures(void) {
  enum { PADDED = 3 * STRIDE };
  static uint8_t tight[3 * SIDE * SIDE], padded[PADDED * SIDE], expected[3 * SIDE * SIDE];
  static float map[STRIDE * SIDE];
  static npad_region regions[SIDE];
  npad_output output = {0}, wrong;
  const int rgb = NPAD_PIXEL_FORMAT_RGB8, bgr = NPAD_PIXEL_FORMAT_BGR8;
  int i, same = 1;
  output.size = sizeof output;
  output.map = map;
  output.map_stride = STRIDE * sizeof(float);
  output.regions = regions;
  output.region_size = sizeof regions[0];
  output.region_capacity = SIDE;
  WORKS(npad_score_into(model, &scratched, &output, &error));
  WORKS(npad_render(model, &scratched, result, expected, 0, rgb, &error));
  WORKS(npad_render_output(model, &scratched, &output, tight, 0, rgb, &error));
  CHECK(memcmp(tight, expected, sizeof tight) == 0);
  memset(padded, 7, sizeof padded);
  WORKS(npad_render_output(model, &scratched, &output, padded, PADDED, bgr, &error));
  for (i = 0; i < SIDE * SIDE; i++) same &= padded[i / SIDE * PADDED + 3 * (i % SIDE)] == expected[3 * i + 2];
  CHECK(same && padded[3 * SIDE] == 7);
  FAILS(npad_render_output(NULL, &scratched, &output, tight, 0, rgb, &error), NPAD_STATUS_INVALID_ARGUMENT, "model is null");
  FAILS(npad_render_output(model, NULL, &output, tight, 0, rgb, &error), NPAD_STATUS_INVALID_ARGUMENT, "image is null");
  FAILS(npad_render_output(model, &scratched, NULL, tight, 0, rgb, &error), NPAD_STATUS_INVALID_ARGUMENT, "output is null");
  FAILS(npad_render_output(model, &scratched, &output, NULL, 0, rgb, &error), NPAD_STATUS_INVALID_ARGUMENT, "pixels is null");
  FAILS(npad_render_output(model, &scratched, &output, tight, 9, rgb, &error), NPAD_STATUS_INVALID_ARGUMENT, "at least 192");
  FAILS(npad_render_output(model, &scratched, &output, tight, 0, 0, &error), NPAD_STATUS_INVALID_ARGUMENT, "RGB8 or BGR8");
  wrong = output;
  wrong.map = NULL;
  FAILS(npad_render_output(model, &scratched, &wrong, tight, 0, rgb, &error), NPAD_STATUS_INVALID_ARGUMENT, "map is null");
  wrong = output;
  wrong.map_stride = 8;
  FAILS(npad_render_output(model, &scratched, &wrong, tight, 0, rgb, &error), NPAD_STATUS_INVALID_ARGUMENT, "at least 256");
  regions[0].x = SIDE;
  FAILS(npad_render_output(model, &scratched, &output, tight, 0, rgb, &error), NPAD_STATUS_INVALID_ARGUMENT,
        "not inside the image");
  regions[0].x = 1;
  regions[0].width = INT32_MAX;
  FAILS(npad_render_output(model, &scratched, &output, tight, 0, rgb, &error), NPAD_STATUS_INVALID_ARGUMENT,
        "not inside the image");
}

int main(void) {
  static uint8_t dark[SIDE * SIDE];
  npad_options *options = quick_options();
  make_images();
  memcpy(dark, pixels[11], sizeof dark);
  scratch(dark);
  scratched = images[11];
  scratched.data[0] = dark;
  WORKS(npad_fit(images, 10, options, &model, &error));
  npad_options_free(options);
  if (!model) return 1;
  WORKS(npad_score(model, &scratched, &result, &error));
  shapes();
  maps_in_bytes();
  own_buffers();
  batches();
  pictures();
  npad_result_free(result);
  npad_model_free(model);
  return done();
}
