/*
 * npad: industrial visual anomaly detection. Learns from good images only, in seconds; scores images in milliseconds.
 *
 * THE SHORT WAY
 *
 *   npad_image good[200] = ...;                      describe the pixels where they are, nothing is copied
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
 * Errors: functions that can fail return a npad_status. Where the last parameter, `error`, is not null, it receives null
 * on success and a new npad_error on failure, which the caller frees. A failed call changes nothing unless its
 * description says so, and sets the handles it would have given to null. No call ends the process or lets an exception through.
 *
 * Ownership: what a function gives through a pointer to a handle is the caller's, to be freed once with the function of
 * its type; freeing null is allowed. Pointers that accessors return belong to the handle and live as long as it does.
 * Images are borrowed for the length of a call.
 *
 * Threads: each type says who may use it. A model may be scored with from any number of threads at once; a trainer and
 * options belong to one thread at a time. npad runs its own worker threads and never touches the caller's.
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
 * The longest message of a callback, with the zero byte that ends it.
 */
#define NPAD_CALLBACK_MESSAGE_SIZE 512

/**
 * The version of the interface between npad and plug-ins; a plug-in of another one is refused.
 */
#define NPAD_PLUGIN_ABI 1

/**
 * Incompatible changes of this interface raise it.
 */
#define NPAD_VERSION_MAJOR 0

/**
 * Additions raise it (while the major version is 0, incompatible changes do too).
 */
#define NPAD_VERSION_MINOR 1

/**
 * Corrections raise it.
 */
#define NPAD_VERSION_PATCH 0

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
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum npad_status npad_status;
#else
typedef int32_t npad_status;
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
   * One 16-bit number a pixel, in the machine's byte order; 65535 is white. Shift 10- or 12-bit values up first.
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
 * How much a message matters.
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
   * Something works, but perhaps not as wanted: few images for a threshold, say.
   */
  NPAD_LOG_LEVEL_WARNING = 2,
  /**
   * What npad does, a line for each fit or load.
   */
  NPAD_LOG_LEVEL_INFO = 3,
  /**
   * Details.
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
 * score with one model at once; one image a core is in work, other calls wait for their turn.
 */
typedef struct npad_model npad_model;

/**
 * What a fit or a load may be told, all at good defaults.
 *
 * Owned by the caller, who frees it with npad_options_free(). Belongs to one thread at a time. Calls that take options
 * copy them.
 */
typedef struct npad_options npad_options;

/**
 * What npad says about one image.
 *
 * Owned by the caller, who frees it with npad_result_free(). Immutable: any thread may read it.
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
 * Receives messages for people: `level` is one of npad_log_level, `message` UTF-8 that lives for the call. Called from any
 * thread, also several at once; it must not call npad.
 */
typedef void (*npad_log_callback)(int32_t level, const char *message, void *user_data);

/**
 * A view of a mask in the caller's memory: one byte a pixel, 0 leaves the pixel out, anything else keeps it.
 */
typedef struct {
  /**
   * The first pixel of the first row.
   */
  const uint8_t *data;
  /**
   * Pixels in a row: those of the image.
   */
  int32_t width;
  /**
   * Rows: those of the image.
   */
  int32_t height;
  /**
   * Bytes from the start of one row to the next; 0 stands for rows without padding.
   */
  int64_t stride;
} npad_mask;

/**
 * Is told how far a fit is and returns whether to go on. `stage` is "learning", "statistics", "centroids" or "held-out
 * scores"; `done` of its `total` steps are done, and `total` is 0 where it is not known. Called on the thread of the call
 * in progress; it must not call back into the same trainer.
 */
typedef bool (*npad_progress_callback)(const char *stage, size_t done, size_t total, void *user_data);

/**
 * Where a callback that fails says why.
 */
typedef struct {
  /**
   * UTF-8, ending with a zero byte; empty when the callback is called.
   */
  char message[NPAD_CALLBACK_MESSAGE_SIZE];
} npad_callback_error;

/**
 * Computes features. `input` holds three planes, red, green and blue, of `height` rows of `width` values, normalised;
 * `outputs[i]` receives `channels[i]` planes of ceil(height / strides[i]) rows of ceil(width / strides[i]) values, all
 * finite. Returns 0, or anything else after writing to `error` why it failed. May be called from several threads at once.
 */
typedef int32_t (*npad_extract_callback)(void *user_data,
                                         const float *input,
                                         int32_t height,
                                         int32_t width,
                                         float *const *outputs,
                                         npad_callback_error *error);

