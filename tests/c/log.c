/* The log callback may be exchanged at any time: whoever has exchanged it may free what belonged to the old one. */

#define _POSIX_C_SOURCE 200809L
#include <pthread.h>
#include <sched.h>
#include <time.h>

#include "check.h"

static struct {
  pthread_mutex_t lock;
  pthread_cond_t changed;
  bool inside, may_leave, unregistered;
} gate = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, false, false};

/* Stays until it may leave. */
static void slow(int32_t level, const char *message, void *user_data) {
  (void)level;
  (void)message;
  CHECK(user_data == &gate);
  pthread_mutex_lock(&gate.lock);
  gate.inside = true;
  pthread_cond_broadcast(&gate.changed);
  while (!gate.may_leave) pthread_cond_wait(&gate.changed, &gate.lock);
  CHECK(!gate.unregistered);
  pthread_mutex_unlock(&gate.lock);
}

static void fit(void) {
  npad_options *options = quick_options();
  npad_model *model = NULL;
  WORKS(npad_fit(images, 3, options, &model, &error));
  npad_model_free(model);
  npad_options_free(options);
  /* Without fits there are no messages to wait for. */
  if (failures) exit(1);
}

static void *fit_once(void *argument) {
  (void)argument;
  fit();
  return NULL;
}

static void *unregister(void *argument) {
  (void)argument;
  WORKS(npad_log_set(NULL, NULL, NPAD_LOG_LEVEL_ERROR, &error));
  pthread_mutex_lock(&gate.lock);
  gate.unregistered = true;
  pthread_mutex_unlock(&gate.lock);
  return NULL;
}

static void unregistering_waits(void) {
  const struct timespec moment = {0, 50 * 1000 * 1000};
  pthread_t fitting, leaving;
  WORKS(npad_log_set(slow, &gate, NPAD_LOG_LEVEL_INFO, &error));
  CHECK(pthread_create(&fitting, NULL, fit_once, NULL) == 0);
  pthread_mutex_lock(&gate.lock);
  while (!gate.inside) pthread_cond_wait(&gate.changed, &gate.lock);
  pthread_mutex_unlock(&gate.lock);
  CHECK(pthread_create(&leaving, NULL, unregister, NULL) == 0);
  /* A library that does not wait has time to be found out; one that does takes none. */
  nanosleep(&moment, NULL);
  pthread_mutex_lock(&gate.lock);
  CHECK(!gate.unregistered);
  gate.may_leave = true;
  pthread_cond_broadcast(&gate.changed);
  pthread_mutex_unlock(&gate.lock);
  pthread_join(leaving, NULL);
  pthread_join(fitting, NULL);
}

static int calls;

/* Uses npad from inside, against the advice. */
static void nested(int32_t level, const char *message, void *user_data) {
  (void)level;
  (void)message;
  (void)user_data;
  if (calls++ > 0) return;
  FAILS(npad_log_set(NULL, NULL, NPAD_LOG_LEVEL_ERROR, &error), NPAD_STATUS_WRONG_STATE, "inside the log callback");
  fit();
  CHECK(calls == 1);
}

static void calls_from_inside(void) {
  WORKS(npad_log_set(nested, NULL, NPAD_LOG_LEVEL_WARNING, &error));
  fit();
  CHECK(calls == 1);
  WORKS(npad_log_set(NULL, NULL, NPAD_LOG_LEVEL_ERROR, &error));
}

/* The receivers of many exchanges, each freed as soon as it is exchanged. */
static void count(int32_t level, const char *message, void *user_data) {
  (void)level;
  (void)message;
  (*(volatile int *)user_data)++;
}

static void *exchange(void *argument) {
  int i;
  (void)argument;
  for (i = 0; i < 200; i++) {
    int *counter = calloc(1, sizeof *counter);
    WORKS(npad_log_set(count, counter, NPAD_LOG_LEVEL_INFO, &error));
    sched_yield();
    WORKS(npad_log_set(NULL, NULL, NPAD_LOG_LEVEL_ERROR, &error));
    free(counter);
  }
  return NULL;
}

static void exchanging_at_any_time(void) {
  pthread_t fitting, exchanging;
  CHECK(pthread_create(&fitting, NULL, fit_once, NULL) == 0);
  CHECK(pthread_create(&exchanging, NULL, exchange, NULL) == 0);
  pthread_join(fitting, NULL);
  pthread_join(exchanging, NULL);
}

int main(void) {
  make_images();
  fit();
  unregistering_waits();
  calls_from_inside();
  exchanging_at_any_time();
  return done();
}
