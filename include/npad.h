/*
 * npad: industrial visual anomaly detection. Learns from good images only, in seconds; scores images in milliseconds.
 *
 * EXAMPLE
 *
 *   npad_image good[200] = {{0}};                    views of the caller's pixels, which are not copied
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
 * Structs: initialise every struct to zero and set its `size` to sizeof. Later versions may append fields; 0 in an appended
 * field has no effect, so a program built against an older header runs with a newer library. A library rejects a struct
 * that is larger than its own unless the surplus bytes are 0. Regions have no `size`: functions that write them take the size of
 * an element, and set surplus bytes to 0. Structs that npad creates and passes to callbacks may have fields appended.
 *
 * Errors: functions that can fail return a npad_status. If the last parameter, `error`, is not null, it receives null on
 * success and a new npad_error on failure, which the caller must free. A failed call has no effect unless its description
 * says so, and sets its output handles to null. Any function may return NPAD_STATUS_INVALID_ARGUMENT for a null pointer or
 * a wrong struct size, NPAD_STATUS_OUT_OF_MEMORY, and NPAD_STATUS_INTERNAL for a defect of npad. npad never ends the
 * process, never prints, and never lets a panic cross the interface, with one exception: memory whose size depends on
 * images and models is allocated with care, but where not even a few kilobytes are left, or where an allocation of ONNX
 * Runtime's own fails, the process may end.
 *
 * Ownership: the caller owns every handle that a function returns and must free it once with the free function of its
 * type; freeing null is allowed. Pointers that accessors return belong to the handle and are valid until it is freed.
 * Images are borrowed for the duration of a call.
 *
 * Threads: any number of threads may use a model, result, buffer or error at once. Only one thread at a time may use a
 * trainer or options. npad creates its own worker threads.
 *
 * Callbacks: a callback must return. An exception that leaves it ends the process, and longjmp() must not leave it either;
 * npad.hpp catches the exceptions of callbacks in C++. A callback may call npad, but not use the trainer of its call or score
 * with the model of its call (or a copy that shares its memory), which returns NPAD_STATUS_WRONG_STATE. Callbacks of two threads that
 * score with each other's models may wait for each other: set "call_timeout". It may free the options of its call, but no other
 * handle that the call was given.
 *
 * fork(): a child process has none of its parent's threads. If the parent has fitted or loaded a model, or forks
 * while a thread is in a call of npad, then fits, loads, scores and exports in the child return NPAD_STATUS_WRONG_STATE, and freeing a
 * handle there leaves its memory to the end of the process. Fork before that, or execute a program in the child.
 *
 * A thread that is in npad must not be cancelled with pthread_cancel(), which would end the process.
 *
 * exit() waits, for at most 5 seconds, until no other thread is in ONNX Runtime; calls that come later fail. It cannot wait while
 * ONNX Runtime itself is loaded, and such a process may crash at its end: call npad_runtime_open() at the start.
 *
 * Text is UTF-8, has at most 65536 bytes, and ends with a zero byte. Paths are UTF-8 on Windows and arbitrary bytes on other
 * systems; a path that is the value of an option is UTF-8 everywhere.
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
 * Maximum width and height of an image in pixels.
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
 * Status codes. The numbers are part of the C ABI and are never reused.
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
   * Too few good images for a fit, or good images that hardly vary.
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
   * A model file was written by a newer npad or needs a feature, plug-in or extractor that is not available.
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
   * Internal error: a defect of npad. Please report it.
   */
  NPAD_STATUS_INTERNAL = 11,
  /**
   * The call was cancelled by the progress callback or by npad_cancellation_cancel().
   */
  NPAD_STATUS_CANCELLED = 12,
  /**
   * A plug-in or a feature extractor of the host is invalid, has another interface version, failed, or returned
   * invalid values.
   */
  NPAD_STATUS_PLUGIN = 13,
  /**
   * Memory could not be allocated.
   */
  NPAD_STATUS_OUT_OF_MEMORY = 14,
  /**
   * A file, a folder or an option name does not exist.
   */
  NPAD_STATUS_NOT_FOUND = 15,
  /**
   * The call is not allowed in the current state of its handle or of the process.
   */
  NPAD_STATUS_WRONG_STATE = 16,
  /**
   * The call could not start within the time that the option "call_timeout" allows.
   */
  NPAD_STATUS_TIMED_OUT = 17,
  /**
   * A model is not signed with a trusted key, or contains a backbone of its own although those are to be refused.
   */
  NPAD_STATUS_UNTRUSTED_MODEL = 18,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum npad_status npad_status;
#else
typedef int32_t npad_status;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * Type of an option's value. The numbers are part of the C ABI.
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
   * One of several words.
   */
  NPAD_OPTION_TYPE_CHOICE = 2,
  /**
   * Any of several words, joined by '+'.
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
 * Verdict on an image. The numbers are part of the C ABI.
 */
enum npad_verdict
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * The score exceeds no threshold.
   */
  NPAD_VERDICT_GOOD = 0,
  /**
   * The score exceeds the review threshold only: a person should inspect the image. Returned only if a review rate
   * or a review threshold is set.
   */
  NPAD_VERDICT_REVIEW = 1,
  /**
   * The score exceeds the threshold.
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
 * Pixel formats. The numbers are part of the C ABI.
 */
enum npad_pixel_format
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * One byte per pixel: grey.
   */
  NPAD_PIXEL_FORMAT_GRAY8 = 0,
  /**
   * Three bytes per pixel: red, green, blue.
   */
  NPAD_PIXEL_FORMAT_RGB8 = 1,
  /**
   * Three bytes per pixel: blue, green, red (the order of OpenCV and Windows).
   */
  NPAD_PIXEL_FORMAT_BGR8 = 2,
  /**
   * One unsigned 16-bit number per pixel, in the machine's byte order. 65535 is white unless `significant_bits` is
   * set.
   */
  NPAD_PIXEL_FORMAT_GRAY16 = 3,
  /**
   * Four bytes per pixel: red, green, blue, and a fourth that is ignored.
   */
  NPAD_PIXEL_FORMAT_RGBA8 = 4,
  /**
   * Four bytes per pixel: blue, green, red, and a fourth that is ignored.
   */
  NPAD_PIXEL_FORMAT_BGRA8 = 5,
  /**
   * One 32-bit float per pixel, in the machine's byte order. 0 is black and 1 is white; values outside this range
   * are not clamped. All values must be finite, and none beyond 1e9 or -1e9.
   */
  NPAD_PIXEL_FORMAT_GRAYF32 = 6,
  /**
   * Three planes of one byte per pixel: red, green, blue (the layout of HALCON).
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
   * A call failed.
   */
  NPAD_LOG_LEVEL_ERROR = 1,
  /**
   * A call succeeded, but its result may be poor: for example, too few images for a reliable threshold.
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
 * A block of bytes, the result of npad_model_save_memory() or npad_trainer_save_memory().
 *
 * Owned by the caller, who frees it with npad_buffer_free(). Immutable: any thread may read it.
 */
typedef struct npad_buffer npad_buffer;

/**
 * A cancellation request for npad_score_batch() and npad_score_batch_into().
 *
 * Owned by the caller, who frees it with npad_cancellation_free() once no call uses it. Any number of threads may use
 * it at once. It cannot be reset: create a new one after a cancellation.
 */
typedef struct npad_cancellation npad_cancellation;

/**
 * The error of a failed call: a status code, and a message that says what was wrong, what was expected and what to do.
 *
 * Owned by the caller, who frees it with npad_error_free(). Immutable: any thread may read it.
 */
typedef struct npad_error npad_error;

/**
 * A fitted model: the backbone's identity, statistics, thresholds and metadata.
 *
 * Owned by the caller, who frees it with npad_model_free() once no call uses it. Immutable: any number of threads may
 * score with one model at once. At most "max_calls" calls run at a time; further calls block.
 */
typedef struct npad_model npad_model;

/**
 * Options for fitting and loading. Every option has a default.
 *
 * Owned by the caller, who must free it with npad_options_free(). Only one thread at a time may use it. Functions that
 * take options copy them.
 */
typedef struct npad_options npad_options;

/**
 * The result of scoring one image.
 *
 * Owned by the caller, who frees it with npad_result_free(). Immutable: any number of threads may read it at once.
 */
typedef struct npad_result npad_result;

/**
 * A fit in progress: learns good images one at a time, then computes a model.
 *
 * Its memory use is bounded, whatever the number of images. Owned by the caller, who must free it with
 * npad_trainer_free(), also after npad_trainer_finish(). Only one thread may use it at a time: a call during another one,
 * from another thread or from a callback, returns NPAD_STATUS_WRONG_STATE.
 */
typedef struct npad_trainer npad_trainer;

/**
 * How recent scores differ from those of a model's held-out good images, see npad_model_drift(). Medians are in the units
 * of raw scores, shares are 0 to 1.
 *
 * Initialise it to zero and set `size`.
 */
