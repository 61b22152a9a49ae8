/* npad for C++17: move-only types over npad.h, with exceptions. Header-only; see npad.h for the meaning of everything. */
#ifndef NPAD_HPP
#define NPAD_HPP

#include <cstddef>
#include <cstdint>
#include <exception>
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

  const npad_image *get() const noexcept { return &view_; }

 private:
  npad_image view_;
};

/// What a fit or a load may be told. Belongs to one thread at a time.
class Options {
 public:
  Options() : handle_(npad_options_new()) {}

  /// Sets an option by name; npad_options_set() lists them.
  Options &set(const std::string &key, const std::string &value) {
    detail::call(npad_options_set, handle_.get(), key.c_str(), value.c_str());
    return *this;
  }

  const npad_options *get() const noexcept { return handle_.get(); }

 private:
  detail::Handle<npad_options, npad_options_free> handle_;
};

/// What npad says about one image. Any thread may read it.
class Result {
 public:
  explicit Result(npad_result *owned) noexcept : handle_(owned) {}

  float score() const noexcept { return npad_result_score(get()); }
  float calibrated_score() const noexcept { return npad_result_calibrated_score(get()); }
  bool is_anomalous() const noexcept { return npad_result_is_anomalous(get()); }
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

/// A fitted model. Any number of threads may score with it at once.
class Model {
 public:
  explicit Model(npad_model *owned) noexcept : handle_(owned) {}

  /// Learns from good images, at least two, and finishes.
  static Model fit(const std::vector<Image> &images, const Options &options = Options()) {
    std::vector<npad_image> views;
    views.reserve(images.size());
    for (const Image &image : images) views.push_back(*image.get());
    npad_model *model = nullptr;
    detail::call(npad_fit, static_cast<const npad_image *>(views.data()), views.size(), options.get(), &model);
    return Model(model);
  }

  /// Reads a model file; of the options, the device and the threads count.
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
  float map_threshold() const noexcept { return npad_model_map_threshold(get()); }

  const npad_model *get() const noexcept { return handle_.get(); }

 private:
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

  void add(const Image &image) { detail::call(npad_trainer_add_image, handle_.get(), image.get()); }
  std::size_t image_count() const noexcept { return npad_trainer_image_count(handle_.get()); }

  /// Ends the fit; with too few images it throws and more may be added.
  Model finish() {
    npad_model *model = nullptr;
    detail::call(npad_trainer_finish, handle_.get(), &model);
    return Model(model);
  }

 private:
  detail::Handle<npad_trainer, npad_trainer_free> handle_;
};

}  // namespace npad

#endif
