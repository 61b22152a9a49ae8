/* A limited address space: what does not fit is an error, nothing is printed, and what fits works as before. */

#define _POSIX_C_SOURCE 200809L
#include <sys/resource.h>
#include <unistd.h>

#include "check.h"

enum { LARGE = 20000 };

/* Lets the process have what it has now, and a little more. */
static void limit_memory(void) {
  const rlim_t spare = 128 << 20;
  unsigned long pages = 0;
  struct rlimit limit;
  FILE *file = fopen("/proc/self/statm", "r");
  CHECK(file && fscanf(file, "%lu", &pages) == 1 && pages > 0);
  if (file) fclose(file);
  CHECK(getrlimit(RLIMIT_AS, &limit) == 0);
  limit.rlim_cur = (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE) + spare;
  CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
}

static float score_of(const npad_model *model, const npad_image *image) {
  npad_result *result = NULL;
  float score;
  WORKS(npad_score(model, image, &result, &error));
  score = npad_result_score(result);
  npad_result_free(result);
  return score;
}

int main(void) {
  npad_options *options = quick_options();
  npad_model *model = NULL;
  npad_result *result = NULL, *results[2];
  npad_output output = {0}, outputs[2];
  npad_image large, batch[2];
  npad_mask mask = {0};
  uint8_t *black = calloc(LARGE, LARGE);
  float before;
  int round;
  make_images();
  large = images[0];
  large.data[0] = black;
  large.width = large.height = LARGE;
  batch[0] = images[0];
  batch[1] = large;
  memset(outputs, 0, sizeof outputs);
  output.size = outputs[0].size = outputs[1].size = sizeof output;
  mask.size = sizeof mask;
  mask.data = black;
  mask.width = mask.height = LARGE;
  WORKS(npad_fit(images, 10, options, &model, &error));
  if (!model || !black) return 1;
  before = score_of(model, &images[11]);
  limit_memory();
  for (round = 0; round < 2; round++) {
    FAILS(npad_score(model, &large, &result, &error), NPAD_STATUS_OUT_OF_MEMORY, "bytes");
    CHECK(result == NULL);
    FAILS(npad_score_into(model, &large, &output, &error), NPAD_STATUS_OUT_OF_MEMORY, "bytes");
    FAILS(npad_score_batch(model, batch, 2, NULL, results, &error), NPAD_STATUS_OUT_OF_MEMORY, "bytes");
    CHECK(results[0] == NULL && results[1] == NULL);
    FAILS(npad_score_batch_into(model, batch, 2, NULL, outputs, &error), NPAD_STATUS_OUT_OF_MEMORY, "bytes");
    FAILS(npad_model_warm_up(model, LARGE, LARGE, &error), NPAD_STATUS_OUT_OF_MEMORY, "bytes");
    FAILS(npad_options_set_mask(options, &mask, &error), NPAD_STATUS_OUT_OF_MEMORY, "bytes");
    CHECK(score_of(model, &images[11]) == before);
  }
  npad_model_free(model);
  npad_options_free(options);
  free(black);
  return done();
}