typedef struct {
  /**
   * sizeof(npad_drift).
   */
  size_t size;
  /**
   * Written by npad, as all that follows: the number of held-out good images.
   */
  size_t good_count;
  /**
   * Number of recent scores.
   */
  size_t recent_count;
  /**
   * Number of recent scores above the model's threshold.
   */
  size_t above_count;
  /**
   * The probability that a recent score exceeds that of a held-out good image, minus that of the opposite (Cliff's
   * delta): -1 to 1, above 0 where scores have risen. A magnitude of 0.12 is a small effect, 0.28 a medium one and 0.42
   * a large one (Vargha and Delaney 2000).
   */
  double effect;
  /**
   * The magnitude from which an effect is drift: 0.28, or more where so few scores would show such an effect by chance.
   * Above 1 where there are too few for any.
   */
  double least_effect;
  /**
   * The probability that scores differ as much if nothing has changed.
   */
  double p_value;
  /**
   * Share of recent scores above the model's threshold.
   */
  double above_share;
  /**
   * Lower end of an interval that contains the share above the threshold with a confidence of 95 %.
   */
  double above_low;
  /**
   * Upper end of that interval.
   */
  double above_high;
  /**
   * Share of good images above the threshold that the held-out ones let expect: npad_model_false_alarm_rate(), unless
   * the threshold was given or is that of known defects.
   */
  double false_alarm_rate;
  /**
   * Median score of the held-out good images.
   */
  float good_median;
  /**
   * Median of the recent scores.
   */
  float recent_median;
  /**
   * 1 if the scores have drifted, else 0.
   */
  int32_t drifted;
  /**
   * Always 0.
   */
  int32_t reserved;
} npad_drift;

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
   * Pixels per row; must be the width of the image.
   */
  int32_t width;
  /**
   * Rows; must be the height of the image.
   */
  int32_t height;
  /**
   * Bytes from the start of one row to the start of the next; 0 means rows without padding.
   */
  int64_t stride;
} npad_mask;

/**
 * Progress callback. Return true to continue, false to cancel the call. `stage` is "learning",
 * "known defects", "statistics", "centroids", "held-out scores" or, where a network is trained, "measuring" or
 * "training (loss L)" with the least loss L of the held-out images so far, or, on a device other than the CPU, also of a load,
 * "preparing the device"; `done` of `total` steps are complete, and
 * `total` is 0 while it is unknown. Training may end before its last step. Called on the thread that called npad. It must
 * not use the trainer of the call.
 */
typedef bool (*npad_progress_callback)(const char *stage, size_t done, size_t total, void *user_data);

/**
 * Receives the error message of a callback that fails. npad creates it and passes a pointer to it; later versions may
 * append fields.
 */
typedef struct {
  /**
   * Error message: UTF-8, terminated by a zero byte. Empty when the callback is called.
   */
  char message[NPAD_CALLBACK_MESSAGE_SIZE];
} npad_callback_error;

/**
 * Extraction callback. `input` holds three normalised planes, red, green and blue, of `height` rows of `width` values.
 * `outputs[i]` receives `channels[i]` planes of ceil(height / strides[i]) rows of ceil(width / strides[i]) finite
 * values. Return 0 on success; on failure, write the reason to `error` and return any other number. Called from
 * several threads at once.
 */
typedef int32_t (*npad_extract_callback)(void *user_data,
                                         const float *input,
                                         int32_t height,
                                         int32_t width,
                                         float *const *outputs,
                                         npad_callback_error *error);

/**
 * Frees `user_data`. Called once, from any thread, after the last use of the callbacks that receive it.
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
   * Name of the extractor: 1 to 64 lower-case letters, digits, '-' or '_'. Copied.
   */
  const char *name;
  /**
   * Number of outputs, 1 to 16.
   */
  size_t tap_count;
  /**
   * Stride of each output: input pixels per position in each direction, 1 to 64. Copied.
   */
  const int32_t *strides;
  /**
   * Number of planes of each output, 1 to 8192. Copied.
   */
  const int32_t *channels;
  /**
   * Means of red, green and blue on a scale of 0 to 1; the input is (value - mean) / std.
   */
  float mean[3];
  /**
   * Standard deviations of red, green and blue on a scale of 0 to 1; must be above 0.
   */
  float std[3];
  /**
   * Extraction callback. Must not be null.
   */
  npad_extract_callback extract;
  /**
   * Frees `user_data` after the last use of the extractor. May be null.
   */
  npad_free_callback free;
  /**
   * Passed to both callbacks.
   */
  void *user_data;
} npad_extractor;

/**
 * A view of an image in the caller's memory. npad reads the pixels during the call only.
 *
 * Initialise it to zero (`npad_image image = {0};` or memset) and set `size` first. Unused fields must be 0. A
 * sub-image is a view with the stride of the whole image and a pointer to the sub-image's first pixel.
 */
typedef struct {
  /**
   * sizeof(npad_image). All images of an array must have the same size value.
   */
  size_t size;
  /**
   * Pointers to the first pixel of each plane. NPAD_PIXEL_FORMAT_RGB8_PLANAR uses all three, in the order red,
   * green, blue; the other formats use only the first.
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
   * Bytes from the start of one row to the start of the next, at least the size of a row; 0 means rows without
   * padding.
   */
  int64_t stride;
  /**
   * Pixel format: one of npad_pixel_format.
   */
  int32_t format;
  /**
   * For NPAD_PIXEL_FORMAT_GRAY16, the number of significant bits, 8 to 16: 10 for Mono10, 12 for Mono12. The largest
   * value of that many bits is white; a larger value is an error. 0 means 16. Must be 0 for other formats.
   */
  int32_t significant_bits;
  /**
   * Mask of the image, or null for none. Excluded pixels are ignored, their map value is 0, and no region contains them.
   * Within two grid cells of the mask's edge (16 pixels of the network's input by default) the map is interpolated. A
   * mask that excludes no pixel has no effect. The mean of the good images replaces what is excluded, which changes the
   * features around it: with N-pad and PaDiM leave at least a quarter of the image's width and height, or good images
   * become defective; with PatchCore and SPADE use a mask of the fit instead. For scoring only: a fit takes one mask for all images, see
   * npad_options_set_mask().
   */
  const npad_mask *mask;
  /**
   * Left edge of a rectangular region of interest, in pixels of the image. Pixels outside the rectangle are
   * excluded, as by a mask; with a mask as well, a pixel must be included by both. All four values 0 mean the whole
   * image. For scoring only: a fit takes one rectangle for all images, see npad_options_set_roi().
   */
  int32_t roi_x;
  /**
   * Upper edge of the region of interest, in pixels of the image.
   */
  int32_t roi_y;
  /**
   * Width of the region of interest, in pixels of the image.
   */
  int32_t roi_width;
  /**
   * Height of the region of interest, in pixels of the image.
   */
  int32_t roi_height;
} npad_image;

/**
 * A connected defect region. Coordinates are pixels of the image; the centre of its first pixel is at (0, 0).
 *
 * npad writes regions to the caller's memory. Functions that do so take sizeof(npad_region) as an argument.
 */
typedef struct {
  /**
   * Left edge of the bounding box in pixels.
   */
  int32_t x;
  /**
   * Upper edge of the bounding box in pixels.
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
   * Number of pixels in the region.
   */
  int64_t area;
  /**
   * x coordinate of the centroid: the mean over the region's pixels.
   */
  float centroid_x;
  /**
   * y coordinate of the centroid: the mean over the region's pixels.
   */
  float centroid_y;
  /**
   * Maximum of the anomaly map in the region, in the units of the raw score.
   */
  float peak;
  /**
   * `peak` on the calibrated scale: 0 for a typical good image, 0.5 at the threshold; not clamped.
   */
  float calibrated_peak;
} npad_region;

/**
 * The caller's memory for the result of one image, see npad_score_into().
 *
 * Initialise it to zero (`npad_output output = {0};` or memset), set `size`, and set those of `map`, `map_u8` and
 * `regions` that npad is to write. Two calls must not use one npad_output at once. The maps of different outputs may
 * be disjoint parts of one matrix.
 */
typedef struct {
  /**
   * sizeof(npad_output). All outputs of an array must have the same size value.
   */
  size_t size;
  /**
   * Receives the anomaly map in the units of the raw score: floats, in as many rows and columns as the image has.
   * Null for no map.
   */
  float *map;
  /**
   * Bytes from the start of one row of `map` to the start of the next, a multiple of 4; 0 means rows without padding.
   * Padding is neither read nor written.
   */
  int64_t map_stride;
  /**
   * Receives the calibrated anomaly map in 8 bits, see npad_result_map_u8(): bytes, in as many rows and columns as
   * the image has. Null for no map.
   */
  uint8_t *map_u8;
  /**
   * Bytes from the start of one row of `map_u8` to the start of the next; 0 means rows without padding. Padding is
   * neither read nor written.
   */
  int64_t map_u8_stride;
  /**
   * Receives the first `region_capacity` regions, highest peak first. Null for no regions.
   */
  npad_region *regions;
  /**
   * sizeof(npad_region). Ignored where `regions` is null.
   */
  size_t region_size;
  /**
   * Number of elements of `regions`. Ignored where `regions` is null.
   */
  size_t region_capacity;
  /**
   * Written by npad: the raw image score, the largest value of the map: 0 or above, in the method's own units; larger is
   * more anomalous.
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
   * Written by npad: the total number of defect regions, which may exceed `region_capacity`; 0 exactly if the verdict
   * is NPAD_VERDICT_GOOD.
   */
  size_t region_count;
} npad_output;

/**
 * What a model's known defects say about thresholds, see npad_model_known_defects(). Thresholds are in the units of raw
 * scores. A false-alarm rate is the estimated share of good images above a threshold, 0 to 1, from the scores of the
 * model's held-out good images.
 *
 * Initialise it to zero and set `size`.
 */
