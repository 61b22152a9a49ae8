/* Hosts that do what most do not.
 *
 *     hosts fork|fork-alone|fork-loading|places|nowhere|core|stack own|builtin FOLDER [RUNTIME PLUGIN] */

#define _GNU_SOURCE
#include <dirent.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "host.h"

/* What waits for so many seconds has stopped for ever. */
enum { FOR_EVER = 30 };

/* fork(): what a child process does with what its parent has made */

static npad_model *model = NULL;
static float expected = 0;

/* Runs `work` in a child process; returns its exit code, or the negative number of the signal that ended it. */
static int in_child(int (*work)(void)) {
  int status = 0;
  pid_t child;
  fflush(NULL);
  child = fork();
  if (child == 0) {
    alarm(FOR_EVER);
    failures = 0;
    _exit(work());
  }
  CHECK(child > 0 && waitpid(child, &status, 0) == child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* The threads that compute are the parent's, so the call is refused. */
#define REFUSED(call) FAILS(call, NPAD_STATUS_WRONG_STATE, "fork")

static int child_scores(void) {
  npad_result *result = NULL, *results[2] = {NULL, NULL};
  npad_output output = {0};
  output.size = sizeof output;
  REFUSED(npad_score(model, &images[PARTS - 1], &result, &error));
  REFUSED(npad_score_into(model, &images[PARTS - 1], &output, &error));
  REFUSED(npad_score_batch(model, images, 2, NULL, results, &error));
  CHECK(result == NULL && results[0] == NULL);
  return failures;
}

static int child_fits(void) {
  npad_options *options = host_options("2");
  npad_model *own = NULL;
  REFUSED(npad_fit(images, 10, options, &own, &error));
  REFUSED(npad_model_load_memory((const uint8_t *)"", 0, options, &own, &error));
  CHECK(own == NULL);
  return failures;
}

/* What needs no threads still answers. */
static int child_frees(void) {
  npad_buffer *buffer = NULL;
  WORKS(npad_model_save_memory(model, &buffer, &error));
  npad_buffer_free(buffer);
  CHECK(npad_model_threshold(model) > 0 && npad_model_info(model)[0] == '{');
  npad_model_free(model);
  return failures;
}

static int child_exits(void) {
  exit(failures);
}

static int child_leaves(void) {
  return 0;
}

static int child_becomes_another(void) {
  execl("/proc/self/exe", "hosts", "life", builtin ? "builtin" : "own", getenv("HOSTS_FOLDER"), (char *)NULL);
  return 1;
}

static int child_lives(void) {
  live(getenv("HOSTS_FOLDER"));
  return failures;
}

static volatile int stop = 0;

static void *score_until_stopped(void *unused) {
  (void)unused;
  while (!stop) CHECK(score_of(model) == expected);
  return NULL;
}

static int forks(const char *folder, const char *threads) {
  enum { CALLERS = 3, CHILDREN = 20 };
  npad_options *options = host_options(threads);
  pthread_t callers[CALLERS];
  int i;
  setenv("HOSTS_FOLDER", folder, 1);
  /* Calls wait for their turn, which a child's parent may have. */
  WORKS(npad_options_set(options, "max_calls", threads, &error));
  /* Before npad has started a thread, a child may do everything. */
  CHECK(in_child(child_exits) == 0);
  CHECK(in_child(child_lives) == 0);
  WORKS(npad_model_load(in_folder(folder, "model.npad"), options, &model, &error));
  expected = score_of(model);
  CHECK(in_child(child_scores) == 0);
  CHECK(in_child(child_fits) == 0);
  CHECK(in_child(child_frees) == 0);
  CHECK(in_child(child_exits) == 0);
  CHECK(in_child(child_becomes_another) == 0);
  for (i = 0; i < CALLERS; i++) CHECK(pthread_create(&callers[i], NULL, score_until_stopped, NULL) == 0);
  for (i = 0; i < CHILDREN && !failures; i++) {
    CHECK(in_child(child_scores) == 0);
    CHECK(in_child(child_frees) == 0);
    CHECK(in_child(child_leaves) == 0);
    CHECK(in_child(child_exits) == 0);
  }
  stop = 1;
  for (i = 0; i < CALLERS; i++) pthread_join(callers[i], NULL);
  CHECK(score_of(model) == expected);
  npad_model_free(model);
  npad_options_free(options);
  return done();
}

static sem_t about_to_load, go_on;

static void hold(int32_t level, const char *message, void *unused) {
  (void)level, (void)message, (void)unused;
  sem_post(&about_to_load);
  sem_wait(&go_on);
}

static void *open_runtime(void *path) {
  WORKS(npad_runtime_open(path, &error));
  return NULL;
}

static int child_of_a_loading_parent(void) {
  npad_model *loaded = NULL;
  WORKS(npad_log_set(NULL, NULL, NPAD_LOG_LEVEL_INFO, &error));
  REFUSED(npad_runtime_open("/", &error));
  REFUSED(npad_device_check("cpu", &error));
  REFUSED(npad_model_load(in_folder(getenv("HOSTS_FOLDER"), "model.npad"), NULL, &loaded, &error));
  return failures;
}

/* fork() while another thread loads ONNX Runtime, and is in the log callback. Another one after that may do everything. */
static int fork_while_loading(const char *folder, const char *runtime) {
  pthread_t thread;
  setenv("HOSTS_FOLDER", folder, 1);
  sem_init(&about_to_load, 0, 0);
  sem_init(&go_on, 0, 0);
  WORKS(npad_log_set(hold, NULL, NPAD_LOG_LEVEL_INFO, &error));
  CHECK(pthread_create(&thread, NULL, open_runtime, (void *)runtime) == 0);
  sem_wait(&about_to_load);
  CHECK(in_child(child_of_a_loading_parent) == 0);
  sem_post(&go_on);
  pthread_join(thread, NULL);
  WORKS(npad_log_set(NULL, NULL, NPAD_LOG_LEVEL_INFO, &error));
  CHECK(in_child(child_lives) == 0);
  return done();
}

/* Paths with spaces and letters that are not ASCII: FOLDER, the folder with ONNX Runtime, and a plug-in have them. */
static int places(const char *folder, const char *runtime, const char *plugin) {
  npad_options *options = host_options("2");
  npad_model *own = NULL, *loaded = NULL;
  float score;
  WORKS(npad_runtime_open(runtime, &error));
  WORKS(npad_plugin_load(plugin, &error));
  score = live(folder);
  CHECK(access(in_folder(folder, "model.npad"), R_OK) == 0);
  CHECK(access(in_folder(folder, "model.onnx"), R_OK) == 0 && access(in_folder(folder, "model.json"), R_OK) == 0);
  CHECK(score > 0);
  WORKS(npad_options_set(options, "backbone", in_folder(folder, "Rückgrat 背骨.onnx"), &error));
  WORKS(npad_options_set(options, "method", "diagonal", &error));
  own = fitted(options);
  score = score_of(own);
  WORKS(npad_model_save(own, in_folder(folder, "плагин  №2.npad"), &error));
  WORKS(npad_model_load(in_folder(folder, "плагин  №2.npad"), options, &loaded, &error));
  CHECK(loaded && score_of(loaded) == score);
  FAILS(npad_model_load(in_folder(folder, "fehlt №3.npad"), options, &own, &error), NPAD_STATUS_NOT_FOUND, "№3.npad");
  npad_model_free(loaded);
  npad_options_free(options);
  return done();
}

static int entries_in(const char *folder) {
  DIR *opened = opendir(folder);
  int count = 0;
  CHECK(opened != NULL);
  while (opened && readdir(opened)) count++;
  if (opened) closedir(opened);
  return count;
}

/* The working directory is one in which nobody can write, not even root, then one that is gone. */
static int nowhere(const char *folder) {
  char gone[4096], before[4096];
  float score;
  int entries;
  CHECK(getcwd(before, sizeof before) != NULL);
  entries = entries_in(before);
  score = live(folder);
  CHECK(entries_in(before) == entries);
  CHECK(chdir("/proc/self/task") == 0);
  CHECK(live(folder) == score);
  snprintf(gone, sizeof gone, "%s", in_folder(folder, "gone"));
  CHECK(mkdir(gone, 0700) == 0 && chdir(gone) == 0 && rmdir(gone) == 0);
  CHECK(getcwd(before, sizeof before) == NULL);
  CHECK(live(folder) == score);
  fail(folder);
  return done();
}

/* One core, which was chosen before the library was loaded, and 64 threads on it. */
static int one_core(char **argv) {
  cpu_set_t cores;
  npad_options *few = host_options("2"), *many = host_options("64");
  npad_model *models[2], *loaded = NULL;
  npad_buffer *buffers[2] = {NULL, NULL};
  int first = 0, i;
  CHECK(sched_getaffinity(0, sizeof cores, &cores) == 0);
  if (CPU_COUNT(&cores) > 1) {
    while (!CPU_ISSET(first, &cores)) first++;
    CPU_ZERO(&cores);
    CPU_SET(first, &cores);
    CHECK(sched_setaffinity(0, sizeof cores, &cores) == 0);
    execv("/proc/self/exe", argv);
    return 1;
  }
  alarm(FOR_EVER);
  models[0] = fitted(few);
  models[1] = fitted(many);
  for (i = 0; i < 2; i++) WORKS(npad_model_save_memory(models[i], &buffers[i], &error));
  CHECK(npad_buffer_size(buffers[0]) == npad_buffer_size(buffers[1]));
  CHECK(memcmp(npad_buffer_data(buffers[0]), npad_buffer_data(buffers[1]), npad_buffer_size(buffers[0])) == 0);
  WORKS(npad_model_load_memory(npad_buffer_data(buffers[0]), npad_buffer_size(buffers[0]), many, &loaded, &error));
  for (i = 0; i < PARTS; i += 4) {
    npad_result *results[3] = {NULL, NULL, NULL};
    WORKS(npad_score(models[0], &images[i], &results[0], &error));
    WORKS(npad_score(models[1], &images[i], &results[1], &error));
    WORKS(npad_score(loaded, &images[i], &results[2], &error));
    CHECK(memcmp(npad_result_map(results[0]), npad_result_map(results[1]), sizeof(float) * SIDE * SIDE) == 0);
    CHECK(memcmp(npad_result_map(results[0]), npad_result_map(results[2]), sizeof(float) * SIDE * SIDE) == 0);
    npad_result_free(results[0]);
    npad_result_free(results[1]);
    npad_result_free(results[2]);
  }
  CHECK(score_of(loaded) == score_of(models[0]));
  for (i = 0; i < 2; i++) {
    npad_model_free(models[i]);
    npad_buffer_free(buffers[i]);
  }
  npad_model_free(loaded);
  npad_options_free(few);
  npad_options_free(many);
  return done();
}

/* A camera thread with a small stack */

enum { SMALL = 64 << 10, LARGE = 8 << 20, PAINT = 0x5a };

/* Runs `work` in a thread with a stack of that size, and returns how much of it has been used: its memory is painted
 * before. The page below it cannot be touched. */
static size_t stack_of(void *(*work)(void *), size_t size) {
  const size_t page = (size_t)sysconf(_SC_PAGESIZE);
  uint8_t *memory = mmap(NULL, size + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  pthread_attr_t attributes;
  pthread_t thread;
  size_t untouched = 0;
  CHECK(memory != MAP_FAILED && mprotect(memory, page, PROT_NONE) == 0);
  memset(memory + page, PAINT, size);
  pthread_attr_init(&attributes);
  CHECK(pthread_attr_setstack(&attributes, memory + page, size) == 0);
  CHECK(pthread_create(&thread, &attributes, work, NULL) == 0);
  pthread_join(thread, NULL);
  pthread_attr_destroy(&attributes);
  while (untouched < size && memory[page + untouched] == PAINT) untouched++;
  munmap(memory, size + page);
  return size - untouched;
}

static const char *method = "npad";
static npad_buffer *saved = NULL;

static void *do_nothing(void *unused) {
  return unused;
}

static void *do_score(void *unused) {
  CHECK(score_of(model) == expected);
  return unused;
}

static void *do_score_into(void *unused) {
  static float map[SIDE * SIDE];
  npad_region regions[4];
  npad_output output = {0};
  output.size = sizeof output;
  output.map = map;
  output.regions = regions;
  output.region_size = sizeof regions[0];
  output.region_capacity = 4;
  WORKS(npad_score_into(model, &images[PARTS - 1], &output, &error));
  CHECK(output.score == expected);
  return unused;
}

static void *do_batches(void *unused) {
  score_batches(model);
  return unused;
}

static void *do_save(void *unused) {
  npad_buffer *buffer = NULL;
  WORKS(npad_model_save_memory(model, &buffer, &error));
  CHECK(npad_buffer_size(buffer) == npad_buffer_size(saved));
  npad_buffer_free(buffer);
  return unused;
}

static void *do_load(void *unused) {
  npad_options *options = host_options("2");
  npad_model *loaded = NULL;
  WORKS(npad_model_load_memory(npad_buffer_data(saved), npad_buffer_size(saved), options, &loaded, &error));
  CHECK(loaded && score_of(loaded) == expected);
  npad_model_free(loaded);
  npad_options_free(options);
  return unused;
}

static void *do_fit(void *unused) {
  npad_options *options = host_options("2");
  WORKS(npad_options_set(options, "method", method, &error));
  model = fitted(options);
  npad_options_free(options);
  return unused;
}

static void *do_free(void *unused) {
  npad_model_free(model);
  return unused;
}

/* What may run on a small stack; all of it is measured on a large one. */
static const struct {
  const char *name;
  void *(*work)(void *);
  int small;
} calls[] = {
    {"nothing", do_nothing, 1},   {"fit", do_fit, 0},         {"save", do_save, 1}, {"load", do_load, 1},
    {"score", do_score, 1},       {"score_into", do_score_into, 1}, {"batch", do_batches, 1}, {"free", do_free, 1},
};

static int stacks(int measuring) {
  static const char *const methods[] = {"npad", "padim", "patchcore", "spade"};
  size_t i, m;
  for (m = 0; m < sizeof methods / sizeof *methods; m++) {
    method = methods[m];
    for (i = 0; i < sizeof calls / sizeof *calls; i++) {
      const size_t size = measuring || !calls[i].small ? LARGE : SMALL, used = stack_of(calls[i].work, size);
      if (measuring) printf("%s %s: %lu KB\n", method, calls[i].name, (unsigned long)(used + 1023) >> 10);
      CHECK(used < size);
      if (calls[i].work == do_fit) {
        expected = score_of(model);
        npad_buffer_free(saved);
        WORKS(npad_model_save_memory(model, &saved, &error));
      }
    }
  }
  return done();
}

int main(int argc, char **argv) {
  if (argc < 4) return 2;
  builtin = strcmp(argv[2], "builtin") == 0;
  make_images();
  scratch(pixels[PARTS - 1]);
  if (strcmp(argv[1], "life") == 0) return live(argv[3]) > 0 ? 0 : 1;
  if (strcmp(argv[1], "fork") == 0) return forks(argv[3], "2");
  if (strcmp(argv[1], "fork-alone") == 0) return forks(argv[3], "1");
  if (strcmp(argv[1], "fork-loading") == 0 && argc == 5) return fork_while_loading(argv[3], argv[4]);
  if (strcmp(argv[1], "places") == 0 && argc == 6) return places(argv[3], argv[4], argv[5]);
  if (strcmp(argv[1], "nowhere") == 0) return nowhere(argv[3]);
  if (strcmp(argv[1], "core") == 0) return one_core(argv);
  if (strcmp(argv[1], "stack") == 0) return stacks(0);
  if (strcmp(argv[1], "measure") == 0) return stacks(1);
  return 2;
}
