/*
 * npad: industrial visual anomaly detection. Learns from good images only, in seconds; scores images in milliseconds.
 *
 * THE SHORT WAY
 *
 *   npad_image good[200] = {{0}};                    describe the pixels where they are, nothing is copied
 *   for (i = 0; i < 200; i++) {
 *     good[i].size = sizeof good[i];
 *     good[i].data[0] = pixels[i];
 *     good[i].width = 640;
 *     good[i].height = 480;
 *     good[i].format = NPAD_PIXEL_FORMAT_GRAY8;
 *   }
 *   npad_model *model = NULL;
 *   npad_error *error = NULL;
 *   if (npad_fit(good, 200, NULL, &model, &error) != NPAD_STATUS_OK) {
 *     fprintf(stderr, "%s\n", npad_error_message(error));
 *     npad_error_free(error);
 *   }
 *   npad_result *result = NULL;
 *   npad_score(model, &image, &result, &error);
 *   if (npad_result_is_anomalous(result)) ...
 *
 * RULES
 *
 * Structs: initialise every struct to zero and set its `size` to sizeof. Later versions may append fields; a field that is 0
 * has no effect. A program that was built against an older header therefore runs with a newer library. A library refuses
 * a struct that is larger than its own unless the surplus is 0. Functions that write an array of structs take the size of an
 * element. Structs that npad creates and passes to callbacks may grow at their end.
 *
 * Errors: functions that can fail return a npad_status. Where the last parameter, `error`, is not null, it receives null
 * on success and a new npad_error on failure, which the caller frees. A failed call changes nothing unless its
 * description says so, and sets the handles that it would have returned to null. Any function may return
 * NPAD_STATUS_INVALID_ARGUMENT for a null pointer or a wrong struct size, NPAD_STATUS_OUT_OF_MEMORY, and
 * NPAD_STATUS_INTERNAL for a defect of npad. No call ends the process, prints anything or lets a panic through.
 *
 * Ownership: a handle that a function returns through a pointer is owned by the caller, who frees it once with the
 * function of its type; freeing null is allowed. Pointers that accessors return belong to the handle and live as long as it
 * does. Images are borrowed for the length of a call.
 *
 * Threads: each type says who may use it. Any number of threads may score with one model at once; a trainer and options
 * belong to one thread at a time. npad runs its own worker threads.
 *
 * Text is UTF-8 and ends with a zero byte. Paths are UTF-8 on Windows and any bytes elsewhere.
 *
 * The library stays loaded until the process ends, since ONNX Runtime cannot be unloaded safely.
 *
 * This file is generated from the library's source.
 */


#ifndef NPAD_H
#define NPAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * The longest side an image may have, in pixels.
 */
#define NPAD_MAX_SIDE 65535

/**
 * Size in bytes of a callback's error message, including the terminating zero byte.
 */
#define NPAD_CALLBACK_MESSAGE_SIZE 512

/**
 * Version of the interface between npad and plug-ins. npad refuses plug-ins of another version.
 */
#define NPAD_PLUGIN_ABI 2

/**
 * The major version. Incompatible changes of this interface raise it.
 */
#define NPAD_VERSION_MAJOR 0

/**
 * The minor version. Additions raise it; while the major version is 0, incompatible changes raise it too.
 */
#define NPAD_VERSION_MINOR 2

/**
 * The patch version. Corrections raise it.
 */
#define NPAD_VERSION_PATCH 0

/**
 * The version of this header as one number, to compare with npad_version_number().
 */
#define NPAD_VERSION_NUMBER (((NPAD_VERSION_MAJOR * 1000000) + (NPAD_VERSION_MINOR * 1000)) + NPAD_VERSION_PATCH)

/**
 * What went wrong, in the classes a caller can react to. The numbers are part of the C ABI: they are never reused.
 */
enum npad_status
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * Success.
   */
  NPAD_STATUS_OK = 0,
  /**
   * An argument is outside its documented range (a null pointer, a size of zero, an index too large).
   */
  NPAD_STATUS_INVALID_ARGUMENT = 1,
  /**
   * An image cannot be used: its size, stride or pixel format is wrong.
   */
  NPAD_STATUS_INVALID_IMAGE = 2,
  /**
   * An option's name is unknown or its value is not acceptable.
   */
  NPAD_STATUS_INVALID_OPTION = 3,
  /**
   * Too few good images to learn from.
   */
  NPAD_STATUS_NOT_ENOUGH_IMAGES = 4,
  /**
   * A file could not be read or written.
   */
  NPAD_STATUS_IO = 5,
  /**
   * A model file is truncated, corrupted, or no npad model at all.
   */
  NPAD_STATUS_INVALID_MODEL = 6,
  /**
   * A model file was written by a newer npad or needs something this build does not have.
   */
  NPAD_STATUS_UNSUPPORTED_MODEL = 7,
  /**
   * ONNX Runtime's shared library is missing, too old or unusable.
   */
  NPAD_STATUS_RUNTIME = 8,
  /**
   * The requested device cannot be used.
   */
  NPAD_STATUS_DEVICE = 9,
  /**
   * The backbone network cannot be used or failed.
   */
  NPAD_STATUS_BACKBONE = 10,
  /**
   * A defect of npad itself: please report it.
   */
  NPAD_STATUS_INTERNAL = 11,
  /**
   * The progress callback asked to stop.
   */
  NPAD_STATUS_CANCELLED = 12,
  /**
   * A plug-in cannot be used: it is not one, speaks another version of the interface, failed, or gave results that
   * cannot be trusted.
   */
  NPAD_STATUS_PLUGIN = 13,
  /**
   * There is not enough memory for what was asked.
   */
  NPAD_STATUS_OUT_OF_MEMORY = 14,
  /**
   * A file, a folder or a name does not exist.
   */
  NPAD_STATUS_NOT_FOUND = 15,
  /**
   * The call does not fit the state of its handle or of the process.
   */
  NPAD_STATUS_WRONG_STATE = 16,
  /**
   * The call waited for its turn as long as it may.
   */
  NPAD_STATUS_TIMED_OUT = 17,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum npad_status npad_status;
#else
typedef int32_t npad_status;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * What values an option takes. The numbers are part of the C ABI.
 */
enum npad_option_type
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * A whole number.
   */
  NPAD_OPTION_TYPE_INTEGER = 0,
  /**
   * A real number.
   */
  NPAD_OPTION_TYPE_NUMBER = 1,
  /**
   * One of some words.
   */
  NPAD_OPTION_TYPE_CHOICE = 2,
  /**
   * Some of some words, joined by '+'.
   */
  NPAD_OPTION_TYPE_FLAGS = 3,
  /**
   * Text.
   */
  NPAD_OPTION_TYPE_TEXT = 4,
  /**
   * The path of a file.
   */
  NPAD_OPTION_TYPE_PATH = 5,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum npad_option_type npad_option_type;
#else
typedef int32_t npad_option_type;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * What is to be done with an image. The numbers are part of the C ABI.
 */
