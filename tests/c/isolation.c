/* What npad leaves alone in its host.
 *
 *     isolation state|silence|life|exit own|builtin FOLDER
 *
 * `own` has an extractor of its own, `builtin` the built-in backbone; models are written to FOLDER. */

#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <fenv.h>
#include <locale.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>

#include "host.h"

enum { SIGNALS = 64, LIMITS = 16, VARIABLES = 1000, DESCRIPTORS = 256 };

/* What belongs to the process or to the calling thread, and not to a library. */
typedef struct {
  struct sigaction signals[SIGNALS + 1];
  sigset_t blocked;
  stack_t signal_stack;
  char locale[256], point[8];
  locale_t thread_locale;
  unsigned long floats;
  char *variables[VARIABLES], *copies[VARIABLES];
  char folder[4096];
  mode_t mask;
  struct rlimit limits[LIMITS];
  cpu_set_t cores;
  int policy, priority, dumpable;
  struct itimerval timer;
  char name[17];
  char open[DESCRIPTORS];
} host_state;

/* Rounding, denormals and traps of the calling thread, without the flags that every operation sets. */
static unsigned long float_mode(void) {
#if defined(__x86_64__)
  unsigned mxcsr = 0;
  unsigned short control = 0;
  __asm__ volatile("stmxcsr %0\n\tfnstcw %1" : "=m"(mxcsr), "=m"(control));
  return (unsigned long)(mxcsr & ~0x3fu) << 16 | control;
#elif defined(__aarch64__)
  unsigned long control = 0;
  __asm__ volatile("mrs %0, fpcr" : "=r"(control));
  return control;
#else
  return (unsigned long)fegetround();
#endif
}

/* Makes the calling thread round to zero and take denormals for zero, as a host may. */
static void unusual_float_mode(void) {
  fesetround(FE_TOWARDZERO);
#if defined(__x86_64__)
  {
    unsigned mxcsr = 0;
    __asm__ volatile("stmxcsr %0" : "=m"(mxcsr));
    mxcsr |= 0x8040;
    __asm__ volatile("ldmxcsr %0" : : "m"(mxcsr));
  }
#elif defined(__aarch64__)
  {
    unsigned long control = 0;
    __asm__ volatile("mrs %0, fpcr" : "=r"(control));
    __asm__ volatile("msr fpcr, %0" : : "r"(control | 1ul << 24));
  }
#endif
}

static void take(host_state *state, char **environment) {
  int i;
  DIR *descriptors;
  struct dirent *entry;
  memset(state, 0, sizeof *state);
  for (i = 1; i <= SIGNALS; i++) sigaction(i, NULL, &state->signals[i]);
  pthread_sigmask(SIG_SETMASK, NULL, &state->blocked);
  sigaltstack(NULL, &state->signal_stack);
  snprintf(state->locale, sizeof state->locale, "%s", setlocale(LC_ALL, NULL));
  snprintf(state->point, sizeof state->point, "%s", localeconv()->decimal_point);
  state->thread_locale = uselocale((locale_t)0);
  state->floats = float_mode();
  for (i = 0; environment[i] && i < VARIABLES; i++) {
    state->variables[i] = environment[i];
    state->copies[i] = strdup(environment[i]);
  }
  if (!getcwd(state->folder, sizeof state->folder)) state->folder[0] = 0;
  state->mask = umask(0);
  umask(state->mask);
  for (i = 0; i < LIMITS; i++) getrlimit((__rlimit_resource_t)i, &state->limits[i]);
  sched_getaffinity(0, sizeof state->cores, &state->cores);
  state->policy = sched_getscheduler(0);
  state->priority = getpriority(PRIO_PROCESS, 0);
  state->dumpable = prctl(PR_GET_DUMPABLE);
  getitimer(ITIMER_REAL, &state->timer);
  prctl(PR_GET_NAME, state->name);
  descriptors = opendir("/proc/self/fd");
  while (descriptors && (entry = readdir(descriptors)) != NULL) {
    const int number = atoi(entry->d_name);
    if (number != dirfd(descriptors) && number < DESCRIPTORS && entry->d_name[0] != '.') state->open[number] = 1;
  }
  if (descriptors) closedir(descriptors);
}

