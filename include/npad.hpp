/* npad for C++17: move-only types over npad.h, with exceptions. Header-only; see npad.h for the meaning of everything. */
#ifndef NPAD_HPP
#define NPAD_HPP

#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#if defined(__has_include) && __cplusplus >= 202002L
#if __has_include(<span>)
#include <span>
#endif
#endif

#include "npad.h"

namespace npad {

/// A failed call: npad's status and its message, which says what was wrong, what was expected and what to do.
class Error : public std::exception {
 public:
  Error(npad_status status, std::string message) : status_(status), message_(std::move(message)) {}
  npad_status status() const noexcept { return status_; }
  const char *what() const noexcept override { return message_.c_str(); }

 private:
  npad_status status_;
  std::string message_;
};

namespace detail {

template <auto Free>
struct Deleter {
  template <class T>
  void operator()(T *handle) const noexcept {
    Free(handle);
  }
};

template <class T, auto Free>
using Handle = std::unique_ptr<T, Deleter<Free>>;

[[noreturn]] inline void fail(npad_status status, npad_error *error) {
  const Handle<npad_error, npad_error_free> owned(error);
  throw Error(status, npad_error_message(error));
}

/// Refuses a library of another version than this header's, which may have other structs and functions.
inline void check_version() {
  static const bool same = npad_version_number() == NPAD_VERSION_NUMBER;
  if (same) return;
  throw Error(NPAD_STATUS_WRONG_STATE, std::string("the program was compiled with the header of npad ") +
                                           std::to_string(NPAD_VERSION_MAJOR) + "." + std::to_string(NPAD_VERSION_MINOR) +
                                           "." + std::to_string(NPAD_VERSION_PATCH) + ", but runs with the library " +
                                           npad_version_string() + ": install the library that belongs to the header");
}

/// Calls `function(arguments..., &error)` and throws what it reports.
template <class Function, class... Arguments>
void call(Function function, Arguments... arguments) {
  check_version();
  npad_error *error = nullptr;
  const npad_status status = function(arguments..., &error);
  if (status != NPAD_STATUS_OK) fail(status, error);
}

template <class T>
T sized() noexcept {
  T value{};
  value.size = sizeof(T);
  return value;
}

}  // namespace detail

/// The library's version, "MAJOR.MINOR.PATCH".
inline std::string version() { return npad_version_string(); }

/// An option, for programs that show or check what can be set.
struct OptionInfo {
  std::string name;
  npad_option_type type;
  std::string default_value;
  std::string range;
  std::string help;
};

/// All options, those of every fit and load first, then the methods' parameters.
inline std::vector<OptionInfo> options() {
  std::vector<OptionInfo> options;
  for (std::size_t i = 0; i < npad_option_count(); ++i)
    options.push_back({npad_option_name(i), npad_option_get_type(i), npad_option_default(i), npad_option_range(i),
                       npad_option_help(i)});
  return options;
}

/// The names of the detection methods.
inline std::vector<std::string> methods() {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < npad_method_count(); ++i) names.emplace_back(npad_method_name(i));
  return names;
}

/// The devices that the option "device" takes.
inline std::vector<std::string> devices() {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < npad_device_count(); ++i) names.emplace_back(npad_device_name(i));
  return names;
}

/// Log callback. Called from any thread, several at once; it must not call npad, and what it throws is dropped.
using Log = std::function<void(npad_log_level level, const char *message)>;

/// Sets the log callback of the process; an empty one receives nothing. Returns when nobody is in the old one any more.
inline void set_log(Log log, npad_log_level level = NPAD_LOG_LEVEL_WARNING) {
  static std::mutex mutex;
  // Never destroyed: npad may log while the program ends.
  static auto &current = *new std::unique_ptr<Log>;
  const std::lock_guard<std::mutex> lock(mutex);
  auto next = log ? std::make_unique<Log>(std::move(log)) : nullptr;
  const npad_log_callback forward = [](std::int32_t severity, const char *message, void *user_data) {
    try {
      (*static_cast<const Log *>(user_data))(static_cast<npad_log_level>(severity), message);
    } catch (...) {
    }
  };
  detail::call(npad_log_set, next ? forward : npad_log_callback{}, static_cast<void *>(next.get()),
               static_cast<std::int32_t>(level));
  current = std::move(next);
}

