/* Cancels a fit at each report of its progress in turn: each time the trainer is as it was, and the repeated call
 * leads to the model of an undisturbed fit. */

#define _DEFAULT_SOURCE
#include "extractor.h"

enum { GOOD = 8 };

/* Reports until the one that cancels; below 0 none does. */
static int left;

static bool on_progress(const char *stage, size_t done_steps, size_t total, void *user_data) {
  CHECK(user_data == &left && stage[0] != 0 && (total == 0 || done_steps <= total));
  return left-- != 0;
}

static npad_options *options_of(const char *method) {
  npad_options *options = host_options(NULL);
  char name[32];
  snprintf(name, sizeof name, "%s.epochs", method);
  WORKS(npad_options_set(options, "method", method, &error));
  if (strstr("fastflow cflow pefm", method)) WORKS(npad_options_set(options, name, "2", &error));
  WORKS(npad_options_set_progress(options, on_progress, &left, &error));
  return options;
}

static int same_as(const npad_model *model, const npad_buffer *whole) {
  npad_buffer *bytes = NULL;
  int same;
  WORKS(npad_model_save_memory(model, &bytes, &error));
  same = npad_buffer_size(bytes) == npad_buffer_size(whole) &&
         memcmp(npad_buffer_data(bytes), npad_buffer_data(whole), npad_buffer_size(whole)) == 0;
  npad_buffer_free(bytes);
  return same;
}

/* One call of the fit, repeated once if it is cancelled. Returns how often it was. */
static int with_repetition(npad_trainer *trainer, int image, npad_model **model) {
  int attempt;
  for (attempt = 0; attempt < 2; attempt++) {
    npad_error *error = NULL;
    const npad_status status = image < GOOD ? npad_trainer_add_image(trainer, &images[image], &error)
                                            : npad_trainer_finish(trainer, model, &error);
    if (status == NPAD_STATUS_OK) return attempt;
    CHECK(status == NPAD_STATUS_CANCELLED && npad_error_status(error) == status && *model == NULL);
    CHECK(npad_trainer_image_count(trainer) == (size_t)image);
    npad_error_free(error);
  }
  CHECK(!"cancelled twice");
  return 2;
}

/* Cancels at the report of that number, counted from 0; returns whether there was one. */
static int cancelled_at(int report, const npad_options *options, const npad_buffer *whole) {
  npad_trainer *trainer = NULL;
  npad_model *model = NULL;
  int image, cancelled = 0;
  WORKS(npad_trainer_new(options, &trainer, &error));
  left = report;
  for (image = 0; image <= GOOD; image++) cancelled += with_repetition(trainer, image, &model);
  CHECK(cancelled <= 1 && model != NULL && same_as(model, whole));
  npad_model_free(model);
  npad_trainer_free(trainer);
  /* The same in one call. */
  left = report;
  model = NULL;
  if (cancelled)
    FAILS(npad_fit(images, GOOD, options, &model, &error), NPAD_STATUS_CANCELLED, "cancelled");
  CHECK(model == NULL);
  return cancelled;
}

int main(int argc, char **argv) {
  int m;
  if (argc < 2) return 2;
  make_images();
  for (m = 1; m < argc; m++) {
    npad_options *options = options_of(argv[m]);
    npad_model *model = NULL;
    npad_buffer *whole = NULL;
    int report = 0;
    left = -1;
    WORKS(npad_fit(images, GOOD, options, &model, &error));
    WORKS(npad_model_save_memory(model, &whole, &error));
    if (!whole) return 1;
    while (failures == 0 && cancelled_at(report, options, whole)) report++;
    printf("%s: cancelled at each of %d reports\n", argv[m], report);
    CHECK(report > GOOD);
    npad_model_free(model);
    npad_buffer_free(whole);
    npad_options_free(options);
  }
  return done();
}
