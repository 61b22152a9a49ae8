/* The images and models of a soak, and what one thread has found in each image with each model. */
#ifndef PARTS_H
#define PARTS_H

#include "../c/check.h"

#define DESIGNS 6
#define SCENES 16
#define LEARNT 8
#define REGIONS 4
#define WIDEST 128

/* How models are fitted: small, so that a million images pass in minutes. */
typedef struct {
  const char *method, *size, *option, *value;
} design;

static const design designs[DESIGNS] = {
    {"npad", "64", "npad.channels", "8"},         {"padim", "64", "padim.channels", "16"},
    {"patchcore", "64", "patchcore.bank", "64"},  {"npad", "96x64", "npad.channels", "12"},
    {"padim", "96", "padim.channels", "8"},       {"patchcore", "64x128", "patchcore.bank", "32"},
};

/* How images are given: their format and size, bytes between rows, and whether they have a scratch, a region of
 * interest or a mask. */
typedef struct {
  int format, width, height, padding, scratched, roi, masked;
} scene;

static const scene scenes[SCENES] = {
    {NPAD_PIXEL_FORMAT_GRAY8, 64, 64, 0, 0, 0, 0},       {NPAD_PIXEL_FORMAT_GRAY8, 64, 64, 32, 1, 0, 0},
    {NPAD_PIXEL_FORMAT_BGR8, 96, 64, 0, 0, 0, 0},        {NPAD_PIXEL_FORMAT_BGR8, 96, 64, 7, 1, 0, 0},
    {NPAD_PIXEL_FORMAT_RGB8, 40, 52, 1, 0, 0, 0},        {NPAD_PIXEL_FORMAT_GRAY16, 64, 48, 0, 1, 0, 0},
    {NPAD_PIXEL_FORMAT_GRAY16, 70, 70, 10, 0, 0, 0},     {NPAD_PIXEL_FORMAT_RGB8_PLANAR, 80, 60, 0, 1, 0, 0},
    {NPAD_PIXEL_FORMAT_RGB8_PLANAR, 64, 64, 64, 0, 0, 0},{NPAD_PIXEL_FORMAT_RGBA8, 64, 64, 0, 1, 0, 0},
    {NPAD_PIXEL_FORMAT_BGRA8, 128, 96, 4, 0, 0, 0},      {NPAD_PIXEL_FORMAT_GRAYF32, 64, 64, 8, 1, 0, 0},
    {NPAD_PIXEL_FORMAT_GRAY8, 64, 64, 0, 1, 1, 0},       {NPAD_PIXEL_FORMAT_GRAY8, 64, 64, 0, 1, 0, 1},
    {NPAD_PIXEL_FORMAT_GRAY8, 1, 1, 0, 0, 0, 0},         {NPAD_PIXEL_FORMAT_GRAY8, 128, 128, 0, 1, 0, 0},
};

/* What scoring an image must give, to the last bit. */
typedef struct {
  float score, calibrated;
  int verdict;
  size_t regions;
  uint64_t map, bytes, first_regions, picture;
} finding;

/* A fitted model: its bytes, a file of the same, and what it says. */
typedef struct {
  npad_buffer *bytes;
  char path[4096];
  uint64_t card;
  float threshold, recalibrated;
  finding findings[SCENES];
} reference;

static npad_image parts[SCENES];
static reference references[DESIGNS];

static inline uint64_t hash(uint64_t state, const void *data, size_t size) {
  const uint8_t *bytes = data;
  size_t i;
  for (i = 0; i < size; i++) state = (state ^ bytes[i]) * 1099511628211u;
  return state;
}

#define HASH_START 1469598103934665603u

static inline uint64_t hash_text(const char *text) { return hash(HASH_START, text, strlen(text)); }

static inline size_t area(int n) { return (size_t)scenes[n].width * (size_t)scenes[n].height; }

/* Grey level of a part at a place: a gradient from left to right, some noise, and perhaps a scratch. */
static inline unsigned level(const scene *s, int x, int y, unsigned *state) {
  *state = *state * 1664525u + 1013904223u;
  if (s->scratched && y * 64 / s->height >= 20 && y * 64 / s->height < 30 && x * 64 / s->width >= 20 &&
      x * 64 / s->width < 32) {
    return 5;
  }
  return 100u + (unsigned)(x * 64 / s->width) + (*state >> 28);
}

static inline void put(uint8_t *at, int format, unsigned value) {
  const uint16_t wide = (uint16_t)(value << 4);
  const float real = (float)value / 255.0f;
  switch (format) {
    case NPAD_PIXEL_FORMAT_GRAY16: memcpy(at, &wide, sizeof wide); break;
    case NPAD_PIXEL_FORMAT_GRAYF32: memcpy(at, &real, sizeof real); break;
    case NPAD_PIXEL_FORMAT_GRAY8: at[0] = (uint8_t)value; break;
    default: at[0] = at[1] = at[2] = (uint8_t)value; break;
  }
}

