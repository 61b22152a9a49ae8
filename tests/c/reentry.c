/* Callbacks that use npad themselves: they may use other objects, and the object of their own call refuses, without a
 * wait that would never end. */

#define _GNU_SOURCE
#include <pthread.h>
#include <unistd.h>

#include "extractor.h"

static npad_options *options;
/* Each with an extractor that is told which model it works for. */
static npad_model *models[2];
static int numbers[2] = {0, 1};
static float expected[PARTS];

/* What the extractor of the first model does with its next image. */
static void (*action)(void);
static int actions;

static void act(void *user_data) {
  void (*now)(void) = action;
  if (!now || user_data != &numbers[0]) return;
  /* Not again for images of its own. */
  action = NULL;
  actions++;
  now();
}

static float score_with(const npad_model *model, int part) {
  npad_result *result = NULL;
  float score;
  WORKS(npad_score(model, &images[part], &result, &error));
  score = npad_result_score(result);
  npad_result_free(result);
  return score;
}

/* Fits a model; the options are the caller's to change. */
static npad_model *fit_with(npad_options *with, int count) {
  npad_model *model = NULL;
  WORKS(npad_fit(images, (size_t)count, with, &model, &error));
  if (!model) exit(1);
  return model;
}

/* The same model with other limits of calls. */
static npad_model *limited(const npad_model *model, void *user_data, const char *max_calls, const char *timeout) {
  npad_options *limits = host_options(user_data);
  npad_buffer *buffer = NULL;
  npad_model *copy = NULL;
  WORKS(npad_options_set(limits, "max_calls", max_calls, &error));
  WORKS(npad_options_set(limits, "call_timeout", timeout, &error));
  WORKS(npad_model_save_memory(model, &buffer, &error));
  WORKS(npad_model_load_memory(npad_buffer_data(buffer), npad_buffer_size(buffer), limits, &copy, &error));
  if (!copy) exit(1);
  npad_buffer_free(buffer);
  npad_options_free(limits);
  return copy;
}

static npad_model *busy;

static void use_the_same_model(void) {
  npad_result *result = NULL, *results[2];
  npad_output outputs[2];
  npad_model *changed = NULL;
  memset(outputs, 0, sizeof outputs);
  outputs[0].size = outputs[1].size = sizeof outputs[0];
  FAILS(npad_score(busy, &images[0], &result, &error), NPAD_STATUS_WRONG_STATE, "callback");
  FAILS(npad_score_into(busy, &images[0], outputs, &error), NPAD_STATUS_WRONG_STATE, "callback");
  FAILS(npad_score_batch(busy, images, 2, NULL, results, &error), NPAD_STATUS_WRONG_STATE, "callback");
  FAILS(npad_score_batch_into(busy, images, 2, NULL, outputs, &error), NPAD_STATUS_WRONG_STATE, "callback");
  FAILS(npad_model_warm_up(busy, SIDE, SIDE, &error), NPAD_STATUS_WRONG_STATE, "callback");
  FAILS(npad_model_recalibrate(busy, images, PARTS, NULL, &changed, &error), NPAD_STATUS_WRONG_STATE, "callback");
  /* What needs no turn works. */
  CHECK(npad_model_threshold(busy) > 0);
  WORKS(npad_model_with_thresholds(busy, 1000, 1000, &changed, &error));
  /* Both share the limit. */
  FAILS(npad_score(changed, &images[0], &result, &error), NPAD_STATUS_WRONG_STATE, "callback");
  npad_model_free(changed);
  CHECK(result == NULL && results[0] == NULL && results[1] == NULL);
}

static void in_turn_of_the_same_model(void) {
  static const char *const limits[][2] = {{"1", "none"}, {"1", "0"}, {"4", "none"}, {"0", "20"}};
  int i;
  for (i = 0; i < 4; i++) {
    npad_result *results[3];
    int n;
    busy = limited(models[0], &numbers[0], limits[i][0], limits[i][1]);
    actions = 0;
    action = use_the_same_model;
    CHECK(score_with(busy, 11) == expected[11] && actions == 1);
    action = use_the_same_model;
    WORKS(npad_score_batch(busy, images, 3, NULL, results, &error));
    CHECK(actions == 2);
    for (n = 0; n < 3; n++) {
      CHECK(npad_result_score(results[n]) == expected[n]);
      npad_result_free(results[n]);
    }
    action = use_the_same_model;
    WORKS(npad_model_warm_up(busy, SIDE, SIDE, &error));
    CHECK(actions == 3);
    npad_model_free(busy);
  }
}

/* Another model works inside, with the same threads, and its extractor may not come back to the first one. */
static void use_another_model(void) {
  npad_result *results[PARTS];
  int n;
  WORKS(npad_score_batch(models[1], images, PARTS, NULL, results, &error));
  for (n = 0; n < PARTS; n++) npad_result_free(results[n]);
  CHECK(score_with(models[1], 3) == score_with(models[1], 3));
}

static void change_the_options(void) {
  npad_model *model = NULL;
  npad_extractor none = {0};
  none.size = sizeof none;
  WORKS(npad_options_set(options, "smoothing", "7", &error));
  WORKS(npad_options_set(options, "smoothing", "4", &error));
  FAILS(npad_options_set_extractor(options, &none, &error), NPAD_STATUS_PLUGIN, "null");
  WORKS(npad_fit(images, 4, options, &model, &error));
  npad_model_free(model);
}

static void load_and_save(void) {
  npad_model *copy = limited(models[1], &numbers[1], "1", "0");
  CHECK(score_with(copy, 5) == score_with(models[1], 5));
  npad_model_free(copy);
}

/* Every image of a batch does something. */
static void (*each)(void);

static void each_again(void) {
  each();
  action = each_again;
}