enum npad_verdict
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * As the good images.
   */
  NPAD_VERDICT_GOOD = 0,
  /**
   * Above the review threshold: somebody should look. Only where a review rate or threshold is set.
   */
  NPAD_VERDICT_REVIEW = 1,
  /**
   * Above the threshold.
   */
  NPAD_VERDICT_DEFECTIVE = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum npad_verdict npad_verdict;
#else
typedef int32_t npad_verdict;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * How pixels lie in memory. The numbers are part of the C ABI.
 */
enum npad_pixel_format
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * One byte a pixel.
   */
  NPAD_PIXEL_FORMAT_GRAY8 = 0,
  /**
   * Three bytes a pixel: red, green, blue.
   */
  NPAD_PIXEL_FORMAT_RGB8 = 1,
  /**
   * Three bytes a pixel: blue, green, red (OpenCV's and Windows' order).
   */
  NPAD_PIXEL_FORMAT_BGR8 = 2,
  /**
   * One 16-bit number a pixel, in the machine's byte order; 65535 is white, or what the significant bits say.
   */
  NPAD_PIXEL_FORMAT_GRAY16 = 3,
  /**
   * Four bytes a pixel: red, green, blue, and a fourth that is not looked at.
   */
  NPAD_PIXEL_FORMAT_RGBA8 = 4,
  /**
   * Four bytes a pixel: blue, green, red, and a fourth that is not looked at.
   */
  NPAD_PIXEL_FORMAT_BGRA8 = 5,
  /**
   * One 32-bit float a pixel, in the machine's byte order; 0 is black, 1 white, and values between and around them count
   * as they are. All must be finite.
   */
  NPAD_PIXEL_FORMAT_GRAYF32 = 6,
  /**
   * Three planes of one byte a pixel: red, green, blue (HALCON's layout).
   */
  NPAD_PIXEL_FORMAT_RGB8_PLANAR = 7,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum npad_pixel_format npad_pixel_format;
#else
typedef int32_t npad_pixel_format;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * Severity of a log message.
 */
enum npad_log_level
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * Something failed.
   */
  NPAD_LOG_LEVEL_ERROR = 1,
  /**
   * Something works, but may not work as wanted: for example, too few images for a reliable threshold.
   */
  NPAD_LOG_LEVEL_WARNING = 2,
  /**
   * One line for each fit and each load.
   */
  NPAD_LOG_LEVEL_INFO = 3,
  /**
   * Details for debugging.
   */
  NPAD_LOG_LEVEL_DEBUG = 4,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum npad_log_level npad_log_level;
#else
typedef int32_t npad_log_level;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * Bytes that npad has written.
 *
 * Owned by the caller, who frees it with npad_buffer_free(). Immutable: any thread may read it.
 */
typedef struct npad_buffer npad_buffer;

/**
 * A request to cancel a call, for npad_score_batch() and npad_score_batch_into().
 *
 * Owned by the caller, who frees it with npad_cancellation_free() once no call uses it. Any number of threads may use it at
 * once. It cannot be reset: create another one for the next call.
 */
typedef struct npad_cancellation npad_cancellation;

/**
 * Why a call failed: a status for programs and a message for people, which says what was wrong, what was expected and
 * what to do.
 *
 * Owned by the caller, who frees it with npad_error_free(). Immutable: any thread may read it.
 */
typedef struct npad_error npad_error;

/**
 * A fitted model: the backbone's identity, statistics, thresholds and metadata.
 *
 * Owned by the caller, who frees it with npad_model_free() once no call uses it. Immutable: any number of threads may
 * score with one model at once. At most "max_calls" of these calls run at a time; further calls wait.
 */
typedef struct npad_model npad_model;

/**
 * Options for fitting and loading. Every option has a default.
 *
 * Owned by the caller, who frees it with npad_options_free(). Belongs to one thread at a time. Calls that take options
 * copy them.
 */
typedef struct npad_options npad_options;

/**
 * The result of scoring one image.
 *
 * Owned by the caller, who frees it with npad_result_free(). Immutable: any number of threads may read it at once.
 */
typedef struct npad_result npad_result;

/**
 * A fit in progress: takes good images one by one and finishes into a model.
 *
 * Its memory does not grow with the number of images. Owned by the caller, who frees it with npad_trainer_free(), also
 * after it has finished. Belongs to one thread at a time.
 */
typedef struct npad_trainer npad_trainer;

/**
 * Log callback. `level` is one of npad_log_level; `message` is UTF-8 and valid during the call. Called from any thread, also
 * from several at once. It should not call npad: messages that npad would log during the callback are dropped, and
 * npad_log_set() returns NPAD_STATUS_WRONG_STATE.
 */
typedef void (*npad_log_callback)(int32_t level, const char *message, void *user_data);

/**
 * A view of a mask in the caller's memory: one byte per pixel; 0 excludes the pixel, any other value includes it.
 *
 * Initialise it to zero (`npad_mask mask = {0};` or memset) and set `size` first.
 */
typedef struct {
  /**
   * sizeof(npad_mask).
   */
  size_t size;
  /**
   * The first pixel of the first row.
   */
  const uint8_t *data;
  /**
   * Pixels per row: those of the image.
   */
  int32_t width;
  /**
   * Rows: those of the image.
   */
  int32_t height;
  /**
   * Bytes from the start of one row to the start of the next; 0 means rows without padding.
   */
  int64_t stride;
} npad_mask;

/**
 * Progress callback. Returns true to continue and false to cancel the fit. `stage` is "learning", "statistics", "centroids"
 * or "held-out scores"; `done` of `total` steps are complete, and `total` is 0 while it is unknown. Called on the thread of
 * the call in progress. It must not call a function with the same trainer.
 */
typedef bool (*npad_progress_callback)(const char *stage, size_t done, size_t total, void *user_data);

/**
 * Receives the error message of a callback that fails. npad creates it and passes a pointer to the callback; later versions
 * may append fields.
 */
typedef struct {
  /**
   * UTF-8, terminated by a zero byte. Empty when the callback is called.
   */
  char message[NPAD_CALLBACK_MESSAGE_SIZE];
} npad_callback_error;

/**
 * Computes features. `input` holds three normalised planes, red, green and blue, of `height` rows of `width` values.
 * `outputs[i]` receives `channels[i]` planes of ceil(height / strides[i]) rows of ceil(width / strides[i]) finite values.
 * Returns 0 on success; on failure returns any other number after writing the reason to `error`. May be called from several
 * threads at once.
 */
typedef int32_t (*npad_extract_callback)(void *user_data,
                                         const float *input,
                                         int32_t height,
                                         int32_t width,
                                         float *const *outputs,
                                         npad_callback_error *error);

/**
 * Frees the data of a table of callbacks. Called once, from any thread, when nothing uses the table any more.
 */
typedef void (*npad_free_callback)(void *user_data);

/**
 * A feature extractor of the host, which replaces ONNX Runtime and the built-in backbone.
 *
 * The features must depend on the image alone. A model records the name of the extractor that it was fitted with and can
 * only be loaded with an extractor of that name; choose another name whenever the features change.
 */