/**
 * Frees what belongs to a table of callbacks; called once, when nothing uses it any more, from any thread.
 */
typedef void (*npad_free_callback)(void *user_data);

/**
 * A feature extractor of the host's own, in place of ONNX Runtime and the built-in backbone.
 *
 * Its features must depend on the image alone. A model names the extractor that it was fitted with and can only be
 * loaded with one of that name; change the name with the features.
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
   * The number of outputs, 1 to 16.
   */
  size_t tap_count;
  /**
   * For each output, the pixels of the input that one of its positions stands for in each direction, 1 to 64. Copied.
   */
  const int32_t *strides;
  /**
   * For each output, its planes, 1 to 8192. Copied.
   */
  const int32_t *channels;
  /**
   * Subtracted from red, green and blue, which are 0 to 1.
   */
  float mean[3];
  /**
   * Divides what is left; above 0.
   */
  float std[3];
  /**
   * Computes features.
   */
  npad_extract_callback extract;
  /**
   * Frees `user_data`; may be null.
   */
  npad_free_callback free;
  /**
   * Given to the callbacks.
   */
  void *user_data;
} npad_extractor;

/**
 * A connected defect region. Coordinates are pixels of the image; the centre of its first pixel is at (0, 0).
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
   * The largest value of the anomaly map in the region.
   */
  float peak;
  /**
   * 0.
   */
  int32_t reserved;
} npad_region;

/**
 * A view of an image in the caller's memory. npad reads it during the call it is given to, and keeps nothing of it.
 *
 * A sub-image is a view with the whole image's stride and a pointer to its own first pixel.
 */
typedef struct {
  /**
   * The first pixel of the first row, for NPAD_PIXEL_FORMAT_RGB8_PLANAR of the red, green and blue plane. In formats of
   * one plane the other two pointers are not looked at.
   */
  const uint8_t *data[3];
  /**
   * Pixels in a row, 1 to 65535.
   */
  int32_t width;
  /**
   * Rows, 1 to 65535.
   */
  int32_t height;
  /**
   * Bytes from the start of one row to the next, at least those of a row; 0 stands for rows without padding.
   */
  int64_t stride;
  /**
   * How pixels lie in memory: one of npad_pixel_format.
   */
  int32_t format;
  /**
   * Must be 0.
   */
  int32_t reserved;
  /**
   * The image's region of interest, or null for all of it. What it leaves out is not looked at, its map is 0, and no
   * region lies there; next to its edge, two cells of the grid (16 pixels of the network's input by default), the map
   * comes from the neighbours. For scoring only: a fit takes one mask for all images, see npad_options_set_mask().
   */
  const npad_mask *mask;
} npad_image;

/**
 * What npad says about one image, but for its map and regions.
 */
typedef struct {
  /**
   * The raw image score: 0 or above, in the method's own units, larger is more anomalous.
   */
  float score;
  /**
   * The score on the calibrated scale: 0 for a typical good image, 0.5 at the threshold; not clamped.
   */
  float calibrated_score;
  /**
   * One of npad_verdict.
   */
  int32_t verdict;
  /**
   * 0.
   */
  int32_t reserved;
  /**
   * The number of defect regions, also of those that did not fit into the caller's array.
   */
  int64_t region_count;
} npad_decision;

/**
 * A parameter of a plug-in's method, set as the option "METHOD.NAME"; the plug-in itself checks its values.
 */
typedef struct {
  /**
   * 1 to 64 lower-case letters, digits, '-' or '_', without the method's name.
   */
  const char *name;
  /**
   * The value where none is set; UTF-8.
   */
  const char *default_value;
  /**
   * What it does, in one line; UTF-8.
   */
  const char *help;
} npad_plugin_parameter;

/**
 * The features of one image: `channels` values for each position, position after position, row after row.
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
 * Takes `size` bytes that a scorer saves; may be called any number of times.
 */
typedef void (*npad_write_callback)(void *sink, const uint8_t *data, size_t size);

/**
 * A detection method of a plug-in: a shared library that exports `const npad_plugin *npad_plugin_entry(void)`, which
 * gives a table that lives as long as the library, that is, until the process ends.
 *
 * A method learns from feature maps and scores them: a fitter observes the maps of good images, all of one shape, and
 * finishes into a scorer. `values` are the parameters' values as text, in the order of `parameters`. Callbacks return 0,
 * or anything else after writing to `error` why they failed. One fitter is used by one thread at a time; one scorer by
 * several at once, so it must not change. For the thresholds npad fits several times, each time leaving a part of the
 * images out.
 */
