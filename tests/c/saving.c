/* Saving under faults: a model's file has its old or its new contents, whole, and nothing else stays.
 *
 *     saving refused          each system call of a save fails in turn, in several ways
 *     saving order            what is on the disk when, for a power cut
 *     saving streams          a process that has closed its standard streams
 *     saving exports          both for the two files of an export
 *     saving targets          paths that cannot be written
 *     saving full             a file system that is full or read-only, where this process may mount one */

#define _GNU_SOURCE
#include <sched.h>
#include <sys/mount.h>

#include "saving.h"

static const int effects[] = {EIO, ENOSPC, EDQUOT, EROFS, EACCES, EINTR, HALVED};
enum { EFFECTS = sizeof effects / sizeof effects[0] };

/* What a call with a fault returned: success, or an error that names file and cause. */
static int has_failed(npad_status status, npad_error *error, int effect, const char *name) {
  if (status == NPAD_STATUS_OK) {
    CHECK(error == NULL);
    return 0;
  }
  CHECK(status == NPAD_STATUS_IO && effect > 0);
  if (!strstr(npad_error_message(error), name) || !strstr(npad_error_message(error), strerror(effect))) {
    fprintf(stderr, "effect %d at call %d: %s\n", effect, watch.chosen, npad_error_message(error));
    failures++;
  }
  npad_error_free(error);
  return 1;
}

/* Saves the second model over the first one, or where there is none, while the chosen call fails. */
static int save_with_fault(int chosen, int effect, int onwards, int old) {
  npad_error *error = NULL;
  npad_status status;
  int hit;
  if (old)
    write_bytes(target, npad_buffer_data(saved[0]), npad_buffer_size(saved[0]));
  else
    unlink(target);
  watch_calls(folder, chosen, effect, onwards);
  status = npad_model_save(models[1], target, &error);
  hit = stop_watching();
  if (has_failed(status, error, effect, "model.npad")) {
    CHECK(old ? is(target, saved[0]) : access(target, F_OK) != 0);
    CHECK(files_in_folder() == old);
  } else {
    CHECK(is(target, saved[1]));
    CHECK(files_in_folder() == 1);
  }
  return hit;
}

static void refused(void) {
  npad_options *options = host_options(NULL);
  int e, n, old, failed_before = failures;
  make_models(options);
  CHECK(see_system_calls());
  for (old = 0; old < 2; old++)
    for (e = 0; e < EFFECTS; e++) {
      for (n = 1; save_with_fault(n, effects[e], 0, old); n++) CHECK(n < 50);
      /* At least: open, write, flush, rename. */
      CHECK(n > 4);
      /* The disk stays full. */
      for (n = 1; effects[e] > 0 && effects[e] != EINTR && save_with_fault(n, effects[e], 1, old); n++) CHECK(n < 50);
      if (failures > failed_before) exit(1);
    }
  unlink(target);
  free_models(options);
}

static int is_flush(const system_call *call) { return call->number == SYS_fsync || call->number == SYS_fdatasync; }

/* Of the calls that were recorded: the contents of each file were on the disk before its name was, and before any file
 * of the same call took its place; the name followed. */
static void check_order(const char *const *names, int count) {
  int f, i, first_rename = MOST_CALLS;
  for (f = 0; f < count; f++)
    for (i = 0; i < watch.count; i++)
      if (strcmp(watch.calls[i].to, at(names[f])) == 0 && i < first_rename) first_rename = i;
  CHECK(first_rename < watch.count);
  for (f = 0; f < count; f++) {
    const char *temporary = "";
    int renamed = 0, written = 0, flushed = 0, named;
    for (i = 0; i < watch.count; i++)
      if (strcmp(watch.calls[i].to, at(names[f])) == 0) {
        temporary = watch.calls[i].path;
        renamed = i;
      }
    CHECK(is_temporary(temporary + strlen(folder) + 1));
    for (i = 0; i < renamed; i++)
      if (strcmp(watch.calls[i].path, temporary) == 0) {
        if (watch.calls[i].number == SYS_write) written = i;
        if (is_flush(&watch.calls[i])) flushed = i;
      }
    CHECK(written > 0 && flushed > written && flushed < first_rename);
    for (i = renamed, named = 0; i < watch.count; i++)
      named += is_flush(&watch.calls[i]) && strcmp(watch.calls[i].path, folder) == 0;
    CHECK(named > 0);
    /* The file itself is never written. */
    for (i = 0; i < watch.count; i++)
      if (strcmp(watch.calls[i].path, at(names[f])) == 0)
        CHECK(watch.calls[i].number != SYS_write && !(watch.calls[i].open_flags & O_TRUNC));
  }
}