static void compare(const host_state *before, const char *when) {
  static host_state after;
  const int known = failures;
  int i;
  take(&after, environ);
  for (i = 1; i <= SIGNALS; i++) {
    CHECK(before->signals[i].sa_handler == after.signals[i].sa_handler);
    CHECK(before->signals[i].sa_flags == after.signals[i].sa_flags);
    CHECK(sigismember(&before->blocked, i) == sigismember(&after.blocked, i));
  }
  CHECK(before->signal_stack.ss_sp == after.signal_stack.ss_sp);
  CHECK(before->signal_stack.ss_flags == after.signal_stack.ss_flags);
  CHECK(strcmp(before->locale, after.locale) == 0 && strcmp(before->point, after.point) == 0);
  CHECK(before->thread_locale == after.thread_locale);
  CHECK(before->floats == after.floats);
  for (i = 0; i < VARIABLES; i++) {
    CHECK(before->variables[i] == after.variables[i]);
    if (before->copies[i] && after.copies[i]) CHECK(strcmp(before->copies[i], after.copies[i]) == 0);
    free(after.copies[i]);
  }
  CHECK(strcmp(before->folder, after.folder) == 0);
  CHECK(before->mask == after.mask);
  for (i = 0; i < LIMITS; i++) CHECK(memcmp(&before->limits[i], &after.limits[i], sizeof after.limits[i]) == 0);
  CHECK(CPU_EQUAL(&before->cores, &after.cores));
  CHECK(before->policy == after.policy && before->priority == after.priority && before->dumpable == after.dumpable);
  CHECK(memcmp(&before->timer, &after.timer, sizeof after.timer) == 0);
  CHECK(strcmp(before->name, after.name) == 0);
  for (i = 0; i < DESCRIPTORS; i++) CHECK(before->open[i] == after.open[i]);
  if (failures > known) fprintf(stderr, "that was %s\n", when);
}

static host_state pristine;

static void take_pristine(int argc, char **argv, char **environment) {
  (void)argc;
  (void)argv;
  take(&pristine, environment);
}

/* Runs before the libraries of the program are initialised, npad's among them. */
__attribute__((section(".preinit_array"), used)) static void (*const first)(int, char **, char **) = take_pristine;

static void *in_an_unusual_thread(void *folder) {
  static host_state before;
  static float score;
  sigset_t blocked;
  sigfillset(&blocked);
  pthread_sigmask(SIG_SETMASK, &blocked, NULL);
  unusual_float_mode();
  pthread_setname_np(pthread_self(), "camera");
  take(&before, environ);
  CHECK(before.floats != pristine.floats);
  score = live(folder);
  fail(folder);
  compare(&before, "in a thread with a float mode of its own");
  return &score;
}

/* Nothing that belongs to the host changes: neither by loading the library, nor by using it. */
static int state(const char *folder) {
  pthread_t thread;
  void *score = NULL;
  float expected;
  compare(&pristine, "loading the library");
  expected = live(folder);
  fail(folder);
  compare(&pristine, "the life of a model");
  CHECK(pthread_create(&thread, NULL, in_an_unusual_thread, (void *)folder) == 0);
  pthread_join(thread, &score);
  CHECK(*(const float *)score == expected);
  compare(&pristine, "a thread with a float mode of its own");
  return done();
}

