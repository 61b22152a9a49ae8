/* Calls that wait, are refused, are cancelled, or share a matrix: from several threads. An extractor of the host's own stops
 * where the test wants it to, so that nothing depends on time. */

#define _DEFAULT_SOURCE
#include <pthread.h>
#include <unistd.h>

#include "check.h"

#ifdef _WIN32
#define CORES pthread_num_processors_np()
#else
#define CORES sysconf(_SC_NPROCESSORS_ONLN)
#endif

/* Makes `extract` stop with the image number `stop_at` until it may go on. */
static struct {
  pthread_mutex_t lock;
  pthread_cond_t changed;
  int runs, stop_at;
  bool stopped, may_go;
} gate = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0, false, false};

static int32_t extract(void *user_data, const float *input, int32_t height, int32_t width, float *const *outputs,
                       npad_callback_error *error) {
  const int positions = (height / 8) * (width / 8);
  int i;
  (void)user_data;
  (void)error;
  pthread_mutex_lock(&gate.lock);
  if (++gate.runs == gate.stop_at) {
    gate.stopped = true;
    pthread_cond_broadcast(&gate.changed);
    while (!gate.may_go) pthread_cond_wait(&gate.changed, &gate.lock);
  }
  pthread_mutex_unlock(&gate.lock);
  for (i = 0; i < 2 * positions; i++) outputs[0][i] = input[i * 13 % (height * width)];
  return 0;
}

static void close_gate(int runs) {
  gate.runs = 0;
  gate.stop_at = runs;
  gate.stopped = gate.may_go = false;
}

static void wait_for_stop(void) {
  pthread_mutex_lock(&gate.lock);
  while (!gate.stopped) pthread_cond_wait(&gate.changed, &gate.lock);
  pthread_mutex_unlock(&gate.lock);
}

static void open_gate(void) {
  pthread_mutex_lock(&gate.lock);
  gate.may_go = true;
  pthread_cond_broadcast(&gate.changed);
  pthread_mutex_unlock(&gate.lock);
}

static npad_options *options_with_gate(void) {
  static const int32_t stride = 8, channels = 2;
  npad_extractor table = {0};
  npad_options *options = npad_options_new();
  table.size = sizeof table;
  table.name = "gate";
  table.tap_count = 1;
  table.strides = &stride;
  table.channels = &channels;
  table.std[0] = table.std[1] = table.std[2] = 1;
  table.extract = extract;
  WORKS(npad_options_set(options, "size", "64", &error));
  WORKS(npad_options_set(options, "threads", "1", &error));
  WORKS(npad_options_set(options, "max_calls", "1", &error));
  WORKS(npad_options_set_extractor(options, &table, &error));
  return options;
}

static npad_model *model, *learnt;

static void *score_one(void *argument) {
  npad_result *result = NULL;
  (void)argument;
  WORKS(npad_score(model, &images[10], &result, &error));
  npad_result_free(result);
  return NULL;
}

/* Another model of the same file, with a time limit. */
static npad_model *with_timeout(npad_options *options, const char *milliseconds) {
  npad_buffer *buffer = NULL;
  npad_model *limited = NULL;
  WORKS(npad_options_set(options, "call_timeout", milliseconds, &error));
  WORKS(npad_model_save_memory(learnt, &buffer, &error));
  WORKS(npad_model_load_memory(npad_buffer_data(buffer), npad_buffer_size(buffer), options, &limited, &error));
  npad_buffer_free(buffer);
  return limited;
}

static void time_limits(npad_options *options) {
  static const char *const limits[] = {"0", "20"};
  npad_model *first = model;
  int i;
  for (i = 0; i < 2; i++) {
    npad_result *result = (npad_result *)1, *results[1];
    npad_output output = {0};
    pthread_t thread;
    output.size = sizeof output;
    model = with_timeout(options, limits[i]);
    close_gate(1);
    CHECK(pthread_create(&thread, NULL, score_one, NULL) == 0);
    wait_for_stop();
    FAILS(npad_score(model, &images[0], &result, &error), NPAD_STATUS_TIMED_OUT, "");
    CHECK(result == NULL);
    FAILS(npad_score_into(model, &images[0], &output, &error), NPAD_STATUS_TIMED_OUT, "");
    FAILS(npad_score_batch(model, images, 1, NULL, results, &error), NPAD_STATUS_TIMED_OUT, "");
    open_gate();
    pthread_join(thread, NULL);
    /* Its turn has come. */
    WORKS(npad_score(model, &images[0], &result, &error));
    npad_result_free(result);
    npad_model_free(model);
    model = first;
  }
}

