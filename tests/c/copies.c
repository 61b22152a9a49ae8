/* What else may be loaded beside npad: another npad, and another ONNX Runtime of the host's.
 *
 *     copies npad ONE OTHER [RUNTIME RUNTIME]   two files of npad's library, each with one of two ONNX Runtimes
 *     copies host global|local NPAD RUNTIME     npad, and an ONNX Runtime that the host has loaded before */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>

#include "check.h"

#define FUNCTIONS(F)                                                                                          \
  F(npad_options_new) F(npad_options_set) F(npad_options_free) F(npad_fit) F(npad_score) F(npad_result_score) \
  F(npad_result_free) F(npad_model_save_memory) F(npad_buffer_data) F(npad_buffer_size) F(npad_buffer_free)   \
  F(npad_model_load_memory) F(npad_model_info) F(npad_model_free) F(npad_runtime_open) F(npad_error_message)  \
  F(npad_error_free)

/* One npad. */
typedef struct {
#define POINTER(name) __typeof__(name) *name;
  FUNCTIONS(POINTER)
} library;

/* The call of one npad's function must succeed. */
#define OF(npad, call)                                                                \
  do {                                                                                \
    npad_error *error = NULL;                                                         \
    if ((npad).call != NPAD_STATUS_OK) {                                              \
      fprintf(stderr, "line %d: %s\n", __LINE__, (npad).npad_error_message(error));   \
      (npad).npad_error_free(error);                                                  \
      failures++;                                                                     \
    }                                                                                 \
  } while (0)

static library open_npad(const char *path) {
  library npad;
  void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!handle) {
    fprintf(stderr, "%s\n", dlerror());
    exit(1);
  }
#define FIND(name)                                     \
  *(void **)&npad.name = dlsym(handle, #name);         \
  CHECK(npad.name != NULL);
  FUNCTIONS(FIND)
  return npad;
}

static npad_options *quick(const library *npad) {
  npad_options *options = npad->npad_options_new();
  OF(*npad, npad_options_set(options, "size", "64", &error));
  OF(*npad, npad_options_set(options, "npad.channels", "8", &error));
  OF(*npad, npad_options_set(options, "threads", "2", &error));
  OF(*npad, npad_options_set(options, "date", "none", &error));
  return options;
}

static npad_model *fit(const library *npad) {
  npad_options *options = quick(npad);
  npad_model *model = NULL;
  OF(*npad, npad_fit(images, 10, options, &model, &error));
  npad->npad_options_free(options);
  if (!model) exit(1);
  return model;
}

static float score(const library *npad, const npad_model *model) {
  npad_result *result = NULL;
  float found = -1;
  OF(*npad, npad_score(model, &images[PARTS - 1], &result, &error));
  if (result) found = npad->npad_result_score(result);
  npad->npad_result_free(result);
  return found;
}

typedef struct {
  const library *npad;
  const npad_model *model;
  float expected;
  int wrong;
} work;

static void *score_often(void *argument) {
  work *own = argument;
  int i;
  for (i = 0; i < 50; i++) own->wrong += score(own->npad, own->model) != own->expected;
  return NULL;
}

