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
  NULL_FITTER,
  NULL_SCORER,
  NULL_LOADED,
  MANY_PARAMETERS,
  OTHER_PARAMETER_SIZE,
  NEWER_TABLE,
  UNKNOWN_FIELD,
  OLD_TABLE,
  TWIN_PARAMETERS,
  NO_PARAMETERS,
  RESERVED_FIELD,
  SAVES_NULL,
  LIES,
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
  *fitter = LIE == NULL_FITTER ? NULL : &thing;
  return outcome(FAILS_TO_START, error);
}

static int32_t fitter_observe(void *fitter, const npad_features *features, npad_callback_error *error) {
  (void)fitter;
  (void)features;
  return outcome(FAILS_TO_LEARN, error);
}

static int32_t fitter_finish(void *fitter, void **scorer, npad_callback_error *error) {
  *scorer = LIE == NULL_SCORER ? NULL : fitter;
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
  write(sink, LIE == SAVES_NULL ? NULL : (const uint8_t *)"thing", 5);
  return outcome(FAILS_TO_SAVE, error);
}

static int32_t scorer_load(const char *const *values, const uint8_t *data, size_t size, void **scorer,
                           npad_callback_error *error) {
  (void)values;
  (void)data;
  (void)size;
  *scorer = LIE == NULL_LOADED ? NULL : &thing;
  return outcome(FAILS_TO_LOAD, error);
}

static void nothing_to_free(void *handle) { (void)handle; }

#define JOIN(a, b) a #b
#ifndef NAME_OF
#define NAME_OF(lie) JOIN("liar-", lie)
#endif
#define NAME(lie) NAME_OF(lie)

const npad_plugin *npad_plugin_entry(void);

const npad_plugin *npad_plugin_entry(void) {
  /* A table of a later version, with a field that this one lacks. */
  static struct {
    npad_plugin plugin;
    uint64_t later[8];
  } table;
  /* What version 1 of the interface began with: its number, and where the size is now, something else. */
  static const uint32_t old[64] = {1};
  static const npad_plugin_parameter parameters[] = {{"one", "1", "a parameter"}, {"one", "2", "its twin"}};
  npad_plugin *plugin = &table.plugin;
  if (LIE == NO_TABLE) return NULL;
  if (LIE == OLD_TABLE) return (const npad_plugin *)(const void *)old;
  plugin->size = LIE == OTHER_SIZE ? 8 : LIE == NEWER_TABLE || LIE == UNKNOWN_FIELD ? sizeof table : sizeof *plugin;
  plugin->abi_version = LIE == OTHER_VERSION ? 99 : NPAD_PLUGIN_ABI;
  plugin->name = LIE == BAD_NAME ? "No Name" : LIE == TAKEN_NAME ? "npad" : NAME(LIE);
  plugin->parameters = LIE == NO_PARAMETERS ? NULL : parameters;
  plugin->parameter_count = LIE == MANY_PARAMETERS ? 100000 : LIE == TWIN_PARAMETERS ? 2 : 1;
  plugin->reserved = LIE == RESERVED_FIELD;
  plugin->parameter_size = LIE == OTHER_PARAMETER_SIZE ? 7 : sizeof parameters[0];
  plugin->fitter_new = fitter_new;
  plugin->fitter_observe = fitter_observe;
  plugin->fitter_finish = fitter_finish;
  plugin->fitter_free = nothing_to_free;
  plugin->scorer_score = LIE == NO_FUNCTION ? NULL : scorer_score;
  plugin->scorer_save = scorer_save;
  plugin->scorer_load = scorer_load;
  plugin->scorer_free = nothing_to_free;
  table.later[7] = LIE == UNKNOWN_FIELD;
  return plugin;
}
