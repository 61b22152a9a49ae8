/* A fault that the checkers must report, or their silence about the other programs would prove nothing: faults KIND. */

#include <dlfcn.h>

#include "check.h"

/* Lost several times, since a copy of the last pointer may be left on the stack. */
#define TIMES 10

/* Loses memory that npad has allocated. */
static void lose_options(void) {
  int i;
  for (i = 0; i < TIMES; i++) npad_options_new();
}

/* Loses memory that ONNX Runtime has allocated, as npad would if it forgot to give an object back. */
static void lose_session_options(void) {
  /* ONNX Runtime's interface is a table of functions, of which none ever changes its place. */
  enum { API_VERSION = 17, CREATE_SESSION_OPTIONS = 10 };
  const struct {
    const void *const *(*api)(uint32_t version);
    const char *(*version)(void);
  } *(*base)(void);
  void *(*create)(void **created);
  void *library = dlopen("libonnxruntime.so.1", RTLD_NOW | RTLD_NOLOAD);
  void *symbol = library ? dlsym(library, "OrtGetApiBase") : NULL;
  int i;
  CHECK(symbol != NULL);
  if (!symbol) return;
  memcpy(&base, &symbol, sizeof base);
  memcpy(&create, &base()->api(API_VERSION)[CREATE_SESSION_OPTIONS], sizeof create);
  for (i = 0; i < TIMES; i++) {
    void *created = NULL;
    CHECK(create(&created) == NULL && created);
  }
}

int main(int argc, char **argv) {
  const char *kind = argc > 1 ? argv[1] : "";
  uint8_t *part = malloc(SIDE * (SIDE - 1));
  npad_options *options = quick_options();
  npad_image image;
  npad_model *model = NULL;
  npad_result *result = NULL;
  make_images();
  if (!part) return 1;
  memcpy(part, pixels[0], SIDE * (SIDE - 1));
  image = images[0];
  WORKS(npad_fit(images, 10, options, &model, &error));
  if (!strcmp(kind, "overflow")) {
    /* The last row is missing. */
    image.data[0] = part;
  }
  if (!strcmp(kind, "use-after-free")) {
    image.data[0] = part;
    image.height--;
    free(part);
    part = NULL;
  }
  if (!strcmp(kind, "leak")) lose_options();
  if (!strcmp(kind, "leak-of-onnxruntime")) lose_session_options();
  WORKS(npad_score(model, &image, &result, &error));
  npad_result_free(result);
  npad_model_free(model);
  npad_options_free(options);
  free(part);
  return done();
}