/* Options of another model of the same file. */
static void use_limits(npad_options *options, const char *max_calls, const char *milliseconds) {
  WORKS(npad_options_set(options, "max_calls", max_calls, &error));
  npad_model_free(model == learnt ? NULL : model);
  model = with_timeout(options, milliseconds);
}

enum { MANY = 320 };

static void *score_after_the_batch(void *argument) {
  score_one(argument);
  pthread_mutex_lock(&gate.lock);
  CHECK(gate.runs == MANY + 1);
  pthread_mutex_unlock(&gate.lock);
  return NULL;
}

static void *score_a_large_batch(void *argument) {
  static npad_image many[MANY];
  static npad_output outputs[MANY];
  int i;
  (void)argument;
  for (i = 0; i < MANY; i++) {
    many[i] = images[i % PARTS];
    outputs[i].size = sizeof outputs[i];
  }
  WORKS(npad_score_batch_into(model, many, MANY, NULL, outputs, &error));
  return NULL;
}

/* A batch is one call: another one, which comes during its first image, runs after its last one. */
static void a_batch_keeps_its_turn(npad_options *options) {
  pthread_t batch, single;
  use_limits(options, "1", "none");
  close_gate(1);
  CHECK(pthread_create(&batch, NULL, score_a_large_batch, NULL) == 0);
  wait_for_stop();
  CHECK(pthread_create(&single, NULL, score_after_the_batch, NULL) == 0);
  /* It waits by then, unless the machine is very busy. */
  usleep(50000);
  open_gate();
  pthread_join(batch, NULL);
  pthread_join(single, NULL);
  CHECK(gate.runs == MANY + 1);
}

static void *warm_up(void *argument) {
  (void)argument;
  WORKS(npad_model_warm_up(model, SIDE, SIDE, &error));
  return NULL;
}

/* Prepares one context per core at most, beside other calls, and waits as they do. */
static void warming_up(npad_options *options) {
  npad_output output = {0};
  pthread_t thread;
  int contexts;
  output.size = sizeof output;
  use_limits(options, "1024", "none");
  close_gate(0);
  warm_up(NULL);
  contexts = gate.runs;
  CHECK(contexts >= 1 && contexts <= CORES);
  use_limits(options, "2", "0");
  close_gate(contexts < 2 ? contexts : 2);
  CHECK(pthread_create(&thread, NULL, warm_up, NULL) == 0);
  wait_for_stop();
  WORKS(npad_score_into(model, &images[0], &output, &error));
  open_gate();
  pthread_join(thread, NULL);
  CHECK(gate.runs == (contexts < 2 ? contexts : 2) + 1);
  use_limits(options, "1", "0");
  close_gate(1);
  CHECK(pthread_create(&thread, NULL, score_one, NULL) == 0);
  wait_for_stop();
  FAILS(npad_model_warm_up(model, SIDE, SIDE, &error), NPAD_STATUS_TIMED_OUT, "max_calls");
  open_gate();
  pthread_join(thread, NULL);
}

static npad_cancellation *cancellation;

static void *score_many(void *argument) {
  static npad_result *results[PARTS];
  static npad_output outputs[PARTS];
  npad_error *error = NULL;
  npad_status status;
  int i;
  for (i = 0; i < PARTS; i++) outputs[i].size = sizeof outputs[i];
  status = argument ? npad_score_batch(model, images, PARTS, cancellation, results, &error)
                    : npad_score_batch_into(model, images, PARTS, cancellation, outputs, &error);
  CHECK(status == NPAD_STATUS_CANCELLED && npad_error_status(error) == status);
  for (i = 0; i < PARTS; i++) CHECK(results[i] == NULL && outputs[i].score == 0);
  npad_error_free(error);
  return NULL;
}

/* Cancels the batch while features of each of these images are extracted: in the first group, the last one of it, the
 * first one of the second group, and the last one, after which only maps and regions are left. */
