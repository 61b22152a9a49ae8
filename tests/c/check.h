/* What the tests in C share: checks that go on after a failure, and generated parts. */
#ifndef CHECK_H
#define CHECK_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "npad.h"

#define SIDE 64
#define PARTS 12

static int failures = 0;

static inline void check(int condition, const char *what, int line) {
  if (condition) return;
  fprintf(stderr, "line %d: %s\n", line, what);
  failures++;
}

#define CHECK(condition) check((condition) != 0, #condition, __LINE__)

/* The call must succeed. */
#define WORKS(call)                                                              \
  do {                                                                           \
    npad_error *error = NULL;                                                    \
    if ((call) != NPAD_STATUS_OK) {                                              \
      fprintf(stderr, "line %d: %s\n", __LINE__, npad_error_message(error));     \
      npad_error_free(error);                                                    \
      failures++;                                                                \
    }                                                                            \
  } while (0)

/* The call must fail with that status, and its message must contain the text. */
#define FAILS(call, expected, text)                                                                  \
  do {                                                                                               \
    npad_error *error = NULL;                                                                        \
    npad_status status = (call);                                                                     \
    check(status == (expected), #call " has another status", __LINE__);                              \
    check(npad_error_status(error) == status, "the error's status", __LINE__);                       \
    if (!strstr(npad_error_message(error), text)) {                                                  \
      fprintf(stderr, "line %d: '%s' not in '%s'\n", __LINE__, text, npad_error_message(error));     \
      failures++;                                                                                    \
    }                                                                                                \
    npad_error_free(error);                                                                          \
  } while (0)

static uint8_t pixels[PARTS][SIDE * SIDE];
static npad_image images[PARTS];

/* Grey parts with a gradient and some noise. */
static inline void make_images(void) {
  unsigned state = 1;
  int n, i;
  for (n = 0; n < PARTS; n++) {
    for (i = 0; i < SIDE * SIDE; i++) {
      state = state * 1664525u + 1013904223u;
      pixels[n][i] = (uint8_t)(100 + (i % SIDE) + (state >> 28));
    }
    memset(&images[n], 0, sizeof images[n]);
    images[n].size = sizeof images[n];
    images[n].data[0] = pixels[n];
    images[n].width = SIDE;
    images[n].height = SIDE;
    images[n].format = NPAD_PIXEL_FORMAT_GRAY8;
  }
}

/* Scratches a part, so that every model finds a region in it. */
static inline void scratch(uint8_t *part) {
  int y;
  for (y = 20; y < 30; y++) memset(part + y * SIDE + 20, 5, 12);
}

/* Options for quick fits: a small input, few channels, and the backbone that NPAD_TEST_BACKBONE names. */
static inline npad_options *quick_options(void) {
  npad_options *options = npad_options_new();
  const char *backbone = getenv("NPAD_TEST_BACKBONE");
  WORKS(npad_options_set(options, "size", "64", &error));
  WORKS(npad_options_set(options, "npad.channels", "8", &error));
  if (backbone) WORKS(npad_options_set(options, "backbone", backbone, &error));
  return options;
}

static inline int done(void) {
  if (failures) return 1;
  puts("all as documented");
  return 0;
}

#endif