/// Cancels calls that were given it, from any thread. Copies share one request.
class Cancellation {
 public:
  Cancellation() : handle_(npad_cancellation_new(), npad_cancellation_free) {}
  void cancel() const noexcept { npad_cancellation_cancel(handle_.get()); }
  bool is_cancelled() const noexcept { return npad_cancellation_is_cancelled(handle_.get()); }
  const npad_cancellation *get() const noexcept { return handle_.get(); }

 private:
  std::shared_ptr<npad_cancellation> handle_;
};

/// Loads ONNX Runtime from a file or the folder that holds it, where the search would not find it.
inline void open_runtime(const std::string &path) { detail::call(npad_runtime_open, path.c_str()); }

/// Loads a plug-in with a detection method of its own; it stays loaded until the process ends.
inline void load_plugin(const std::string &path) { detail::call(npad_plugin_load, path.c_str()); }

/// A view of a mask that stays where it is: 0 leaves a pixel out, anything else keeps it.
class Mask {
 public:
  /// `stride` is in bytes; 0 stands for rows without padding.
  Mask(const void *pixels, int width, int height, std::int64_t stride = 0) noexcept
      : view_(detail::sized<npad_mask>()) {
    view_.data = static_cast<const std::uint8_t *>(pixels);
    view_.width = width;
    view_.height = height;
    view_.stride = stride;
  }

  const npad_mask *get() const noexcept { return &view_; }

 private:
  npad_mask view_;
};

/// A view of pixels that stay where they are; npad reads them during the call that it is given to.
class Image {
 public:
  /// `stride` is in bytes; 0 stands for rows without padding.
  Image(const void *pixels, int width, int height, npad_pixel_format format, std::int64_t stride = 0) noexcept
      : view_(detail::sized<npad_image>()) {
    view_.data[0] = static_cast<const std::uint8_t *>(pixels);
    view_.width = width;
    view_.height = height;
    view_.stride = stride;
    view_.format = static_cast<std::int32_t>(format);
  }

  /// Three planes of one byte a pixel, as HALCON keeps them.
  static Image planar(const void *red, const void *green, const void *blue, int width, int height,
                      std::int64_t stride = 0) noexcept {
    Image image(red, width, height, NPAD_PIXEL_FORMAT_RGB8_PLANAR, stride);
    image.view_.data[1] = static_cast<const std::uint8_t *>(green);
    image.view_.data[2] = static_cast<const std::uint8_t *>(blue);
    return image;
  }

  /// The same view with a region of interest, for scoring; the mask must live as long as the view.
  Image with_mask(const Mask &mask) const noexcept {
    Image image = *this;
    image.view_.mask = mask.get();
    return image;
  }
  Image with_mask(const Mask &&) const = delete;

  /// The same view with a rectangle as region of interest, for scoring.
  Image with_roi(int x, int y, int width, int height) const noexcept {
    Image image = *this;
    image.view_.roi_x = x;
    image.view_.roi_y = y;
    image.view_.roi_width = width;
    image.view_.roi_height = height;
    return image;
  }

  /// The same GRAY16 view of a camera that fills so many bits: 10 for Mono10, 12 for Mono12.
  Image with_significant_bits(int bits) const noexcept {
    Image image = *this;
    image.view_.significant_bits = bits;
    return image;
  }

  int width() const noexcept { return view_.width; }
  int height() const noexcept { return view_.height; }
  const npad_image *get() const noexcept { return &view_; }

 private:
  npad_image view_;
};

/// Progress callback of a fit, see npad_progress_callback. Return false to cancel the call. An exception cancels it too and
/// is thrown again by that call.
using Progress = std::function<bool(const char *stage, std::size_t done, std::size_t total)>;

/// A feature extractor of the program's own: writes the outputs that npad_extract_callback describes. What it throws becomes
/// the message of the failed call. Called from several threads at once.
using Extract = std::function<void(const float *input, int height, int width, float *const *outputs)>;