typedef struct {
  /**
   * sizeof(npad_extractor).
   */
  size_t size;
  /**
   * 1 to 64 lower-case letters, digits, '-' or '_'. Copied.
   */
  const char *name;
  /**
   * Number of outputs, 1 to 16.
   */
  size_t tap_count;
  /**
   * For each output, the input pixels per position in each direction, 1 to 64. Copied.
   */
  const int32_t *strides;
  /**
   * For each output, its number of planes, 1 to 8192. Copied.
   */
  const int32_t *channels;
  /**
   * Mean of red, green and blue, which are 0 to 1; subtracted first.
   */
  float mean[3];
  /**
   * Standard deviation of red, green and blue, above 0; the divisor.
   */
  float std[3];
  /**
   * Computes features. Must not be null.
   */
  npad_extract_callback extract;
  /**
   * Frees `user_data`. May be null.
   */
  npad_free_callback free;
  /**
   * Passed to the callbacks.
   */
  void *user_data;
} npad_extractor;

/**
 * A view of an image in the caller's memory. npad reads it during the call and keeps no reference to it.
 *
 * Initialise it to zero (`npad_image image = {0};` or memset) and set `size` first: fields that you do not use must be 0.
 * A sub-image is a view with the stride of the whole image and a pointer to its own first pixel.
 */
typedef struct {
  /**
   * sizeof(npad_image). All images of one array must have the same.
   */
  size_t size;
  /**
   * The first pixel of the first row; for NPAD_PIXEL_FORMAT_RGB8_PLANAR that of the red, the green and the blue plane.
   * Formats with one plane ignore the other two pointers.
   */
  const uint8_t *data[3];
  /**
   * Pixels per row, 1 to 65535.
   */
  int32_t width;
  /**
   * Rows, 1 to 65535.
   */
  int32_t height;
  /**
   * Bytes from the start of one row to the start of the next, at least the bytes of a row; 0 means rows without padding.
   */
  int64_t stride;
  /**
   * Pixel format: one of npad_pixel_format.
   */
  int32_t format;
  /**
   * For NPAD_PIXEL_FORMAT_GRAY16, the bits that the camera fills, 8 to 16: 10 for Mono10, 12 for Mono12. The largest
   * value of that many bits is white, and a larger value is an error. 0 means 16. Other formats require 0.
   */
  int32_t significant_bits;
  /**
   * Mask of the image, or null for none. Excluded pixels are ignored, their map value is 0, and no region contains them.
   * Within two grid cells of the mask's edge (16 pixels of the network's input by default) the map is interpolated. For
   * scoring only: a fit takes one mask for all images, see npad_options_set_mask().
   */
  const npad_mask *mask;
  /**
   * Left edge of a rectangular region of interest, in pixels of the image. The rectangle has the effect of a mask that
   * excludes everything else; with a mask as well, a pixel must be included by both. All four values 0 mean the whole
   * image. For scoring only: a fit takes one rectangle for all images, see npad_options_set_roi().
   */
  int32_t roi_x;
  /**
   * Upper edge of the rectangle.
   */
  int32_t roi_y;
  /**
   * Width of the rectangle.
   */
  int32_t roi_width;
  /**
   * Height of the rectangle.
   */
  int32_t roi_height;
} npad_image;

/**
 * A connected defect region. Coordinates are pixels of the image; the centre of its first pixel is at (0, 0).
 *
 * npad writes it to memory of the caller, whose element size is an argument: sizeof(npad_region).
 */
typedef struct {
  /**
   * Left edge of the bounding box.
   */
  int32_t x;
  /**
   * Upper edge of the bounding box.
   */
  int32_t y;
  /**
   * Width of the bounding box in pixels.
   */
  int32_t width;
  /**
   * Height of the bounding box in pixels.
   */
  int32_t height;
  /**
   * Number of pixels.
   */
  int64_t area;
  /**
   * Mean x of the pixels.
   */
  float centroid_x;
  /**
   * Mean y of the pixels.
   */
  float centroid_y;
  /**
   * Maximum of the anomaly map in the region, in the units of the raw score.
   */
  float peak;
  /**
   * The peak on the calibrated scale of the map: 0 for a typical good image, 0.5 at the map threshold; not clamped.
   */
  float calibrated_peak;
} npad_region;

/**
 * The caller's memory for the result of one image, see npad_score_into().
 *
 * Initialise it to zero (`npad_output output = {0};` or memset), set `size`, and set what you want of `map`, `map_u8` and
 * `regions`. One npad_output must not be used by two calls at once; the maps of different outputs may be parts of one matrix.
 */
typedef struct {
  /**
   * sizeof(npad_output). All outputs of one array must have the same.
   */
  size_t size;
  /**
   * Receives the anomaly map in the units of the raw score: rows of the image's width. Null if not wanted.
   */
  float *map;
  /**
   * Bytes from the start of one row of `map` to the start of the next, a multiple of 4; 0 means rows without padding.
   * Padding is neither read nor written.
   */
  int64_t map_stride;
  /**
   * Receives the calibrated anomaly map in 8 bits, see npad_result_map_u8(): rows of the image's width. Null if not
   * wanted.
   */
  uint8_t *map_u8;
  /**
   * Bytes from the start of one row of `map_u8` to the start of the next; 0 means rows without padding.
   */
  int64_t map_u8_stride;
  /**
   * Receives the first `region_capacity` regions, highest peak first. Null if not wanted.
   */
  npad_region *regions;
  /**
   * sizeof(npad_region). Ignored where `regions` is null.
   */
  size_t region_size;
  /**
   * Number of regions for which `regions` has room.
   */
  size_t region_capacity;
  /**
   * Written by npad: the raw image score, 0 or above, in the method's own units; larger is more anomalous.
   */
  float score;
  /**
   * Written by npad: the score on the calibrated scale, 0 for a typical good image, 0.5 at the threshold; not clamped.
   */
  float calibrated_score;
  /**
   * Written by npad: one of npad_verdict.
   */
  int32_t verdict;
  /**
   * Must be 0.
   */
  int32_t reserved;
  /**
   * Written by npad: the number of defect regions, including those for which `regions` has no room.
   */
  size_t region_count;
} npad_output;

/**
 * A parameter of a plug-in's method. It is set as the option "METHOD.NAME"; the plug-in checks its value.
 */
typedef struct {
  /**
   * 1 to 64 lower-case letters, digits, '-' or '_', without the method's name.
   */
  const char *name;
  /**
   * The default value; UTF-8.
   */
  const char *default_value;
  /**
   * What it does, in one line; UTF-8.
   */
  const char *help;
} npad_plugin_parameter;

/**
 * The features of one image: `channels` values for each position, position after position, row after row. npad creates it
 * and passes a pointer to it; later versions may append fields.
 */
typedef struct {
  /**
   * Rows of the grid.
   */
  int32_t rows;
  /**
   * Columns of the grid.
   */
  int32_t cols;
  /**
   * Values per position.
   */
  int32_t channels;
  /**
   * 0.
   */
  int32_t reserved;
  /**
   * rows * cols * channels finite values.
   */
  const float *data;
} npad_features;

/**
 * Receives `size` bytes that a scorer saves. May be called any number of times.
 */
typedef void (*npad_write_callback)(void *sink, const uint8_t *data, size_t size);

