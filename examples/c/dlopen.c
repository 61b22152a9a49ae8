/* Loads npad at run time by its path, checks the version, and uses it. It is never unloaded: ONNX Runtime cannot be.
 *
 *     dlopen PATH_OF_LIBRARY */

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include "npad.h"

#define SIDE 64
#define COUNT 12

/* The functions that this program uses. */
static struct {
  uint32_t (*version_number)(void);
  npad_options *(*options_new)(void);
  npad_status (*options_set)(npad_options *, const char *, const char *, npad_error **);
  npad_status (*fit)(const npad_image *, size_t, const npad_options *, npad_model **, npad_error **);
  npad_status (*score)(const npad_model *, const npad_image *, npad_result **, npad_error **);
  bool (*is_anomalous)(const npad_result *);
  const char *(*error_message)(const npad_error *);
  void (*options_free)(npad_options *);
  void (*model_free)(npad_model *);
  void (*result_free)(npad_result *);
} npad;

/* C has no conversion from dlsym's data pointer to a function pointer, so the bits are copied. */
static int find(void *library, const char *name, void *function, size_t size) {
  void *symbol = dlsym(library, name);
  if (!symbol) fprintf(stderr, "the library has no %s: %s\n", name, dlerror());
  memcpy(function, &symbol, size);
  return symbol != NULL;
}

#define FIND(member, name) find(library, name, &npad.member, sizeof npad.member)

int main(int argc, char **argv) {
  static uint8_t pixels[COUNT][SIDE * SIDE];
  npad_image images[COUNT];
  npad_options *options;
  npad_model *model = NULL;
  npad_result *result = NULL;
  npad_error *error = NULL;
  void *library;
  int n, i;
  if (argc != 2) {
    fprintf(stderr, "usage: %s PATH_OF_LIBRARY\n", argv[0]);
    return 2;
  }
  library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    fprintf(stderr, "%s\n", dlerror());
    return 1;
  }
  if (!FIND(version_number, "npad_version_number")) return 1;
  if (npad.version_number() / 1000 != NPAD_VERSION_NUMBER / 1000) {
    fprintf(stderr, "the library has another version than the header\n");
    return 1;
  }
  if (!FIND(options_new, "npad_options_new") || !FIND(options_set, "npad_options_set") || !FIND(fit, "npad_fit") ||
      !FIND(score, "npad_score") || !FIND(is_anomalous, "npad_result_is_anomalous") ||
      !FIND(error_message, "npad_error_message") || !FIND(options_free, "npad_options_free") ||
      !FIND(model_free, "npad_model_free") || !FIND(result_free, "npad_result_free"))
    return 1;

  memset(images, 0, sizeof images);
  for (n = 0; n < COUNT; n++) {
    for (i = 0; i < SIDE * SIDE; i++) pixels[n][i] = (uint8_t)(60 + i % SIDE + i * (n + 5) % 19);
    images[n].size = sizeof images[n];
    images[n].data[0] = pixels[n];
    images[n].width = images[n].height = SIDE;
    images[n].size = sizeof images[n];
    images[n].format = NPAD_PIXEL_FORMAT_GRAY8;
  }
  options = npad.options_new();
  if (npad.options_set(options, "size", "64", &error) != NPAD_STATUS_OK ||
      npad.fit(images, COUNT, options, &model, &error) != NPAD_STATUS_OK ||
      npad.score(model, &images[0], &result, &error) != NPAD_STATUS_OK) {
    fprintf(stderr, "%s\n", npad.error_message(error));
    return 1;
  }
  printf("loaded at run time: %s\n", npad.is_anomalous(result) ? "defective" : "good");
  npad.result_free(result);
  npad.model_free(model);
  npad.options_free(options);
  return 0;
}