typedef struct {
  /**
   * NPAD_PLUGIN_ABI.
   */
  uint32_t abi_version;
  /**
   * 0.
   */
  uint32_t reserved;
  /**
   * sizeof(npad_plugin).
   */
  size_t size;
  /**
   * The method's name in options and model files: 1 to 64 lower-case letters, digits, '-' or '_'.
   */
  const char *name;
  /**
   * The method's parameters; null where there are none.
   */
  const npad_plugin_parameter *parameters;
  /**
   * Their number.
   */
  size_t parameter_count;
  /**
   * Starts a fit. The same images, parameters and seed must give the same scorer.
   */
  int32_t (*fitter_new)(const char *const *values, uint64_t seed, void **fitter, npad_callback_error *error);
  /**
   * Learns the features of one good image; they may be read during the call only.
   */
  int32_t (*fitter_observe)(void *fitter, const npad_features *features, npad_callback_error *error);
  /**
   * Ends a fit; the fitter is freed afterwards.
   */
  int32_t (*fitter_finish)(void *fitter, void **scorer, npad_callback_error *error);
  /**
   * Frees a fitter.
   */
  void (*fitter_free)(void *fitter);
  /**
   * Writes rows * cols values to `map`: how anomalous each position is, 0 or above, finite.
   */
  int32_t (*scorer_score)(const void *scorer, const npad_features *features, float *map, npad_callback_error *error);
  /**
   * Gives `write` the bytes that scorer_load needs.
   */
  int32_t (*scorer_save)(const void *scorer, npad_write_callback write, void *sink, npad_callback_error *error);
  /**
   * Makes a scorer of saved bytes, which may be read during the call only.
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

/**
 * All formats.
 */
#define npad_pixel_format_ALL { npad_pixel_format_Gray8, npad_pixel_format_Rgb8, npad_pixel_format_Bgr8, npad_pixel_format_Gray16, npad_pixel_format_Rgba8, npad_pixel_format_Bgra8, npad_pixel_format_Grayf32, npad_pixel_format_Rgb8Planar, }

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * The status that the failed call returned. NPAD_STATUS_OK for null.
 */
npad_status npad_error_status(const npad_error *error);

/**
 * The message, UTF-8, ending with a zero byte; it lives as long as the error. An empty text for null.
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
 * Compare it with the header's NPAD_VERSION_MAJOR, NPAD_VERSION_MINOR and NPAD_VERSION_PATCH before anything else when
 * the library is loaded at run time.
 */
uint32_t npad_version_number(void);

/**
 * Loads ONNX Runtime from a file, or from the folder that holds it.
 *
 * Needed only where the search would not find it: npad looks at the environment variable NPAD_ONNXRUNTIME (a file or
 * folder), beside its own library, and where the system's loader looks, at the first call that needs it. A process uses
 * one ONNX Runtime only. Any thread.
 *
 * @param path   path of the library or its folder; UTF-8 on Windows, any bytes elsewhere
 * @param error  receives the error, or null; may itself be null
 * @return NPAD_STATUS_RUNTIME when it cannot be loaded, is older than 1.17, or another one is in use already
 */
npad_status npad_runtime_open(const char *path, npad_error **error);

/**
 * Loads a plug-in: a shared library with a detection method, see npad_plugin. Its method can then be chosen by name, and
 * models that were fitted with it can be loaded. It stays loaded until the process ends. Any thread.
 *
 * @param path   the shared library; UTF-8 on Windows, any bytes elsewhere
 * @param error  receives the error, or null; may itself be null
 * @return NPAD_STATUS_PLUGIN when it is no plug-in of this npad's interface, or there is a method of that name already
 */
npad_status npad_plugin_load(const char *path,
                             npad_error **error);

/**
 * Sets who receives npad's messages, for the whole process. By default nobody does: npad never writes to the standard
 * streams.
 *
 * @param callback   null for nobody
 * @param user_data  given to the callback; must be valid until another one is set and calls under way have ended
 * @param level      the least important messages that are wanted, one of npad_log_level
 * @param error      receives the error, or null; may itself be null
 * @return NPAD_STATUS_INVALID_ARGUMENT for another level
 */
npad_status npad_log_set(npad_log_callback callback, void *user_data, int32_t level, npad_error **error);

/**
 * Writes the model to a file, all or nothing: on failure an older file of that name is untouched.
 *
 * @param model  what to save
 * @param path   the file; UTF-8 on Windows, any bytes elsewhere
 * @param error  receives the error, or null; may itself be null
 * @return NPAD_STATUS_IO when the file cannot be written
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
 * @param options  of these, "device", "threads" and the feature extractor count; null for the defaults
 * @param model    receives the model, null on failure
 * @param error    receives the error, or null; may itself be null
 * @return NPAD_STATUS_IO when the file cannot be read, NPAD_STATUS_INVALID_MODEL when it is truncated, corrupted or
 *         something else, NPAD_STATUS_UNSUPPORTED_MODEL when it needs another npad, a plug-in or the extractor it was
 *         fitted with, or as npad_trainer_new()
 */
npad_status npad_model_load(const char *path, const npad_options *options, npad_model **model, npad_error **error);

/**
 * Reads a model from the bytes of a model file.
 *
 * @param data     `size` bytes; read during the call only
 * @param size     their number
 * @param options  of these, "device", "threads" and the feature extractor count; null for the defaults
 * @param model    receives the model, null on failure
 * @param error    receives the error, or null; may itself be null
 * @return as npad_model_load(), but for NPAD_STATUS_IO
 */
npad_status npad_model_load_memory(const uint8_t *data,
                                   size_t size,
                                   const npad_options *options,
                                   npad_model **model,
                                   npad_error **error);

/**
 * What the model knows of itself, as one JSON object in UTF-8: "method" and its "parameters", the network's "input" size,
 * "images" learnt from, "false_alarm_rate", the "image" and "map" calibrations, "backbone" and so on. It lives as long as
 * the model. An empty text for null.
 */
const char *npad_model_info(const npad_model *model);

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
 * New options, all at their defaults.
 */
npad_options *npad_options_new(void);

/**
 * Sets an option by name, both as text in UTF-8. On failure nothing changes.
 *
 * Names, defaults and values (`npad info` prints the same with the methods' parameters):
 *
 * - "method" (npad): detection method
 * - "size" (240): size of the network's input in pixels: a side (as many pixels as a square of it, in the proportions of
 *   the first image), height x width ("320x256"), or "native" (the first image's own)
 * - "device" (cpu): where the backbone runs, "cpu" or "cuda:N"; one that cannot be used is an error, never replaced
 * - "threads" (0): worker threads; 0 takes one per core. Scores do not depend on it
 * - "seed" (0): seed of everything random in a fit
 * - "false_alarm_rate" (0.01): share of good images that may be called defective, 0.00001 to 0.5; sets the threshold
 * - "review_rate" (0): share of good images that may be held for review, above "false_alarm_rate"; sets a second, lower
 *   threshold. 0: no review
 * - "smoothing" (4): standard deviation of the map's smoothing in pixels of the network's input, 0 to 64
 * - "grid_step" (2): side of the grid cells in positions of the backbone's finest output, 1 to 8
 * - "tile" (0): longest side, in pixels, of what the backbone runs on at once, 256 to 8192 in steps of 64; a larger input
 *   is cut into overlapping tiles, so that memory follows the tile and not the image. 0 runs all at once
 * - "peak_share" (0.01): share of the map's highest values whose mean is the image score; 0 takes the maximum
 * - "min_region_area" (1): regions of fewer pixels of the image are left out
 * - "backbone" (empty): path of your own ONNX backbone: one float input [1, 3, height, width], 1 to 16 float outputs
 *   [1, channels, rows, columns]; where the first dimension is free, small images of a batch run together
 * - "backbone_mean", "backbone_std": R,G,B normalisation that your backbone was trained with, for values 0 to 1
 * - "npad.levels", "npad.channels" and the like: the method's parameters
 *
 * @param options  what to change
 * @param key      the option's name
 * @param value    its value as text
 * @param error    receives the error, or null; may itself be null
 * @return NPAD_STATUS_INVALID_OPTION when the name is unknown or the value not acceptable; the message lists what is
 */
npad_status npad_options_set(npad_options *options,
                             const char *key,
                             const char *value,
                             npad_error **error);

/**
 * Sets the region of interest that all images of a fit share. It is kept in the model, and images that are scored with
 * it must have the mask's size. What it leaves out neither trains nor scores.
 *
 * @param options  what to change
 * @param mask     the mask, copied; null for all of every image, the default
 * @param error    receives the error, or null; may itself be null
 * @return NPAD_STATUS_INVALID_IMAGE when the mask's description is wrong or it leaves no pixel
 */
npad_status npad_options_set_mask(npad_options *options, const npad_mask *mask, npad_error **error);

/**
 * Sets who is told of the progress of fits with these options. Where it returns false, the call under way ends with
 * NPAD_STATUS_CANCELLED: npad_fit() gives no model, npad_trainer_add_image() has not learnt the image, and after
 * npad_trainer_finish() the trainer is spent.
 *
 * @param options    what to change
 * @param callback   null for nobody, the default
 * @param user_data  given to the callback; must be valid as long as the options and trainers made with them
 * @param error      receives the error, or null; may itself be null
 */
npad_status npad_options_set_progress(npad_options *options,
                                      npad_progress_callback callback,
                                      void *user_data,
                                      npad_error **error);

/**
 * Sets a feature extractor of the host's own, in place of ONNX Runtime and the built-in backbone: for a fit, or for
 * loading a model that was fitted with one.
 *
 * On success npad owns `user_data` and calls `free` once no options, trainer or model uses it.
 *
 * @param options    what to change
 * @param extractor  the table, copied
 * @param error      receives the error, or null; may itself be null
 * @return NPAD_STATUS_PLUGIN when something in the table is out of its range; `user_data` stays the caller's
 */
npad_status npad_options_set_extractor(npad_options *options, const npad_extractor *extractor, npad_error **error);

/**
 * Frees options. Null is allowed.
 */
void npad_options_free(npad_options *options);

/**
 * The raw image score: 0 or above, in the method's own units, larger is more anomalous. 0 for null.
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
 * What is to be done with the image: good, to be reviewed, or defective. NPAD_VERDICT_GOOD for null.
 */
npad_verdict npad_result_verdict(const npad_result *result);

/**
 * Columns of the anomaly map: the image's width. 0 for null.
 */
int32_t npad_result_width(const npad_result *result);

/**
 * Rows of the anomaly map: the image's height. 0 for null.
 */
int32_t npad_result_height(const npad_result *result);

/**
 * The anomaly map in the raw score's units: width * height values, row after row, without padding. They live as long
 * as the result. Null for null.
 */
const float *npad_result_map(const npad_result *result);

/**
 * The number of defect regions: 8-connected pixels of the map above the model's map threshold. 0 for null.
 */
size_t npad_result_region_count(const npad_result *result);

/**
 * One defect region; they are ordered by their peaks, highest first.
 *
 * @param result  what to read
 * @param index   0 to npad_result_region_count() - 1
 * @param region  receives the region
 * @param error   receives the error, or null; may itself be null
 * @return NPAD_STATUS_INVALID_ARGUMENT when the index is too large or a pointer null
 */
npad_status npad_result_region(const npad_result *result, size_t index, npad_region *region, npad_error **error);

/**
 * Frees a result. Null is allowed.
 */
void npad_result_free(npad_result *result);

/**
 * Scores one image. Any number of threads may call it with one model at once.
 *
 * @param model   what to score with
 * @param image   the image, of any size; read during the call only
 * @param result  receives the result, null on failure
 * @param error   receives the error, or null; may itself be null
 * @return NPAD_STATUS_INVALID_IMAGE when the image's description or its mask is wrong, NPAD_STATUS_BACKBONE when the
 *         network fails, NPAD_STATUS_PLUGIN when a plug-in does
 */
npad_status npad_score(const npad_model *model, const npad_image *image, npad_result **result, npad_error **error);

/**
 * Scores one image into the caller's memory: no result to free, and after a first image of the same size npad itself
 * allocates no memory for maps or regions. Any number of threads may call it with one model at once.
 *
 * @param model            what to score with
 * @param image            the image, of any size; read during the call only
 * @param map              receives the anomaly map: rows of the image's width; null where it is not wanted
 * @param map_stride       bytes from one row of `map` to the next, a multiple of 4; 0 stands for rows without padding
 * @param regions          receives the first regions, highest peak first; null where they are not wanted
 * @param region_capacity  the regions that fit into `regions`
 * @param decision         receives the rest
 * @param error            receives the error, or null; may itself be null
 * @return as npad_score(); NPAD_STATUS_INVALID_ARGUMENT for a stride that is shorter than a row or no multiple of 4. On
 *         failure the buffers may hold anything
 */
npad_status npad_score_into(const npad_model *model,
                            const npad_image *image,
                            float *map,
                            int64_t map_stride,
                            npad_region *regions,
                            size_t region_capacity,
                            npad_decision *decision,
                            npad_error **error);

/**
 * Scores several images, all or none. The results are those of npad_score() for each; it takes less time, since images
 * share a pass over the model.
 *
 * @param model    what to score with
 * @param images   `count` images, each of any size; read during the call only
 * @param count    their number, 0 or more
 * @param results  receives `count` results, all null on failure
 * @param error    receives the error, or null; may itself be null
 * @return as npad_score(); the message names the image's index
 */
npad_status npad_score_batch(const npad_model *model,
                             const npad_image *images,
                             size_t count,
                             npad_result **results,
                             npad_error **error);

/**
 * Lays the anomaly map of a result over its image, for people to look at: yellow is the map's threshold, red twice as
 * much; the regions' boxes are white.
 *
 * @param model   what the image was scored with
 * @param image   the image that was scored
 * @param result  what npad_score() gave for it
 * @param pixels  receives the picture: rows of the image's width, three bytes a pixel
 * @param stride  bytes from one row of `pixels` to the next; 0 stands for rows without padding
 * @param format  NPAD_PIXEL_FORMAT_RGB8 or NPAD_PIXEL_FORMAT_BGR8
 * @param error   receives the error, or null; may itself be null
 * @return NPAD_STATUS_INVALID_IMAGE when the image's size is not the result's, NPAD_STATUS_INVALID_ARGUMENT for another
 *         format or a stride shorter than a row
 */
npad_status npad_render(const npad_model *model,
                        const npad_image *image,
                        const npad_result *result,
                        uint8_t *pixels,
                        int64_t stride,
                        int32_t format,
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
 * threshold. The two models share their memory; each is freed by itself.
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
 * The same model with thresholds from good images that it has not learnt: for another camera or lamp, say. They replace
 * the scores that its thresholds rested on; what it has learnt stays. The two models share their memory; each is freed by
 * itself.
 *
 * @param model    what to start from; it does not change
 * @param images   `count` good images; read during the call only
 * @param count    at least 2; 20 or more are recommended
 * @param options  of these, "false_alarm_rate" and "review_rate" count; null for the model's own
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
 *         NPAD_STATUS_BACKBONE or NPAD_STATUS_IO when the backbone cannot
 */
npad_status npad_trainer_new(const npad_options *options, npad_trainer **trainer, npad_error **error);

/**
 * Goes on from a model with further good images, for a new one: what the model has learnt counts as if its images had come
 * first. Its options, thresholds' rates and mask are the new one's too; its choice of channels and the scores of its own
 * good images, on which its threshold rests, stay as they are. The model itself does not change.
 *
 * @param model    what to go on from
 * @param options  of these, the progress callback counts; null for the defaults
 * @param trainer  receives the trainer, null on failure; it needs at least one further image
 * @param error    receives the error, or null; may itself be null
 * @return NPAD_STATUS_INVALID_ARGUMENT when the model's method cannot go on
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
 * @return NPAD_STATUS_INVALID_IMAGE when the image's description is wrong, it has a mask of its own, or its size is not that
 *         of the options' mask; NPAD_STATUS_BACKBONE when the network fails; NPAD_STATUS_PLUGIN when a plug-in does;
 *         NPAD_STATUS_CANCELLED by the progress callback
 */
npad_status npad_trainer_add_image(npad_trainer *trainer,
                                   const npad_image *image,
                                   npad_error **error);

/**
 * The good images that this trainer has learnt; 0 for null and after the end.
 */
size_t npad_trainer_image_count(const npad_trainer *trainer);

/**
 * Ends the fit: computes the model and its thresholds, which takes about as long as learning did.
 *
 * With fewer than 2 images the trainer stays usable: add more and call again. Otherwise it is spent, also where the images
 * turn out to hardly vary.
 *
 * @param trainer  what has learnt; still to be freed
 * @param model    receives the model, null on failure
 * @param error    receives the error, or null; may itself be null
 * @return NPAD_STATUS_NOT_ENOUGH_IMAGES with fewer than 2 images (without any, where it goes on from a model), or when they
 *         hardly vary; NPAD_STATUS_PLUGIN when a plug-in fails; NPAD_STATUS_CANCELLED by the progress callback
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
