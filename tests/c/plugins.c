/* Plug-ins through the boundary: an honest one works everywhere, each lie is reported, an extractor is checked.
 *
 *     /ITS/FOLDER/plugins FOLDER        with the plug-ins diagonal.so, twin.so and liar-0.so to liar-28.so in FOLDER */

#include <math.h>
#include <pthread.h>
#include <unistd.h>

#include "check.h"

#ifdef _WIN32
#define SYSTEM_LIBRARY "kernel32.dll"
#else
#define SYSTEM_LIBRARY "libm.so.6"
#endif

static char path[4096];

static const char *liar(const char *folder, int lie) {
  snprintf(path, sizeof path, "%s/liar-%d.so", folder, lie);
  return path;
}

static npad_options *options_for(const char *method) {
  npad_options *options = quick_options();
  WORKS(npad_options_set(options, "method", method, &error));
  return options;
}

static void honest(const char *folder) {
  npad_options *options;
  npad_model *model = NULL, *loaded = NULL;
  npad_buffer *buffer = NULL;
  npad_result *a = NULL, *b = NULL;
  npad_trainer *trainer = NULL;
  snprintf(path, sizeof path, "%s/diagonal.so", folder);
  WORKS(npad_plugin_load(path, &error));
  FAILS(npad_plugin_load(path, &error), NPAD_STATUS_PLUGIN, "a method 'diagonal' already exists");
  options = options_for("diagonal");
  FAILS(npad_options_set(options, "diagonal.none", "1", &error), NPAD_STATUS_INVALID_OPTION, "diagonal.ridge");
  WORKS(npad_options_set(options, "diagonal.ridge", "bad", &error));
  FAILS(npad_fit(images, 10, options, &model, &error), NPAD_STATUS_PLUGIN, "diagonal.ridge must be a number above 0");
  WORKS(npad_options_set(options, "diagonal.ridge", "0.1", &error));
  WORKS(npad_fit(images, 10, options, &model, &error));
  CHECK(strstr(npad_model_info(model), "\"plugin\":\"diagonal.so\"") != NULL);
  WORKS(npad_model_save_memory(model, &buffer, &error));
  WORKS(npad_model_load_memory(npad_buffer_data(buffer), npad_buffer_size(buffer), NULL, &loaded, &error));
  WORKS(npad_score(model, &images[11], &a, &error));
  WORKS(npad_score(loaded, &images[11], &b, &error));
  CHECK(npad_result_score(a) == npad_result_score(b) && npad_result_score(a) > 0 && !npad_result_is_anomalous(a));
  npad_result_free(a);
  npad_result_free(b);
  memset(pixels[11] + 30 * SIDE + 10, 5, 30);
  memset(pixels[11] + 31 * SIDE + 10, 5, 30);
  WORKS(npad_score(loaded, &images[11], &a, &error));
  CHECK(npad_result_is_anomalous(a));
  npad_result_free(a);
  FAILS(npad_trainer_resume(model, NULL, &trainer, &error), NPAD_STATUS_INVALID_ARGUMENT, "'diagonal' cannot be resumed");
  npad_buffer_free(buffer);
  npad_model_free(model);
  npad_model_free(loaded);
  npad_options_free(options);
}

static void refused(const char *folder, const char *program) {
  FILE *text;
  FAILS(npad_plugin_load(liar(folder, 1), &error), NPAD_STATUS_PLUGIN, "has version 99 of the plug-in interface");
  FAILS(npad_plugin_load(liar(folder, 2), &error), NPAD_STATUS_PLUGIN, "table's size is 8: build the plug-in with");
  FAILS(npad_plugin_load(liar(folder, 3), &error), NPAD_STATUS_PLUGIN, "entry point returned null");
  FAILS(npad_plugin_load(liar(folder, 4), &error), NPAD_STATUS_PLUGIN, "name of the method is 'No Name'");
  FAILS(npad_plugin_load(liar(folder, 5), &error), NPAD_STATUS_PLUGIN, "a method 'npad' already exists");
  FAILS(npad_plugin_load(liar(folder, 6), &error), NPAD_STATUS_PLUGIN, "'scorer_score' is null");
  FAILS(npad_plugin_load(liar(folder, 20), &error), NPAD_STATUS_PLUGIN, "100000 parameters");
  FAILS(npad_plugin_load(liar(folder, 21), &error), NPAD_STATUS_PLUGIN, "size of an npad_plugin_parameter is 7");
  WORKS(npad_plugin_load(liar(folder, 22), &error));
  FAILS(npad_plugin_load(liar(folder, 23), &error), NPAD_STATUS_PLUGIN, "newer header");
  FAILS(npad_plugin_load(liar(folder, 24), &error), NPAD_STATUS_PLUGIN, "table's size is 1: build the plug-in with");
  FAILS(npad_plugin_load(liar(folder, 25), &error), NPAD_STATUS_PLUGIN, "two parameters of the name 'liar-25.one'");
  FAILS(npad_plugin_load(liar(folder, 26), &error), NPAD_STATUS_PLUGIN, "its table of parameters is null");
  FAILS(npad_plugin_load(liar(folder, 27), &error), NPAD_STATUS_PLUGIN, "'reserved' is 1");
  FAILS(npad_plugin_load("/no/such/plugin.so", &error), NPAD_STATUS_NOT_FOUND, "there is no such file");
  /* A name without a folder is a file in the current one, not one of the system's libraries or the program itself. */
  FAILS(npad_plugin_load(SYSTEM_LIBRARY, &error), NPAD_STATUS_NOT_FOUND, SYSTEM_LIBRARY);
  FAILS(npad_plugin_load("", &error), NPAD_STATUS_NOT_FOUND, "");
  CHECK(chdir(folder) == 0);
  FAILS(npad_plugin_load("liar-3.so", &error), NPAD_STATUS_PLUGIN, "entry point returned null");
  FAILS(npad_plugin_load(program, &error), NPAD_STATUS_PLUGIN, "cannot be used");
  text = fopen("text.so", "w");
  CHECK(text && fputs("no library", text) >= 0 && fclose(text) == 0);
  FAILS(npad_plugin_load("text.so", &error), NPAD_STATUS_PLUGIN, "text.so cannot be used: ");
  FAILS(npad_plugin_load(NULL, &error), NPAD_STATUS_INVALID_ARGUMENT, "path is null");
}

