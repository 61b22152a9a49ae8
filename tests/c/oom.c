/* A limited address space: what does not fit is an error, nothing is printed, and what fits works as before. */

#define _POSIX_C_SOURCE 200809L
#include <sys/resource.h>
#include <unistd.h>

#include "check.h"

enum { LARGE = 20000 };

static struct rlimit unlimited;

/* Lets the process have what it has now, and a little more. */
static void limit_memory(void) {
  const rlim_t spare = 128 << 20;
  unsigned long pages = 0;
  struct rlimit limit;
  FILE *file = fopen("/proc/self/statm", "r");
  CHECK(file && fscanf(file, "%lu", &pages) == 1 && pages > 0);
  if (file) fclose(file);
  CHECK(getrlimit(RLIMIT_AS, &limit) == 0);
  unlimited = limit;
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

/* Saving, loading and exporting a model that is larger than the memory that is left. */
static void large_models(void) {
  enum { BLOCK = 64 << 10, SPARE = 48, MOST = 1 << 14 };
  static void *blocks[MOST];
  npad_options *options = quick_options();
  npad_model *model = NULL, *loaded = NULL, *detector = NULL;
  npad_buffer *buffer = NULL, *copy = NULL;
  size_t count = 0, spared = 0;
  WORKS(npad_options_set(options, "size", "256", &error));
  WORKS(npad_fit(images, 10, options, &detector, &error));
  WORKS(npad_options_set(options, "method", "spade", &error));
  WORKS(npad_options_set(options, "size", "512", &error));
  WORKS(npad_fit(images, 10, options, &model, &error));
  WORKS(npad_model_save(model, "large.npad", &error));
  WORKS(npad_model_save_memory(model, &buffer, &error));
  CHECK(npad_buffer_size(buffer) > 3 * SPARE * BLOCK);
  limit_memory();
  /* All of it is used up, and then enough for small allocations is given back. */
  while (count < MOST && (blocks[count] = malloc(BLOCK)) != NULL) count++;
  CHECK(count > SPARE && count < MOST);
  while (spared < SPARE) free(blocks[--count]), spared++;
  FAILS(npad_model_save_memory(model, &copy, &error), NPAD_STATUS_OUT_OF_MEMORY, "bytes");
  FAILS(npad_model_save(model, "large.npad", &error), NPAD_STATUS_OUT_OF_MEMORY, "bytes");
  FAILS(npad_model_load("large.npad", options, &loaded, &error), NPAD_STATUS_OUT_OF_MEMORY, "bytes");
  FAILS(npad_model_load_memory(npad_buffer_data(buffer), npad_buffer_size(buffer), options, &loaded, &error),
        NPAD_STATUS_OUT_OF_MEMORY, "bytes");
  FAILS(npad_model_export(detector, "large.onnx", NULL, &error), NPAD_STATUS_OUT_OF_MEMORY, "bytes");
  CHECK(copy == NULL && loaded == NULL);
  CHECK(access("large.onnx", F_OK) != 0 && access("large.json", F_OK) != 0);
  while (count > 0) free(blocks[--count]);
  WORKS(npad_model_load("large.npad", options, &loaded, &error));
  npad_model_free(loaded);
  npad_model_free(model);
  npad_model_free(detector);
  npad_buffer_free(buffer);
  npad_options_free(options);
}

/* A thread makes the first load of a process faster, but is not needed. The environment asks for impossible stacks. */
static int without_threads(void) {
  npad_options *options = npad_options_new();
  npad_model *model = NULL;
  WORKS(npad_options_set(options, "threads", "2", &error));
  FAILS(npad_model_load("large.npad", options, &model, &error), NPAD_STATUS_OUT_OF_MEMORY, "worker threads");
  WORKS(npad_options_set(options, "threads", "1", &error));
  WORKS(npad_model_load("large.npad", options, &model, &error));
  npad_model_free(model);
  npad_options_free(options);
  return done();
}

/* Without the smallest block, nor one for a thread. */
static int without_blocks(void) {
  enum { MANY = 64, LONG = 64 << 10 };
  static struct block { struct block *next; } *blocks, *block;
  static char text[LONG + 1];
  npad_options *options = npad_options_new(), *more[MANY];
  npad_trainer *trainer = NULL;
  npad_model *model = NULL, *unset = (npad_model *)text;
  size_t size, i;
  WORKS(npad_options_set(options, "threads", "2", &error));
  for (i = 0; i < MANY; i++) more[i] = npad_options_new();
  memset(text, 'a', LONG);
  limit_memory();
  for (size = 1 << 20; size >= sizeof *block; size /= 2)
    while ((block = malloc(size)) != NULL) {
      block->next = blocks;
      blocks = block;
    }
  FAILS(npad_model_load("large.npad", options, &model, &error), NPAD_STATUS_OUT_OF_MEMORY, "");
  FAILS(npad_trainer_new(options, &trainer, &error), NPAD_STATUS_OUT_OF_MEMORY, "");
  CHECK(npad_options_new() == NULL && npad_cancellation_new() == NULL);
  /* The reserve is used up, too. */
  for (i = 0; i < MANY && npad_options_set(more[i], "backbone", text, NULL) == NPAD_STATUS_OK; i++) continue;
  FAILS(npad_model_load("large.npad", options, &unset, &error), NPAD_STATUS_OUT_OF_MEMORY, "");
  CHECK(unset == NULL && i > 0);
  for (i = 0; i < MANY; i++) npad_options_free(more[i]);
  while ((block = blocks) != NULL) {
    blocks = block->next;
    free(block);
  }
  CHECK(setrlimit(RLIMIT_AS, &unlimited) == 0);
  WORKS(npad_model_load("large.npad", options, &model, &error));
  npad_model_free(model);
  npad_options_free(options);
  return done();
}

/* A file that is no model is refused before it is read, however large it is. */
static void large_files(void) {
  npad_model *model = NULL;
  FILE *file = fopen("sparse.npad", "w");
  CHECK(file && ftruncate(fileno(file), (off_t)1 << 40) == 0);
  if (file) fclose(file);
  FAILS(npad_model_load("sparse.npad", NULL, &model, &error), NPAD_STATUS_INVALID_MODEL, "not an intact npad model");
  CHECK(model == NULL);
}

int main(int argc, char **argv) {
  npad_options *options;
  npad_model *model = NULL;
  npad_result *result = NULL, *results[2];
  npad_output output = {0}, outputs[2];
  npad_image large, batch[2];
  npad_mask mask = {0};
  uint8_t *black = calloc(LARGE, LARGE);
  float before;
  int round;
  if (argc == 2 && strcmp(argv[1], "without-threads") == 0) return without_threads();
  if (argc == 2 && strcmp(argv[1], "without-blocks") == 0) return without_blocks();
  options = quick_options();
  make_images();
  large_files();
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
  large_models();
  return done();
}