static void in_a_batch(void (*what)(void)) {
  npad_result *results[PARTS];
  int n;
  each = what;
  actions = 0;
  action = each_again;
  WORKS(npad_score_batch(models[0], images, PARTS, NULL, results, &error));
  action = NULL;
  CHECK(actions == PARTS);
  for (n = 0; n < PARTS; n++) {
    CHECK(npad_result_score(results[n]) == expected[n]);
    npad_result_free(results[n]);
  }
}

static npad_model *outer;

static void come_back(void *user_data) {
  npad_result *result = NULL;
  if (user_data == &numbers[0] && actions++ == 0) score_with(models[1], 0);
  if (user_data == &numbers[1])
    FAILS(npad_score(outer, &images[0], &result, &error), NPAD_STATUS_WRONG_STATE, "callback");
}

/* The first model's extractor uses the second model, whose extractor uses the first one. */
static void in_a_circle(void) {
  outer = limited(models[0], &numbers[0], "1", "none");
  on_extract = come_back;
  actions = 0;
  CHECK(score_with(outer, 2) == expected[2] && actions == 1);
  on_extract = act;
  npad_model_free(outer);
}

/* A fit may do all this as well: its images have no turn to wait for. */
static void in_a_fit(void (*what)(void)) {
  npad_model *model;
  each = what;
  actions = 0;
  action = each_again;
  model = fit_with(options, 10);
  action = NULL;
  CHECK(actions >= 10 && score_with(model, 11) == expected[11]);
  npad_model_free(model);
}

static pthread_t caller;
static int reports;

static bool on_progress(const char *stage, size_t done_steps, size_t total, void *user_data) {
  (void)stage;
  (void)done_steps;
  (void)total;
  CHECK(user_data == &reports && pthread_equal(caller, pthread_self()));
  CHECK(score_with(models[1], 3) > 0 && score_with(models[0], 4) == expected[4]);
  if (reports++ % 5 == 0) change_the_options();
  return true;
}

/* The options of a fit may be freed during it: they were copied. */
static bool on_last_progress(const char *stage, size_t done_steps, size_t total, void *user_data) {
  npad_options **mine = user_data;
  (void)stage;
  (void)done_steps;
  (void)total;
  npad_options_free(*mine);
  *mine = NULL;
  return true;
}

static void from_progress(void) {
  npad_options *told = host_options(&numbers[0]);
  npad_model *model;
  caller = pthread_self();
  WORKS(npad_options_set_progress(told, on_progress, &reports, &error));
  model = fit_with(told, 10);
  CHECK(reports > 10 && score_with(model, 11) == expected[11]);
  npad_model_free(model);
  WORKS(npad_options_set_progress(told, on_last_progress, &told, &error));
  model = fit_with(told, 10);
  CHECK(told == NULL && score_with(model, 11) == expected[11]);
  npad_model_free(model);
}

static npad_cancellation *cancellation;
static int images_left;

static void cancel(void *user_data) {
  (void)user_data;
  if (images_left-- == 1) npad_cancellation_cancel(cancellation);
}

/* A batch is cancelled from inside, at each of its images. */
static void cancelling_from_inside(void) {
  static npad_image many[2 * PARTS];
  static npad_result *results[2 * PARTS];
  int stop, n;
  for (n = 0; n < 2 * PARTS; n++) many[n] = images[n % PARTS];
  on_extract = cancel;
  for (stop = 1; stop <= 2 * PARTS + 1; stop++) {
    cancellation = npad_cancellation_new();
    images_left = stop;
    if (stop <= 2 * PARTS)
      FAILS(npad_score_batch(models[0], many, 2 * PARTS, cancellation, results, &error), NPAD_STATUS_CANCELLED, "");
    else
      WORKS(npad_score_batch(models[0], many, 2 * PARTS, cancellation, results, &error));
    /* No image after the one in progress. */
    CHECK(images_left == (stop <= 2 * PARTS ? 0 : 1));
    for (n = 0; n < 2 * PARTS; n++) {
      CHECK((results[n] != NULL) == (stop > 2 * PARTS));
      npad_result_free(results[n]);
    }
    npad_cancellation_free(cancellation);
  }
  on_extract = act;
}

static int logged;

static void on_log(int32_t level, const char *message, void *user_data) {
  (void)level;
  (void)message;
  (void)user_data;
  logged++;
  CHECK(score_with(models[1], 3) > 0);
  load_and_save();
}

static void from_the_log(void) {
  npad_model *model;
  WORKS(npad_log_set(on_log, NULL, NPAD_LOG_LEVEL_DEBUG, &error));
  model = fit_with(options, 10);
  WORKS(npad_log_set(NULL, NULL, NPAD_LOG_LEVEL_ERROR, &error));
  CHECK(logged > 0 && score_with(model, 11) == expected[11]);
  npad_model_free(model);
}

int main(void) {
  npad_options *second = host_options(&numbers[1]);
  int n;
  /* A wait that never ends would end the test. */
  alarm(200);
  make_images();
  options = host_options(&numbers[0]);
  models[0] = fit_with(options, 10);
  models[1] = fit_with(second, 8);
  for (n = 0; n < PARTS; n++) expected[n] = score_with(models[0], n);
  on_extract = act;
  in_turn_of_the_same_model();
  in_a_circle();
  in_a_batch(use_another_model);
  in_a_batch(change_the_options);
  in_a_batch(load_and_save);
  in_a_fit(use_another_model);
  in_a_fit(change_the_options);
  in_a_fit(load_and_save);
  from_progress();
  from_the_log();
  cancelling_from_inside();
  for (n = 0; n < 2; n++) npad_model_free(models[n]);
  npad_options_free(options);
  npad_options_free(second);
  return done();
}