/* In which order a save reaches the disk. */
static void order(void) {
  static const char *const names[] = {"model.npad"};
  npad_options *options = host_options(NULL);
  int old;
  make_models(options);
  CHECK(see_system_calls());
  for (old = 0; old < 2; old++) {
    watch_calls(folder, 0, 0, 0);
    WORKS(npad_model_save(models[old], target, &error));
    stop_watching();
    check_order(names, 1);
  }
  unlink(target);
  free_models(options);
}

/* What others print to a stream that is closed must not get into a file: none is written through the stream's descriptor. */
static void streams(void) {
  npad_options *options = host_options(NULL);
  npad_status status;
  int kept[3], i;
  make_models(options);
  CHECK(see_system_calls());
  for (i = 0; i < 3; i++) {
    kept[i] = fcntl(i, F_DUPFD, 10);
    close(i);
  }
  watch_calls(folder, 0, 0, 0);
  status = npad_model_save(models[1], target, NULL);
  stop_watching();
  for (i = 0; i < 3; i++) {
    dup2(kept[i], i);
    close(kept[i]);
  }
  CHECK(status == NPAD_STATUS_OK && is(target, saved[1]));
  for (i = 0; i < watch.count; i++)
    CHECK(watch.calls[i].number != SYS_write || watch.calls[i].descriptor > 2);
  unlink(target);
  free_models(options);
}

typedef struct {
  char *bytes;
  size_t size;
} file_contents;

static const char *const exported[] = {"detector.onnx", "detector.json"};

/* Exports over two old files, while the chosen call fails; `expected` has the new contents. */
static int export_with_fault(const npad_model *model, const npad_options *options, const file_contents *expected,
                             int chosen, int effect) {
  npad_error *error = NULL;
  npad_status status;
  int hit, f, replaced = 0, renames = 0, failed, i;
  for (f = 0; f < 2; f++) write_bytes(at(exported[f]), "old", 3);
  watch_calls(folder, chosen, effect, 0);
  status = npad_model_export(model, at(exported[0]), options, &error);
  hit = stop_watching();
  for (f = 0; f < 2; f++) {
    size_t size = 0;
    char *bytes = contents(at(exported[f]), &size);
    const int is_new = bytes && size == expected[f].size && memcmp(bytes, expected[f].bytes, size) == 0;
    CHECK(is_new || (bytes && size == 3 && memcmp(bytes, "old", 3) == 0));
    replaced += is_new;
    free(bytes);
  }
  for (i = 0; i < watch.count; i++) renames += watch.calls[i].to[0] != 0;
  failed = has_failed(status, error, effect, "detector.");
  CHECK(failed || replaced == 2);
  /* Both are on the disk by then: only putting the second one in its place can leave one of each. */
  if (failed) CHECK(replaced == 0 || (replaced == 1 && renames == 2));
  CHECK(files_in_folder() == 2);
  return hit;
}

static void exports(void) {
  npad_options *options = quick_options(), *of_export = npad_options_new();
  npad_model *model = NULL;
  file_contents expected[2];
  int f, e, n;
  WORKS(npad_options_set(options, "date", "none", &error));
  WORKS(npad_fit(images, 10, options, &model, &error));
  CHECK(see_system_calls());
  watch_calls(folder, 0, 0, 0);
  WORKS(npad_model_export(model, at(exported[0]), of_export, &error));
  stop_watching();
  check_order(exported, 2);
  for (f = 0; f < 2; f++) {
    expected[f].bytes = contents(at(exported[f]), &expected[f].size);
    CHECK(expected[f].bytes && expected[f].size > 100);
  }
  for (e = 0; e < 2; e++)
    for (n = 1; export_with_fault(model, of_export, expected, n, effects[2 * e]); n++) CHECK(n < 60);
  for (f = 0; f < 2; f++) {
    unlink(at(exported[f]));
    free(expected[f].bytes);
  }
  npad_model_free(model);
  npad_options_free(options);
  npad_options_free(of_export);
}