namespace detail {

/// What the progress callback of this thread's call has thrown: npad calls it on the thread of the call in progress.
inline thread_local std::exception_ptr thrown;

inline bool forward_progress(const char *stage, std::size_t done, std::size_t total, void *user_data) {
  try {
    return (*static_cast<const Progress *>(user_data))(stage, done, total);
  } catch (...) {
    thrown = std::current_exception();
    return false;
  }
}

/// As call(), for calls that report progress: an exception of the callback takes the place of the error.
template <class Function, class... Arguments>
void call_with_progress(Function function, Arguments... arguments) {
  check_version();
  thrown = nullptr;
  npad_error *error = nullptr;
  const npad_status status = function(arguments..., &error);
  if (status == NPAD_STATUS_OK) return;
  if (thrown) {
    npad_error_free(error);
    std::rethrow_exception(std::exchange(thrown, nullptr));
  }
  fail(status, error);
}

inline std::int32_t forward_extract(void *user_data, const float *input, std::int32_t height, std::int32_t width,
                                    float *const *outputs, npad_callback_error *error) {
  const auto say = [error](const char *message) {
    std::size_t at = 0;
    for (; message[at] && at + 1 < sizeof error->message; ++at) error->message[at] = message[at];
    error->message[at] = 0;
    return 1;
  };
  try {
    (*static_cast<const Extract *>(user_data))(input, height, width, outputs);
    return 0;
  } catch (const std::exception &thrown) {
    return say(thrown.what());
  } catch (...) {
    return say("the extractor threw something that is no std::exception");
  }
}

}  // namespace detail

/// The outputs of a feature extractor of the program's own, see npad_extractor.
struct ExtractorShape {
  std::string name;
  std::vector<std::int32_t> strides;
  std::vector<std::int32_t> channels;
  float mean[3] = {0.485f, 0.456f, 0.406f};
  float std[3] = {0.229f, 0.224f, 0.225f};
};

/// Options for fitting and loading. Every option has a default. Belongs to one thread at a time. Trainers made with options
/// share the progress callback, so either may be destroyed first.
class Options {
 public:
  Options() : handle_(npad_options_new()) {}

  /// Sets an option by name; options() lists them.
  Options &set(const std::string &key, const std::string &value) {
    detail::call(npad_options_set, handle_.get(), key.c_str(), value.c_str());
    return *this;
  }

  /// The value of an option: what was set, else the default.
  std::string get(const std::string &key) const {
    const char *value = nullptr;
    detail::call(npad_options_get, handle_.get(), key.c_str(), &value);
    return value;
  }

  /// The mask that all images of a fit share.
  Options &set_mask(const Mask &mask) {
    detail::call(npad_options_set_mask, handle_.get(), mask.get());
    return *this;
  }

  /// The rectangle that is the region of interest of all images of a fit; all 0 for none.
  Options &set_roi(int x, int y, int width, int height) {
    detail::call(npad_options_set_roi, handle_.get(), x, y, width, height);
    return *this;
  }

  /// Sets the progress callback of fits that are started from now on; an empty one is none.
  Options &set_progress(Progress progress) {
    auto own = progress ? std::make_shared<Progress>(std::move(progress)) : nullptr;
    detail::call(npad_options_set_progress, handle_.get(), own ? detail::forward_progress : npad_progress_callback{},
                 static_cast<void *>(own.get()));
    progress_ = std::move(own);
    return *this;
  }

  /// A feature extractor of the program's own, in place of ONNX Runtime.
  Options &set_extractor(const npad_extractor &extractor) {
    detail::call(npad_options_set_extractor, handle_.get(), &extractor);
    return *this;
  }

  /// The same with a function; it lives as long as options, trainers and models that use it.
  Options &set_extractor(const ExtractorShape &shape, Extract extract) {
    if (shape.strides.size() != shape.channels.size())
      throw Error(NPAD_STATUS_INVALID_ARGUMENT, "an extractor needs as many strides as channels");
    auto own = std::make_unique<Extract>(std::move(extract));
    auto table = detail::sized<npad_extractor>();
    table.name = shape.name.c_str();
    table.tap_count = shape.strides.size();
    table.strides = shape.strides.data();
    table.channels = shape.channels.data();
    for (int i = 0; i < 3; ++i) {
      table.mean[i] = shape.mean[i];
      table.std[i] = shape.std[i];
    }
    table.extract = detail::forward_extract;
    table.free = [](void *user_data) { delete static_cast<Extract *>(user_data); };
    table.user_data = own.get();
    set_extractor(table);
    own.release();
    return *this;
  }