/**
 * A detection method of a plug-in: a shared library that exports `const npad_plugin *npad_plugin_entry(void)`, which returns
 * a table that lives as long as the library, that is, until the process ends. Fields that the plug-in does not know must be
 * 0: declare the table static, or initialise it to zero.
 *
 * A method learns from feature maps and scores them. A fitter observes the maps of good images, all of one shape, and
 * finishes into a scorer. `values` are the values of the parameters as text, in the order of `parameters`. Callbacks return
 * 0 on success; on failure they return any other number after writing the reason to `error`, and create nothing. One fitter
 * is used by one thread at a time; one scorer is used by several threads at once and must not change. For the thresholds
 * npad fits several times, each time without a part of the images.
 */
typedef struct {
  /**
   * sizeof(npad_plugin).
   */
  size_t size;
  /**
   * NPAD_PLUGIN_ABI.
   */
  uint32_t abi_version;
  /**
   * 0.
   */
  uint32_t reserved;
  /**
   * Name of the method in options and model files: 1 to 64 lower-case letters, digits, '-' or '_'.
   */
  const char *name;
  /**
   * The parameters of the method; null if there are none.
   */
  const npad_plugin_parameter *parameters;
  /**
   * Number of parameters, at most 1000.
   */
  size_t parameter_count;
  /**
   * sizeof(npad_plugin_parameter). Ignored where `parameters` is null.
   */
  size_t parameter_size;
  /**
   * Starts a fit and stores the fitter, which must not be null. The same images, parameters and seed must give the same
   * scorer.
   */
  int32_t (*fitter_new)(const char *const *values, uint64_t seed, void **fitter, npad_callback_error *error);
  /**
   * Learns the features of one good image, which are valid during the call.
   */
  int32_t (*fitter_observe)(void *fitter, const npad_features *features, npad_callback_error *error);
  /**
   * Computes the scorer from what the fitter has learnt and stores it; it must not be null. The fitter stays usable: it may
   * observe more images and finish again.
   */
  int32_t (*fitter_finish)(void *fitter, void **scorer, npad_callback_error *error);
  /**
   * Frees a fitter.
   */
  void (*fitter_free)(void *fitter);
  /**
   * Writes rows * cols values to `map`: the anomaly of each position, finite, 0 or above.
   */
  int32_t (*scorer_score)(const void *scorer, const npad_features *features, float *map, npad_callback_error *error);
  /**
   * Passes to `write` the bytes that scorer_load needs.
   */
  int32_t (*scorer_save)(const void *scorer, npad_write_callback write, void *sink, npad_callback_error *error);
  /**
   * Creates a scorer, which must not be null, from saved bytes, which are valid during the call.
   */
  int32_t (*scorer_load)(const char *const *values,
                         const uint8_t *data,
                         size_t size,
                         void **scorer,
                         npad_callback_error *error);
  /**
   * Frees a scorer.
   */
  void (*scorer_free)(void *scorer);
} npad_plugin;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * A new request, not made yet. Null when there is no memory.
 */
npad_cancellation *npad_cancellation_new(void);

/**
 * Cancels every call that was given this request, under way or to come: it returns NPAD_STATUS_CANCELLED after the image
 * that it is working on. Any thread. Null is allowed.
 */
void npad_cancellation_cancel(npad_cancellation *cancellation);

/**
 * Whether npad_cancellation_cancel() has been called. False for null.
 */
bool npad_cancellation_is_cancelled(const npad_cancellation *cancellation);

/**
 * Frees a request. Null is allowed. No call may be using it.
 */
void npad_cancellation_free(npad_cancellation *cancellation);

/**
 * The status that the failed call returned. NPAD_STATUS_OK for null.
 */
npad_status npad_error_status(const npad_error *error);

/**
 * The message, UTF-8, terminated by a zero byte. It lives as long as the error. An empty text for null.
 */
const char *npad_error_message(const npad_error *error);

/**
 * Frees an error. Null is allowed.
 */
void npad_error_free(npad_error *error);

/**
 * The library's version as text, "MAJOR.MINOR.PATCH". Static: never freed. Any thread.
 */
const char *npad_version_string(void);

/**
 * The library's version as a number: MAJOR * 1000000 + MINOR * 1000 + PATCH. Any thread.
 *
 * When the library is loaded at run time, compare it with the header's NPAD_VERSION_NUMBER before any other call: while the
 * major version is 0, the header's major and minor version must be the library's.
 */
uint32_t npad_version_number(void);

/**
 * Loads ONNX Runtime from a file, or from the folder that contains it.
 *
 * Needed only where the search would not find it: at the first call that needs it, npad searches the environment variable
 * NPAD_ONNXRUNTIME (a file or folder), the folder of its own library, and the places of the system's loader. A process uses
 * one ONNX Runtime only. Any thread.
 *
 * @param path   path of the library or its folder; UTF-8 on Windows, any bytes elsewhere
 * @param error  receives the error, or null; may itself be null
 * @return NPAD_STATUS_NOT_FOUND when the path leads to no library, NPAD_STATUS_RUNTIME when it cannot be loaded or is older
 *         than 1.17, NPAD_STATUS_WRONG_STATE when another one is in use already
 */
npad_status npad_runtime_open(const char *path,
                              npad_error **error);

/**
 * Loads a plug-in: a shared library with a detection method, see npad_plugin. The method can then be chosen by name, and
 * models that were fitted with it can be loaded. The plug-in stays loaded until the process ends. Any thread.
 *
 * @param path   the shared library; UTF-8 on Windows, any bytes elsewhere
 * @param error  receives the error, or null; may itself be null
 * @return NPAD_STATUS_NOT_FOUND when there is no such file, NPAD_STATUS_PLUGIN when it is not a plug-in for this npad's
 *         interface or a method of that name exists already
 */
npad_status npad_plugin_load(const char *path,
                             npad_error **error);

/**
 * The number of options that npad_options_set() takes: first the general options, then the parameters of every method,
 * including those of plug-ins that are loaded. Loading a plug-in appends its parameters. Any thread.
 */
size_t npad_option_count(void);

/**
 * The name of an option; null when `index` is npad_option_count() or more. Static: never freed. Any thread.
 */
const char *npad_option_name(size_t index);

/**
 * The type of an option's value; NPAD_OPTION_TYPE_TEXT when `index` is too large. Any thread.
 */
npad_option_type npad_option_get_type(size_t index);

/**
 * The default of an option, as npad_options_set() takes it; may be an empty text. Null when `index` is too large. Static:
 * never freed. Any thread.
 */
const char *npad_option_default(size_t index);

/**
 * The values that an option takes, in words ("a whole number from 1 to 8"). Null when `index` is too large. Static: never
 * freed. Any thread.
 */
const char *npad_option_range(size_t index);

/**
 * What an option does, in one line. Null when `index` is too large. Static: never freed. Any thread.
 */
const char *npad_option_help(size_t index);

/**
 * The number of detection methods, including those of plug-ins that are loaded; they are values of the option "method".
 * Any thread.
 */
size_t npad_method_count(void);

/**
 * The name of a method; null when `index` is npad_method_count() or more. Static: never freed. Any thread.
 */
const char *npad_method_name(size_t index);