typedef struct {
  /**
   * sizeof(npad_known_defects).
   */
  size_t size;
  /**
   * Written by npad, as all that follows: the number of known defects. If it is 0, everything else is 0.
   */
  size_t count;
  /**
   * Number of known defects that the model's threshold misses.
   */
  size_t missed;
  /**
   * Number of known defects that `rate_threshold` misses.
   */
  size_t rate_missed;
  /**
   * Number of known defects that `cost_threshold` misses.
   */
  size_t cost_missed;
  /**
   * False-alarm rate at the model's threshold.
   */
  double false_alarm_rate;
  /**
   * False-alarm rate at `rate_threshold`.
   */
  double rate_false_alarm_rate;
  /**
   * False-alarm rate at `catch_all_threshold`: the price of finding all known defects.
   */
  double catch_all_false_alarm_rate;
  /**
   * False-alarm rate at `cost_threshold`.
   */
  double cost_false_alarm_rate;
  /**
   * The model's threshold.
   */
  float threshold;
  /**
   * The threshold of operating_point=rate.
   */
  float rate_threshold;
  /**
   * The threshold of operating_point=catch_all, which misses none; 0 where a known defect scores 0, which no threshold
   * finds. It can be used only if it exceeds the score of a typical good image: npad_model_with_thresholds() refuses a
   * lower one, and npad_trainer_finish() with operating_point=catch_all returns NPAD_STATUS_WRONG_STATE.
   */
  float catch_all_threshold;
  /**
   * The threshold of operating_point=cost.
   */
  float cost_threshold;
} npad_known_defects;

/**
 * A parameter of a plug-in's method. Users set it as the option "METHOD.NAME"; the plug-in must check its value.
 */
typedef struct {
  /**
   * Name of the parameter without the method's name: 1 to 64 lower-case letters, digits, '-' or '_'.
   */
  const char *name;
  /**
   * The default value; UTF-8.
   */
  const char *default_value;
  /**
   * What the parameter does, in one line; UTF-8.
   */
  const char *help;
} npad_plugin_parameter;

/**
 * The features of one image: a grid of `rows` x `cols` positions with `channels` values each, in row-major order,
 * channels last. npad creates it and passes a pointer to it; later versions may append fields.
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
   * Always 0.
   */
  int32_t reserved;
  /**
   * rows * cols * channels finite values.
   */
  const float *data;
} npad_features;

/**
 * Write callback. Appends `size` bytes to the saved scorer. May be called any number of times.
 */
typedef void (*npad_write_callback)(void *sink, const uint8_t *data, size_t size);

/**
 * A detection method of a plug-in. A plug-in is a shared library that exports `const npad_plugin
 * *npad_plugin_entry(void)`. The returned table must stay valid until the process ends. Unused fields must be 0:
 * declare the table static, or initialise it to zero.
 *
 * A fitter learns the features of good images, all of the same shape, and computes a scorer from them. A scorer
 * computes anomaly maps. `values` are the values of the parameters as text, in the order of `parameters`. Callbacks
 * return 0 on success; on failure they write the reason to `error`, return any other number and create no object. A
 * fitter is used by one thread at a time. A scorer is used by several threads at once and must be immutable. npad
 * computes the thresholds by cross-validation: it fits several times, each time without some of the images.
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
   * Must be 0.
   */
  uint32_t reserved;
  /**
   * Name of the method in options and model files: 1 to 64 lower-case letters, digits, '-' or '_'.
   */
  const char *name;
  /**
   * The parameters of the method; null for none.
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
   * Creates a fitter and writes it to `*fitter`; it must not be null. The same images, values and seed must give the
   * same scorer.
   */
  int32_t (*fitter_new)(const char *const *values, uint64_t seed, void **fitter, npad_callback_error *error);
  /**
   * Learns the features of one good image. `features` is valid during the call only.
   */
  int32_t (*fitter_observe)(void *fitter, const npad_features *features, npad_callback_error *error);
  /**
   * Computes a scorer from the images learnt so far and writes it to `*scorer`; it must not be null. The fitter
   * remains usable: it may learn more images and finish again.
   */
  int32_t (*fitter_finish)(void *fitter, void **scorer, npad_callback_error *error);
  /**
   * Frees a fitter. Called once for each fitter.
   */
  void (*fitter_free)(void *fitter);
  /**
   * Writes the anomaly score of each position to `map`: rows * cols finite values of 0 or above, row after row.
   */
  int32_t (*scorer_score)(const void *scorer, const npad_features *features, float *map, npad_callback_error *error);
  /**
   * Saves a scorer: passes to `write` the bytes that `scorer_load` needs.
   */
  int32_t (*scorer_save)(const void *scorer, npad_write_callback write, void *sink, npad_callback_error *error);
  /**
   * Creates a scorer from the bytes that `scorer_save` wrote and writes it to `*scorer`; it must not be null. `data`
   * is valid during the call only.
   */
  int32_t (*scorer_load)(const char *const *values,
                         const uint8_t *data,
                         size_t size,
                         void **scorer,
                         npad_callback_error *error);
  /**
   * Frees a scorer. Called once for each scorer.
   */
  void (*scorer_free)(void *scorer);
} npad_plugin;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * Creates a cancellation request. Returns null if memory cannot be allocated.
 */
npad_cancellation *npad_cancellation_new(void);

/**
 * Cancels all running and future calls that use this request. Each returns NPAD_STATUS_CANCELLED: a running call once
 * the image in progress is complete, a call that is blocked by "max_calls" at once. May be called from any thread. Null
 * is allowed.
 */
void npad_cancellation_cancel(npad_cancellation *cancellation);

/**
 * Returns whether npad_cancellation_cancel() has been called; false if `cancellation` is null.
 */
bool npad_cancellation_is_cancelled(const npad_cancellation *cancellation);

/**
 * Frees a cancellation request. No call may be using it. Null is allowed.
 */
void npad_cancellation_free(npad_cancellation *cancellation);

/**
 * Compares the scores of recent products with those of the model's held-out good images, and says whether they have
 * drifted: because of a lamp that ages, a lens that has moved, or another batch of material. Nothing changes in the model.
 * npad_model_recalibrate() computes thresholds from new good images.
 *
 * The two-sided test of Mann and Whitney compares ranks, so that some defective products among the recent ones do not
 * matter. Do not leave out those that the model judged defective: what is left would seem to score lower. Scores have
 * drifted if the difference is significant (p-value up to 0.01) and its effect at least 0.28, a medium one. The order
 * of the scores does not matter. Of a recalibrated model, the held-out good images are those of the recalibration.
 *
 * @param model   the model
 * @param scores  `count` raw image scores of recent products that are taken to be good, 0 or above; read during the call only
 * @param count   at least 10; 50 or more are recommended
 * @param drift   receives the numbers; `size` must be set
 * @param error   receives the error, or null; may itself be null
 * @return NPAD_STATUS_INVALID_ARGUMENT when an argument is null, the size is wrong, there are fewer than 10 scores, or one is
 *         not finite or below 0, where the message names its index
 */
npad_status npad_model_drift(const npad_model *model,
                             const float *scores,
                             size_t count,
                             npad_drift *drift,
                             npad_error **error);

/**
 * Returns the status code of the failed call; NPAD_STATUS_OK if `error` is null.
 */
npad_status npad_error_status(const npad_error *error);

/**
 * Returns the message in UTF-8; an empty string if `error` is null. Valid until the error is freed.
 */
const char *npad_error_message(const npad_error *error);

/**
 * Frees an error. Null is allowed.
 */
void npad_error_free(npad_error *error);

/**
 * Returns the library's version as text, "MAJOR.MINOR.PATCH". The string is static. May be called from any thread.
 */
const char *npad_version_string(void);

/**
 * Returns the library's version as a number: MAJOR * 1000000 + MINOR * 1000 + PATCH. May be called from any thread.
 *
 * Programs that load the library at run time must compare it with NPAD_VERSION_NUMBER before any other call: while the
 * major version is 0, major and minor version must be equal.
 */
uint32_t npad_version_number(void);

/**
 * Loads ONNX Runtime from a file or from the folder that contains it.
 *
 * Needed only if the default search does not find it. The first call that needs ONNX Runtime searches the environment
 * variable NPAD_ONNXRUNTIME (a file or folder), the folder of the npad library, the folder `lib` beside that one, and the
 * search path of the system's loader (on Windows the folders of PATH but those of Windows itself), in this order. A process
 * can use only one ONNX Runtime. May be called from any thread.
 *
 * @param path   path of the library or its folder; UTF-8 on Windows, any bytes elsewhere
 * @param error  receives the error, or null; may itself be null
 * @return NPAD_STATUS_NOT_FOUND when there is no library at the path; NPAD_STATUS_RUNTIME when it cannot be loaded or
 *         is older than 1.17; NPAD_STATUS_WRONG_STATE when another ONNX Runtime is already in use
 */
npad_status npad_runtime_open(const char *path,
                              npad_error **error);

/**
 * Loads a plug-in: a shared library with a detection method, see npad_plugin. The method can then be selected by name,
 * and models that were fitted with it can be loaded. The plug-in stays loaded until the process ends. May be called
 * from any thread.
 *
 * @param path   the shared library; UTF-8 on Windows, any bytes elsewhere
 * @param error  receives the error, or null; may itself be null
 * @return NPAD_STATUS_NOT_FOUND when the file does not exist; NPAD_STATUS_PLUGIN when it is not a plug-in, was built
 *         for another NPAD_PLUGIN_ABI, or has the name of an existing method
 */
npad_status npad_plugin_load(const char *path, npad_error **error);

/**
 * Returns the number of options that npad_options_set() takes: first the general options, then the parameters of all
 * methods, including those of loaded plug-ins. Loading a plug-in appends its parameters. May be called from any
 * thread.
 */
size_t npad_option_count(void);

/**
 * Returns the name of an option; null if `index` is npad_option_count() or more. The string is static. May be called
 * from any thread.
 */
const char *npad_option_name(size_t index);

/**
 * Returns the type of an option's value; NPAD_OPTION_TYPE_TEXT if `index` is npad_option_count() or more. May be
 * called from any thread.
 */
npad_option_type npad_option_get_type(size_t index);

