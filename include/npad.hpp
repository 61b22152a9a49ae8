/* npad for C++17: move-only types over npad.h, with exceptions. Header-only; see npad.h for the meaning of everything. */
#ifndef NPAD_HPP
#define NPAD_HPP

#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

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

/// Calls `function(arguments..., &error)` and throws what it reports.
template <class Function, class... Arguments>
void call(Function function, Arguments... arguments) {
  npad_error *error = nullptr;
  const npad_status status = function(arguments..., &error);
  if (status == NPAD_STATUS_OK) return;
  const Handle<npad_error, npad_error_free> owned(error);
  throw Error(status, npad_error_message(error));
}

}  // namespace detail

/// The library's version, "MAJOR.MINOR.PATCH".
inline std::string version() { return npad_version_string(); }

/// Loads ONNX Runtime from a file or the folder that holds it, where the search would not find it.
inline void open_runtime(const std::string &path) { detail::call(npad_runtime_open, path.c_str()); }

/// Loads a plug-in with a detection method of its own; it stays loaded until the process ends.
inline void load_plugin(const std::string &path) { detail::call(npad_plugin_load, path.c_str()); }

/// A view of a mask that stays where it is: 0 leaves a pixel out, anything else keeps it.
class Mask {
 public:
  /// `stride` is in bytes; 0 stands for rows without padding.
  Mask(const void *pixels, int width, int height, std::int64_t stride = 0) noexcept : view_{} {
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
      : view_{} {
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

  int width() const noexcept { return view_.width; }
  int height() const noexcept { return view_.height; }
  const npad_image *get() const noexcept { return &view_; }

 private:
  npad_image view_;
};

/// Is told how far a fit is, see npad_progress_callback, and returns whether to go on. It must not throw.
using Progress = std::function<bool(const char *stage, std::size_t done, std::size_t total)>;

/// What a fit or a load may be told. Belongs to one thread at a time, and lives as long as trainers made with it.
class Options {
 public:
  Options() : handle_(npad_options_new()) {}

  /// Sets an option by name; npad_options_set() lists them.
  Options &set(const std::string &key, const std::string &value) {
    detail::call(npad_options_set, handle_.get(), key.c_str(), value.c_str());
    return *this;
  }

  /// The region of interest that all images of a fit share.
  Options &set_mask(const Mask &mask) {
    detail::call(npad_options_set_mask, handle_.get(), mask.get());
    return *this;
  }

  Options &set_progress(Progress progress) {
    auto own = std::make_unique<Progress>(std::move(progress));
    detail::call(npad_options_set_progress, handle_.get(),
                 static_cast<npad_progress_callback>([](const char *stage, std::size_t done, std::size_t total,
                                                        void *user_data) {
                   return (*static_cast<const Progress *>(user_data))(stage, done, total);
                 }),
                 static_cast<void *>(own.get()));
    progress_ = std::move(own);
    return *this;
  }

  /// A feature extractor of the program's own, in place of ONNX Runtime.
  Options &set_extractor(const npad_extractor &extractor) {
    detail::call(npad_options_set_extractor, handle_.get(), &extractor);
    return *this;
  }

  const npad_options *get() const noexcept { return handle_.get(); }

 private:
  detail::Handle<npad_options, npad_options_free> handle_;
  std::unique_ptr<Progress> progress_;
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
    for (std::size_t i = 0; i < regions.size(); ++i) detail::call(npad_result_region, get(), i, &regions[i]);
    return regions;
  }

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
    detail::call(npad_fit, views.data(), views.size(), options.get(), &model);
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

  /// Scores several images, all or none.
  std::vector<Result> score(const std::vector<Image> &images) const {
    const auto views = detail::views(images);
    std::vector<npad_result *> handles(images.size());
    std::vector<Result> results;
    results.reserve(images.size());
    detail::call(npad_score_batch, get(), views.data(), views.size(), handles.data());
    for (npad_result *handle : handles) results.emplace_back(handle);
    return results;
  }

  /// Scores into the caller's memory: `map` takes rows of the image's width, `map_stride` bytes apart (0: no padding).
  npad_decision score_into(const Image &image, float *map, std::int64_t map_stride = 0,
                           npad_region *regions = nullptr, std::size_t region_capacity = 0) const {
    npad_decision decision{};
    detail::call(npad_score_into, get(), image.get(), map, map_stride, regions, region_capacity, &decision);
    return decision;
  }

  /// The image with its anomaly map laid over it, as rows of `width` RGB (or BGR) pixels without padding.
  std::vector<std::uint8_t> render(const Image &image, const Result &result,
                                   npad_pixel_format format = NPAD_PIXEL_FORMAT_RGB8) const {
    std::vector<std::uint8_t> pixels(std::size_t{3} * result.width() * result.height());
    detail::call(npad_render, get(), image.get(), result.get(), pixels.data(), std::int64_t{0},
                 static_cast<std::int32_t>(format));
    return pixels;
  }

  /// What the model knows of itself, as JSON.
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

/// A fit in progress, for images that come one by one. Belongs to one thread at a time.
class Trainer {
 public:
  explicit Trainer(const Options &options = Options()) {
    npad_trainer *trainer = nullptr;
    detail::call(npad_trainer_new, options.get(), &trainer);
    handle_.reset(trainer);
  }

  /// Goes on from a model with further good images, for a new one.
  static Trainer resume(const Model &model, const Options &options = Options()) {
    npad_trainer *trainer = nullptr;
    detail::call(npad_trainer_resume, model.get(), options.get(), &trainer);
    return Trainer(trainer);
  }

  void add(const Image &image) { detail::call(npad_trainer_add_image, handle_.get(), image.get()); }
  std::size_t image_count() const noexcept { return npad_trainer_image_count(handle_.get()); }

  /// Ends the fit; with too few images it throws and more may be added.
  Model finish() {
    npad_model *model = nullptr;
    detail::call(npad_trainer_finish, handle_.get(), &model);
    return Model(model);
  }

 private:
  explicit Trainer(npad_trainer *owned) noexcept : handle_(owned) {}

  detail::Handle<npad_trainer, npad_trainer_free> handle_;
};

}  // namespace npad

#endif