/**
 * What a method does, in one line. Null when `index` is too large. Static: never freed. Any thread.
 */
const char *npad_method_help(size_t index);

/**
 * The number of kinds of device that the option "device" can name. Any thread.
 */
size_t npad_device_count(void);

/**
 * The name of a kind of device: "cpu", or "cuda" (the first one; "cuda:1" is the second). Null when `index` is
 * npad_device_count() or more. That a name is listed does not mean that this machine has the device: opening a backbone on
 * one that cannot be used is NPAD_STATUS_DEVICE. Static: never freed. Any thread.
 */
const char *npad_device_name(size_t index);

/**
 * Sets the log callback of the process. By default there is none: npad never writes to the standard streams.
 *
 * When it returns, no thread is in the callback that was set before and none will enter it: its `user_data` may be freed. It
 * waits for calls under way, so the caller must not hold a lock that the callback takes. Any thread.
 *
 * @param callback   the callback; null for none
 * @param user_data  passed to the callback
 * @param level      the least severe messages to pass on, one of npad_log_level
 * @param error      receives the error, or null; may itself be null
 * @return NPAD_STATUS_INVALID_ARGUMENT for another level; NPAD_STATUS_WRONG_STATE when called from a log callback
 */
npad_status npad_log_set(npad_log_callback callback,
                         void *user_data,
                         int32_t level,
                         npad_error **error);

/**
 * Writes the model to a file, all or nothing: on failure an older file of that name is untouched.
 *
 * @param model  what to save
 * @param path   the file; UTF-8 on Windows, any bytes elsewhere
 * @param error  receives the error, or null; may itself be null
 * @return NPAD_STATUS_NOT_FOUND when the folder does not exist, NPAD_STATUS_IO when the file cannot be written
 */
npad_status npad_model_save(const npad_model *model, const char *path, npad_error **error);

/**
 * Writes the model to memory, byte for byte what npad_model_save() writes to a file.
 *
 * @param model   what to save
 * @param buffer  receives the bytes, null on failure
 * @param error   receives the error, or null; may itself be null
 */
npad_status npad_model_save_memory(const npad_model *model, npad_buffer **buffer, npad_error **error);

/**
 * Reads a model file.
 *
 * @param path     the file; UTF-8 on Windows, any bytes elsewhere
 * @param options  of these, "device", "threads", "max_calls", "call_timeout" and the feature extractor are used; null for
 *                 the defaults
 * @param model    receives the model, null on failure
 * @param error    receives the error, or null; may itself be null
 * @return NPAD_STATUS_NOT_FOUND when there is no such file, NPAD_STATUS_IO when it cannot be read,
 *         NPAD_STATUS_INVALID_MODEL when it is truncated, corrupted or not a model, NPAD_STATUS_UNSUPPORTED_MODEL when it
 *         needs another npad, a plug-in or the extractor that it was fitted with, NPAD_STATUS_OUT_OF_MEMORY, or as
 *         npad_trainer_new()
 */
npad_status npad_model_load(const char *path,
                            const npad_options *options,
                            npad_model **model,
                            npad_error **error);

/**
 * Reads a model from the bytes of a model file.
 *
 * @param data     `size` bytes; read during the call only
 * @param size     their number
 * @param options  as for npad_model_load()
 * @param model    receives the model, null on failure
 * @param error    receives the error, or null; may itself be null
 * @return as npad_model_load(), without NPAD_STATUS_NOT_FOUND and NPAD_STATUS_IO for the model's own file
 */
npad_status npad_model_load_memory(const uint8_t *data,
                                   size_t size,
                                   const npad_options *options,
                                   npad_model **model,
                                   npad_error **error);

/**
 * The model's metadata as one JSON object in UTF-8: "method" and its "parameters", the network's "input" size, "images"
 * learnt from, "false_alarm_rate", the "image" and "map" calibrations, "backbone" and so on. It lives as long as the model.
 * An empty text for null.
 */
const char *npad_model_info(const npad_model *model);

/**
 * The name of the detection method; lives as long as the model. An empty text for null.
 */
const char *npad_model_method(const npad_model *model);

/**
 * The identity of the backbone, a name and a checksum; lives as long as the model. An empty text for null.
 */
const char *npad_model_backbone(const npad_model *model);

/**
 * The device that the backbone runs on, as the option "device" names it; lives as long as the model. An empty text for null.
 */
const char *npad_model_device(const npad_model *model);

/**
 * Width of the network's input in pixels; images of any size are resized to it. 0 for null.
 */
int32_t npad_model_input_width(const npad_model *model);

/**
 * Height of the network's input in pixels. 0 for null.
 */
int32_t npad_model_input_height(const npad_model *model);

/**
 * The number of good images that the model has learnt. 0 for null.
 */
size_t npad_model_image_count(const npad_model *model);

/**
 * The share of good images that the thresholds let through as defective, as the option "false_alarm_rate" set it. 0 for
 * null.
 */
double npad_model_false_alarm_rate(const npad_model *model);

/**
 * Prepares the model for images of one size, so that the first call that scores such an image is as fast as later ones: it
 * allocates working memory and runs everything once. Any number of threads may call it at once, also while others score.
 *
 * @param model   what to warm up
 * @param width   width of the images in pixels, 1 to 65535
 * @param height  height of the images in pixels, 1 to 65535
 * @param error   receives the error, or null; may itself be null
 * @return NPAD_STATUS_INVALID_ARGUMENT when the model is null or a side is out of range; otherwise as npad_score()
 */
npad_status npad_model_warm_up(const npad_model *model,
                               int32_t width,
                               int32_t height,
                               npad_error **error);

/**
 * Frees a model. Null is allowed. No other call may be using it.
 */
void npad_model_free(npad_model *model);

/**
 * The bytes of a buffer; they live as long as it does. Null for null.
 */
const uint8_t *npad_buffer_data(const npad_buffer *buffer);

/**
 * The number of bytes in a buffer; 0 for null.
 */
size_t npad_buffer_size(const npad_buffer *buffer);

/**
 * Frees a buffer. Null is allowed.
 */
void npad_buffer_free(npad_buffer *buffer);

/**
 * New options, all at their defaults. Null when there is no memory.
 */
npad_options *npad_options_new(void);