/* What the process writes to its standard streams goes to files, which stay empty. */
static int silence(const char *folder) {
  const int own_errors = dup(2), own_output = dup(1);
  struct stat output, errors;
  const int to_output = open(in_folder(folder, "stdout"), O_RDWR | O_CREAT | O_TRUNC, 0600);
  const int to_errors = open(in_folder(folder, "stderr"), O_RDWR | O_CREAT | O_TRUNC, 0600);
  CHECK(own_errors >= 0 && own_output >= 0 && to_output >= 0 && to_errors >= 0);
  dup2(to_output, 1);
  dup2(to_errors, 2);
  if (getenv("NPAD_ONNXRUNTIME") && strcmp(getenv("NPAD_ONNXRUNTIME"), "/none") == 0) {
    npad_model *model = NULL;
    FAILS(npad_fit(images, 10, NULL, &model, &error), NPAD_STATUS_RUNTIME, "/none");
    FAILS(npad_runtime_open("/none", &error), NPAD_STATUS_NOT_FOUND, "/none");
  } else {
    live(folder);
    fail(folder);
  }
  fflush(NULL);
  CHECK(fstat(to_output, &output) == 0 && fstat(to_errors, &errors) == 0);
  dup2(own_output, 1);
  dup2(own_errors, 2);
  if (output.st_size || errors.st_size) {
    fprintf(stderr, "%ld bytes on stdout and %ld on stderr\n", (long)output.st_size, (long)errors.st_size);
    failures++;
  }
  return done();
}

static npad_model *kept = NULL;

/* As the destructor of a global object in C++: it was registered before ONNX Runtime was loaded, so it runs after the
 * end of ONNX Runtime's own globals. */
static void free_kept(void) {
  npad_model_free(kept);
}

static void *score_for_ever(void *unused) {
  (void)unused;
  for (;;) {
    npad_result *result = NULL;
    npad_score(kept, &images[PARTS - 1], &result, NULL);
    npad_result_free(result);
  }
  return NULL;
}

static npad_buffer *saved = NULL;

static void *load_for_ever(void *options) {
  for (;;) {
    npad_model *loaded = NULL;
    npad_result *result = NULL;
    npad_model_load_memory(npad_buffer_data(saved), npad_buffer_size(saved), options, &loaded, NULL);
    npad_score(loaded, &images[PARTS - 1], &result, NULL);
    npad_result_free(result);
    npad_model_free(loaded);
  }
  return NULL;
}

/* Registered before ONNX Runtime was loaded, so threads go on scoring when its globals have come to their end. */
static void linger(void) {
  usleep(200000);
}

enum { EXIT_CODE = 7 };

/* The process ends with the host's exit code: while a model lives, which may be freed then, or while threads score or
 * load. */
static int end(const char *how) {
  npad_options *options;
  pthread_t thread;
  int i;
  if (strcmp(how, "freeing") == 0) atexit(free_kept);
  if (strcmp(how, "scoring") == 0 || strcmp(how, "loading") == 0) atexit(linger);
  options = host_options("2");
  kept = fitted(options);
  score_of(kept);
  if (strcmp(how, "scoring") == 0)
    for (i = 0; i < 2; i++) pthread_create(&thread, NULL, score_for_ever, NULL);
  if (strcmp(how, "loading") == 0) {
    WORKS(npad_model_save_memory(kept, &saved, &error));
    npad_model_free(kept);
    pthread_create(&thread, NULL, load_for_ever, options);
  }
  usleep(20000);
  exit(failures ? 1 : EXIT_CODE);
}

int main(int argc, char **argv) {
  if (argc != 4) return 2;
  builtin = strcmp(argv[2], "builtin") == 0;
  make_images();
  scratch(pixels[PARTS - 1]);
  if (strcmp(argv[1], "state") == 0) return state(argv[3]);
  if (strcmp(argv[1], "silence") == 0) return silence(argv[3]);
  if (strcmp(argv[1], "exit") == 0) return end(argv[3]);
  if (strcmp(argv[1], "life") == 0) {
    live(argv[3]);
    fail(argv[3]);
    return done();
  }
  return 2;
}
