/* What the tests of saving share: a folder of their own, two models, and comparisons of files. */
#ifndef SAVING_H
#define SAVING_H

#include <dirent.h>
#include <sys/stat.h>

#include "extractor.h"
#include "system_calls.h"

static char folder[PATH_SIZE / 2], target[PATH_SIZE];

/* A path of the folder that is watched. */
static inline const char *at(const char *name) {
  static char path[4][2 * PATH_SIZE];
  static int next;
  next = (next + 1) % 4;
  snprintf(path[next], sizeof path[next], "%s/%s", folder, name);
  return path[next];
}

/* The contents of a file; null if there is none. */
static inline char *contents(const char *path, size_t *size) {
  struct stat found;
  FILE *file = fopen(path, "rb");
  char *bytes;
  if (!file) return NULL;
  CHECK(fstat(fileno(file), &found) == 0);
  *size = (size_t)found.st_size;
  bytes = malloc(*size + 1);
  CHECK(fread(bytes, 1, *size, file) == *size);
  fclose(file);
  return bytes;
}

static inline int is(const char *path, const npad_buffer *expected) {
  size_t size = 0;
  char *bytes = contents(path, &size);
  const int same = bytes && size == npad_buffer_size(expected) && memcmp(bytes, npad_buffer_data(expected), size) == 0;
  free(bytes);
  return same;
}

static inline void write_bytes(const char *path, const void *data, size_t size) {
  FILE *file = fopen(path, "wb");
  CHECK(file && fwrite(data, 1, size, file) == size);
  CHECK(file && fclose(file) == 0);
}

static inline int files_in_folder(void) {
  DIR *entries = opendir(folder);
  struct dirent *entry;
  int count = 0;
  while ((entry = readdir(entries)) != NULL) count += entry->d_name[0] != '.' || strlen(entry->d_name) > 2;
  closedir(entries);
  return count;
}

static inline int is_temporary(const char *name) {
  return strncmp(name, ".npad-", 6) == 0 && strstr(name, ".tmp") != NULL;
}

static npad_model *models[2];
static npad_buffer *saved[2];

/* Two models and their bytes. */
static inline void make_models(npad_options *options) {
  int m;
  for (m = 0; m < 2; m++) {
    WORKS(npad_fit(images, 10 + m, options, &models[m], &error));
    WORKS(npad_model_save_memory(models[m], &saved[m], &error));
    if (!saved[m]) exit(1);
  }
  CHECK(npad_buffer_size(saved[0]) > 1000);
  CHECK(npad_buffer_size(saved[0]) != npad_buffer_size(saved[1]) ||
        memcmp(npad_buffer_data(saved[0]), npad_buffer_data(saved[1]), npad_buffer_size(saved[0])) != 0);
}

static inline void free_models(npad_options *options) {
  int m;
  for (m = 0; m < 2; m++) {
    npad_model_free(models[m]);
    npad_buffer_free(saved[m]);
  }
  npad_options_free(options);
}

/* Makes the folder, in the current one. */
static inline void make_folder(void) {
  if (!getcwd(folder, sizeof folder - 20)) exit(1);
  strcat(folder, "/saved");
  mkdir(folder, 0777);
  snprintf(target, sizeof target, "%s/model.npad", folder);
}

#endif
