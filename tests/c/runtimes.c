/* Files that are no usable ONNX Runtime, each in a process of its own: an error that says what is wrong, no output,
 * and the right file works afterwards in the same process.
 *
 *     runtimes FOLDER LIBRARY         with fake-1.so to fake-6.so in FOLDER and the library of ONNX Runtime
 *     runtimes missing LIBRARY        where there is none beside npad or in the system */

#define _GNU_SOURCE
#include <sys/stat.h>
#include <sys/wait.h>

#include "check.h"
#include "system_calls.h"

static const char *folder, *library, *program;

static const char *at(const char *name) {
  static char path[4][2 * PATH_SIZE];
  static int next;
  next = (next + 1) % 4;
  snprintf(path[next], sizeof path[next], "%s/%s", folder, name);
  return path[next];
}

/* In the child: the given file is refused, and the right one works afterwards. */
static int refused(const char *path, npad_status expected, const char *text, int by_variable, int unreadable) {
  npad_trainer *trainer = NULL;
  npad_options *options = npad_options_new();
  int attempt;
  alarm(120);
  WORKS(npad_options_set(options, "size", "64", &error));
  for (attempt = 0; attempt < 2; attempt++) {
    if (unreadable) {
      if (attempt == 0) CHECK(see_system_calls());
      watch_calls(path, 1, EACCES, 1);
      watch.only = SYS_openat;
    }
    if (by_variable) {
      setenv("NPAD_ONNXRUNTIME", path, 1);
      FAILS(npad_trainer_new(options, &trainer, &error), NPAD_STATUS_RUNTIME, text);
      FAILS(npad_trainer_new(options, &trainer, &error), NPAD_STATUS_RUNTIME, path);
    } else {
      FAILS(npad_runtime_open(path, &error), expected, text);
    }
    if (unreadable) CHECK(stop_watching());
  }
  unsetenv("NPAD_ONNXRUNTIME");
  WORKS(npad_runtime_open(library, &error));
  WORKS(npad_trainer_new(options, &trainer, &error));
  npad_trainer_free(trainer);
  npad_options_free(options);
  return failures != 0;
}

/* Runs `refused` in a process of its own, which must say nothing. */
static void alone(const char *path, npad_status expected, const char *text, int by_variable, int unreadable) {
  char arguments[4][16], byte;
  int ends[2], status = 0, printed = 0;
  pid_t child;
  snprintf(arguments[0], 16, "%d", (int)expected);
  snprintf(arguments[1], 16, "%d", by_variable);
  snprintf(arguments[2], 16, "%d", unreadable);
  CHECK(pipe(ends) == 0);
  child = fork();
  if (child == 0) {
    dup2(ends[1], 1);
    dup2(ends[1], 2);
    close(ends[0]);
    execl(program, program, "refused", library, path, arguments[0], text, arguments[1], arguments[2], (char *)NULL);
    _exit(127);
  }
  close(ends[1]);
  while (read(ends[0], &byte, 1) == 1) {
    fputc(byte, stderr);
    printed++;
  }
  close(ends[0]);
  CHECK(waitpid(child, &status, 0) == child);
  if (printed || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    fprintf(stderr, "%s %s%s: ended with status 0x%x\n", by_variable ? "variable" : "open", path,
            unreadable ? " (unreadable)" : "", (unsigned)status);
    failures++;
  }
}

/* By both ways. The variable's failures all have one status. */
static void is_refused(const char *path, npad_status expected, const char *text) {
  alone(path, expected, text, 0, 0);
  alone(path, expected, text, 1, 0);
}

/* A copy of the library, of which some bytes are others. */
static void copy(const char *path, long offset, const char *bytes, size_t count) {
  static char block[1 << 16];
  FILE *from = fopen(library, "rb"), *to = fopen(path, "wb");
  size_t size;
  CHECK(from && to);
  while ((size = fread(block, 1, sizeof block, from)) > 0) CHECK(fwrite(block, 1, size, to) == size);
  CHECK(fseek(to, offset, SEEK_SET) == 0 && fwrite(bytes, 1, count, to) == count);
  fclose(from);
  CHECK(fclose(to) == 0);
}

