/* A program that was built against today's header, with a library whose structs have 16 bytes more: tests/growth.rs. */

#include "check.h"

static npad_model *model;

/* Takes two fields that this header lacks, and so is not the library of this header. */
static void the_library_has_grown(void) {
  struct {
    npad_image image;
    uint64_t later[3];
  } newer;
  npad_result *result = NULL;
  memset(&newer, 0, sizeof newer);
  newer.image = images[0];
  newer.image.size = sizeof newer.image + 16;
  newer.later[1] = 1;
  WORKS(npad_score(model, &newer.image, &result, &error));
  npad_result_free(result);
  newer.image.size = sizeof newer;
  WORKS(npad_score(model, &newer.image, &result, &error));
  npad_result_free(result);
  newer.later[2] = 1;
  FAILS(npad_score(model, &newer.image, &result, &error), NPAD_STATUS_INVALID_ARGUMENT, "newer header");
}

/* What lies behind the caller's structs is not the library's. */
static void nothing_is_written_behind(void) {
  struct {
    npad_region region;
    uint64_t behind[4];
  } one;
  struct {
    npad_output output;
    uint64_t behind[4];
  } single;
  npad_output outputs[3];
  npad_region regions[4];
  npad_result *result = NULL;
  npad_image three[3];
  uint8_t dark[SIDE * SIDE];
  int i;
  memcpy(dark, pixels[11], sizeof dark);
  scratch(dark);
  three[0] = images[0];
  three[1] = images[11];
  three[1].data[0] = dark;
  three[2] = images[2];
  memset(&one, 0x55, sizeof one);
  WORKS(npad_score(model, &three[1], &result, &error));
  struct {
    npad_known_defects known;
    unsigned char guard[16];
  } defects;
  memset(&defects, 0x5a, sizeof defects);
  defects.known.size = sizeof defects.known;
  WORKS(npad_model_known_defects(model, &defects.known, &error));
  CHECK(defects.known.count == 0 && defects.guard[0] == 0x5a && defects.guard[15] == 0x5a);
  WORKS(npad_result_region(result, 0, &one.region, sizeof one.region, &error));
  for (i = 0; i < 4; i++) CHECK(one.behind[i] == 0x5555555555555555u);

  memset(regions, 0x55, sizeof regions);
  memset(&single, 0x55, sizeof single);
  memset(&single.output, 0, sizeof single.output);
  single.output.size = sizeof single.output;
  single.output.regions = regions;
  single.output.region_size = sizeof regions[0];
  single.output.region_capacity = 1;
  WORKS(npad_score_into(model, &three[1], &single.output, &error));
  for (i = 0; i < 4; i++) CHECK(single.behind[i] == 0x5555555555555555u);
  CHECK(memcmp(&regions[0], &one.region, sizeof one.region) == 0 && regions[1].x == 0x55555555);
  CHECK(single.output.size == sizeof single.output && single.output.region_count > 0);

  memset(outputs, 0, sizeof outputs);
  for (i = 0; i < 3; i++) outputs[i].size = sizeof outputs[i];
  WORKS(npad_score_batch_into(model, three, 3, NULL, outputs, &error));
  CHECK(outputs[1].score == npad_result_score(result) && outputs[1].verdict == NPAD_VERDICT_DEFECTIVE);
  CHECK(outputs[0].score > 0 && outputs[0].score < outputs[1].score);
  CHECK(outputs[2].score > 0 && outputs[2].score < outputs[1].score);
  npad_result_free(result);
}

int main(void) {
  npad_options *options = quick_options();
  make_images();
  WORKS(npad_fit(images, 10, options, &model, &error));
  npad_options_free(options);
  if (!model) return 1;
  the_library_has_grown();
  nothing_is_written_behind();
  npad_model_free(model);
  return done();
}
