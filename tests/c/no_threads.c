/* A system that refuses threads: pthread_create() fails at the nth call, or from the nth call on.
 *
 *     no_threads own|builtin FOLDER */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>

#include "host.h"

enum { FOR_EVER = 60, MOST = 100 };

static int made = 0, first_refused = 0, last_refused = 0;

/* Libraries that are loaded get this one in place of the C library's. */
int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *), void *argument) {
  int (*next)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
  const int number = __atomic_add_fetch(&made, 1, __ATOMIC_SEQ_CST);
  *(void **)&next = dlsym(RTLD_NEXT, "pthread_create");
  if (number >= first_refused && number <= last_refused) return EAGAIN;
  return next(thread, attributes, start, argument);
}

static float expected = 0;

/* A call that needs threads works, or says that there are none. Returns whether it works. */
static int works_or_says_so(npad_status status, npad_error **place, int line) {
  npad_error *error = *place;
  *place = NULL;
  if (status == NPAD_STATUS_OK) return 1;
  check(status == NPAD_STATUS_OUT_OF_MEMORY, "another status", line);
  if (status != NPAD_STATUS_OUT_OF_MEMORY || !strstr(npad_error_message(error), "thread")) {
    fprintf(stderr, "line %d: threads %d to %d refused: %s\n", line, first_refused, last_refused,
            npad_error_message(error));
    failures++;
  }
  npad_error_free(error);
  return 0;
}

/* Fits, loads and scores while the threads of these numbers are refused. Returns whether all of it works. */
static int live_with(int first, int last, const npad_buffer *saved) {
  npad_options *options = host_options("3");
  npad_model *model = NULL, *loaded = NULL;
  npad_result *result = NULL;
  npad_error *error = NULL;
  int works;
  made = 0;
  first_refused = first;
  last_refused = last;
  works = works_or_says_so(npad_fit(images, 10, options, &model, &error), &error, __LINE__);
  if (model && works_or_says_so(npad_score(model, &images[PARTS - 1], &result, &error), &error, __LINE__))
    CHECK(npad_result_score(result) == expected);
  else
    works = 0;
  npad_result_free(result);
  npad_model_free(model);
  works &= works_or_says_so(
      npad_model_load_memory(npad_buffer_data(saved), npad_buffer_size(saved), options, &loaded, &error), &error, __LINE__);
  if (loaded && works_or_says_so(npad_score(loaded, &images[PARTS - 1], &result, &error), &error, __LINE__)) {
    CHECK(npad_result_score(result) == expected);
    npad_result_free(result);
  } else {
    works = 0;
  }
  npad_model_free(loaded);
  npad_options_free(options);
  first_refused = last_refused = 0;
  return works;
}

int main(int argc, char **argv) {
  npad_options *options;
  npad_model *model;
  npad_buffer *saved = NULL;
  int n, refused = 0, all;
  if (argc != 3) return 2;
  builtin = strcmp(argv[1], "builtin") == 0;
  make_images();
  scratch(pixels[PARTS - 1]);
  options = host_options("1");
  model = fitted(options);
  expected = score_of(model);
  WORKS(npad_model_save_memory(model, &saved, &error));
  npad_model_free(model);
  npad_options_free(options);
  for (all = 0; all < 2; all++)
    for (n = 1; n < MOST; n++) {
      int works;
      alarm(FOR_EVER);
      works = live_with(n, all ? 1 << 30 : n, saved);
      refused += !works;
      if (made < n) break;
    }
  CHECK(refused > 4 && n < MOST);
  CHECK(live_with(0, 0, saved));
  CHECK(live(argv[2]) == expected);
  npad_buffer_free(saved);
  return done();
}