/**
 * Returns the default value of an option as text, which may be empty; null if `index` is npad_option_count() or more.
 * The string is static. May be called from any thread.
 */
const char *npad_option_default(size_t index);

/**
 * Returns the range of an option's values in words, such as "a whole number from 1 to 8"; null if `index` is
 * npad_option_count() or more. The string is static. May be called from any thread.
 */
const char *npad_option_range(size_t index);

/**
 * Returns what an option does, in one line; null if `index` is npad_option_count() or more. The string is static. May
 * be called from any thread.
 */
const char *npad_option_help(size_t index);

/**
 * Returns the number of detection methods, including those of loaded plug-ins. The option "method" takes their names.
 * May be called from any thread.
 */
size_t npad_method_count(void);

/**
 * Returns the name of a method; null if `index` is npad_method_count() or more. The string is static. May be called
 * from any thread.
 */
const char *npad_method_name(size_t index);

/**
 * Returns what a method does, in one line; null if `index` is npad_method_count() or more. The string is static. May
 * be called from any thread.
 */
const char *npad_method_help(size_t index);

/**
 * Returns the number of device types that the option "device" takes. May be called from any thread.
 */
size_t npad_device_count(void);

/**
 * Returns the name of a device type, "cpu", "cuda", "tensorrt", "openvino", "directml" or "auto"; null if `index` is
 * npad_device_count() or more. "cuda" is the first CUDA device, "cuda:1" the second; "openvino" is OpenVINO on the CPU,
 * "openvino:GPU" and "openvino:NPU" are its other devices; "auto" is the best usable one. The list does not depend on the
 * machine: npad_device_check() tells what can be used. The string is static. May be called from any thread.
 */
const char *npad_device_name(size_t index);

/**
 * Checks that a fit or a load can use a device, by running a tiny network on it. May take seconds. May be called from any
 * thread.
 *
 * @param device  a value of the option "device", such as "cuda:0"
 * @param error   receives the error, or null; may itself be null. Its message has the cause and what to do
 * @return NPAD_STATUS_OK when the device can be used; NPAD_STATUS_DEVICE when it cannot; NPAD_STATUS_RUNTIME when ONNX
 *         Runtime is missing or unusable; NPAD_STATUS_INVALID_OPTION when there is no device of that name
 */
npad_status npad_device_check(const char *device,
                              npad_error **error);

/**
 * Sets the log callback of the process. There is none by default, and npad never writes to the standard streams.
 *
 * Waits until running calls of the previous callback have returned; afterwards the previous `user_data` may be freed.
 * The caller must not hold a lock that the callback takes. May be called from any thread.
 *
 * @param callback   the callback; null for none
 * @param user_data  passed to the callback
 * @param level      the least severe level to report, one of npad_log_level
 * @param error      receives the error, or null; may itself be null
 * @return NPAD_STATUS_INVALID_ARGUMENT when the level is not one of npad_log_level; NPAD_STATUS_WRONG_STATE when
 *         called from the log callback
 */
npad_status npad_log_set(npad_log_callback callback, void *user_data, int32_t level, npad_error **error);

/**
 * Writes the model to a file atomically: on failure, an existing file is unchanged, and if the process or the machine stops
 * meanwhile, it has its old or its new contents. A file ".npad-*.tmp" may then be left beside it, which can be deleted.
 *
 * @param model  the model to save
 * @param path   the file; UTF-8 on Windows, any bytes elsewhere
 * @param error  receives the error, or null; may itself be null
 * @return NPAD_STATUS_NOT_FOUND when the folder does not exist; NPAD_STATUS_IO when the file cannot be written;
 *         NPAD_STATUS_INVALID_ARGUMENT when its settings take more than a megabyte in the file
 */
npad_status npad_model_save(const npad_model *model,
                            const char *path,
                            npad_error **error);

/**
 * Writes the model as an ONNX network for other programs, and a description in JSON of what belongs before and after it.
 *
 * The network has one input "image", 32-bit floats from 0 to 255 of the shape images x 3 x height x width, with the
 * channels in the order red, green, blue. Its outputs are "map", the anomaly map in the units of the image score, images x
 * 1 x height x width, and "score", the largest value of each map. npad_score() resizes the map to the image and takes the
 * largest value then, which may be lower by a few percent; "export_size" makes the network do so itself. It has
 * standard operators only. The description has sizes, thresholds and the rule for the decision; the network has the
 * same JSON in its metadata under "npad".
 *
 * Maps agree with those of npad_score() for images of the network's size to a thousandth of the threshold or the score,
 * whichever is larger. With "export_size" the network rounds some grey values to the next one, which may change a map by
 * up to a hundredth of these. The network is run and compared before a file is written.
 *
 * Takes seconds, and several times the memory of the model's file. May run while other threads score, and is one of the
 * calls that "max_calls" counts.
 *
 * @param model    the model
 * @param path     the network's file, which must end in ".onnx"; the description is written beside it, with the ending
 *                 ".json". Existing files are replaced, once both are written. UTF-8 on Windows, any bytes elsewhere
 * @param options  only those whose names start with "export_" are used; null for defaults
 * @param error    receives the error, or null; may itself be null
 * @return NPAD_STATUS_INVALID_ARGUMENT when the model has no such network: its method is "spade" or a plug-in's, it has a
 *         mask or a region of interest, the option "tile" was set, its backbone is the host's feature extractor, has
 *         operators that are not standard or is written in an opset before 13 or after 22, or the model scores shifted
 *         copies with a backbone that takes one image at a time; also when both files are one;
 *         NPAD_STATUS_INVALID_OPTION when it cannot be written as the options say;
 *         NPAD_STATUS_NOT_FOUND when the folder does not exist; NPAD_STATUS_IO when a file cannot be written;
 *         NPAD_STATUS_BACKBONE when the network cannot be run or its maps differ by more than that;
 *         NPAD_STATUS_TIMED_OUT when "call_timeout" has passed while other calls had their turn
 */
npad_status npad_model_export(const npad_model *model,
                              const char *path,
                              const npad_options *options,
                              npad_error **error);

/**
 * Writes the model to memory, with the same bytes as npad_model_save() writes to a file.
 *
 * @param model   the model to save
 * @param buffer  receives the bytes, null on failure
 * @param error   receives the error, or null; may itself be null
 * @return NPAD_STATUS_INVALID_ARGUMENT when the model's settings take more than a megabyte in the file
 */
npad_status npad_model_save_memory(const npad_model *model, npad_buffer **buffer, npad_error **error);

/**
 * Loads a model from a file.
 *
 * @param path     the file; UTF-8 on Windows, any bytes elsewhere
 * @param options  only "device", "device_cache", "scoring", "threads", "max_calls", "call_timeout", "trusted_keys",
 *                 "foreign_backbones", the feature extractor and, on a device other than the CPU, the progress callback are
 *                 used; null for the defaults
 * @param model    receives the model, null on failure
 * @param error    receives the error, or null; may itself be null
 * @return NPAD_STATUS_NOT_FOUND when the file does not exist; NPAD_STATUS_IO when it cannot be read;
 *         NPAD_STATUS_INVALID_MODEL when it is truncated, corrupted or not a model; NPAD_STATUS_UNSUPPORTED_MODEL when
 *         it needs a newer npad, a plug-in that is not loaded, or the extractor that it was fitted with;
 *         NPAD_STATUS_UNTRUSTED_MODEL when it is not signed with one of "trusted_keys", or "foreign_backbones" refuses its
 *         backbone; NPAD_STATUS_CANCELLED by the progress callback; NPAD_STATUS_OUT_OF_MEMORY; for the backbone and device as
 *         npad_trainer_new()
 */
npad_status npad_model_load(const char *path,
                            const npad_options *options,
                            npad_model **model,
                            npad_error **error);

/**
 * Loads a model from memory that holds the bytes of a model file.
 *
 * @param data     `size` bytes; read during the call only
 * @param size     the number of bytes
 * @param options  as for npad_model_load()
 * @param model    receives the model, null on failure
 * @param error    receives the error, or null; may itself be null
 * @return as npad_model_load(), except for the errors of reading the model file
 */
npad_status npad_model_load_memory(const uint8_t *data,
                                   size_t size,
                                   const npad_options *options,
                                   npad_model **model,
                                   npad_error **error);

/**
 * Returns the model's metadata as a JSON object in UTF-8: "method" and its "parameters", the network's "input" size,
 * the number of "images" of the fit, "false_alarm_rate", the "image" calibration, "known_defects", "backbone" and others, and
 * the key that the model is "signed_by" (see npad_model_signer()), or null.
 * "machine" has what the model runs on in this process: its "device", the "device_requested" (which may be "auto"), for
 * "auto" the "device" and "cause" of each better one that was "passed_over", "scoring" ("kernels" or "graph"), the
 * instruction set of npad's "kernels", and "version" and "file" of "onnxruntime", null if it was not loaded when the model
 * was made. An empty string if `model` is null. Valid until the model is freed.
 */
const char *npad_model_info(const npad_model *model);

/**
 * Returns the calibration card, plain text in UTF-8 with one fact a line: number, hash and day of the good images,
 * thresholds and how they were derived, settings, backbone and npad's version. It is for people to read and file; its
 * wording may change between versions, and npad_model_info() has the same facts for programs. It depends on the model
 * alone, not on the device or the time. Facts that the npad that fitted the model did not record are "not recorded". An
 * empty string if `model` is null. Valid until the model is freed.
 *
 * The hash identifies the set of images, in any order, as 32 hexadecimal digits: the sum modulo 2^128 of one number for
 * each image, the first 16 bytes, in little-endian order, of the BLAKE3 hash of the network's input (the planes R, G and
 * B as 32-bit floats in little-endian order, resized, masked and normalised). It is the same for every file format with
 * the same pixels, and another one for another input size or mask.
 */