/* Of many loads of one plug-in at once, one registers its method. */
static void *load_diagonal(void *argument) {
  return npad_plugin_load(argument, NULL) == NPAD_STATUS_OK ? &path : NULL;
}

static void loads_at_once(const char *folder) {
  enum { THREADS = 8 };
  pthread_t threads[THREADS];
  char same[4096];
  int i, loaded = 0;
  snprintf(same, sizeof same, "%s/twin.so", folder);
  for (i = 0; i < THREADS; i++) CHECK(pthread_create(&threads[i], NULL, load_diagonal, same) == 0);
  for (i = 0; i < THREADS; i++) {
    void *one = NULL;
    pthread_join(threads[i], &one);
    loaded += one != NULL;
  }
  CHECK(loaded == 1);
}

/* Loads the liar, and fits with it. */
static npad_status fit_with(const char *folder, int lie, npad_model **model, npad_error **error) {
  char name[32];
  npad_options *options;
  npad_status status;
  WORKS(npad_plugin_load(liar(folder, lie), &error));
  snprintf(name, sizeof name, "liar-%d", lie);
  options = options_for(name);
  status = npad_fit(images, 10, options, model, error);
  npad_options_free(options);
  return status;
}

static void found_out(const char *folder) {
  npad_model *model = NULL, *loaded = NULL;
  npad_buffer *buffer = NULL;
  int lie;
  for (lie = 7; lie <= 10; lie++)
    FAILS(fit_with(folder, lie, &model, &error), NPAD_STATUS_PLUGIN, "failed with code 42: told to fail as number ");
  FAILS(fit_with(folder, 11, &model, &error), NPAD_STATUS_PLUGIN, "returned NaN at row 0, column 3");
  FAILS(fit_with(folder, 12, &model, &error), NPAD_STATUS_PLUGIN, "returned -1 at row 0, column 3");
  FAILS(fit_with(folder, 13, &model, &error), NPAD_STATUS_PLUGIN, "returned NaN at row 0, column 0");
  FAILS(fit_with(folder, 16, &model, &error), NPAD_STATUS_PLUGIN, "failed with code 7: no message was given");
  FAILS(fit_with(folder, 17, &model, &error), NPAD_STATUS_PLUGIN, "starting a fit, returned 0 but stored null");
  FAILS(fit_with(folder, 18, &model, &error), NPAD_STATUS_PLUGIN, "finishing a fit, returned 0 but stored null");
  CHECK(model == NULL);
  WORKS(fit_with(folder, 19, &model, &error));
  WORKS(npad_model_save_memory(model, &buffer, &error));
  FAILS(npad_model_load_memory(npad_buffer_data(buffer), npad_buffer_size(buffer), NULL, &loaded, &error),
        NPAD_STATUS_PLUGIN, "loading, returned 0 but stored null");
  npad_buffer_free(buffer);
  npad_model_free(model);
  WORKS(fit_with(folder, 14, &model, &error));
  FAILS(npad_model_save_memory(model, &buffer, &error), NPAD_STATUS_PLUGIN, "number 14");
  CHECK(buffer == NULL);
  npad_model_free(model);
  WORKS(fit_with(folder, 28, &model, &error));
  FAILS(npad_model_save_memory(model, &buffer, &error), NPAD_STATUS_PLUGIN, "saving: it wrote 5 bytes from a null pointer");
  npad_model_free(model);
  WORKS(fit_with(folder, 15, &model, &error));
  WORKS(npad_model_save_memory(model, &buffer, &error));
  FAILS(npad_model_load_memory(npad_buffer_data(buffer), npad_buffer_size(buffer), NULL, &loaded, &error),
        NPAD_STATUS_PLUGIN, "number 15");
  npad_buffer_free(buffer);
  npad_model_free(model);
  WORKS(fit_with(folder, 0, &model, &error));
  npad_model_free(model);
}