/* Two copies are used in turn and at once, and one loads what the other has saved. */
static int two(char **paths, char **runtimes) {
  library npad[2];
  npad_model *models[2], *loaded = NULL;
  npad_buffer *buffers[2] = {NULL, NULL};
  pthread_t threads[2];
  work works[2];
  npad_options *options;
  float scores[2];
  int i;
  for (i = 0; i < 2; i++) {
    npad[i] = open_npad(paths[i]);
    if (runtimes) OF(npad[i], npad_runtime_open(runtimes[i], &error));
  }
  CHECK(npad[0].npad_fit != npad[1].npad_fit);
  for (i = 0; i < 2; i++) models[i] = fit(&npad[i]);
  for (i = 0; i < 2; i++) {
    scores[i] = score(&npad[i], models[i]);
    OF(npad[i], npad_model_save_memory(models[i], &buffers[i], &error));
  }
  /* Another ONNX Runtime may round otherwise. */
  if (!runtimes) {
    CHECK(scores[0] == scores[1]);
    CHECK(npad[0].npad_buffer_size(buffers[0]) == npad[1].npad_buffer_size(buffers[1]));
    CHECK(memcmp(npad[0].npad_buffer_data(buffers[0]), npad[1].npad_buffer_data(buffers[1]),
                 npad[0].npad_buffer_size(buffers[0])) == 0);
  } else {
    CHECK(strcmp(strstr(npad[0].npad_model_info(models[0]), "\"onnxruntime\""),
                 strstr(npad[1].npad_model_info(models[1]), "\"onnxruntime\"")) != 0);
  }
  for (i = 0; i < 2; i++) {
    const work of = {&npad[i], models[i], scores[i], 0};
    works[i] = of;
    CHECK(pthread_create(&threads[i], NULL, score_often, &works[i]) == 0);
  }
  for (i = 0; i < 2; i++) {
    pthread_join(threads[i], NULL);
    CHECK(works[i].wrong == 0);
  }
  /* One goes on when the models of the other are gone. */
  npad[0].npad_model_free(models[0]);
  CHECK(score(&npad[1], models[1]) == scores[1]);
  options = quick(&npad[0]);
  OF(npad[0], npad_model_load_memory(npad[1].npad_buffer_data(buffers[1]), npad[1].npad_buffer_size(buffers[1]),
                                     options, &loaded, &error));
  if (!runtimes) CHECK(score(&npad[0], loaded) == scores[1]);
  npad[1].npad_model_free(models[1]);
  npad[0].npad_model_free(loaded);
  npad[0].npad_options_free(options);
  for (i = 0; i < 2; i++) npad[i].npad_buffer_free(buffers[i]);
  return done();
}

/* The start of ONNX Runtime's C interface. */
typedef struct {
  const void *(*get_api)(uint32_t version);
  const char *(*version)(void);
} api_base;

static const api_base *base_of(void *runtime) {
  const api_base *(*get)(void);
  *(void **)&get = dlsym(runtime, "OrtGetApiBase");
  CHECK(get != NULL);
  return get ? get() : NULL;
}

/* The host's ONNX Runtime is there first, and is the one it was afterwards; npad has its own, of another version. */
static int hosts_runtime(const char *binding, const char *path, const char *runtime) {
  void *own = dlopen(runtime, RTLD_NOW | (strcmp(binding, "global") == 0 ? RTLD_GLOBAL : RTLD_LOCAL));
  const api_base *base;
  const void *api;
  char version[64];
  npad_model *model;
  library npad;
  if (!own) {
    fprintf(stderr, "%s\n", dlerror());
    return 1;
  }
  base = base_of(own);
  snprintf(version, sizeof version, "%s", base->version());
  api = base->get_api(17);
  CHECK(api != NULL);
  npad = open_npad(path);
  model = fit(&npad);
  CHECK(score(&npad, model) > 0);
  CHECK(strstr(npad.npad_model_info(model), "\"onnxruntime\"") != NULL);
  if (strstr(strstr(npad.npad_model_info(model), "\"onnxruntime\""), version)) {
    fprintf(stderr, "npad uses the host's %s: %s\n", version, npad.npad_model_info(model));
    failures++;
  }
  npad.npad_model_free(model);
  CHECK(base_of(own) == base && strcmp(base->version(), version) == 0 && base->get_api(17) == api);
  return done();
}

int main(int argc, char **argv) {
  make_images();
  scratch(pixels[PARTS - 1]);
  if (argc == 4 && strcmp(argv[1], "npad") == 0) return two(argv + 2, NULL);
  if (argc == 6 && strcmp(argv[1], "npad") == 0) return two(argv + 2, argv + 4);
  if (argc == 5 && strcmp(argv[1], "host") == 0) return hosts_runtime(argv[2], argv[3], argv[4]);
  return 2;
}