const char *npad_model_card(const npad_model *model);

/**
 * Returns the name of the detection method; an empty string if `model` is null. Valid until the model is freed.
 */
const char *npad_model_method(const npad_model *model);

/**
 * Returns the identity of the backbone, a name and a checksum; an empty string if `model` is null. Valid until the
 * model is freed.
 */
const char *npad_model_backbone(const npad_model *model);

/**
 * Returns the device that the networks run on, as the option "device" names it, for "auto" the one in use; an empty
 * string if `model` is null. Valid until the model is freed.
 */
const char *npad_model_device(const npad_model *model);

/**
 * Returns the width of the network's input in pixels; 0 if `model` is null. Images of any size are resized to it.
 */
int32_t npad_model_input_width(const npad_model *model);

/**
 * Returns the height of the network's input in pixels; 0 if `model` is null.
 */
int32_t npad_model_input_height(const npad_model *model);

/**
 * Returns the number of good images that the model has learnt; 0 if `model` is null.
 */
size_t npad_model_image_count(const npad_model *model);

/**
 * Returns the target false-alarm rate of the threshold, as the option "false_alarm_rate" set it; 0 if `model` is null.
 */
double npad_model_false_alarm_rate(const npad_model *model);

/**
 * Prepares the model for images of one size, so that the first call is as fast as later ones. Allocates the working
 * memory of as many concurrent calls as there are cores, at most "max_calls", and scores a test image with each, one
 * after the other. The working memory of further concurrent calls is allocated when they first run.
 *
 * Any number of threads may call it at once, also while others score. It counts as one call: it blocks while
 * "max_calls" calls are running, for at most "call_timeout".
 *
 * @param model   the model
 * @param width   width of the images in pixels, 1 to 65535
 * @param height  height of the images in pixels, 1 to 65535
 * @param error   receives the error, or null; may itself be null
 * @return NPAD_STATUS_INVALID_ARGUMENT when the model is null or a side is out of range; otherwise as npad_score()
 */
npad_status npad_model_warm_up(const npad_model *model, int32_t width, int32_t height, npad_error **error);

/**
 * Frees a model. No other call may be using it. Null is allowed.
 */
void npad_model_free(npad_model *model);

/**
 * Returns the bytes of a buffer; null if `buffer` is null. Valid until the buffer is freed.
 */
const uint8_t *npad_buffer_data(const npad_buffer *buffer);

/**
 * Returns the number of bytes in a buffer; 0 if `buffer` is null.
 */
size_t npad_buffer_size(const npad_buffer *buffer);

/**
 * Frees a buffer. Null is allowed.
 */
void npad_buffer_free(npad_buffer *buffer);

/**
 * Creates options with all values at their defaults. Returns null if memory cannot be allocated.
 */
npad_options *npad_options_new(void);

/**
 * Sets an option. Name and value are text in UTF-8. On failure the options are unchanged.
 *
 * npad_option_count(), npad_option_name() and related functions list all options with their types, defaults, ranges
 * and meaning. The general options and their defaults are:
 *
 * - "method" (npad): detection method
 * - "size" (240): size of the network's input in pixels: a number N (as many pixels as an N x N square, with the
 *   aspect ratio of the first image), height x width ("320x256"), or "native" (the size of the first image)
 * - "scales" (1): factors of that size that images are scored at, 1 to 3 ascending numbers from 1 to 4 joined by "+", the
 *   first of which is 1: "1+1.6" finds smaller defects and takes about 3 times the time
 * - "device" (cpu): device that the networks run on, "cpu", "cuda:N", "tensorrt:N", "openvino:DEVICE" (CPU, GPU, GPU.N or
 *   NPU), "directml:N" or "auto", which is the best usable one of cuda, directml, openvino:GPU and cpu; any other that cannot
 *   be used is an error, there is no fallback. "cuda" is "cuda:0", and "openvino" is "openvino:CPU"
 * - "device_cache" (none): path of a folder in which tensorrt and openvino keep what they build for a network, so that the
 *   next load is fast; it must exist
 * - "scoring" (auto): what scores the features: "kernels", npad's own code on the CPU; "graph", a graph of the whole
 *   detector that runs on the device like the backbone; "auto", kernels for the devices "cpu" and "openvino:CPU" and for
 *   models that have no graph, else the graph. Scores of both agree to a thousandth; with the graph, scores of a batch
 *   equal those of single images to rounding only
 * - "threads" (0): number of worker threads; 0: one per core. Results do not depend on it
 * - "max_calls" (0): maximum number of concurrent scoring calls of a model; further calls block. A batch is one call.
 *   0: one per core
 * - "call_timeout" (none): milliseconds that a blocked scoring call waits before it returns NPAD_STATUS_TIMED_OUT; 0:
 *   it returns at once, "none": no limit
 * - "seed" (0): seed of the random number generator of a fit
 * - "checkpoint" (empty): path of the file in which a fit of "fastflow", "cflow" or "pefm" keeps its state: the same fit
 *   continues from it after a crash. Several scales have a file each, whose names end in .0, .1 and so on. The files
 *   stay after the fit; other methods refuse the option
 * - "export_opset" (auto), "export_batch" (any), "export_size" (input): ONNX's version of operators, 13 to 22, number of
 *   images of a run, and size of the images (height x width, or that of the network's input) of npad_model_export()
 * - "trusted_keys" (empty): public keys, each of 64 hexadecimal digits, separated by commas: a model that is loaded must be
 *   signed with one of them (see npad_model_with_signature()); empty: models need no signature
 * - "foreign_backbones" (allow): what to do with a model file that contains a backbone of its own, an ONNX network that ONNX
 *   Runtime would run: "allow", or "refuse" the model
 * - "date" (today): day of the fit or the recalibration, which the model records: "today" (in UTC), a day such as
 *   "2026-11-30", or "none" for no record. With "today" the same fit gives another model file on another day
 * - "false_alarm_rate" (0.01): target share of good images that are judged defective, 0.00001 to 0.5; sets the
 *   threshold
 * - "review_rate" (0): target share of good images that are judged defective or for review, 0 to 0.5; sets a second,
 *   lower threshold. Must be above "false_alarm_rate" to have an effect; 0: no review
 * - "operating_point" (rate): what sets the threshold: "rate", the false-alarm rate; "catch_all", the highest threshold
 *   up to that of "false_alarm_rate" at which all known defects are found; "cost", the threshold up to that of
 *   "false_alarm_rate" with the least miss_cost * (share of known defects missed) + (estimated false-alarm rate). The
 *   last two need known defects, see npad_trainer_add_defect()
 * - "miss_cost" (1): weight of the share of known defects missed against the false-alarm rate, 0 to 1e9. If a missed
 *   defect costs as much as C false alarms and a share P of all parts is defective, set C * P / (1 - P): 1 for 500 false
 *   alarms and 2 of 1000 parts
 * - "smoothing" (4): standard deviation of the anomaly map's Gaussian smoothing in pixels of the network's input at
 *   scale 1, 0 to 64
 * - "grid_step" (2): side of a grid cell in positions of the backbone's finest output at scale 1, 1 to 8
 * - "tile" (0): maximum side of a tile in pixels of the network's input, 256 to 8192 in steps of 64: larger inputs are
 *   split into overlapping tiles, which limits memory. 0: no tiles
 * - "peak_share" (0.01): share of the map's highest values whose mean is the image score; 0: the maximum
 * - "min_region_area" (1): minimum area of a region in pixels of the image; smaller regions are dropped
 * - "backbone" (empty): path of a custom ONNX backbone with one float input [1, 3, height, width] and 1 to 16 float
 *   outputs [1, channels, rows, columns]. If the first dimension is dynamic, small images of a batch run together
 * - "backbone_mean" (0.485,0.456,0.406), "backbone_std" (0.229,0.224,0.225): means and standard deviations of R, G and
 *   B that the custom backbone was trained with, for values 0 to 1
 * - "METHOD.NAME", such as "npad.levels": parameters of the methods
 *
 * @param options  the options to change
 * @param key      the option's name
 * @param value    its value as text
 * @param error    receives the error, or null; may itself be null
 * @return NPAD_STATUS_INVALID_OPTION when the name is unknown or the value is out of range; the message lists the
 *         known names or the accepted values
 */
npad_status npad_options_set(npad_options *options,
                             const char *key,
                             const char *value,
                             npad_error **error);

/**
 * Gets the current value of an option as text in UTF-8.
 *
 * @param options  the options; no other thread may use them during the call
 * @param key      the option's name
 * @param value    receives the value, null on failure; valid until the options are changed or freed
 * @param error    receives the error, or null; may itself be null
 * @return NPAD_STATUS_NOT_FOUND when the name is unknown
 */
npad_status npad_options_get(npad_options *options, const char *key, const char **value, npad_error **error);

/**
 * Sets the mask that all images of a fit share. Excluded pixels are neither learnt nor scored. The mask is stored in
 * the model, and images that are scored with the model must have the size of the mask.
 *
 * @param options  the options to change
 * @param mask     the mask, copied; null for none, the default
 * @param error    receives the error, or null; may itself be null
 * @return NPAD_STATUS_INVALID_IMAGE when the mask's description is wrong or it includes no pixel
 */
npad_status npad_options_set_mask(npad_options *options, const npad_mask *mask, npad_error **error);