static int mode, freed;

static int32_t extract(void *user_data, const float *input, int32_t height, int32_t width, float *const *outputs,
                       npad_callback_error *error) {
  const int size = 2 * (height / 8) * (width / 8);
  int i;
  CHECK(user_data == &mode);
  if (mode == 1) {
    snprintf(error->message, sizeof error->message, "the engine is out of order");
    return 3;
  }
  if (mode == 2) return 0;
  for (i = 0; i < size; i++) outputs[0][i] = input[i * 13 % (height * width)];
  return 0;
}

static void free_extractor(void *user_data) {
  CHECK(user_data == &mode);
  freed++;
}

static void extractors(void) {
  const int32_t stride = 8, channels = 2, wrong = 0;
  npad_extractor table = {0}, bad;
  npad_options *options = npad_options_new(), *other = npad_options_new();
  npad_model *model = NULL, *loaded = NULL;
  npad_buffer *buffer = NULL;
  npad_result *result = NULL;
  table.size = sizeof table;
  table.name = "test";
  table.tap_count = 1;
  table.strides = &stride;
  table.channels = &channels;
  table.std[0] = table.std[1] = table.std[2] = 1;
  table.extract = extract;
  table.free = free_extractor;
  table.user_data = &mode;
  bad = table;
  bad.size = 4;
  FAILS(npad_options_set_extractor(options, &bad, &error), NPAD_STATUS_PLUGIN, "size of an npad_extractor is 4");
  bad = table;
  bad.name = NULL;
  FAILS(npad_options_set_extractor(options, &bad, &error), NPAD_STATUS_PLUGIN, "name of the feature extractor is null");
  bad = table;
  bad.tap_count = 17;
  FAILS(npad_options_set_extractor(options, &bad, &error), NPAD_STATUS_PLUGIN, "1 to 16 outputs");
  bad = table;
  bad.strides = &wrong;
  FAILS(npad_options_set_extractor(options, &bad, &error), NPAD_STATUS_PLUGIN, "strides must be 1 to 64");
  bad = table;
  bad.std[1] = 0;
  FAILS(npad_options_set_extractor(options, &bad, &error), NPAD_STATUS_PLUGIN, "std above 0");
  bad = table;
  bad.extract = NULL;
  FAILS(npad_options_set_extractor(options, &bad, &error), NPAD_STATUS_PLUGIN, "'extract' is null");
  FAILS(npad_options_set_extractor(options, NULL, &error), NPAD_STATUS_INVALID_ARGUMENT, "extractor is null");
  CHECK(freed == 0);

  WORKS(npad_options_set(options, "size", "64", &error));
  WORKS(npad_options_set_extractor(options, &table, &error));
  mode = 1;
  FAILS(npad_fit(images, 10, options, &model, &error), NPAD_STATUS_BACKBONE, "failed with code 3: the engine is out of order");
  mode = 2;
  FAILS(npad_fit(images, 10, options, &model, &error), NPAD_STATUS_BACKBONE, "not finite");
  mode = 0;
  WORKS(npad_fit(images, 10, options, &model, &error));
  WORKS(npad_model_save_memory(model, &buffer, &error));
  FAILS(npad_model_load_memory(npad_buffer_data(buffer), npad_buffer_size(buffer), NULL, &loaded, &error),
        NPAD_STATUS_UNSUPPORTED_MODEL, "host's feature extractor 'test'");
  table.name = "test-2";
  WORKS(npad_options_set_extractor(other, &table, &error));
  FAILS(npad_model_load_memory(npad_buffer_data(buffer), npad_buffer_size(buffer), other, &loaded, &error),
        NPAD_STATUS_UNSUPPORTED_MODEL, "host's feature extractor 'test'");
  npad_options_free(other);
  CHECK(freed == 1);
  WORKS(npad_model_load_memory(npad_buffer_data(buffer), npad_buffer_size(buffer), options, &loaded, &error));
  mode = 1;
  FAILS(npad_score(loaded, &images[0], &result, &error), NPAD_STATUS_BACKBONE, "out of order");
  mode = 0;
  WORKS(npad_score(loaded, &images[0], &result, &error));
  npad_result_free(result);
  npad_options_free(options);
  npad_model_free(model);
  CHECK(freed == 1);
  npad_model_free(loaded);
  CHECK(freed == 2);
  npad_buffer_free(buffer);
}

int main(int argc, char **argv) {
  if (argc != 2) return 2;
  make_images();
  honest(argv[1]);
  refused(argv[1], argv[0]);
  loads_at_once(argv[1]);
  found_out(argv[1]);
  extractors();
  return done();
}