  const npad_options *get() const noexcept { return handle_.get(); }
  const std::shared_ptr<Progress> &progress() const noexcept { return progress_; }

 private:
  detail::Handle<npad_options, npad_options_free> handle_;
  std::shared_ptr<Progress> progress_;
};

/// Neighbouring pixels of one row of a region.
struct Run {
  int row, first_column, end_column;
};

/// A pixel of a region's contour.
struct Point {
  int x, y;
};

/// What npad says about one image. Any thread may read it.
class Result {
 public:
  explicit Result(npad_result *owned) noexcept : handle_(owned) {}

  float score() const noexcept { return npad_result_score(get()); }
  float calibrated_score() const noexcept { return npad_result_calibrated_score(get()); }
  bool is_anomalous() const noexcept { return npad_result_is_anomalous(get()); }
  npad_verdict verdict() const noexcept { return npad_result_verdict(get()); }
  int width() const noexcept { return npad_result_width(get()); }
  int height() const noexcept { return npad_result_height(get()); }
  /// width() * height() values, row after row; they live as long as the result.
  const float *map() const noexcept { return npad_result_map(get()); }

  /// The defect regions, highest peak first.
  std::vector<npad_region> regions() const {
    std::vector<npad_region> regions(npad_result_region_count(get()));
    for (std::size_t i = 0; i < regions.size(); ++i)
      detail::call(npad_result_region, get(), i, &regions[i], sizeof(npad_region));
    return regions;
  }

  /// The pixels of a region as runs, ordered by row and column; empty for a region that there is not.
  std::vector<Run> region_runs(std::size_t index) const {
    std::size_t count = 0;
    const std::int32_t *values = npad_result_region_runs(get(), index, &count);
    std::vector<Run> runs;
    for (std::size_t i = 0; i < count; ++i) runs.push_back({values[3 * i], values[3 * i + 1], values[3 * i + 2]});
    return runs;
  }

  /// The outer boundary of a region, clockwise; empty for a region that there is not.
  std::vector<Point> region_contour(std::size_t index) const {
    std::size_t count = 0;
    const std::int32_t *values = npad_result_region_contour(get(), index, &count);
    std::vector<Point> points;
    for (std::size_t i = 0; i < count; ++i) points.push_back({values[2 * i], values[2 * i + 1]});
    return points;
  }

  /// Writes the mask of a region, its bounding box: 255 inside and 0 outside. `stride` is in bytes; 0: no padding.
  void region_mask(std::size_t index, std::uint8_t *mask, std::int64_t stride = 0) const {
    detail::call(npad_result_region_mask, get(), index, mask, stride);
  }

  /// Writes the calibrated map in 8 bits: 128 and above is above the threshold. `stride` is in bytes; 0: no padding.
  void map_u8(std::uint8_t *map, std::int64_t stride = 0) const { detail::call(npad_result_map_u8, get(), map, stride); }

#ifdef __cpp_lib_span
  /// map() with its length.
  std::span<const float> map_span() const noexcept {
    return {map(), static_cast<std::size_t>(width()) * static_cast<std::size_t>(height())};
  }
#endif

  const npad_result *get() const noexcept { return handle_.get(); }

 private:
  detail::Handle<npad_result, npad_result_free> handle_;
};

namespace detail {

inline std::vector<npad_image> views(const std::vector<Image> &images) {
  std::vector<npad_image> views;
  views.reserve(images.size());
  for (const Image &image : images) views.push_back(*image.get());
  return views;
}

}  // namespace detail

/// A fitted model. Any number of threads may score with it at once.
class Model {
 public:
  explicit Model(npad_model *owned) noexcept : handle_(owned) {}

  /// Learns from good images, at least two, and finishes.
  static Model fit(const std::vector<Image> &images, const Options &options = Options()) {
    const auto views = detail::views(images);
    npad_model *model = nullptr;
    detail::call_with_progress(npad_fit, views.data(), views.size(), options.get(), &model);
    return Model(model);
  }

