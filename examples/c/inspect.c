/* Learns from a folder of good images, saves and reloads the model, and inspects other images.
 *
 *     inspect GOOD_FOLDER IMAGE... [key=value]...
 *
 * Images are binary PGM or PPM files (P5 or P6, 8 bits), a format that needs no library. key=value sets an option, for
 * example size=128. */

#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "npad.h"

typedef struct {
  uint8_t *pixels;
  npad_image view;
} picture;

static void stop(npad_error *error, const char *what) {
  fprintf(stderr, "%s: %s\n", what, error ? npad_error_message(error) : "failed");
  npad_error_free(error);
  exit(1);
}

/* Reads a number of a PNM header, skipping white space and comments. */
static int read_number(FILE *file) {
  int c = fgetc(file), value = 0, digits = 0;
  for (;;) {
    if (c == '#')
      while (c != '\n' && c != EOF) c = fgetc(file);
    else if (isspace(c))
      c = fgetc(file);
    else
      break;
  }
  for (; c >= '0' && c <= '9' && digits < 6; c = fgetc(file), digits++) value = value * 10 + (c - '0');
  return digits > 0 ? value : -1;
}

static int read_picture(const char *path, picture *out) {
  FILE *file = fopen(path, "rb");
  int channels, width, height, depth;
  size_t size;
  if (!file) return 0;
  channels = fgetc(file) == 'P' ? (fgetc(file) == '5' ? 1 : 3) : 0;
  width = read_number(file);
  height = read_number(file);
  depth = read_number(file);
  if (!channels || width < 1 || height < 1 || depth != 255) {
    fclose(file);
    return 0;
  }
  size = (size_t)width * (size_t)height * (size_t)channels;
  memset(out, 0, sizeof *out);
  out->pixels = malloc(size);
  if (!out->pixels || fread(out->pixels, 1, size, file) != size) {
    free(out->pixels);
    fclose(file);
    return 0;
  }
  fclose(file);
  out->view.size = sizeof out->view;
  out->view.data[0] = out->pixels;
  out->view.width = width;
  out->view.height = height;
  out->view.size = sizeof out->view;
  out->view.format = channels == 1 ? NPAD_PIXEL_FORMAT_GRAY8 : NPAD_PIXEL_FORMAT_RGB8;
  return 1;
}

/* Shows the trainer every image of a folder, in whatever order: the model does not depend on it. */
static void learn_folder(npad_trainer *trainer, const char *folder) {
  DIR *entries = opendir(folder);
  const struct dirent *entry;
  if (!entries) stop(NULL, folder);
  while ((entry = readdir(entries))) {
    char path[4096];
    picture image;
    npad_error *error = NULL;
    if (entry->d_name[0] == '.') continue;
    snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
    if (!read_picture(path, &image)) stop(NULL, path);
    if (npad_trainer_add_image(trainer, &image.view, &error) != NPAD_STATUS_OK) stop(error, path);
    free(image.pixels);
  }
  closedir(entries);
}

static void inspect(const npad_model *model, const char *path) {
  picture image;
  npad_result *result = NULL;
  npad_error *error = NULL;
  size_t i;
  if (!read_picture(path, &image)) stop(NULL, path);
  if (npad_score(model, &image.view, &result, &error) != NPAD_STATUS_OK) stop(error, path);
  printf("%s: %s, score %.9g, calibrated %.9g\n", path, npad_result_is_anomalous(result) ? "DEFECTIVE" : "good",
         (double)npad_result_score(result), (double)npad_result_calibrated_score(result));
  for (i = 0; i < npad_result_region_count(result); i++) {
    npad_region region;
    if (npad_result_region(result, i, &region, sizeof region, &error) != NPAD_STATUS_OK) stop(error, path);
    printf("  region at (%d, %d), %d x %d, %lld pixels, peak %.9g\n", (int)region.x, (int)region.y, (int)region.width,
           (int)region.height, (long long)region.area, (double)region.peak);
  }
  npad_result_free(result);
  free(image.pixels);
}

int main(int argc, char **argv) {
  const char *model_path = "inspect.npad";
  npad_options *options = npad_options_new();
  npad_trainer *trainer = NULL;
  npad_model *model = NULL;
  npad_error *error = NULL;
  int i;
  if (argc < 3) {
    fprintf(stderr, "usage: %s GOOD_FOLDER IMAGE... [key=value]...\n", argv[0]);
    return 2;
  }
  printf("npad %s\n", npad_version_string());
  for (i = 2; i < argc; i++) {
    char *value = strchr(argv[i], '=');
    if (!value) continue;
    *value = '\0';
    if (npad_options_set(options, argv[i], value + 1, &error) != NPAD_STATUS_OK) stop(error, "options");
    *value = '=';
  }

  if (npad_trainer_new(options, &trainer, &error) != NPAD_STATUS_OK) stop(error, "trainer");
  learn_folder(trainer, argv[1]);
  if (npad_trainer_finish(trainer, &model, &error) != NPAD_STATUS_OK) stop(error, "finish");
  npad_trainer_free(trainer);
  if (npad_model_save(model, model_path, &error) != NPAD_STATUS_OK) stop(error, model_path);
  npad_model_free(model);

  if (npad_model_load(model_path, options, &model, &error) != NPAD_STATUS_OK) stop(error, model_path);
  printf("threshold %.9g\n", (double)npad_model_threshold(model));
  for (i = 2; i < argc; i++)
    if (!strchr(argv[i], '=')) inspect(model, argv[i]);
  npad_model_free(model);
  npad_options_free(options);
  return 0;
}