/**
 * Sets a rectangular region of interest that all images of a fit share, in pixels of the images. Pixels outside the
 * rectangle are excluded, as by a mask; with a mask as well, a pixel must be included by both. The rectangle is stored
 * in the model.
 *
 * @param options  the options to change
 * @param x        left edge, 0 or more
 * @param y        upper edge, 0 or more
 * @param width    width, 1 or more; all four values 0 for no rectangle, the default
 * @param height   height, 1 or more
 * @param error    receives the error, or null; may itself be null
 * @return NPAD_STATUS_INVALID_IMAGE when a value is out of range. The first image of the fit is checked to contain the
 *         rectangle
 */
npad_status npad_options_set_roi(npad_options *options,
                                 int32_t x,
                                 int32_t y,
                                 int32_t width,
                                 int32_t height,
                                 npad_error **error);

/**
 * Sets the progress callback of fits and loads with these options. A load reports only on a device other than the CPU,
 * where it runs the networks once. When the callback returns false, the running call fails with NPAD_STATUS_CANCELLED:
 * npad_fit() and npad_model_load() return no model, npad_trainer_add_image() does not learn the image, and
 * npad_trainer_finish() leaves the trainer unchanged.
 *
 * @param options    the options to change
 * @param callback   the callback; null for none, the default
 * @param user_data  passed to the callback; must stay valid until these options and all trainers created with them are
 *                   freed
 * @param error      receives the error, or null; may itself be null
 */
npad_status npad_options_set_progress(npad_options *options,
                                      npad_progress_callback callback,
                                      void *user_data,
                                      npad_error **error);

/**
 * Sets a feature extractor of the host, which replaces ONNX Runtime and the built-in backbone, for a fit or for
 * loading a model that was fitted with it.
 *
 * On success npad takes ownership of `user_data` and calls `free` when no options, trainer or model uses it any more.
 *
 * @param options    the options to change
 * @param extractor  the table, copied
 * @param error      receives the error, or null; may itself be null
 * @return NPAD_STATUS_PLUGIN when a value in the table is out of range; the caller keeps ownership of `user_data`
 */
npad_status npad_options_set_extractor(npad_options *options, const npad_extractor *extractor, npad_error **error);

/**
 * Frees options. Null is allowed.
 */
void npad_options_free(npad_options *options);

/**
 * Draws the anomaly map of a result over its image. Yellow is the threshold, red twice the threshold and above;
 * white boxes surround the regions.
 *
 * @param model   the model that the image was scored with
 * @param image   the image that was scored
 * @param result  the result of npad_score() for the image
 * @param pixels  receives the picture, three bytes per pixel, in as many rows and columns as the image has
 * @param stride  bytes from the start of one row of `pixels` to the start of the next; 0 means rows without padding. Padding
 *                is neither read nor written
 * @param format  NPAD_PIXEL_FORMAT_RGB8 or NPAD_PIXEL_FORMAT_BGR8
 * @param error   receives the error, or null; may itself be null
 * @return NPAD_STATUS_INVALID_IMAGE when the image and the result differ in size; NPAD_STATUS_INVALID_ARGUMENT for
 *         another format, a null pointer, or a stride shorter than a row
 */
npad_status npad_render(const npad_model *model,
                        const npad_image *image,
                        const npad_result *result,
                        uint8_t *pixels,
                        int64_t stride,
                        int32_t format,
                        npad_error **error);

/**
 * Draws the anomaly map that npad_score_into() or npad_score_batch_into() wrote over its image, as npad_render() does.
 * Boxes surround only the regions in the output's array.
 *
 * @param model   the model that the image was scored with
 * @param image   the image that was scored
 * @param output  the output, unchanged since that call; its `map` must not be null
 * @param pixels  receives the picture, three bytes per pixel, in as many rows and columns as the image has
 * @param stride  bytes from the start of one row of `pixels` to the start of the next; 0 means rows without padding. Padding
 *                is neither read nor written
 * @param format  NPAD_PIXEL_FORMAT_RGB8 or NPAD_PIXEL_FORMAT_BGR8
 * @param error   receives the error, or null; may itself be null
 * @return as npad_render(); NPAD_STATUS_INVALID_ARGUMENT also when `output` or its map is null, a field is out of
 *         range, or a region lies outside the image
 */
npad_status npad_render_output(const npad_model *model,
                               const npad_image *image,
                               const npad_output *output,
                               uint8_t *pixels,
                               int64_t stride,
                               int32_t format,
                               npad_error **error);

/**
 * Returns the raw image score, 0 or above, in the method's own units; larger is more anomalous. 0 if `result` is null.
 */
float npad_result_score(const npad_result *result);

/**
 * Returns the image score on the calibrated scale: 0 for a typical good image, 0.5 at the threshold; linear and not
 * clamped. 0 if `result` is null.
 */
float npad_result_calibrated_score(const npad_result *result);

/**
 * Returns whether the score exceeds the model's threshold; false if `result` is null.
 */
bool npad_result_is_anomalous(const npad_result *result);

/**
 * Returns the verdict: good, review or defective. NPAD_VERDICT_GOOD if `result` is null.
 */
npad_verdict npad_result_verdict(const npad_result *result);

/**
 * Returns the width of the anomaly map in pixels, which is the image's width; 0 if `result` is null.
 */
int32_t npad_result_width(const npad_result *result);

/**
 * Returns the height of the anomaly map in pixels, which is the image's height; 0 if `result` is null.
 */
int32_t npad_result_height(const npad_result *result);

/**
 * Returns the anomaly map in the units of the raw score: width * height values, row after row, without padding. Its
 * largest value is the raw score, or exceeds it where "min_region_area" has dropped regions. Null if `result` is null.
 * Valid until the result is freed.
 */
const float *npad_result_map(const npad_result *result);

/**
 * Writes the calibrated anomaly map in 8 bits: 0 at the value of a typical good image and below, 128 or more exactly
 * where the map exceeds the threshold, 255 at twice the threshold's distance from the typical value and above.
 *
 * @param result  the result
 * @param map     receives the map, one byte per pixel: npad_result_height() rows of npad_result_width() bytes
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
 * Returns the number of defect regions; 0 if `result` is null. A region is a set of 8-connected pixels whose map values
 * exceed the threshold of the verdict: the threshold of a defective image, the review threshold of an image for review.
 * A defective image and an image for review have at least one region, a good image has none.
 */
size_t npad_result_region_count(const npad_result *result);

/**
 * Writes one defect region. Regions are ordered by their peaks, highest first.
 *
 * @param result       the result
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
 * Returns the pixels of a region as runs. Each run is three numbers: row, first column, and last column + 1. Runs are
 * ordered by row, then by column. Valid until the result is freed.
 *
 * @param result  the result
 * @param index   0 to npad_result_region_count() - 1
 * @param count   receives the number of runs, a third of the array's length; may be null
 * @return null, with a count of 0, when `result` is null, the index is too large, or memory cannot be allocated
 */
const int32_t *npad_result_region_runs(const npad_result *result, size_t index, size_t *count);

/**
 * Returns the outer contour of a region as a closed chain of the region's boundary pixels. Each pixel is two numbers,
 * x and y. Consecutive pixels are 8-neighbours, in clockwise order from the leftmost pixel of the uppermost row; the
 * first pixel is not repeated at the end. Where the region is one pixel wide, a pixel may occur twice. Holes are not
 * traced. Valid until the result is freed.
 *
 * @param result  the result
 * @param index   0 to npad_result_region_count() - 1
 * @param count   receives the number of pixels, half of the array's length; may be null
 * @return null, with a count of 0, when `result` is null, the index is too large, or memory cannot be allocated
 */
const int32_t *npad_result_region_contour(const npad_result *result, size_t index, size_t *count);

/**
 * Writes the pixels of a region as a mask of its bounding box: 255 inside the region, 0 outside.
 *
 * @param result  the result
 * @param index   0 to npad_result_region_count() - 1
 * @param mask    receives the mask, one byte per pixel, in as many rows and columns as the bounding box has
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
 * Frees a result. No other call may be using it. Null is allowed.
 */
void npad_result_free(npad_result *result);

/**
 * Scores one image. Any number of threads may call it with one model at once. At most "max_calls" calls run at a time;
 * further calls block for at most "call_timeout", see npad_options_set().
 *
 * @param model   the model
 * @param image   the image, of any size; read during the call only
 * @param result  receives the result, null on failure
 * @param error   receives the error, or null; may itself be null
 * @return NPAD_STATUS_INVALID_IMAGE when the image, its mask or its region of interest is invalid;
 *         NPAD_STATUS_BACKBONE when the backbone or a feature extractor fails; NPAD_STATUS_PLUGIN when a plug-in
 *         fails; NPAD_STATUS_OUT_OF_MEMORY; NPAD_STATUS_TIMED_OUT when the call could not start within "call_timeout";
 *         NPAD_STATUS_WRONG_STATE when it is made from a callback of a call with the same model
 */
npad_status npad_score(const npad_model *model, const npad_image *image, npad_result **result, npad_error **error);

/**
 * Scores one image and writes the result to the caller's memory, so that there is no result to free. After the first
 * image of a size, npad allocates no memory for maps or regions. Any number of threads may call it with one model at
 * once, each with its own output; their maps may be disjoint parts of one matrix.
 *
 * @param model   the model
 * @param image   the image, of any size; read during the call only
 * @param output  the memory for maps and regions; receives score, verdict and the number of regions
 * @param error   receives the error, or null; may itself be null
 * @return as npad_score(); NPAD_STATUS_INVALID_ARGUMENT also when `output` is null, a stride is shorter than a row, or
 *         `map_stride` is not a multiple of 4. On failure `output` is unchanged, and the content of the maps and
 *         regions is undefined
 */
npad_status npad_score_into(const npad_model *model, const npad_image *image, npad_output *output, npad_error **error);

