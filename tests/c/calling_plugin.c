/* The plug-in of the example, whose functions call back to the host before they work: the host sets `on_callback`. */

#define npad_plugin_entry entry_of_the_example
#include "../../examples/c/plugin.c"
#undef npad_plugin_entry

void (*on_callback)(const char *function);

static npad_plugin own;

static void tell(const char *function) {
  if (on_callback) on_callback(function);
}

static int32_t telling_new(const char *const *values, uint64_t seed, void **fitter, npad_callback_error *error) {
  tell("fitter_new");
  return fitter_new(values, seed, fitter, error);
}

static int32_t telling_observe(void *fitter, const npad_features *features, npad_callback_error *error) {
  tell("fitter_observe");
  return fitter_observe(fitter, features, error);
}

static int32_t telling_finish(void *fitter, void **scorer, npad_callback_error *error) {
  tell("fitter_finish");
  return fitter_finish(fitter, scorer, error);
}

static int32_t telling_score(const void *scorer, const npad_features *features, float *map,
                             npad_callback_error *error) {
  tell("scorer_score");
  return scorer_score(scorer, features, map, error);
}

static int32_t telling_save(const void *scorer, npad_write_callback write, void *sink, npad_callback_error *error) {
  tell("scorer_save");
  return scorer_save(scorer, write, sink, error);
}

static int32_t telling_load(const char *const *values, const uint8_t *data, size_t size, void **scorer,
                            npad_callback_error *error) {
  tell("scorer_load");
  return scorer_load(values, data, size, scorer, error);
}

const npad_plugin *npad_plugin_entry(void);

const npad_plugin *npad_plugin_entry(void) {
  own = *entry_of_the_example();
  own.name = "calling";
  own.fitter_new = telling_new;
  own.fitter_observe = telling_observe;
  own.fitter_finish = telling_finish;
  own.scorer_score = telling_score;
  own.scorer_save = telling_save;
  own.scorer_load = telling_load;
  return &own;
}