/**
 * Sets an option by name, both as text in UTF-8. On failure nothing changes.
 *
 * npad_option_count(), npad_option_name() and so on list the options with their types, defaults, ranges and meaning. The
 * general ones are, with their defaults:
 *
 * - "method" (npad): detection method
 * - "size" (240): size of the network's input in pixels: a side (as many pixels as a square of it, in the proportions of
 *   the first image), height x width ("320x256"), or "native" (that of the first image)
 * - "device" (cpu): where the backbone runs, "cpu" or "cuda:N"; a device that cannot be used is an error, never replaced
 * - "threads" (0): worker threads; 0 takes one per core. Scores do not depend on it
 * - "max_calls" (0): calls of one model that run at once; further calls wait. 0 takes one per core
 * - "call_timeout" (none): milliseconds that such a call waits before it returns NPAD_STATUS_TIMED_OUT; 0 does not wait,
 *   "none" waits without limit
 * - "seed" (0): seed of everything random in a fit
 * - "false_alarm_rate" (0.01): share of good images that may be called defective, 0.00001 to 0.5; sets the threshold
 * - "review_rate" (0): share of good images that may be held for review, above "false_alarm_rate"; sets a second, lower
 *   threshold. 0: no review
 * - "smoothing" (4): standard deviation of the map's smoothing in pixels of the network's input, 0 to 64
 * - "grid_step" (2): side of the grid cells in positions of the backbone's finest output, 1 to 8
 * - "tile" (0): longest side, in pixels, of what the backbone runs on at once, 256 to 8192 in steps of 64; a larger input
 *   is cut into overlapping tiles, so that memory follows the tile and not the image. 0 runs all at once
 * - "peak_share" (0.01): share of the map's highest values whose mean is the image score; 0 takes the maximum
 * - "min_region_area" (1): regions of fewer pixels of the image are dropped
 * - "backbone" (empty): path of your own ONNX backbone: one float input [1, 3, height, width], 1 to 16 float outputs
 *   [1, channels, rows, columns]; where the first dimension is free, small images of a batch run together
 * - "backbone_mean", "backbone_std": R,G,B normalisation that your backbone was trained with, for values 0 to 1
 * - "npad.levels", "npad.channels" and so on: parameters of the methods
 *
 * @param options  what to change
 * @param key      the option's name
 * @param value    its value as text
 * @param error    receives the error, or null; may itself be null
 * @return NPAD_STATUS_INVALID_OPTION when the name is unknown or the value is not accepted; the message lists what is
 */
npad_status npad_options_set(npad_options *options,
                             const char *key,
                             const char *value,
                             npad_error **error);

/**
 * Gets the value of an option, set or default, as text in UTF-8.
 *
 * @param options  what to read; it belongs to the calling thread during the call
 * @param key      the option's name
 * @param value    receives the value, null on failure; it lives until the options are changed or freed
 * @param error    receives the error, or null; may itself be null
 * @return NPAD_STATUS_NOT_FOUND when the name is unknown
 */
npad_status npad_options_get(npad_options *options, const char *key, const char **value, npad_error **error);

/**
 * Sets the mask that all images of a fit share. It is stored in the model, and images that are scored with the model must
 * have the mask's size. Excluded pixels neither train nor score.
 *
 * @param options  what to change
 * @param mask     the mask, copied; null for none, the default
 * @param error    receives the error, or null; may itself be null
 * @return NPAD_STATUS_INVALID_IMAGE when the mask's description is wrong or it includes no pixel
 */
npad_status npad_options_set_mask(npad_options *options,
                                  const npad_mask *mask,
                                  npad_error **error);

/**
 * Sets a rectangular region of interest that all images of a fit share, in pixels of the images: it has the effect of a mask
 * that excludes everything else. It is stored in the model. With a mask as well, a pixel must be included by both.
 *
 * @param options  what to change
 * @param x        left edge
 * @param y        upper edge
 * @param width    width; all four 0 for none, the default
 * @param height   height
 * @param error    receives the error, or null; may itself be null
 * @return NPAD_STATUS_INVALID_IMAGE when a side is below 1 or the corner below 0; that the rectangle lies inside the image is
 *         checked with the first image
 */
npad_status npad_options_set_roi(npad_options *options,
                                 int32_t x,
                                 int32_t y,
                                 int32_t width,
                                 int32_t height,
                                 npad_error **error);

/**
 * Sets the progress callback of fits with these options. When it returns false, the call in progress fails with
 * NPAD_STATUS_CANCELLED: npad_fit() returns no model, npad_trainer_add_image() has not learnt the image, and
 * npad_trainer_finish() leaves the trainer as it was.
 *
 * @param options    what to change
 * @param callback   the callback; null for none, the default
 * @param user_data  passed to the callback; must stay valid as long as the options and trainers created with them
 * @param error      receives the error, or null; may itself be null
 */
npad_status npad_options_set_progress(npad_options *options,
                                      npad_progress_callback callback,
                                      void *user_data,
                                      npad_error **error);

/**
 * Sets a feature extractor of the host, which replaces ONNX Runtime and the built-in backbone: for a fit, or for loading a
 * model that was fitted with one.
 *
 * On success npad owns `user_data` and calls `free` once no options, trainer or model uses it.
 *
 * @param options    what to change
 * @param extractor  the table, copied
 * @param error      receives the error, or null; may itself be null
 * @return NPAD_STATUS_PLUGIN when a value in the table is out of range; `user_data` stays the caller's
 */
npad_status npad_options_set_extractor(npad_options *options,
                                       const npad_extractor *extractor,
                                       npad_error **error);

/**
 * Frees options. Null is allowed.
 */
void npad_options_free(npad_options *options);

/**
 * Draws the anomaly map of a result over its image, for people to look at: yellow is the map threshold, red is twice the
 * threshold and more; white boxes surround the regions.
 *
 * @param model   what the image was scored with
 * @param image   the image that was scored
 * @param result  what npad_score() returned for it
 * @param pixels  receives the picture: rows of the image's width, three bytes per pixel
 * @param stride  bytes from the start of one row of `pixels` to the start of the next; 0 means rows without padding. Padding
 *                is neither read nor written
 * @param format  NPAD_PIXEL_FORMAT_RGB8 or NPAD_PIXEL_FORMAT_BGR8
 * @param error   receives the error, or null; may itself be null
 * @return NPAD_STATUS_INVALID_IMAGE when the image's size is not that of the result, NPAD_STATUS_INVALID_ARGUMENT for another
 *         format, a null pointer, or a stride shorter than a row
 */
npad_status npad_render(const npad_model *model,
                        const npad_image *image,
                        const npad_result *result,
                        uint8_t *pixels,
                        int64_t stride,
                        int32_t format,
                        npad_error **error);

/**
 * Draws the anomaly map that npad_score_into() or npad_score_batch_into() wrote over its image, as npad_render() does. The
 * boxes are those of the regions that the output's array had room for.
 *
 * @param model   what the image was scored with
 * @param image   the image that was scored
 * @param output  the output as that call left it; its `map` must not be null
 * @param pixels  receives the picture: rows of the image's width, three bytes per pixel
 * @param stride  bytes from the start of one row of `pixels` to the start of the next; 0 means rows without padding. Padding
 *                is neither read nor written
 * @param format  NPAD_PIXEL_FORMAT_RGB8 or NPAD_PIXEL_FORMAT_BGR8
 * @param error   receives the error, or null; may itself be null
 * @return as npad_render(); NPAD_STATUS_INVALID_ARGUMENT also when `output` is null or its description is wrong, its map is
 *         null, or a region lies outside the image
 */
npad_status npad_render_output(const npad_model *model,
                               const npad_image *image,
                               const npad_output *output,
                               uint8_t *pixels,
                               int64_t stride,
                               int32_t format,
                               npad_error **error);

/**
 * The raw image score: 0 or above, in the method's own units; larger is more anomalous. 0 for null.
 */
float npad_result_score(const npad_result *result);

/**
 * The image score on the calibrated scale: 0 for a typical good image, 0.5 at the threshold, 1 as far above it; not
 * clamped. 0 for null.
 */