  /// Reads a model file; of the options, the device, the threads and the extractor count.
  static Model load(const std::string &path, const Options &options = Options()) {
    npad_model *model = nullptr;
    detail::call(npad_model_load, path.c_str(), options.get(), &model);
    return Model(model);
  }

  /// Reads a model from the bytes of its file.
  static Model load_memory(const void *data, std::size_t size, const Options &options = Options()) {
    npad_model *model = nullptr;
    detail::call(npad_model_load_memory, static_cast<const std::uint8_t *>(data), size, options.get(), &model);
    return Model(model);
  }

  /// Writes the model file, all or nothing.
  void save(const std::string &path) const { detail::call(npad_model_save, get(), path.c_str()); }

  /// The bytes of the model file.
  std::vector<std::uint8_t> save_memory() const {
    npad_buffer *buffer = nullptr;
    detail::call(npad_model_save_memory, get(), &buffer);
    const detail::Handle<npad_buffer, npad_buffer_free> owned(buffer);
    return {npad_buffer_data(buffer), npad_buffer_data(buffer) + npad_buffer_size(buffer)};
  }

  Result score(const Image &image) const {
    npad_result *result = nullptr;
    detail::call(npad_score, get(), image.get(), &result);
    return Result(result);
  }

  /// Scores several images, all or none. A cancellation is looked at between images.
  std::vector<Result> score(const std::vector<Image> &images, const Cancellation *cancellation = nullptr) const {
    const auto views = detail::views(images);
    std::vector<npad_result *> handles(images.size());
    std::vector<Result> results;
    results.reserve(images.size());
    detail::call(npad_score_batch, get(), views.data(), views.size(), cancellation ? cancellation->get() : nullptr,
                 handles.data());
    for (npad_result *handle : handles) results.emplace_back(handle);
    return results;
  }

  /// An output to be filled in for score_into().
  static npad_output output() noexcept { return detail::sized<npad_output>(); }

  /// Scores into the caller's memory, which `output` describes, see npad_output.
  void score_into(const Image &image, npad_output &output) const {
    detail::call(npad_score_into, get(), image.get(), &output);
  }

  /// The same with a map of rows of the image's width, `map_stride` bytes apart (0: no padding), and room for regions.
  npad_output score_into(const Image &image, float *map, std::int64_t map_stride = 0, npad_region *regions = nullptr,
                         std::size_t region_capacity = 0) const {
    npad_output output = Model::output();
    output.map = map;
    output.map_stride = map_stride;
    output.regions = regions;
    output.region_size = sizeof(npad_region);
    output.region_capacity = region_capacity;
    score_into(image, output);
    return output;
  }

#ifdef __cpp_lib_span
  /// The same with a map without padding.
  npad_output score_into(const Image &image, std::span<float> map, std::span<npad_region> regions = {}) const {
    if (map.size() != static_cast<std::size_t>(image.width()) * static_cast<std::size_t>(image.height()))
      throw Error(NPAD_STATUS_INVALID_ARGUMENT, "the map needs as many values as the image has pixels");
    return score_into(image, map.data(), 0, regions.data(), regions.size());
  }
#endif

  /// Scores several images, each into the output of its index.
  void score_into(const std::vector<Image> &images, std::vector<npad_output> &outputs,
                  const Cancellation *cancellation = nullptr) const {
    if (images.size() != outputs.size())
      throw Error(NPAD_STATUS_INVALID_ARGUMENT, "a batch needs as many outputs as images");
    const auto views = detail::views(images);
    detail::call(npad_score_batch_into, get(), views.data(), views.size(),
                 cancellation ? cancellation->get() : nullptr, outputs.data());
  }

  /// Makes everything ready for images of a size, so that the first one takes no longer than those that follow.
  void warm_up(int width, int height) const { detail::call(npad_model_warm_up, get(), width, height); }

  /// The image with its anomaly map laid over it, as rows of `width` RGB (or BGR) pixels without padding.
  std::vector<std::uint8_t> render(const Image &image, const Result &result,
                                   npad_pixel_format format = NPAD_PIXEL_FORMAT_RGB8) const {
    std::vector<std::uint8_t> pixels(std::size_t{3} * static_cast<std::size_t>(result.width()) *
                                     static_cast<std::size_t>(result.height()));
    detail::call(npad_render, get(), image.get(), result.get(), pixels.data(), std::int64_t{0},
                 static_cast<std::int32_t>(format));
    return pixels;
  }

