/* A plug-in that misbehaves in the way that LIE names; 0 is honest. */

#include <math.h>
#include <stddef.h>
#include <stdio.h>

#include "npad.h"

enum {
  HONEST,
  OTHER_VERSION,
  OTHER_SIZE,
  NO_TABLE,
  BAD_NAME,
  TAKEN_NAME,
  NO_FUNCTION,
  FAILS_TO_START,
  FAILS_TO_LEARN,
  FAILS_TO_FINISH,
  FAILS_TO_SCORE,
  WRITES_NAN,
  WRITES_NEGATIVES,
  WRITES_NOTHING,
  FAILS_TO_SAVE,
  FAILS_TO_LOAD,
  SILENT,
};

static int thing;

static int32_t outcome(int lie, npad_callback_error *error) {
  if (LIE == SILENT && lie == FAILS_TO_LEARN) return 7;
  if (LIE != lie) return 0;
  snprintf(error->message, sizeof error->message, "told to fail as number %d", lie);
  return 42;
}

static int32_t fitter_new(const char *const *values, uint64_t seed, void **fitter, npad_callback_error *error) {
  (void)values;
  (void)seed;
  *fitter = &thing;
  return outcome(FAILS_TO_START, error);
}

static int32_t fitter_observe(void *fitter, const npad_features *features, npad_callback_error *error) {
  (void)fitter;
  (void)features;
  return outcome(FAILS_TO_LEARN, error);
}

static int32_t fitter_finish(void *fitter, void **scorer, npad_callback_error *error) {
  *scorer = fitter;
  return outcome(FAILS_TO_FINISH, error);
}

static int32_t scorer_score(const void *scorer, const npad_features *features, float *map, npad_callback_error *error) {
  int i;
  (void)scorer;
  if (LIE == WRITES_NOTHING) return 0;
  for (i = 0; i < features->rows * features->cols; i++) map[i] = features->data[i * features->channels] > 0 ? 1.0f : 0.5f;
  if (LIE == WRITES_NAN) map[3] = nanf("");
  if (LIE == WRITES_NEGATIVES) map[3] = -1.0f;
  return outcome(FAILS_TO_SCORE, error);
}

static int32_t scorer_save(const void *scorer, npad_write_callback write, void *sink, npad_callback_error *error) {
  (void)scorer;
  write(sink, (const uint8_t *)"thing", 5);
  return outcome(FAILS_TO_SAVE, error);
}

static int32_t scorer_load(const char *const *values, const uint8_t *data, size_t size, void **scorer,
                           npad_callback_error *error) {
  (void)values;
  (void)data;
  (void)size;
  *scorer = &thing;
  return outcome(FAILS_TO_LOAD, error);
}

static void nothing_to_free(void *handle) { (void)handle; }

#define JOIN(a, b) a #b
#define NAME_OF(lie) JOIN("liar-", lie)
#define NAME(lie) NAME_OF(lie)

const npad_plugin *npad_plugin_entry(void);

const npad_plugin *npad_plugin_entry(void) {
  static npad_plugin plugin;
  if (LIE == NO_TABLE) return NULL;
  plugin.abi_version = LIE == OTHER_VERSION ? 99 : NPAD_PLUGIN_ABI;
  plugin.size = LIE == OTHER_SIZE ? 8 : sizeof plugin;
  plugin.name = LIE == BAD_NAME ? "No Name" : LIE == TAKEN_NAME ? "npad" : NAME(LIE);
  plugin.fitter_new = fitter_new;
  plugin.fitter_observe = fitter_observe;
  plugin.fitter_finish = fitter_finish;
  plugin.fitter_free = nothing_to_free;
  plugin.scorer_score = LIE == NO_FUNCTION ? NULL : scorer_score;
  plugin.scorer_save = scorer_save;
  plugin.scorer_load = scorer_load;
  plugin.scorer_free = nothing_to_free;
  return &plugin;
}