float npad_result_calibrated_score(const npad_result *result);

/**
 * Whether the score exceeds the model's threshold. False for null.
 */
bool npad_result_is_anomalous(const npad_result *result);

/**
 * The verdict: good, to be reviewed, or defective. NPAD_VERDICT_GOOD for null.
 */
npad_verdict npad_result_verdict(const npad_result *result);

/**
 * Columns of the anomaly map: the image's width in pixels. 0 for null.
 */
int32_t npad_result_width(const npad_result *result);

/**
 * Rows of the anomaly map: the image's height in pixels. 0 for null.
 */
int32_t npad_result_height(const npad_result *result);

/**
 * The anomaly map in the units of the raw score: width * height values, row after row, without padding. It lives as long as
 * the result. Null for null.
 */
const float *npad_result_map(const npad_result *result);

/**
 * Writes the calibrated anomaly map in 8 bits: 0 for the value of a typical good image and below, 128 and above exactly where
 * the map exceeds the map threshold, 255 for twice as far above the typical value and more.
 *
 * @param result  what to read
 * @param map     receives the map: npad_result_height() rows of npad_result_width() bytes
 * @param stride  bytes from the start of one row to the start of the next; 0 means rows without padding. Padding is neither
 *                read nor written
 * @param error   receives the error, or null; may itself be null
 * @return NPAD_STATUS_INVALID_ARGUMENT when a pointer is null or the stride is shorter than a row
 */
npad_status npad_result_map_u8(const npad_result *result,
                               uint8_t *map,
                               int64_t stride,
                               npad_error **error);

/**
 * The number of defect regions: 8-connected pixels of the map above the model's map threshold. 0 for null.
 */
size_t npad_result_region_count(const npad_result *result);

/**
 * Writes one defect region. Regions are ordered by their peaks, highest first.
 *
 * @param result       what to read
 * @param index        0 to npad_result_region_count() - 1
 * @param region       receives the region
 * @param region_size  sizeof(npad_region)
 * @param error        receives the error, or null; may itself be null
 * @return NPAD_STATUS_INVALID_ARGUMENT when the index is too large, a pointer is null or the size is wrong
 */
npad_status npad_result_region(const npad_result *result,
                               size_t index,
                               npad_region *region,
                               size_t region_size,
                               npad_error **error);

/**
 * The pixels of a region as runs: for each run three numbers, its row, its first column, and the column after its last.
 * Runs are ordered by row, then by column. The array lives as long as the result.
 *
 * @param result  what to read
 * @param index   0 to npad_result_region_count() - 1
 * @param count   receives the number of runs, a third of the number of values; may be null
 * @return null, with a count of 0, when `result` is null, the index is too large, or there is no memory
 */
const int32_t *npad_result_region_runs(const npad_result *result, size_t index, size_t *count);

/**
 * The outer boundary of a region as pixels of the region: for each, two numbers, x and y. Consecutive pixels are
 * 8-neighbours, clockwise, starting at the leftmost pixel of the uppermost row; the last is a neighbour of the first, which
 * is not repeated. Where the region is one pixel wide, a pixel may occur twice. Holes are not traced. The array lives as
 * long as the result.
 *
 * @param result  what to read
 * @param index   0 to npad_result_region_count() - 1
 * @param count   receives the number of pixels, half of the number of values; may be null
 * @return null, with a count of 0, when `result` is null, the index is too large, or there is no memory
 */
const int32_t *npad_result_region_contour(const npad_result *result,
                                          size_t index,
                                          size_t *count);

/**
 * Writes the pixels of a region as a mask of its bounding box: 255 inside the region, 0 outside.
 *
 * @param result  what to read
 * @param index   0 to npad_result_region_count() - 1
 * @param mask    receives the mask: as many rows as the bounding box is high, of as many bytes as it is wide
 * @param stride  bytes from the start of one row to the start of the next; 0 means rows without padding. Padding is neither
 *                read nor written
 * @param error   receives the error, or null; may itself be null
 * @return NPAD_STATUS_INVALID_ARGUMENT when the index is too large, a pointer is null or the stride is shorter than a row
 */
npad_status npad_result_region_mask(const npad_result *result,
                                    size_t index,
                                    uint8_t *mask,
                                    int64_t stride,
                                    npad_error **error);

/**
 * Frees a result. Null is allowed. No other call may be using it.
 */
void npad_result_free(npad_result *result);

/**
 * Scores one image. Any number of threads may call it with one model at once; at most "max_calls" run at a time, and further
 * calls wait for "call_timeout" (npad_options_set()).
 *
 * @param model   what to score with
 * @param image   the image, of any size; read during the call only
 * @param result  receives the result, null on failure
 * @param error   receives the error, or null; may itself be null
 * @return NPAD_STATUS_INVALID_IMAGE when the image's description, its mask or its region of interest is wrong;
 *         NPAD_STATUS_BACKBONE when the network fails; NPAD_STATUS_PLUGIN when a plug-in fails; NPAD_STATUS_OUT_OF_MEMORY;
 *         NPAD_STATUS_TIMED_OUT when the call waited for "call_timeout"
 */
npad_status npad_score(const npad_model *model,
                       const npad_image *image,
                       npad_result **result,
                       npad_error **error);

/**
 * Scores one image into the caller's memory: there is no result to free, and after a first image of the same size npad
 * allocates no memory for maps or regions. Any number of threads may call it with one model at once, each with an output of
 * its own; their maps may be parts of one matrix.
 *
 * @param model   what to score with
 * @param image   the image, of any size; read during the call only
 * @param output  says where the maps and regions go and receives the rest
 * @param error   receives the error, or null; may itself be null
 * @return as npad_score(); NPAD_STATUS_INVALID_ARGUMENT when `output` is null or its description is wrong: a stride that is
 *         shorter than a row or, for `map`, not a multiple of 4. On failure the maps and regions may hold anything, and
 *         `output` itself is unchanged
 */
npad_status npad_score_into(const npad_model *model,
                            const npad_image *image,
                            npad_output *output,
                            npad_error **error);

/**
 * Scores several images, all or none. The results are those of npad_score() for each; the batch takes less time, since images
 * share passes over the model.
 *
 * @param model         what to score with
 * @param images        `count` images, each of any size; read during the call only
 * @param count         their number, 0 or more
 * @param cancellation  cancels the call between two images, from any thread; null for none
 * @param results       receives `count` results, all null on failure
 * @param error         receives the error, or null; may itself be null
 * @return as npad_score(), where the message names the image's index; NPAD_STATUS_CANCELLED when the call was cancelled
 */
npad_status npad_score_batch(const npad_model *model,
                             const npad_image *images,
                             size_t count,
                             const npad_cancellation *cancellation,
                             npad_result **results,
                             npad_error **error);

/**
 * Scores several images into the caller's memory, as npad_score_into() and npad_score_batch() do.
 *
 * @param model         what to score with
 * @param images        `count` images, each of any size; read during the call only
 * @param count         their number, 0 or more
 * @param cancellation  cancels the call between two images, from any thread; null for none
 * @param outputs       `count` outputs, all of the same `size`; each says where the maps and regions of the image of the same
 *                      index go and receives the rest. No two may share memory
 * @param error         receives the error, or null; may itself be null
 * @return as npad_score_into(), where the message names the image's index; NPAD_STATUS_CANCELLED when the call was
 *         cancelled. On failure the maps and regions may hold anything, and `outputs` itself is unchanged
 */
