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
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum npad_status npad_status;
#else
typedef int32_t npad_status;
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
  NPAD_PIXEL_FORMAT_GRAY_F32 = 6,
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
 * A fitted model: the backbone's identity, statistics, thresholds and settings.
 *
 * Owned by the caller, who frees it with npad_model_free() once no call uses it. Immutable: any number of threads may
 * score with one model at once.
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
} npad_image;

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
 * All formats.
 */
#define npad_pixel_format_ALL { npad_pixel_format_Gray8, npad_pixel_format_Rgb8, npad_pixel_format_Bgr8, npad_pixel_format_Gray16, npad_pixel_format_Rgba8, npad_pixel_format_Bgra8, npad_pixel_format_GrayF32, npad_pixel_format_Rgb8Planar, }

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
 * @param options  of these, "device" and "threads" count; null for the defaults
 * @param model    receives the model, null on failure
 * @param error    receives the error, or null; may itself be null
 * @return NPAD_STATUS_IO when the file cannot be read, NPAD_STATUS_INVALID_MODEL when it is truncated, corrupted or
 *         something else, NPAD_STATUS_UNSUPPORTED_MODEL when it needs another npad, or as npad_trainer_new()
 */
npad_status npad_model_load(const char *path, const npad_options *options, npad_model **model, npad_error **error);

/**
 * Reads a model from the bytes of a model file.
 *
 * @param data     `size` bytes; read during the call only
 * @param size     their number
 * @param options  of these, "device" and "threads" count; null for the defaults
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
 * The raw image score above which an image counts as anomalous; 0 for null.
 */
float npad_model_threshold(const npad_model *model);

/**
 * The value of the anomaly map above which a pixel belongs to a region; 0 for null.
 */
float npad_model_map_threshold(const npad_model *model);

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
 * Scores one image. Any number of threads may call it with one model at once.
 *
 * @param model   what to score with
 * @param image   the image, of any size; read during the call only
 * @param result  receives the result, null on failure
 * @param error   receives the error, or null; may itself be null
 * @return NPAD_STATUS_INVALID_IMAGE when the image's description is wrong, NPAD_STATUS_BACKBONE when the network fails
 */
npad_status npad_score(const npad_model *model, const npad_image *image, npad_result **result, npad_error **error);

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
 * - "size" (224): size of the network's input in pixels: a side, height x width ("320x256"), or "native"
 * - "device" (cpu): where the backbone runs, "cpu" or "cuda:N"; one that cannot be used is an error, never replaced
 * - "threads" (0): worker threads; 0 takes one per core. Scores do not depend on it
 * - "seed" (0): seed of everything random in a fit
 * - "false_alarm_rate" (0.01): share of good images that may be called defective, 0.00001 to 0.5; sets the threshold
 * - "smoothing" (4): standard deviation of the map's smoothing in pixels of the network's input, 0 to 64
 * - "grid_step" (2): side of the grid cells in positions of the backbone's finest output, 1 to 8
 * - "peak_share" (0.01): share of the map's highest values whose mean is the image score; 0 takes the maximum
 * - "min_region_area" (1): regions of fewer pixels of the image are left out
 * - "backbone" (empty): path of your own ONNX backbone: one float input [1, 3, height, width], one or more float outputs
 *   [1, channels, rows, columns]
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
 * Learns one good image. Images may differ in size. A failure leaves the trainer as it was.
 *
 * @param trainer  what learns
 * @param image    the image; read during the call only
 * @param error    receives the error, or null; may itself be null
 * @return NPAD_STATUS_INVALID_IMAGE when the image's description is wrong, NPAD_STATUS_BACKBONE when the network fails
 */
npad_status npad_trainer_add_image(npad_trainer *trainer, const npad_image *image, npad_error **error);

/**
 * The good images learnt so far; 0 for null and after the end.
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
 * @return NPAD_STATUS_NOT_ENOUGH_IMAGES with fewer than 2 images, or when they hardly vary
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