  /// The same from the map and the regions that score_into() wrote.
  std::vector<std::uint8_t> render(const Image &image, const npad_output &output,
                                   npad_pixel_format format = NPAD_PIXEL_FORMAT_RGB8) const {
    std::vector<std::uint8_t> pixels(std::size_t{3} * static_cast<std::size_t>(image.width()) *
                                     static_cast<std::size_t>(image.height()));
    detail::call(npad_render_output, get(), image.get(), &output, pixels.data(), std::int64_t{0},
                 static_cast<std::int32_t>(format));
    return pixels;
  }

  std::string method() const { return npad_model_method(get()); }
  std::string backbone() const { return npad_model_backbone(get()); }
  std::string device() const { return npad_model_device(get()); }
  /// The size of the network's input in pixels.
  int input_width() const noexcept { return npad_model_input_width(get()); }
  int input_height() const noexcept { return npad_model_input_height(get()); }
  /// Good images that the model has learnt.
  std::size_t image_count() const noexcept { return npad_model_image_count(get()); }
  double false_alarm_rate() const noexcept { return npad_model_false_alarm_rate(get()); }

  /// The model's metadata, as JSON.
  std::string info() const { return npad_model_info(get()); }
  float threshold() const noexcept { return npad_model_threshold(get()); }
  float review_threshold() const noexcept { return npad_model_review_threshold(get()); }
  float map_threshold() const noexcept { return npad_model_map_threshold(get()); }

  /// The same model with other thresholds, in the units of raw scores.
  Model with_thresholds(float threshold, float review, float map_threshold) const {
    npad_model *model = nullptr;
    detail::call(npad_model_with_thresholds, get(), threshold, review, map_threshold, &model);
    return Model(model);
  }

  /// The same model with thresholds from good images that it has not learnt, for its own rates.
  Model recalibrate(const std::vector<Image> &images) const { return recalibrate(images, nullptr); }
  /// The same for the rates of the options.
  Model recalibrate(const std::vector<Image> &images, const Options &options) const {
    return recalibrate(images, options.get());
  }

  const npad_model *get() const noexcept { return handle_.get(); }

 private:
  Model recalibrate(const std::vector<Image> &images, const npad_options *options) const {
    const auto views = detail::views(images);
    npad_model *model = nullptr;
    detail::call(npad_model_recalibrate, get(), views.data(), views.size(), options, &model);
    return Model(model);
  }

  detail::Handle<npad_model, npad_model_free> handle_;
};

/// A fit in progress, for images that come one by one. Belongs to one thread at a time. A call that throws leaves it as it
/// was.
class Trainer {
 public:
  explicit Trainer(const Options &options = Options()) : progress_(options.progress()) {
    npad_trainer *trainer = nullptr;
    detail::call(npad_trainer_new, options.get(), &trainer);
    handle_.reset(trainer);
  }

  /// Goes on from a model with further good images, for a new one.
  static Trainer resume(const Model &model, const Options &options = Options()) {
    npad_trainer *trainer = nullptr;
    detail::call(npad_trainer_resume, model.get(), options.get(), &trainer);
    return Trainer(trainer, options.progress());
  }

  /// Announces how many images will come, so that the progress callback has a total.
  void expect(std::size_t images) { detail::call(npad_trainer_expect, handle_.get(), images); }
  void add(const Image &image) { detail::call_with_progress(npad_trainer_add_image, handle_.get(), image.get()); }
  std::size_t image_count() const noexcept { return npad_trainer_image_count(handle_.get()); }

  /// Ends the fit. Where it throws, images may be added and it may be called again.
  Model finish() {
    npad_model *model = nullptr;
    detail::call_with_progress(npad_trainer_finish, handle_.get(), &model);
    return Model(model);
  }

 private:
  Trainer(npad_trainer *owned, std::shared_ptr<Progress> progress) noexcept
      : progress_(std::move(progress)), handle_(owned) {}

  // Outlives the trainer, which calls it.
  std::shared_ptr<Progress> progress_;
  detail::Handle<npad_trainer, npad_trainer_free> handle_;
};

}  // namespace npad

#endif