/**
 * Scores a batch of images. The results equal those of npad_score() for each image, in less time. If one image fails,
 * the call fails and returns no results. The batch counts as one call, which runs until its last image is scored.
 *
 * @param model         the model
 * @param images        `count` images, each of any size; read during the call only
 * @param count         the number of images, 0 or more
 * @param cancellation  cancels the call; null for none
 * @param results       receives `count` results, all null on failure
 * @param error         receives the error, or null; may itself be null
 * @return as npad_score(), where the message names the image's index; NPAD_STATUS_CANCELLED when the call was
 *         cancelled
 */
npad_status npad_score_batch(const npad_model *model,
                             const npad_image *images,
                             size_t count,
                             const npad_cancellation *cancellation,
                             npad_result **results,
                             npad_error **error);

/**
 * Scores a batch of images and writes the results to the caller's memory, see npad_score_batch() and
 * npad_score_into().
 *
 * @param model         the model
 * @param images        `count` images, each of any size; read during the call only
 * @param count         the number of images, 0 or more
 * @param cancellation  cancels the call; null for none
 * @param outputs       `count` outputs with the same `size`, one for the image of the same index. Their memory must
 *                      not overlap
 * @param error         receives the error, or null; may itself be null
 * @return as npad_score_into(), where the message names the image's index; NPAD_STATUS_CANCELLED when the call was
 *         cancelled. On failure `outputs` is unchanged, and the content of the maps and regions is undefined
 */
npad_status npad_score_batch_into(const npad_model *model,
                                  const npad_image *images,
                                  size_t count,
                                  const npad_cancellation *cancellation,
                                  npad_output *outputs,
                                  npad_error **error);

/**
 * Creates a copy of a model that is signed whenever it is saved, so that a program with the option "trusted_keys" can know who
 * taught it. The signature is Ed25519 (RFC 8032) over a hash of the whole file. The two models share memory; each must be
 * freed. The copy keeps the key in memory until it is freed.
 *
 * A signature belongs to one file: a model that is loaded and saved again, or a copy with other thresholds, is not signed until
 * this function signs it. `npad key` makes keys, and `npad sign` signs files.
 *
 * @param model         the original model; it does not change
 * @param key           the secret key, `key_size` bytes from a cryptographic random generator; read during the call only. A file that
 *                      `npad key` made has them as hexadecimal digits, which the program must decode
 * @param key_size      must be 32
 * @param signed_model  receives the new model, null on failure
 * @param error         receives the error, or null; may itself be null
 * @return NPAD_STATUS_INVALID_ARGUMENT when an argument is null or the key has another size
 */
npad_status npad_model_with_signature(const npad_model *model,
                                      const uint8_t *key,
                                      size_t key_size,
                                      npad_model **signed_model,
                                      npad_error **error);

/**
 * Returns the public key that belongs to a model's signature, 64 hexadecimal digits as "trusted_keys" takes them: that of the
 * file that the model was loaded from, or of npad_model_with_signature(). The signature of a file has been verified when it
 * was loaded, but anybody can sign: only "trusted_keys" refuses strangers. An empty string if the model is not signed or
 * `model` is null. Valid until the model is freed.
 */
const char *npad_model_signer(const npad_model *model);

/**
 * Returns the raw image score above which an image is defective, and the value of the anomaly map above which a pixel
 * belongs to a region of a defective image; 0 if `model` is null.
 */
float npad_model_threshold(const npad_model *model);

/**
 * Returns the raw image score above which an image is for review; equal to the threshold if there is no review. 0 if
 * `model` is null.
 */
float npad_model_review_threshold(const npad_model *model);

/**
 * Gets what the known defects of the fit say about the model's threshold and about others. The numbers follow the
 * threshold and the good images of npad_model_with_thresholds() and npad_model_recalibrate().
 *
 * @param model  the model
 * @param known  receives the numbers; `size` must be set. The count is 0 if the fit had no known defects
 * @param error  receives the error, or null; may itself be null
 * @return NPAD_STATUS_INVALID_ARGUMENT when an argument is null or the size is wrong
 */
npad_status npad_model_known_defects(const npad_model *model, npad_known_defects *known, npad_error **error);

/**
 * Creates a copy of a model with other thresholds. The calibrated scale changes so that 0.5 is the new threshold. The
 * two models share memory; each must be freed.
 *
 * @param model      the original model; it does not change
 * @param threshold  raw image score above which an image is defective
 * @param review     raw image score above which an image is for review, 0 or above; equal to `threshold` for no review
 * @param changed    receives the new model, null on failure
 * @param error      receives the error, or null; may itself be null
 * @return NPAD_STATUS_INVALID_ARGUMENT when `threshold` is not a finite number above the score of a typical good image, or
 *         `review` is not a number from 0 to `threshold`
 */
npad_status npad_model_with_thresholds(const npad_model *model,
                                       float threshold,
                                       float review,
                                       npad_model **changed,
                                       npad_error **error);

/**
 * Creates a copy of a model with thresholds computed from the scores of the given good images, for example after a
 * change of camera or lamp. The learnt statistics do not change, nor do the operating point and the scores of known defects.
 * The two models share memory; each must be freed.
 *
 * An image that the model has learnt is left out, since its score says nothing about unseen ones, and images that equal one
 * another count once, each with a warning in the log. Both are recognised as npad_trainer_add_image() and
 * npad_trainer_resume() say. The order of the images does not matter.
 *
 * @param model    the original model; it does not change
 * @param images   `count` good images that the model has not learnt; read during the call only
 * @param count    at least 3; 20 or more are recommended
 * @param options  only "false_alarm_rate", "review_rate" and "date" are used; rates that have not been set are those of
 *                 the model. Null: all of them, and today
 * @param changed  receives the new model, null on failure
 * @param error    receives the error, or null; may itself be null
 * @return NPAD_STATUS_NOT_ENOUGH_IMAGES with fewer than 3 images that count; NPAD_STATUS_WRONG_STATE when the operating
 *         point is "catch_all" and a known defect scores no higher than a typical good image; otherwise as npad_score(),
 *         where the message names the image's index
 */
npad_status npad_model_recalibrate(const npad_model *model,
                                   const npad_image *images,
                                   size_t count,
                                   const npad_options *options,
                                   npad_model **changed,
                                   npad_error **error);

/**
 * Starts a fit and loads the backbone.
 *
 * @param options  options of the fit; null for the defaults
 * @param trainer  receives the trainer, null on failure
 * @param error    receives the error, or null; may itself be null
 * @return NPAD_STATUS_RUNTIME when ONNX Runtime is missing or unusable; NPAD_STATUS_DEVICE when the device cannot be
 *         used, its message has the cause and what to do; NPAD_STATUS_INVALID_OPTION when the option "checkpoint" is set but the method keeps none;
 *         NPAD_STATUS_NOT_FOUND, NPAD_STATUS_IO or NPAD_STATUS_BACKBONE when the backbone's file or the folder of
 *         "device_cache" does not exist, cannot be read (written) or cannot be used; NPAD_STATUS_OUT_OF_MEMORY
 */
npad_status npad_trainer_new(const npad_options *options,
                             npad_trainer **trainer,
                             npad_error **error);

/**
 * Resumes the fit of a model, to compute a new model from further good images in addition to those already learnt.
 * Options, rates, mask and the selected channels are those of the model. Thresholds are computed anew, from the scores that
 * the model's thresholds were computed from (after a recalibration, those of its images) and the held-out scores of the
 * further images; if these are more than the images already learnt, from theirs alone. Known defects are not kept, since the
 * new model scores them differently: add them again. The model itself does not change.
 *
 * A further image that equals one already learnt is not learnt again, see npad_trainer_add_image(). Model files of npad 0.1
 * do not record which images the model has learnt, so only copies among the further images are recognised.
 *
 * @param model    the model to resume from
 * @param options  only "date" and the progress callback are used and, where they have been set, "operating_point" and
 *                 "miss_cost"; null for today, no callback and the model's operating point
 * @param trainer  receives the trainer, null on failure
 * @param error    receives the error, or null; may itself be null
 * @return NPAD_STATUS_INVALID_ARGUMENT when the model's method cannot resume a fit
 */
npad_status npad_trainer_resume(const npad_model *model,
                                const npad_options *options,
                                npad_trainer **trainer,
                                npad_error **error);

/**
 * Learns one good image. Images may differ in size; if they differ in their proportions, the first one determines those
 * of the network's input unless the option "size" sets them, and a warning is logged. On failure the trainer is unchanged.
 *
 * An image that equals one already learnt, as the network sees it, is not learnt again, since its copy would hide how unseen
 * images score; the end of the fit logs a warning. All copies are recognised up to 65536 images, those of a resumed fit
 * included. Of more images as many are remembered, and copies of the others are learnt again.
 *
 * @param trainer  the trainer
 * @param image    the image; read during the call only
 * @param error    receives the error, or null; may itself be null
 * @return NPAD_STATUS_INVALID_IMAGE when the image is invalid, has a mask or region of interest of its own, or does
 *         not fit the mask, region of interest or size of the options; NPAD_STATUS_BACKBONE when the backbone or a feature
 *         extractor fails; NPAD_STATUS_DEVICE, of the first image, when the device computes other features than the CPU;
 *         NPAD_STATUS_PLUGIN when a plug-in fails; NPAD_STATUS_OUT_OF_MEMORY;
 *         NPAD_STATUS_CANCELLED when the progress callback returned false; NPAD_STATUS_INVALID_ARGUMENT also when it equals
 *         a known defect; NPAD_STATUS_WRONG_STATE when the trainer has finished
 */
npad_status npad_trainer_add_image(npad_trainer *trainer,
                                   const npad_image *image,
                                   npad_error **error);

