/* A plug-in whose functions use npad themselves: other objects work, those of the call refuse, and no call waits.
 *
 *     calls_of_plugins PLUGIN         calling_plugin.c as a shared library */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <unistd.h>

#include "extractor.h"

static const char *const functions[] = {"fitter_new",   "fitter_observe", "fitter_finish",
                                        "scorer_score", "scorer_save",    "scorer_load"};
enum { FUNCTIONS = sizeof functions / sizeof functions[0] };

static const char *plugin;
static npad_model *other, *same;
static npad_trainer *trainer;
static int calls[FUNCTIONS], inside;

static float score_with(const npad_model *model) {
  npad_result *result = NULL;
  float score;
  WORKS(npad_score(model, &images[11], &result, &error));
  score = npad_result_score(result);
  npad_result_free(result);
  return score;
}

static void use_npad(const char *function) {
  npad_result *result = NULL;
  npad_model *none = NULL;
  int f;
  if (inside) return;
  inside = 1;
  for (f = 0; f < FUNCTIONS; f++) calls[f] += strcmp(function, functions[f]) == 0;
  CHECK(score_with(other) > 0);
  FAILS(npad_plugin_load(plugin, &error), NPAD_STATUS_PLUGIN, "already exists");
  CHECK(npad_method_count() > 4);
  if (trainer) {
    FAILS(npad_trainer_add_image(trainer, &images[10], &error), NPAD_STATUS_WRONG_STATE, "in use");
    FAILS(npad_trainer_finish(trainer, &none, &error), NPAD_STATUS_WRONG_STATE, "in use");
  }
  if (same && strcmp(function, "scorer_score") == 0)
    FAILS(npad_score(same, &images[0], &result, &error), NPAD_STATUS_WRONG_STATE, "callback");
  CHECK(result == NULL && none == NULL);
  inside = 0;
}

int main(int argc, char **argv) {
  npad_options *options = host_options(NULL);
  npad_buffer *buffer = NULL;
  npad_model *loaded = NULL;
  npad_result *results[PARTS];
  void (**on_callback)(const char *);
  void *library;
  float expected;
  int n;
  if (argc != 2) return 2;
  /* A wait that never ends would end the test. */
  alarm(200);
  make_images();
  plugin = argv[1];
  WORKS(npad_fit(images, 10, options, &other, &error));
  WORKS(npad_plugin_load(plugin, &error));
  library = dlopen(plugin, RTLD_NOW);
  on_callback = library ? (void (**)(const char *))dlsym(library, "on_callback") : NULL;
  if (!other || !on_callback) return 1;
  WORKS(npad_options_set(options, "method", "calling", &error));
  WORKS(npad_options_set(options, "max_calls", "1", &error));
  WORKS(npad_fit(images, 10, options, &loaded, &error));
  expected = score_with(loaded);
  npad_model_free(loaded);

  *on_callback = use_npad;
  WORKS(npad_trainer_new(options, &trainer, &error));
  for (n = 0; n < 10; n++) WORKS(npad_trainer_add_image(trainer, &images[n], &error));
  WORKS(npad_trainer_finish(trainer, &same, &error));
  npad_trainer_free(trainer);
  trainer = NULL;
  CHECK(score_with(same) == expected);
  WORKS(npad_score_batch(same, images, PARTS, NULL, results, &error));
  CHECK(npad_result_score(results[11]) == expected);
  for (n = 0; n < PARTS; n++) npad_result_free(results[n]);
  WORKS(npad_model_save_memory(same, &buffer, &error));
  npad_model_free(same);
  same = NULL;
  WORKS(npad_model_load_memory(npad_buffer_data(buffer), npad_buffer_size(buffer), options, &loaded, &error));
  CHECK(score_with(loaded) == expected);
  for (n = 0; n < FUNCTIONS; n++)
    if (calls[n] == 0) fprintf(stderr, "%s was not called\n", functions[n]), failures++;

  *on_callback = NULL;
  npad_buffer_free(buffer);
  npad_model_free(loaded);
  npad_model_free(other);
  npad_options_free(options);
  dlclose(library);
  return done();
}