static void targets(void) {
  npad_options *options = host_options(NULL);
  char name[PATH_SIZE] = {0};
  make_models(options);
  CHECK(mkdir(at("taken"), 0777) == 0 && symlink("later.npad", at("dangling")) == 0 && symlink("x/y", at("lost")) == 0);
  FAILS(npad_model_save(models[0], at("taken"), &error), NPAD_STATUS_IO, "taken");
  FAILS(npad_model_save(models[0], folder, &error), NPAD_STATUS_IO, "");
  FAILS(npad_model_save(models[0], "/", &error), NPAD_STATUS_IO, "/");
  FAILS(npad_model_save(models[0], at("none/model.npad"), &error), NPAD_STATUS_NOT_FOUND, "none/model.npad");
  FAILS(npad_model_save(models[0], at("lost"), &error), NPAD_STATUS_NOT_FOUND, "lost");
  FAILS(npad_model_save(models[0], "", &error), NPAD_STATUS_NOT_FOUND, "model");
  memset(name, 'n', 300);
  FAILS(npad_model_save(models[0], at(name), &error), NPAD_STATUS_IO, strerror(ENAMETOOLONG));
  FAILS(npad_model_save(models[0], name, &error), NPAD_STATUS_IO, strerror(ENAMETOOLONG));
  /* A file is no folder. */
  WORKS(npad_model_save(models[0], target, &error));
  FAILS(npad_model_save(models[1], at("model.npad/model.npad"), &error), NPAD_STATUS_IO, strerror(ENOTDIR));
  FAILS(npad_model_save(models[1], at("model.npad/"), &error), NPAD_STATUS_IO, strerror(ENOTDIR));
  CHECK(is(target, saved[0]));
  WORKS(npad_model_save(models[1], at("dangling"), &error));
  CHECK(is(at("later.npad"), saved[1]));
  /* model.npad, taken, dangling, lost, later.npad */
  CHECK(files_in_folder() == 5);
  /* The longest name that the file system has. */
  name[255] = 0;
  WORKS(npad_model_save(models[1], at(name), &error));
  CHECK(is(at(name), saved[1]) && unlink(at(name)) == 0);
  CHECK(rmdir(at("taken")) == 0 && unlink(at("dangling")) == 0 && unlink(at("lost")) == 0);
  CHECK(unlink(at("later.npad")) == 0 && unlink(target) == 0);
  free_models(options);
}

static int write_text(const char *path, const char *text) {
  FILE *file = fopen(path, "w");
  const int written = file && fputs(text, file) >= 0;
  return file && fclose(file) == 0 && written;
}

/* Lets this process mount file systems for itself: root in a name space of mounts, others also in one of users, where
 * they are root. */
static int may_mount(void) {
  char user[32], group[32];
  if (geteuid() == 0) return unshare(CLONE_NEWNS) == 0;
  snprintf(user, sizeof user, "0 %u 1", (unsigned)geteuid());
  snprintf(group, sizeof group, "0 %u 1", (unsigned)getegid());
  return unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0 && write_text("/proc/self/uid_map", user) &&
         write_text("/proc/self/setgroups", "deny") && write_text("/proc/self/gid_map", group);
}

/* Puts a small file system in the folder's place. */
static int mount_small(void) {
  return may_mount() && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
         mount("none", folder, "tmpfs", 0, "size=4m,mode=777") == 0;
}

static void full(void) {
  enum { PAGE = 4096 };
  static char page[PAGE];
  npad_options *options;
  FILE *filler;
  /* Before npad starts threads, with which a process cannot have a name space of its own. */
  if (!mount_small()) {
    printf("skipped: this process may not mount a file system\n");
    return;
  }
  options = host_options(NULL);
  make_models(options);
  WORKS(npad_model_save(models[0], target, &error));
  filler = fopen(at("filler"), "wb");
  setbuf(filler, NULL);
  while (fwrite(page, 1, PAGE, filler) == PAGE) continue;
  FAILS(npad_model_save(models[1], target, &error), NPAD_STATUS_IO, strerror(ENOSPC));
  CHECK(is(target, saved[0]) && files_in_folder() == 2);
  /* Room for a part of it. */
  CHECK(ftruncate(fileno(filler), (off_t)(4 << 20) - (off_t)npad_buffer_size(saved[0]) * 3 / 2) == 0);
  FAILS(npad_model_save(models[1], at("other.npad"), &error), NPAD_STATUS_IO, strerror(ENOSPC));
  CHECK(is(target, saved[0]) && files_in_folder() == 2);
  fclose(filler);
  CHECK(unlink(at("filler")) == 0);
  CHECK(mount("none", folder, NULL, MS_REMOUNT | MS_RDONLY, NULL) == 0);
  FAILS(npad_model_save(models[1], target, &error), NPAD_STATUS_IO, strerror(EROFS));
  FAILS(npad_model_save(models[1], at("other.npad"), &error), NPAD_STATUS_IO, strerror(EROFS));
  CHECK(is(target, saved[0]) && files_in_folder() == 1);
  CHECK(mount("none", folder, NULL, MS_REMOUNT, NULL) == 0);
  WORKS(npad_model_save(models[1], target, &error));
  CHECK(is(target, saved[1]) && files_in_folder() == 1);
  free_models(options);
}

int main(int argc, char **argv) {
  static const struct {
    const char *name;
    void (*run)(void);
  } modes[] = {{"refused", refused}, {"order", order},     {"streams", streams},
               {"exports", exports}, {"targets", targets}, {"full", full}};
  size_t m;
  make_folder();
  make_images();
  for (m = 0; m < sizeof modes / sizeof modes[0]; m++)
    if (argc == 2 && strcmp(argv[1], modes[m].name) == 0) {
      modes[m].run();
      return done();
    }
  return 2;
}