/**
 * Adds an image with a known defect, which is never learnt. npad_trainer_finish() scores it as the model will, and
 * npad_model_known_defects() then says what thresholds find and what that costs. The option "operating_point" lets the
 * known defects set the threshold; by default they only report. Their order does not matter, one that equals another counts
 * once, and good images may follow. A trainer keeps as many as 384 MiB hold, but 16 at least and 1024 at most. On failure it is unchanged.
 *
 * @param trainer  the trainer, with at least one good image
 * @param image    the image; read during the call only
 * @param error    receives the error, or null; may itself be null
 * @return NPAD_STATUS_WRONG_STATE when there is no good image yet, the trainer can keep no more known defects, or it has
 *         finished; NPAD_STATUS_INVALID_ARGUMENT also when it equals a good image that has been learnt; otherwise as
 *         npad_trainer_add_image()
 */
npad_status npad_trainer_add_defect(npad_trainer *trainer,
                                    const npad_image *image,
                                    npad_error **error);

/**
 * Sets the number of images that will be added, which the progress callback receives as `total`. It does not limit the
 * number of images.
 *
 * @param trainer  the trainer
 * @param count    the total number of images; 0 if unknown, the default
 * @param error    receives the error, or null; may itself be null
 * @return NPAD_STATUS_WRONG_STATE when the trainer has finished
 */
npad_status npad_trainer_expect(npad_trainer *trainer, size_t count, npad_error **error);

/**
 * Returns the number of good images that the trainer has learnt; 0 if `trainer` is null or has finished. May be called
 * at any time, from callbacks too.
 */
size_t npad_trainer_image_count(const npad_trainer *trainer);

/**
 * Finishes the fit: computes the model and its thresholds, which takes about as long as learning the images; with methods
 * that train a network (fastflow, cflow, pefm), minutes.
 *
 * After a failure, including cancellation, the trainer is unchanged: more images can be added, and the call can be
 * repeated. After success, further calls with the trainer return NPAD_STATUS_WRONG_STATE.
 *
 * @param trainer  the trainer; the caller must still free it
 * @param model    receives the model, null on failure
 * @param error    receives the error, or null; may itself be null
 * @return NPAD_STATUS_NOT_ENOUGH_IMAGES with fewer than 3 images (1 for a resumed fit, 6 where a network is trained) or when
 *         the images hardly vary;
 *         NPAD_STATUS_PLUGIN when a plug-in fails; NPAD_STATUS_OUT_OF_MEMORY; NPAD_STATUS_CANCELLED when the progress
 *         callback returned false; NPAD_STATUS_WRONG_STATE when the trainer has already finished, when "operating_point"
 *         needs known defects and there are none, or when it is "catch_all" and a known defect scores no higher than a
 *         typical good image. Where a network is trained also NPAD_STATUS_INVALID_OPTION when the training diverges at all of
 *         five learning rates, when the feature maps are too large for a network of 2 GiB, or when the backbone has fewer
 *         outputs than the method needs (pefm: two); NPAD_STATUS_WRONG_STATE, NPAD_STATUS_INVALID_MODEL, NPAD_STATUS_INVALID_ARGUMENT,
 *         NPAD_STATUS_NOT_FOUND or NPAD_STATUS_IO when the file of the option "checkpoint" belongs to another fit, is no
 *         checkpoint, is no file, or cannot be read or written
 */
npad_status npad_trainer_finish(npad_trainer *trainer,
                                npad_model **model,
                                npad_error **error);

/**
 * Frees a trainer, which no call may be using. Null is allowed.
 */
void npad_trainer_free(npad_trainer *trainer);

/**
 * Fits a model to an array of good images in one call.
 *
 * @param images   `count` images; read during the call only
 * @param count    at least 3, or 6 where a network is trained; 20 or more are recommended
 * @param options  options of the fit; null for the defaults
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

/**
 * Writes the state of a trainer to a file atomically, as npad_model_save() writes a model: what it has learnt so far, for
 * npad_trainer_load() to go on from, after a crash or on another machine, and for npad_trainer_merge(). The trainer does not
 * change and may learn further images.
 *
 * A state holds the feature maps of a bounded sample of the images, a few hundred kilobytes an image and up to 384 MiB, and of
 * further images only sums of a few times the size of a model. Known defects are part of it. Writing, loading or merging one
 * takes up to three times its size of memory.
 *
 * @param trainer  the trainer
 * @param path     the file; UTF-8 on Windows, any bytes elsewhere
 * @param error    receives the error, or null; may itself be null
 * @return NPAD_STATUS_NOT_FOUND when the folder does not exist; NPAD_STATUS_IO when the file cannot be written;
 *         NPAD_STATUS_INVALID_ARGUMENT for a trainer of npad_trainer_resume(), for a plug-in's method that has learnt more images
 *         than the sample holds, and when the options take more than a megabyte; NPAD_STATUS_WRONG_STATE when the
 *         trainer has finished; NPAD_STATUS_OUT_OF_MEMORY
 */
npad_status npad_trainer_save(npad_trainer *trainer,
                              const char *path,
                              npad_error **error);

/**
 * Writes the state of a trainer to memory, with the same bytes as npad_trainer_save() writes to a file.
 *
 * @param trainer  the trainer
 * @param buffer   receives the bytes, null on failure
 * @param error    receives the error, or null; may itself be null
 * @return as npad_trainer_save(), except for the errors of writing the file
 */
npad_status npad_trainer_save_memory(npad_trainer *trainer, npad_buffer **buffer, npad_error **error);

/**
 * Goes on with a fit from the file of a trainer's state.
 *
 * The options that a model depends on, the mask and the region of interest are those of the state.
 *
 * @param path     the file; UTF-8 on Windows, any bytes elsewhere
 * @param options  options of this machine: "device", "device_cache", "threads", "scoring", "max_calls", "call_timeout",
 *                 "checkpoint", "date", the path of a "backbone" that is not built in, the feature extractor and the progress
 *                 callback; null for the defaults. Other options must be unset or those of the state
 * @param trainer  receives the trainer, null on failure
 * @param error    receives the error, or null; may itself be null
 * @return NPAD_STATUS_NOT_FOUND when the file does not exist; NPAD_STATUS_IO when it cannot be read;
 *         NPAD_STATUS_INVALID_MODEL when it is truncated, corrupted or not a trainer state;
 *         NPAD_STATUS_UNSUPPORTED_MODEL when it needs a newer npad; NPAD_STATUS_INVALID_OPTION when an option has been set
 *         to another value than in the state; NPAD_STATUS_INVALID_ARGUMENT when the backbone is another one;
 *         otherwise as npad_trainer_new()
 */
npad_status npad_trainer_load(const char *path,
                              const npad_options *options,
                              npad_trainer **trainer,
                              npad_error **error);

/**
 * Goes on with a fit from memory that holds the bytes of a trainer's state.
 *
 * @param data     `size` bytes; read during the call only
 * @param size     the number of bytes
 * @param options  as for npad_trainer_load()
 * @param trainer  receives the trainer, null on failure
 * @param error    receives the error, or null; may itself be null
 * @return as npad_trainer_load(), except for the errors of reading the file
 */
npad_status npad_trainer_load_memory(const uint8_t *data,
                                     size_t size,
                                     const npad_options *options,
                                     npad_trainer **trainer,
                                     npad_error **error);

/**
 * Adds what another trainer with the same options has learnt, from the file of its state. The two then give the model of one
 * fit of all images, the same to the last bit, however the images were divided and in whatever order states are merged.
 * A new trainer into which a state is merged is that of the state.
 *
 * Exceptions: where images differ in their proportions, set the option "size", since the first image of each trainer would
 * determine the size of the network's input. Beyond the images that the sample holds, "npad.selection=variance" selects channels
 * that depend on the order of the images, so that states cannot always be merged, and sums of products above 2^33 are rounded.
 *
 * An image that both have learnt counts once as long as one of the samples has it, but for the mean image that fills masked
 * pixels; a warning is logged about those that are counted twice since only their sums are known. On failure the trainer is unchanged.
 *
 * @param trainer  the trainer
 * @param path     the file of the other trainer's state; UTF-8 on Windows, any bytes elsewhere
 * @param error    receives the error, or null; may itself be null
 * @return NPAD_STATUS_NOT_FOUND, NPAD_STATUS_IO, NPAD_STATUS_INVALID_MODEL and NPAD_STATUS_UNSUPPORTED_MODEL as
 *         npad_trainer_load(); NPAD_STATUS_INVALID_ARGUMENT when the states are of fits with other options, another backbone or
 *         another size of the network's input, or of images of another size where they share a mask or a region of interest, when
 *         one of the two has learnt all images of the other and their samples no longer have them, when an image is good in
 *         one and a known defect in the other, and for a trainer of npad_trainer_resume(); NPAD_STATUS_WRONG_STATE when the
 *         trainer has finished or there are more images or known defects than it can keep; NPAD_STATUS_BACKBONE;
 *         NPAD_STATUS_PLUGIN when a plug-in fails; NPAD_STATUS_CANCELLED when the progress callback returned false;
 *         NPAD_STATUS_OUT_OF_MEMORY
 */
npad_status npad_trainer_merge(npad_trainer *trainer,
                               const char *path,
                               npad_error **error);

/**
 * Adds what another trainer with the same options has learnt, from the bytes of its state: see npad_trainer_merge().
 *
 * @param trainer  the trainer
 * @param data     `size` bytes; read during the call only
 * @param size     the number of bytes
 * @param error    receives the error, or null; may itself be null
 * @return as npad_trainer_merge(), except for the errors of reading the file
 */
npad_status npad_trainer_merge_memory(npad_trainer *trainer, const uint8_t *data, size_t size, npad_error **error);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* NPAD_H */