npad_status npad_score_batch_into(const npad_model *model,
                                  const npad_image *images,
                                  size_t count,
                                  const npad_cancellation *cancellation,
                                  npad_output *outputs,
                                  npad_error **error);

/**
 * The raw image score above which an image is defective; 0 for null.
 */
float npad_model_threshold(const npad_model *model);

/**
 * The raw image score above which an image is to be reviewed; the threshold itself where there is no review. 0 for null.
 */
float npad_model_review_threshold(const npad_model *model);

/**
 * The value of the anomaly map above which a pixel belongs to a region; 0 for null.
 */
float npad_model_map_threshold(const npad_model *model);

/**
 * The same model with other thresholds, in the units of raw scores; the calibrated scale follows, 0.5 is the new
 * threshold. The two models share their memory; each is freed separately.
 *
 * @param model          what to start from; it does not change
 * @param threshold      image scores above it are defective
 * @param review         image scores above it are to be reviewed; the threshold itself for no review
 * @param map_threshold  pixels of the anomaly map above it belong to a region
 * @param changed        receives the new model, null on failure
 * @param error          receives the error, or null; may itself be null
 * @return NPAD_STATUS_INVALID_ARGUMENT when a threshold is not a number or not above a typical good image's score, or
 *         `review` exceeds `threshold`
 */
npad_status npad_model_with_thresholds(const npad_model *model,
                                       float threshold,
                                       float review,
                                       float map_threshold,
                                       npad_model **changed,
                                       npad_error **error);

/**
 * The same model with thresholds from good images that it has not learnt, for example for another camera or lamp. Their
 * scores replace those that the thresholds were computed from; what the model has learnt stays. The two models share their
 * memory; each is freed separately.
 *
 * @param model    what to start from; it does not change
 * @param images   `count` good images; read during the call only
 * @param count    at least 2; 20 or more are recommended
 * @param options  of these, "false_alarm_rate" and "review_rate" are used; null for the model's own
 * @param changed  receives the new model, null on failure
 * @param error    receives the error, or null; may itself be null
 * @return NPAD_STATUS_NOT_ENOUGH_IMAGES with fewer than 2 images; as npad_score(), the message names the image's index
 */
npad_status npad_model_recalibrate(const npad_model *model,
                                   const npad_image *images,
                                   size_t count,
                                   const npad_options *options,
                                   npad_model **changed,
                                   npad_error **error);

/**
 * Starts a fit and opens the backbone.
 *
 * @param options  what to fit and how; null for the defaults
 * @param trainer  receives the trainer, null on failure
 * @param error    receives the error, or null; may itself be null
 * @return NPAD_STATUS_RUNTIME without ONNX Runtime, NPAD_STATUS_DEVICE when the device cannot be used,
 *         NPAD_STATUS_BACKBONE, NPAD_STATUS_NOT_FOUND or NPAD_STATUS_IO when the backbone cannot be used,
 *         NPAD_STATUS_OUT_OF_MEMORY
 */
npad_status npad_trainer_new(const npad_options *options, npad_trainer **trainer, npad_error **error);

/**
 * Resumes the fit of a model with further good images, for a new model: what the model has learnt counts as if its images had
 * been added first. Options, rates and mask are those of the model; its choice of channels and the scores of its own good
 * images, from which its thresholds were computed, are kept. The model itself does not change.
 *
 * @param model    the model to resume from
 * @param options  of these, the progress callback is used; null for the defaults
 * @param trainer  receives the trainer, null on failure; it needs at least one further image
 * @param error    receives the error, or null; may itself be null
 * @return NPAD_STATUS_INVALID_ARGUMENT when the model's method cannot resume
 */
npad_status npad_trainer_resume(const npad_model *model,
                                const npad_options *options,
                                npad_trainer **trainer,
                                npad_error **error);

/**
 * Learns one good image. Images may differ in size. A failure leaves the trainer as it was.
 *
 * @param trainer  what learns
 * @param image    the image; read during the call only
 * @param error    receives the error, or null; may itself be null
 * @return NPAD_STATUS_INVALID_IMAGE when the image's description is wrong, it has a mask or region of interest of its own, or
 *         its size does not fit those of the options; NPAD_STATUS_BACKBONE when the network fails; NPAD_STATUS_PLUGIN when
 *         a plug-in fails; NPAD_STATUS_OUT_OF_MEMORY; NPAD_STATUS_CANCELLED by the progress callback;
 *         NPAD_STATUS_WRONG_STATE when the trainer has finished
 */
npad_status npad_trainer_add_image(npad_trainer *trainer,
                                   const npad_image *image,
                                   npad_error **error);

/**
 * Announces how many images will be added, so that the progress callback receives a total. It does not limit the number.
 *
 * @param trainer  what learns
 * @param count    the number of images in all; 0 for unknown, the default
 * @param error    receives the error, or null; may itself be null
 * @return NPAD_STATUS_WRONG_STATE when the trainer has finished
 */
npad_status npad_trainer_expect(npad_trainer *trainer,
                                size_t count,
                                npad_error **error);

/**
 * The number of good images that this trainer has learnt; 0 for null and after it has finished.
 */
size_t npad_trainer_image_count(const npad_trainer *trainer);

/**
 * Ends the fit: computes the model and its thresholds, which takes about as long as learning did.
 *
 * After a failure, including cancellation, the trainer is as it was before the call: add images or call again. After success
 * the trainer is finished, and further calls with it return NPAD_STATUS_WRONG_STATE.
 *
 * @param trainer  what has learnt; the caller must still free it
 * @param model    receives the model, null on failure
 * @param error    receives the error, or null; may itself be null
 * @return NPAD_STATUS_NOT_ENOUGH_IMAGES with fewer than 2 images (0 for a resumed fit), or when they hardly vary;
 *         NPAD_STATUS_PLUGIN when a plug-in fails; NPAD_STATUS_OUT_OF_MEMORY; NPAD_STATUS_CANCELLED by the progress callback;
 *         NPAD_STATUS_WRONG_STATE when the trainer has finished already
 */
npad_status npad_trainer_finish(npad_trainer *trainer,
                                npad_model **model,
                                npad_error **error);

/**
 * Frees a trainer. Null is allowed.
 */
void npad_trainer_free(npad_trainer *trainer);

/**
 * Learns from an array of good images and finishes, in one call.
 *
 * @param images   `count` images; read during the call only
 * @param count    at least 2; 20 or more are recommended
 * @param options  what to fit and how; null for the defaults
 * @param model    receives the model, null on failure
 * @param error    receives the error, or null; may itself be null
 * @return as npad_trainer_new(), npad_trainer_add_image() and npad_trainer_finish(); a message about an image names its
 *         index
 */
npad_status npad_fit(const npad_image *images,
                     size_t count,
                     const npad_options *options,
                     npad_model **model,
                     npad_error **error);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* NPAD_H */
