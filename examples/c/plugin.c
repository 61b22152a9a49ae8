/* A plug-in with a detection method of its own: each position and channel has a mean and a variance, and a position's
 * anomaly is the root mean square of how many standard deviations its features are away.
 *
 *     cc -shared -fPIC plugin.c -o libdiagonal.so -lm
 *     npad fit good/ -o part.npad --plugin ./libdiagonal.so --method diagonal --set diagonal.ridge=0.1 */

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "npad.h"

/* A fitter while it learns (mean and m2 as Welford's sums), a scorer afterwards (m2 as variance): `size` values each. */
typedef struct {
  int64_t images;
  int64_t size;
  float ridge;
  float *mean;
  float *m2;
} diagonal;

static int32_t fail(npad_callback_error *error, const char *why) {
  snprintf(error->message, sizeof error->message, "%s", why);
  return 1;
}

static void diagonal_free(void *handle) {
  diagonal *d = handle;
  free(d->mean);
  free(d->m2);
  free(d);
}

static diagonal *diagonal_new(int64_t size) {
  diagonal *d = calloc(1, sizeof *d);
  if (!d) return NULL;
  d->size = size;
  d->mean = calloc((size_t)size + 1, sizeof *d->mean);
  d->m2 = calloc((size_t)size + 1, sizeof *d->m2);
  if (d->mean && d->m2) return d;
  diagonal_free(d);
  return NULL;
}

static int32_t fitter_new(const char *const *values, uint64_t seed, void **fitter, npad_callback_error *error) {
  char *end = NULL;
  const float ridge = strtof(values[0], &end);
  diagonal *d;
  (void)seed;
  if (end == values[0] || *end || !(ridge > 0)) return fail(error, "diagonal.ridge must be a number above 0");
  d = diagonal_new(0);
  if (!d) return fail(error, "out of memory");
  d->ridge = ridge;
  *fitter = d;
  return 0;
}

static int32_t fitter_observe(void *fitter, const npad_features *features, npad_callback_error *error) {
  diagonal *d = fitter;
  const int64_t size = (int64_t)features->rows * features->cols * features->channels;
  int64_t i;
  if (d->images == 0) {
    diagonal *larger = diagonal_new(size);
    if (!larger) return fail(error, "out of memory");
    free(d->mean);
    free(d->m2);
    d->mean = larger->mean;
    d->m2 = larger->m2;
    d->size = size;
    free(larger);
  }
  if (size != d->size) return fail(error, "the features have another shape than before");
  d->images++;
  for (i = 0; i < size; i++) {
    const float off = features->data[i] - d->mean[i];
    d->mean[i] += off / (float)d->images;
    d->m2[i] += off * (features->data[i] - d->mean[i]);
  }
  return 0;
}

static int32_t fitter_finish(void *fitter, void **scorer, npad_callback_error *error) {
  const diagonal *d = fitter;
  diagonal *s = diagonal_new(d->size);
  int64_t i;
  if (!s) return fail(error, "out of memory");
  for (i = 0; i < d->size; i++) {
    s->mean[i] = d->mean[i];
    s->m2[i] = d->m2[i] / (float)d->images + d->ridge;
  }
  *scorer = s;
  return 0;
}

static int32_t scorer_score(const void *scorer, const npad_features *features, float *map, npad_callback_error *error) {
  const diagonal *s = scorer;
  int64_t i = 0;
  int position, channel;
  if ((int64_t)features->rows * features->cols * features->channels != s->size)
    return fail(error, "the features have another shape than in the fit");
  for (position = 0; position < features->rows * features->cols; position++) {
    float sum = 0;
    for (channel = 0; channel < features->channels; channel++, i++) {
      const float off = features->data[i] - s->mean[i];
      sum += off * off / s->m2[i];
    }
    map[position] = sqrtf(sum / (float)features->channels);
  }
  return 0;
}

static int32_t scorer_save(const void *scorer, npad_write_callback write, void *sink, npad_callback_error *error) {
  const diagonal *s = scorer;
  (void)error;
  write(sink, (const uint8_t *)s->mean, (size_t)s->size * sizeof *s->mean);
  write(sink, (const uint8_t *)s->m2, (size_t)s->size * sizeof *s->m2);
  return 0;
}

static int32_t scorer_load(const char *const *values, const uint8_t *data, size_t size, void **scorer,
                           npad_callback_error *error) {
  diagonal *s;
  (void)values;
  if (size % (2 * sizeof(float))) return fail(error, "the saved bytes are not whole");
  s = diagonal_new((int64_t)(size / (2 * sizeof(float))));
  if (!s) return fail(error, "out of memory");
  if (size > 0) {
    memcpy(s->mean, data, size / 2);
    memcpy(s->m2, data + size / 2, size / 2);
  }
  *scorer = s;
  return 0;
}

const npad_plugin *npad_plugin_entry(void);

const npad_plugin *npad_plugin_entry(void) {
  static const npad_plugin_parameter parameters[] = {
      {"ridge", "0.01", "added to every variance, in squared feature units"},
  };
  static npad_plugin plugin;
  plugin.size = sizeof plugin;
  plugin.abi_version = NPAD_PLUGIN_ABI;
  plugin.name = "diagonal";
  plugin.parameters = parameters;
  plugin.parameter_count = 1;
  plugin.parameter_size = sizeof parameters[0];
  plugin.fitter_new = fitter_new;
  plugin.fitter_observe = fitter_observe;
  plugin.fitter_finish = fitter_finish;
  plugin.fitter_free = diagonal_free;
  plugin.scorer_score = scorer_score;
  plugin.scorer_save = scorer_save;
  plugin.scorer_load = scorer_load;
  plugin.scorer_free = diagonal_free;
  return &plugin;
}