static void damaged(void) {
  const char *path = at("copy.so");
  struct stat found;
  long lengths[9];
  int i;
  copy(path, 18, "\xb7\0", 2);
  is_refused(path, NPAD_STATUS_RUNTIME, "it is for aarch64, this process for");
  copy(path, 4, "\1", 1);
  is_refused(path, NPAD_STATUS_RUNTIME, "ELF class");
  copy(path, 0, "\x7f", 1);
  CHECK(stat(path, &found) == 0);
  lengths[0] = (long)found.st_size - 1;
  lengths[1] = (long)found.st_size - 4096;
  lengths[2] = (long)found.st_size / 2;
  lengths[3] = 4097;
  lengths[4] = 4096;
  lengths[5] = 64;
  lengths[6] = 63;
  lengths[7] = 1;
  lengths[8] = 0;
  for (i = 0; i < 9; i++) {
    CHECK(truncate(path, lengths[i]) == 0);
    is_refused(path, NPAD_STATUS_RUNTIME, lengths[i] < 4 ? "it is not a shared library" : "incomplete");
  }
  /* Of the right length, with zeros at the end: as a loss of power may leave it. */
  copy(path, 0, "\x7f", 1);
  CHECK(truncate(path, lengths[2]) == 0 && truncate(path, (long)found.st_size) == 0);
  is_refused(path, NPAD_STATUS_RUNTIME, "the file is damaged");
  CHECK(unlink(path) == 0);
}

static void fakes(void) {
  static const char *const texts[] = {"1.4.0", "1.99.0", "OrtGetApiBase", "version", "version", "OrtGetApiBase"};
  int fake;
  for (fake = 1; fake <= 6; fake++) {
    char name[32];
    snprintf(name, sizeof name, "fake-%d.so", fake);
    is_refused(at(name), NPAD_STATUS_RUNTIME, texts[fake - 1]);
  }
}

static void other_files(void) {
  FILE *text = fopen(at("text.so"), "w");
  CHECK(text && fputs("no library", text) >= 0 && fclose(text) == 0);
  is_refused(at("text.so"), NPAD_STATUS_RUNTIME, "it is not a shared library");
  alone(library, NPAD_STATUS_RUNTIME, strerror(EACCES), 0, 1);
  alone(library, NPAD_STATUS_RUNTIME, strerror(EACCES), 1, 1);
  CHECK(symlink("nowhere.so", at("dangling.so")) == 0);
  is_refused(at("dangling.so"), NPAD_STATUS_NOT_FOUND, "dangling.so");
  CHECK(mkfifo(at("pipe.so"), 0666) == 0);
  is_refused(at("pipe.so"), NPAD_STATUS_NOT_FOUND, "pipe.so");
  CHECK(mkdir(at("folder"), 0777) == 0);
  is_refused(at("folder"), NPAD_STATUS_NOT_FOUND, "no libonnxruntime.so in");
  CHECK(mkfifo(at("folder/libonnxruntime.so"), 0666) == 0);
  is_refused(at("folder"), NPAD_STATUS_NOT_FOUND, "no libonnxruntime.so in");
  CHECK(mkdir(at("nested"), 0777) == 0 && mkdir(at("nested/libonnxruntime.so"), 0777) == 0);
  is_refused(at("nested"), NPAD_STATUS_NOT_FOUND, "no libonnxruntime.so in");
  is_refused("/dev/zero", NPAD_STATUS_NOT_FOUND, "/dev/zero");
}

/* Without any, the error names all places. Beside the program, which is none of them, there is one that is too old. */
static void missing(void) {
  static const char *const places[] = {
      "npad_runtime_open: not called",    "NPAD_ONNXRUNTIME: not set", "beside this library",
      "/lib: no libonnxruntime.so there", "the system's loader",       "cannot open shared object file",
  };
  npad_trainer *trainer = NULL;
  size_t i;
  unsetenv("NPAD_ONNXRUNTIME");
  for (i = 0; i < sizeof places / sizeof places[0]; i++)
    FAILS(npad_trainer_new(NULL, &trainer, &error), NPAD_STATUS_RUNTIME, places[i]);
  WORKS(npad_runtime_open(library, &error));
  WORKS(npad_trainer_new(NULL, &trainer, &error));
  npad_trainer_free(trainer);
}

int main(int argc, char **argv) {
  if (argc < 3) return 2;
  program = argv[0];
  folder = argv[1];
  library = argv[2];
  if (argc == 8) return refused(argv[3], (npad_status)atoi(argv[4]), argv[5], atoi(argv[6]), atoi(argv[7]));
  if (strcmp(folder, "missing") == 0) {
    missing();
  } else {
    fakes();
    damaged();
    other_files();
  }
  return done();
}