static inline void make_part(int n) {
  static const int sizes[] = {1, 3, 3, 2, 4, 4, 4, 1};
  const scene *s = &scenes[n];
  const int planar = s->format == NPAD_PIXEL_FORMAT_RGB8_PLANAR;
  const int64_t pixel = sizes[s->format], stride = s->width * pixel + s->padding, plane = stride * s->height;
  uint8_t *memory = calloc(1, (size_t)(planar ? 3 * plane : plane));
  unsigned state = (unsigned)n + 1;
  int x, y, channel;
  npad_image *image = &parts[n];
  memset(image, 0, sizeof *image);
  for (y = 0; y < s->height; y++) {
    for (x = 0; x < s->width; x++) {
      const unsigned value = level(s, x, y, &state);
      uint8_t *at = memory + y * stride + x * pixel;
      for (channel = 0; channel < (planar ? 3 : 1); channel++) {
        put(at + channel * plane, planar ? NPAD_PIXEL_FORMAT_GRAY8 : s->format, value);
      }
    }
  }
  image->size = sizeof *image;
  for (channel = 0; channel < (planar ? 3 : 1); channel++) image->data[channel] = memory + channel * plane;
  image->width = s->width;
  image->height = s->height;
  image->stride = stride;
  image->format = s->format;
  image->significant_bits = s->format == NPAD_PIXEL_FORMAT_GRAY16 ? 12 : 0;
  if (s->roi) {
    image->roi_x = image->roi_y = 8;
    image->roi_width = image->roi_height = 48;
  }
  if (s->masked) {
    npad_mask *mask = calloc(1, sizeof *mask);
    uint8_t *included = calloc(area(n), 1);
    memset(included, 1, area(n) * 3 / 4);
    mask->size = sizeof *mask;
    mask->data = included;
    mask->width = s->width;
    mask->height = s->height;
    image->mask = mask;
  }
}

static inline void free_parts(void) {
  int n;
  for (n = 0; n < SCENES; n++) {
    if (parts[n].mask) free((void *)parts[n].mask->data);
    free((void *)parts[n].mask);
    free((void *)parts[n].data[0]);
  }
}

static inline uint64_t hash_regions(const npad_region *regions, size_t count) {
  return hash(HASH_START, regions, (count < REGIONS ? count : REGIONS) * sizeof *regions);
}

/* What a result says. `room` has room for the largest picture. */
static inline finding findings_of(const npad_result *result, int n, uint8_t *room) {
  npad_region regions[REGIONS];
  finding found;
  size_t i;
  memset(&found, 0, sizeof found);
  memset(regions, 0, sizeof regions);
  found.score = npad_result_score(result);
  found.calibrated = npad_result_calibrated_score(result);
  found.verdict = (int)npad_result_verdict(result);
  found.regions = npad_result_region_count(result);
  found.map = hash(HASH_START, npad_result_map(result), area(n) * sizeof(float));
  for (i = 0; i < found.regions && i < REGIONS; i++) {
    npad_result_region(result, i, &regions[i], sizeof regions[i], NULL);
  }
  found.first_regions = hash_regions(regions, found.regions);
  npad_result_map_u8(result, room, 0, NULL);
  found.bytes = hash(HASH_START, room, area(n));
  return found;
}

/* The picture is compared where one is drawn. */
static inline int same(const finding *found, const finding *expected) {
  return memcmp(&found->score, &expected->score, sizeof(float)) == 0 &&
         memcmp(&found->calibrated, &expected->calibrated, sizeof(float)) == 0 &&
         found->verdict == expected->verdict && found->regions == expected->regions && found->map == expected->map &&
         found->bytes == expected->bytes && found->first_regions == expected->first_regions;
}

static inline npad_model *fit(int number) {
  const design *d = &designs[number];
  npad_options *options = npad_options_new();
  npad_model *model = NULL;
  WORKS(npad_options_set(options, "method", d->method, &error));
  WORKS(npad_options_set(options, "size", d->size, &error));
  WORKS(npad_options_set(options, d->option, d->value, &error));
  WORKS(npad_options_set(options, "threads", "1", &error));
  WORKS(npad_options_set(options, "date", "none", &error));
  WORKS(npad_fit(images, LEARNT, options, &model, &error));
  npad_options_free(options);
  return model;
}

/* The threshold that the good images which were not learnt give. */
static inline npad_status recalibrate(const npad_model *model, float *threshold, npad_error **error) {
  npad_options *options = npad_options_new();
  npad_model *changed = NULL;
  npad_status status = npad_options_set(options, "date", "none", error);
  if (status == NPAD_STATUS_OK) {
    status = npad_model_recalibrate(model, images + LEARNT, PARTS - LEARNT, options, &changed, error);
  }
  *threshold = npad_model_threshold(changed);
  npad_model_free(changed);
  npad_options_free(options);
  return status;
}

/* Everything that must stay as it is, computed by one thread. Models are kept in memory and as files in `folder`. */
static inline void make_references(const char *folder) {
  static uint8_t room[3 * WIDEST * WIDEST];
  int number, n;
  make_images();
  for (n = 0; n < SCENES; n++) make_part(n);
  for (number = 0; number < DESIGNS; number++) {
    reference *r = &references[number];
    npad_model *model = fit(number);
    if (!model) exit(1);
    snprintf(r->path, sizeof r->path, "%s/soak-%d.npad", folder, number);
    WORKS(npad_model_save(model, r->path, &error));
    WORKS(npad_model_save_memory(model, &r->bytes, &error));
    r->card = hash_text(npad_model_card(model));
    r->threshold = npad_model_threshold(model);
    WORKS(recalibrate(model, &r->recalibrated, &error));
    for (n = 0; n < SCENES; n++) {
      npad_result *result = NULL;
      WORKS(npad_score(model, &parts[n], &result, &error));
      r->findings[n] = findings_of(result, n, room);
      WORKS(npad_render(model, &parts[n], result, room, 0, NPAD_PIXEL_FORMAT_RGB8, &error));
      r->findings[n].picture = hash(HASH_START, room, 3 * area(n));
      npad_result_free(result);
    }
    npad_model_free(model);
  }
}

static inline void free_references(void) {
  int number;
  for (number = 0; number < DESIGNS; number++) {
    npad_buffer_free(references[number].bytes);
    remove(references[number].path);
  }
  free_parts();
}

#endif