static void cancelling(void) {
  static const int stops[] = {3, 8, 9, PARTS};
  npad_result *results[PARTS];
  int test;
  for (test = 0; test < 8; test++) {
    const int into = test % 2, stop = stops[test / 2];
    pthread_t thread;
    cancellation = npad_cancellation_new();
    CHECK(cancellation && !npad_cancellation_is_cancelled(cancellation));
    close_gate(stop);
    CHECK(pthread_create(&thread, NULL, score_many, into ? NULL : &cancellation) == 0);
    wait_for_stop();
    npad_cancellation_cancel(cancellation);
    CHECK(npad_cancellation_is_cancelled(cancellation));
    open_gate();
    pthread_join(thread, NULL);
    CHECK(gate.runs == stop);
    /* It stays cancelled. */
    FAILS(npad_score_batch(model, images, PARTS, cancellation, results, &error), NPAD_STATUS_CANCELLED, "cancel");
    FAILS(npad_score_batch(model, NULL, 0, cancellation, NULL, &error), NPAD_STATUS_CANCELLED, "cancel");
    FAILS(npad_score_batch_into(model, NULL, 0, cancellation, NULL, &error), NPAD_STATUS_CANCELLED, "cancel");
    CHECK(gate.runs == stop && results[0] == NULL);
    npad_cancellation_free(cancellation);
  }
  cancellation = npad_cancellation_new();
  WORKS(npad_score_batch(model, images, 2, cancellation, results, &error));
  npad_result_free(results[0]);
  npad_result_free(results[1]);
  npad_cancellation_free(cancellation);
}

/* A batch that waits while another call runs is cancelled before that one ends. */
static void cancelling_while_waiting(npad_options *options) {
  int when, into;
  use_limits(options, "1", "60000");
  for (when = 0; when < 2; when++) {
    for (into = 0; into < 2; into++) {
      pthread_t running, waiting;
      cancellation = npad_cancellation_new();
      close_gate(1);
      CHECK(pthread_create(&running, NULL, score_one, NULL) == 0);
      wait_for_stop();
      if (when == 0) npad_cancellation_cancel(cancellation);
      CHECK(pthread_create(&waiting, NULL, score_many, into ? NULL : &cancellation) == 0);
      if (when == 1) npad_cancellation_cancel(cancellation);
      pthread_join(waiting, NULL);
      open_gate();
      pthread_join(running, NULL);
      CHECK(gate.runs == 1);
      npad_cancellation_free(cancellation);
    }
  }
}

enum { ROUNDS = 40 };
static float matrix[SIDE][2 * SIDE];
static uint8_t bytes[SIDE][2 * SIDE];

/* Scores into the left or the right half of one matrix. */
static void *score_half(void *argument) {
  const int half = *(const int *)argument;
  int round;
  for (round = 0; round < ROUNDS; round++) {
    npad_output output = {0};
    output.size = sizeof output;
    output.map = &matrix[0][half * SIDE];
    output.map_stride = sizeof matrix[0];
    output.map_u8 = &bytes[0][half * SIDE];
    output.map_u8_stride = sizeof bytes[0];
    WORKS(npad_score_into(model, &images[half], &output, &error));
  }
  return NULL;
}

static void halves_of_a_matrix(npad_options *options) {
  static uint8_t expected_bytes[SIDE * SIDE];
  const int halves[] = {0, 1};
  pthread_t threads[2];
  int half, y, wrong = 0;
  use_limits(options, "2", "none");
  close_gate(0);
  for (half = 0; half < 2; half++) CHECK(pthread_create(&threads[half], NULL, score_half, (void *)&halves[half]) == 0);
  for (half = 0; half < 2; half++) pthread_join(threads[half], NULL);
  for (half = 0; half < 2; half++) {
    npad_result *result = NULL;
    WORKS(npad_score(model, &images[half], &result, &error));
    WORKS(npad_result_map_u8(result, expected_bytes, 0, &error));
    for (y = 0; y < SIDE; y++) {
      wrong += memcmp(&matrix[y][half * SIDE], npad_result_map(result) + y * SIDE, SIDE * sizeof(float)) != 0;
      wrong += memcmp(&bytes[y][half * SIDE], expected_bytes + y * SIDE, SIDE) != 0;
    }
    npad_result_free(result);
  }
  CHECK(wrong == 0);
}

int main(void) {
  npad_options *options = options_with_gate();
  make_images();
  WORKS(npad_fit(images, 10, options, &learnt, &error));
  if (!learnt) return 1;
  model = learnt;
  time_limits(options);
  cancelling();
  cancelling_while_waiting(options);
  a_batch_keeps_its_turn(options);
  warming_up(options);
  halves_of_a_matrix(options);
  npad_model_free(model);
  npad_model_free(learnt);
  npad_options_free(options);
  return done();
}
