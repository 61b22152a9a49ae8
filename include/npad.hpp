/* npad for C++17: move-only types over npad.h, with exceptions. Header-only; npad.h documents units, shapes and errors.
 *
 * Every failed call throws npad::Error. An exception that a progress callback throws cancels the call and is rethrown when
 * the call has returned. Functions that take or return std::span exist where the standard library has it (C++20). */
#ifndef NPAD_HPP
#define NPAD_HPP

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <functional>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>
#if __has_include(<version>)
#include <version>
#endif
#ifdef __cpp_lib_span
#include <span>
#endif

#include "npad.h"

namespace npad {

/// Exception of a failed call: a status code, and a message that says what was wrong, what was expected and what to do.
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

inline std::string version_text(std::uint32_t number) {
  return std::to_string(number / 1000000) + "." + std::to_string(number / 1000 % 1000) + "." + std::to_string(number % 1000);
}

/// Throws if the library is not compatible with the header. While the major version is 0, major and minor version must
/// be equal; later, the major version must be equal, and the library must not be older.
inline void check_versions(std::uint32_t header, std::uint32_t library) {
  const bool stable = header >= 1000000;
  const bool fits = stable ? header / 1000000 == library / 1000000 && header / 1000 <= library / 1000
                           : header / 1000 == library / 1000;
  if (!fits)
    throw Error(NPAD_STATUS_WRONG_STATE, "the program was compiled with the headers of npad " + version_text(header) +
                                             ", but the library is npad " + version_text(library) +
                                             "; compile with the library's headers or install the library of the headers");
}

/// Checks the versions once, at the first call.
inline void check_library() {
  static const bool checked = (check_versions(NPAD_VERSION_NUMBER, npad_version_number()), true);
  static_cast<void>(checked);
}

/// Calls `function(arguments..., &error)` and throws the error, if any.
template <class Function, class... Arguments>
void call(Function function, Arguments... arguments) {
  check_library();
  npad_error *error = nullptr;
  const npad_status status = function(arguments..., &error);
  const Handle<npad_error, npad_error_free> owned(error);
  if (status != NPAD_STATUS_OK) throw Error(status, npad_error_message(error));
}

/// The text as a C string, which ends at the first null character: text that contains one is an error.
inline const char *c_string(const std::string &text, const char *what) {
  const std::size_t end = text.find('\0');
  if (end != std::string::npos)
    throw Error(NPAD_STATUS_INVALID_ARGUMENT, std::string(what) + " contains a null character after '" +
                                                  text.substr(0, end) + "'; remove it");
  return text.c_str();
}

/// The error of one of several images, whose message then names the image's index as npad does.
inline Error error_of(std::size_t index, const Error &error) {
  return {error.status(), "image " + std::to_string(index) + ": " + error.what()};
}

/// Checks the handle that a `_new` function without an error parameter returned.
template <class T>
T *created(T *handle) {
  if (handle == nullptr) throw Error(NPAD_STATUS_OUT_OF_MEMORY, "there is no memory for a new handle");
  return handle;
}

}  // namespace detail

/// The library's version, "MAJOR.MINOR.PATCH".
inline std::string version() { return npad_version_string(); }

/// Loads ONNX Runtime from a file or from the folder that contains it. Needed only if the default search does not find
/// it.
inline void open_runtime(const std::string &path) { detail::call(npad_runtime_open, detail::c_string(path, "the path")); }

/// Loads a plug-in with a detection method. It stays loaded until the process ends.
inline void load_plugin(const std::string &path) { detail::call(npad_plugin_load, detail::c_string(path, "the path")); }

/// An option that Options::set() takes.
struct OptionInfo {
  std::string name;
  npad_option_type type;
  std::string default_value;
  /// The accepted values, in words.
  std::string range;
  std::string help;
};

/// A detection method: a value of the option "method".
struct MethodInfo {
  std::string name;
  std::string help;
};

/// All options: the general ones, then the parameters of every method.
inline std::vector<OptionInfo> options() {
  detail::check_library();
  std::vector<OptionInfo> list;
  const std::size_t count = npad_option_count();
  for (std::size_t i = 0; i < count; ++i)
    list.push_back({npad_option_name(i), npad_option_get_type(i), npad_option_default(i), npad_option_range(i),
                    npad_option_help(i)});
  return list;
}

/// All detection methods, including those of loaded plug-ins.
inline std::vector<MethodInfo> methods() {
  detail::check_library();
  std::vector<MethodInfo> list;
  const std::size_t count = npad_method_count();
  for (std::size_t i = 0; i < count; ++i) list.push_back({npad_method_name(i), npad_method_help(i)});
  return list;
}

/// The device types that the option "device" takes. The machine need not have them.
inline std::vector<std::string> devices() {
  detail::check_library();
  std::vector<std::string> list;
  const std::size_t count = npad_device_count();
  for (std::size_t i = 0; i < count; ++i) list.emplace_back(npad_device_name(i));
  return list;
}

/// Checks that a fit or a load can use a device, a value of the option "device", by running a tiny network on it. Throws an
/// Error with the cause and what to do if it cannot.
inline void check_device(const std::string &device) {
  detail::check_library();
  detail::call(npad_device_check, detail::c_string(device, "the device"));
}

/// Log callback. Called from any thread, also from several at once. Its exceptions are ignored, since no call could
/// rethrow them.
using Log = std::function<void(npad_log_level level, const char *message)>;

namespace detail {

struct LogSlot {
  std::mutex mutex;
  std::unique_ptr<Log> log;
};

inline LogSlot &log_slot() {
  // Never destroyed: threads may log until the process ends.
  static LogSlot *const slot = new LogSlot;
  return *slot;
}

/// Whether this thread is running the log callback.
inline bool &inside_log() noexcept {
  thread_local bool inside = false;
  return inside;
}

inline void log(std::int32_t level, const char *message, void *user_data) noexcept {
  inside_log() = true;
  try {
    (*static_cast<const Log *>(user_data))(static_cast<npad_log_level>(level), message);
  } catch (...) {
  }
  inside_log() = false;
}

}  // namespace detail

/// Sets the log callback of the process; an empty function removes it. `level` is the least severe level to report.
///
/// Waits until running calls of the previous callback have returned, so the caller must not hold a lock that the
/// callback takes. Must not be called from a log callback.
inline void set_log(Log log, npad_log_level level = NPAD_LOG_LEVEL_WARNING) {
  // Before the lock: another thread may hold it and wait for this callback to return.
  if (detail::inside_log())
    throw Error(NPAD_STATUS_WRONG_STATE, "npad::set_log was called from a log callback; call it after the callback has returned");
  auto next = log ? std::make_unique<Log>(std::move(log)) : nullptr;
  detail::LogSlot &slot = detail::log_slot();
  {
    const std::lock_guard<std::mutex> lock(slot.mutex);
    detail::call(npad_log_set, next ? static_cast<npad_log_callback>(detail::log) : nullptr,
                 static_cast<void *>(next.get()), static_cast<std::int32_t>(level));
    next.swap(slot.log);
  }
  // The previous callback is destroyed here, outside the lock.
}

/// A view of a mask in the caller's memory, one byte per pixel: 0 excludes the pixel, any other value includes it.
class Mask {
 public:
  /// `stride` is in bytes; 0 means rows without padding.
  Mask(const void *pixels, int width, int height, std::int64_t stride = 0) noexcept : view_{} {
    view_.size = sizeof view_;
    view_.data = static_cast<const std::uint8_t *>(pixels);
    view_.width = width;
    view_.height = height;
    view_.stride = stride;
  }

  const npad_mask *get() const noexcept { return &view_; }

 private:
  npad_mask view_;
};

/// A view of an image in the caller's memory. npad reads the pixels during the call that takes the view.
class Image {
 public:
  /// `stride` is in bytes; 0 means rows without padding.
  Image(const void *pixels, int width, int height, npad_pixel_format format, std::int64_t stride = 0) noexcept
      : view_{} {
    view_.size = sizeof view_;
    view_.data[0] = static_cast<const std::uint8_t *>(pixels);
    view_.width = width;
    view_.height = height;
    view_.stride = stride;
    view_.format = static_cast<std::int32_t>(format);
  }

  /// Three planes of one byte per pixel, HALCON's layout.
  static Image planar(const void *red, const void *green, const void *blue, int width, int height,
                      std::int64_t stride = 0) noexcept {
    Image image(red, width, height, NPAD_PIXEL_FORMAT_RGB8_PLANAR, stride);
    image.view_.data[1] = static_cast<const std::uint8_t *>(green);
    image.view_.data[2] = static_cast<const std::uint8_t *>(blue);
    return image;
  }

  /// The same view with the number of significant bits of 16-bit pixels, 8 to 16: 10 for Mono10, 12 for Mono12; 0 means
  /// 16.
  Image with_significant_bits(int bits) const noexcept {
    Image image = *this;
    image.view_.significant_bits = bits;
    return image;
  }

  /// The same view with a mask, for scoring. The mask must live as long as the returned view.
  Image with_mask(const Mask &mask) const noexcept {
    Image image = *this;
    image.view_.mask = mask.get();
    return image;
  }
  Image with_mask(const Mask &&) const = delete;

  /// The same view with a rectangular region of interest in pixels, for scoring. All four values 0 mean the whole image.
  Image with_roi(int x, int y, int width, int height) const noexcept {
    Image image = *this;
    image.view_.roi_x = x;
    image.view_.roi_y = y;
    image.view_.roi_width = width;
    image.view_.roi_height = height;
    return image;
  }

  int width() const noexcept { return view_.width; }
  int height() const noexcept { return view_.height; }
  /// The number of pixels. Throws if there is none.
  std::size_t pixel_count() const {
    if (width() < 1 || height() < 1)
      throw Error(NPAD_STATUS_INVALID_IMAGE, "the image is " + size_text() + ", but must have at least one pixel");
    return static_cast<std::size_t>(width()) * static_cast<std::size_t>(height());
  }
  /// Width and height for messages: "640 x 480".
  std::string size_text() const { return std::to_string(width()) + " x " + std::to_string(height()); }
  const npad_image *get() const noexcept { return &view_; }

 private:
  npad_image view_;
};

/// Progress callback, see npad_progress_callback. Return true to continue, false to cancel the call. An exception also
/// cancels the call, which rethrows it. The callback must not use, move or destroy the trainer whose call it reports.
using Progress = std::function<bool(const char *stage, std::size_t done, std::size_t total)>;

/// A feature extractor of the program, which replaces ONNX Runtime; see npad_extractor.
struct Extractor {
  struct Output {
    /// Input pixels per position in each direction, 1 to 64.
    int stride;
    /// Number of planes, 1 to 8192.
    int channels;
  };

  /// 1 to 64 lower-case letters, digits, '-' or '_'.
  std::string name;
  std::vector<Output> outputs;
  /// Means and standard deviations of red, green and blue on a scale of 0 to 1.
  std::array<float, 3> mean{0, 0, 0};
  std::array<float, 3> deviation{1, 1, 1};
  /// Computes features, see npad_extract_callback. Called from several threads at once. If it throws, the call fails
  /// with an npad::Error that contains the exception's message.
  std::function<void(const float *input, int height, int width, float *const *outputs)> extract;
};

namespace detail {

/// A progress callback and the running calls that may call it. An exception is stored in the call, which is found here
/// and not in a thread_local variable: each shared library may have its own instance of such a variable.
class SharedProgress {
 public:
  explicit SharedProgress(Progress callback) : callback_(std::move(callback)) {}

  /// A call of npad by this thread. Calls may be nested, since a callback may call npad.
  class Call {
   public:
    /// `progress` may be null.
    explicit Call(std::shared_ptr<SharedProgress> progress) : progress_(std::move(progress)) {
      if (!progress_) return;
      const std::lock_guard<std::mutex> lock(progress_->mutex_);
      next_ = std::exchange(progress_->newest_, this);
    }
    ~Call() {
      if (!progress_) return;
      const std::lock_guard<std::mutex> lock(progress_->mutex_);
      Call **link = &progress_->newest_;
      while (*link != this) link = &(*link)->next_;
      *link = next_;
    }
    Call(const Call &) = delete;
    Call &operator=(const Call &) = delete;

    /// Rethrows the exception of the callback, if any.
    void rethrow() const {
      if (exception_) std::rethrow_exception(exception_);
    }

   private:
    friend class SharedProgress;
    std::shared_ptr<SharedProgress> progress_;
    const std::thread::id thread_ = std::this_thread::get_id();
    Call *next_ = nullptr;
    std::exception_ptr exception_;
  };

  bool report(const char *stage, std::size_t done, std::size_t total) noexcept {
    try {
      return callback_(stage, done, total);
    } catch (...) {
      keep(std::current_exception());
      return false;
    }
  }

 private:
  /// Stores the exception in the innermost call of this thread; drops it if the C function was called directly.
  void keep(std::exception_ptr exception) noexcept {
    const std::lock_guard<std::mutex> lock(mutex_);
    Call *call = newest_;
    while (call != nullptr && call->thread_ != std::this_thread::get_id()) call = call->next_;
    if (call != nullptr) call->exception_ = std::move(exception);
  }

  Progress callback_;
  std::mutex mutex_;
  Call *newest_ = nullptr;
};

inline bool progress(const char *stage, std::size_t done, std::size_t total, void *user_data) noexcept {
  return static_cast<SharedProgress *>(user_data)->report(stage, done, total);
}

/// As call(), but rethrows an exception of the progress callback, which lives until the call has returned.
template <class Function, class... Arguments>
void call_with(const std::shared_ptr<SharedProgress> &progress, Function function, Arguments... arguments) {
  const SharedProgress::Call running(progress);
  try {
    call(function, arguments...);
  } catch (const Error &) {
    running.rethrow();
    throw;
  }
}

using SharedExtractor = std::shared_ptr<const Extractor>;

inline std::int32_t extract(void *user_data, const float *input, std::int32_t height, std::int32_t width,
                            float *const *outputs, npad_callback_error *error) noexcept {
  const auto failed = [error](const char *message) {
    std::snprintf(error->message, sizeof error->message, "%s", message);
    return 1;
  };
  try {
    (*static_cast<const SharedExtractor *>(user_data))->extract(input, height, width, outputs);
    return 0;
  } catch (const std::exception &exception) {
    return failed(exception.what());
  } catch (...) {
    return failed("the extractor threw an exception that is not a std::exception");
  }
}

inline void free_extractor(void *user_data) noexcept { delete static_cast<SharedExtractor *>(user_data); }

}  // namespace detail

/// Options for fitting and loading. Every option has a default. Only one thread at a time may use it. Functions copy
/// the options, and trainers share their callbacks, so the options need not outlive trainers or models. Options that were
/// moved from may only be destroyed or assigned to: calls that take them throw npad::Error.
class Options {
 public:
  Options() : handle_((detail::check_library(), detail::created(npad_options_new()))) {}

  /// Sets an option by name; npad::options() lists them.
  Options &set(const std::string &key, const std::string &value) {
    detail::call(npad_options_set, handle_.get(), detail::c_string(key, "the option's name"),
                 detail::c_string(value, "the option's value"));
    return *this;
  }

  /// The value of an option, set or default.
  std::string get(const std::string &key) const {
    const char *value = nullptr;
    detail::call(npad_options_get, handle_.get(), detail::c_string(key, "the option's name"), &value);
    return value;
  }

  /// Sets the mask that all images of a fit share; it is copied.
  Options &set_mask(const Mask &mask) {
    detail::call(npad_options_set_mask, handle_.get(), mask.get());
    has_mask_ = true;
    return *this;
  }
  Options &clear_mask() {
    detail::call(npad_options_set_mask, handle_.get(), static_cast<const npad_mask *>(nullptr));
    has_mask_ = false;
    return *this;
  }
  /// Whether set_mask() has set a mask.
  bool has_mask() const noexcept { return has_mask_; }

  /// Sets the rectangular region of interest that all images of a fit share; all four values 0 mean none.
  Options &set_roi(int x, int y, int width, int height) {
    detail::call(npad_options_set_roi, handle_.get(), std::int32_t{x}, std::int32_t{y}, std::int32_t{width},
                 std::int32_t{height});
    return *this;
  }

  /// Sets the progress callback of fits and loads with these options; an empty function removes it. Existing trainers keep the
  /// callback that they were created with. If the callback calls the trainer whose call it reports, that inner call
  /// fails with NPAD_STATUS_WRONG_STATE.
  Options &set_progress(Progress progress) {
    auto shared = progress ? std::make_shared<detail::SharedProgress>(std::move(progress)) : nullptr;
    detail::call(npad_options_set_progress, handle_.get(),
                 shared ? static_cast<npad_progress_callback>(detail::progress) : nullptr,
                 static_cast<void *>(shared.get()));
    progress_ = std::move(shared);
    return *this;
  }

  /// Sets a feature extractor of the program. Options, trainers and models share it.
  Options &set_extractor(Extractor extractor) {
    return share_extractor(std::make_shared<const Extractor>(std::move(extractor)));
  }
  /// The same for an extractor that is shared already. A template, so that braces always mean an Extractor.
  template <class Shared, class = std::enable_if_t<std::is_convertible_v<Shared, std::shared_ptr<const Extractor>>>>
  Options &set_extractor(Shared &&extractor) {
    return share_extractor(std::forward<Shared>(extractor));
  }
  /// Sets a feature extractor from a C table.
  template <class Table, class = std::enable_if_t<std::is_base_of_v<npad_extractor, Table>>>
  Options &set_extractor(const Table &extractor) {
    return set_table(extractor);
  }

  const npad_options *get() const noexcept { return handle_.get(); }

 private:
  friend class Model;
  friend class Trainer;

  Options &share_extractor(std::shared_ptr<const Extractor> extractor) {
    if (!extractor) throw Error(NPAD_STATUS_INVALID_ARGUMENT, "the extractor is null");
    std::vector<std::int32_t> strides, channels;
    for (const Extractor::Output &output : extractor->outputs) {
      strides.push_back(output.stride);
      channels.push_back(output.channels);
    }
    npad_extractor table{};
    table.size = sizeof table;
    table.name = detail::c_string(extractor->name, "the extractor's name");
    table.tap_count = strides.size();
    table.strides = strides.data();
    table.channels = channels.data();
    std::copy(extractor->mean.begin(), extractor->mean.end(), table.mean);
    std::copy(extractor->deviation.begin(), extractor->deviation.end(), table.std);
    table.extract = extractor->extract ? static_cast<npad_extract_callback>(detail::extract) : nullptr;
    table.free = detail::free_extractor;
    auto user_data = std::make_unique<detail::SharedExtractor>(std::move(extractor));
    table.user_data = user_data.get();
    set_table(table);
    static_cast<void>(user_data.release());  // npad calls `free`.
    return *this;
  }

  Options &set_table(const npad_extractor &extractor) {
    detail::call(npad_options_set_extractor, handle_.get(), &extractor);
    return *this;
  }

  /// The handle. Throws if the options were moved from, since a null handle means the defaults in npad.h.
  const npad_options *checked() const {
    if (!handle_)
      throw Error(NPAD_STATUS_INVALID_ARGUMENT, "the options were moved from; assign new options before using them again");
    return handle_.get();
  }

  // Declared first, so that the callback outlives the handle that refers to it.
  std::shared_ptr<detail::SharedProgress> progress_;
  detail::Handle<npad_options, npad_options_free> handle_;
  bool has_mask_ = false;
};

/// A cancellation request for a batch. Any number of threads may use it at once. It must outlive the calls that take
/// it.
class Cancellation {
 public:
  Cancellation() : handle_((detail::check_library(), detail::created(npad_cancellation_new()))) {}

  void cancel() noexcept { npad_cancellation_cancel(handle_.get()); }
  bool is_cancelled() const noexcept { return npad_cancellation_is_cancelled(handle_.get()); }
  const npad_cancellation *get() const noexcept { return handle_.get(); }

 private:
  detail::Handle<npad_cancellation, npad_cancellation_free> handle_;
};

/// Consecutive pixels of a region in one row.
struct Run {
  int row;
  int column_begin;
  /// The column after the last.
  int column_end;
};

/// A pixel's position.
struct Point {
  int x;
  int y;
};

/// The result of scoring one image. Any number of threads may read it at once.
class Result {
 public:
  explicit Result(npad_result *owned) noexcept : handle_(owned) {}

  float score() const noexcept { return npad_result_score(get()); }
  float calibrated_score() const noexcept { return npad_result_calibrated_score(get()); }
  bool is_anomalous() const noexcept { return npad_result_is_anomalous(get()); }
  npad_verdict verdict() const noexcept { return npad_result_verdict(get()); }
  int width() const noexcept { return npad_result_width(get()); }
  int height() const noexcept { return npad_result_height(get()); }

  /// The anomaly map: width() * height() values, row after row. Valid as long as the result.
  const float *map() const noexcept { return npad_result_map(get()); }
#ifdef __cpp_lib_span
  std::span<const float> map_span() const noexcept { return {map(), pixels()}; }
#endif

  /// The calibrated map in 8 bits, see npad_result_map_u8(): width() * height() bytes.
  std::vector<std::uint8_t> map_u8() const {
    std::vector<std::uint8_t> bytes(pixels());
    map_u8_into(bytes.data());
    return bytes;
  }
  /// Writes the same to the caller's rows, `stride` bytes apart; 0 means rows without padding.
  void map_u8_into(std::uint8_t *rows, std::int64_t stride = 0) const {
    detail::call(npad_result_map_u8, get(), rows, stride);
  }

  /// The number of defect regions. 0 exactly if the verdict is NPAD_VERDICT_GOOD.
  std::size_t region_count() const noexcept { return npad_result_region_count(get()); }

  npad_region region(std::size_t index) const {
    npad_region region{};
    detail::call(npad_result_region, get(), index, &region, sizeof region);
    return region;
  }

  /// The defect regions, highest peak first.
  std::vector<npad_region> regions() const {
    std::vector<npad_region> regions;
    regions.reserve(region_count());
    for (std::size_t i = 0; i < region_count(); ++i) regions.push_back(region(i));
    return regions;
  }

  /// The pixels of a region as runs, ordered by row, then by column.
  std::vector<Run> region_runs(std::size_t index) const {
    std::size_t count = 0;
    const std::int32_t *values = checked(npad_result_region_runs(get(), index, &count), index);
    std::vector<Run> runs(count);
    for (std::size_t i = 0; i < count; ++i) runs[i] = {values[3 * i], values[3 * i + 1], values[3 * i + 2]};
    return runs;
  }

  /// The outer contour of a region as a closed chain of its boundary pixels, clockwise; the first pixel is not
  /// repeated.
  std::vector<Point> region_contour(std::size_t index) const {
    std::size_t count = 0;
    const std::int32_t *values = checked(npad_result_region_contour(get(), index, &count), index);
    std::vector<Point> points(count);
    for (std::size_t i = 0; i < count; ++i) points[i] = {values[2 * i], values[2 * i + 1]};
    return points;
  }

  /// The pixels of a region as a mask of its bounding box without padding: 255 inside, 0 outside.
  std::vector<std::uint8_t> region_mask(std::size_t index) const {
    const npad_region box = region(index);
    std::vector<std::uint8_t> bytes(static_cast<std::size_t>(box.width) * static_cast<std::size_t>(box.height));
    region_mask_into(index, bytes.data());
    return bytes;
  }
  /// Writes the same to the caller's rows, `stride` bytes apart; 0 means rows without padding.
  void region_mask_into(std::size_t index, std::uint8_t *rows, std::int64_t stride = 0) const {
    detail::call(npad_result_region_mask, get(), index, rows, stride);
  }

  const npad_result *get() const noexcept { return handle_.get(); }

 private:
  std::size_t pixels() const noexcept { return static_cast<std::size_t>(width()) * static_cast<std::size_t>(height()); }

  const std::int32_t *checked(const std::int32_t *values, std::size_t index) const {
    if (values != nullptr) return values;
    static_cast<void>(region(index));  // Throws for an index that is too large.
    throw Error(NPAD_STATUS_OUT_OF_MEMORY, "there is no memory for the pixels of region " + std::to_string(index));
  }

  detail::Handle<npad_result, npad_result_free> handle_;
};

/// The caller's memory for the result of one image, see npad_output. Parts that are not set are not written. It can be
/// reused for any number of images, by one call at a time.
class Output {
 public:
  Output() noexcept : view_{} {
    view_.size = sizeof view_;
    view_.region_size = sizeof(npad_region);
  }

  /// Sets the memory for the anomaly map: rows of the image's width, `stride` bytes apart; 0 means rows without
  /// padding.
  Output &set_map(float *rows, std::int64_t stride = 0) noexcept { return set_map(rows, stride, unchecked); }
  /// Sets the memory for the anomaly map without padding. The vector must hold one value per pixel and must not be
  /// resized.
  Output &set_map(std::vector<float> &values) noexcept { return set_map(values.data(), 0, values.size()); }
  /// Sets the memory for the calibrated map in 8 bits.
  Output &set_map_u8(std::uint8_t *rows, std::int64_t stride = 0) noexcept { return set_map_u8(rows, stride, unchecked); }
  Output &set_map_u8(std::vector<std::uint8_t> &values) noexcept { return set_map_u8(values.data(), 0, values.size()); }
  /// Sets the memory for the first `capacity` regions, highest peak first.
  Output &set_regions(npad_region *regions, std::size_t capacity) noexcept {
    view_.regions = regions;
    view_.region_capacity = capacity;
    return *this;
  }
  /// Sets the memory for as many regions as the vector has elements. The vector must not be resized.
  Output &set_regions(std::vector<npad_region> &regions) noexcept { return set_regions(regions.data(), regions.size()); }
#ifdef __cpp_lib_span
  Output &set_map(std::span<float> values) noexcept { return set_map(values.data(), 0, values.size()); }
  Output &set_map_u8(std::span<std::uint8_t> values) noexcept { return set_map_u8(values.data(), 0, values.size()); }
  Output &set_regions(std::span<npad_region> regions) noexcept { return set_regions(regions.data(), regions.size()); }
#endif

  float score() const noexcept { return view_.score; }
  float calibrated_score() const noexcept { return view_.calibrated_score; }
  npad_verdict verdict() const noexcept { return static_cast<npad_verdict>(view_.verdict); }
  bool is_anomalous() const noexcept { return verdict() == NPAD_VERDICT_DEFECTIVE; }
  /// The total number of regions of the image, which may exceed the capacity.
  std::size_t region_count() const noexcept { return view_.region_count; }
  /// The number of regions that were written.
  std::size_t written_region_count() const noexcept {
    return view_.regions == nullptr ? 0 : (std::min)(view_.region_count, view_.region_capacity);
  }

  const npad_output *get() const noexcept { return &view_; }

 private:
  friend class Model;

  static constexpr std::size_t unchecked = static_cast<std::size_t>(-1);

  Output &set_map(float *rows, std::int64_t stride, std::size_t size) noexcept {
    view_.map = rows;
    view_.map_stride = stride;
    map_size_ = size;
    width_ = height_ = 0;
    return *this;
  }

  Output &set_map_u8(std::uint8_t *rows, std::int64_t stride, std::size_t size) noexcept {
    view_.map_u8 = rows;
    view_.map_u8_stride = stride;
    map_u8_size_ = size;
    return *this;
  }

  /// Throws if a vector or span is too short for the image.
  void check(const Image &image) const {
    const std::size_t size = (std::min)(map_size_, map_u8_size_);
    if (size < image.pixel_count())
      throw Error(NPAD_STATUS_INVALID_ARGUMENT, "the map has room for " + std::to_string(size) +
                                                    " values, but the image has " + std::to_string(image.pixel_count()) +
                                                    " pixels");
  }

  /// Throws if the map was written for an image of another size.
  void check_size(const Image &image) const {
    check(image);
    if (width_ != 0 && (width_ != image.width() || height_ != image.height()))
      throw Error(NPAD_STATUS_INVALID_IMAGE, "the image is " + image.size_text() +
                                                 ", but the output is that of an image of " + std::to_string(width_) +
                                                 " x " + std::to_string(height_));
  }

  void written(const npad_output &view, const Image &image) noexcept {
    view_ = view;
    width_ = image.width();
    height_ = image.height();
  }

  npad_output view_;
  std::size_t map_size_ = unchecked, map_u8_size_ = unchecked;
  /// The size of the image that the map was written for, 0 if the map was set since.
  int width_ = 0, height_ = 0;
};

namespace detail {

inline std::vector<npad_image> views(const Image *images, std::size_t count) {
  std::vector<npad_image> views;
  views.reserve(count);
  for (std::size_t i = 0; i < count; ++i) views.push_back(*images[i].get());
  return views;
}

/// The bytes of a buffer, which is freed.
inline std::vector<std::uint8_t> take(npad_buffer *buffer) {
  const Handle<npad_buffer, npad_buffer_free> owned(buffer);
  return {npad_buffer_data(buffer), npad_buffer_data(buffer) + npad_buffer_size(buffer)};
}

}  // namespace detail

/// A fitted model. Any number of threads may score with it at once.
class Model {
 public:
  explicit Model(npad_model *owned) noexcept : handle_(owned) {}

  /// Fits a model to at least three good images.
  static Model fit(const std::vector<Image> &images, const Options &options = Options()) {
    return fit(images.data(), images.size(), options);
  }
  static Model fit(std::initializer_list<Image> images, const Options &options = Options()) {
    return fit(images.begin(), images.size(), options);
  }
  static Model fit(const Image *images, std::size_t count, const Options &options = Options()) {
    const auto views = detail::views(images, count);
    npad_model *model = nullptr;
    detail::call_with(options.progress_, npad_fit, views.data(), views.size(), options.checked(), &model);
    return Model(model);
  }

  /// Loads a model from a file; npad_model_load() lists the options that are used.
  static Model load(const std::string &path, const Options &options = Options()) {
    npad_model *model = nullptr;
    detail::call_with(options.progress_, npad_model_load, detail::c_string(path, "the path"), options.checked(), &model);
    return Model(model);
  }

  /// Loads a model from the bytes of a model file.
  static Model load_memory(const void *data, std::size_t size, const Options &options = Options()) {
    npad_model *model = nullptr;
    detail::call_with(options.progress_, npad_model_load_memory, static_cast<const std::uint8_t *>(data), size,
                      options.checked(), &model);
    return Model(model);
  }

  /// Writes the model file atomically.
  void save(const std::string &path) const { detail::call(npad_model_save, get(), detail::c_string(path, "the path")); }

  /// Writes the model as an ONNX network and its description, see npad_model_export(). Of the options, those whose names
  /// start with "export_" are used.
  void export_onnx(const std::string &path, const Options &options = Options()) const {
    detail::call(npad_model_export, get(), detail::c_string(path, "the path"), options.checked());
  }

  /// The bytes of the model file.
  std::vector<std::uint8_t> save_memory() const {
    npad_buffer *buffer = nullptr;
    detail::call(npad_model_save_memory, get(), &buffer);
    return detail::take(buffer);
  }

  /// Prepares the model for images of one size, so that the first call is as fast as later ones. It counts as one call
  /// and prepares as many concurrent calls as there are cores, at most "max_calls".
  void warm_up(int width, int height) const {
    detail::call(npad_model_warm_up, get(), std::int32_t{width}, std::int32_t{height});
  }

  Result score(const Image &image) const {
    npad_result *result = nullptr;
    detail::call(npad_score, get(), image.get(), &result);
    return Result(result);
  }

  /// Scores a batch of images. If one fails, the call throws and returns no results. `cancellation` may cancel the call
  /// after the image in progress, or while the call is blocked by "max_calls".
  std::vector<Result> score_batch(const std::vector<Image> &images, const Cancellation *cancellation = nullptr) const {
    return score_batch(images.data(), images.size(), cancellation);
  }
  std::vector<Result> score_batch(std::initializer_list<Image> images, const Cancellation *cancellation = nullptr) const {
    return score_batch(images.begin(), images.size(), cancellation);
  }
  std::vector<Result> score_batch(const Image *images, std::size_t count, const Cancellation *cancellation = nullptr) const {
    const auto views = detail::views(images, count);
    std::vector<npad_result *> handles(count);
    std::vector<Result> results;
    results.reserve(count);
    detail::call(npad_score_batch, get(), views.data(), count, request(cancellation), handles.data());
    for (npad_result *handle : handles) results.emplace_back(handle);
    return results;
  }

  /// Scores one image and writes the result to the caller's memory.
  void score_into(const Image &image, Output &output) const {
    output.check(image);
    npad_output memory = output.view_;
    detail::call(npad_score_into, get(), image.get(), &memory);
    output.written(memory, image);
  }

  /// Scores a batch of images and writes the results to the caller's memory, one output for each image.
  void score_batch_into(const std::vector<Image> &images, std::vector<Output> &outputs,
                        const Cancellation *cancellation = nullptr) const {
    if (images.size() != outputs.size())
      throw Error(NPAD_STATUS_INVALID_ARGUMENT, "there are " + std::to_string(images.size()) + " images, but " +
                                                    std::to_string(outputs.size()) + " outputs");
    score_batch_into(images.data(), images.size(), outputs.data(), cancellation);
  }
  void score_batch_into(const Image *images, std::size_t count, Output *outputs,
                        const Cancellation *cancellation = nullptr) const {
    const auto views = detail::views(images, count);
    std::vector<npad_output> memory;
    memory.reserve(count);
    for (std::size_t i = 0; i < count; ++i) {
      outputs[i].check(images[i]);
      memory.push_back(outputs[i].view_);
    }
    detail::call(npad_score_batch_into, get(), views.data(), count, request(cancellation), memory.data());
    for (std::size_t i = 0; i < count; ++i) outputs[i].written(memory[i], images[i]);
  }

#ifdef __cpp_lib_span
  static Model fit(std::span<const Image> images, const Options &options = Options()) {
    return fit(images.data(), images.size(), options);
  }
  static Model load_memory(std::span<const std::uint8_t> bytes, const Options &options = Options()) {
    return load_memory(bytes.data(), bytes.size(), options);
  }
  std::vector<Result> score_batch(std::span<const Image> images, const Cancellation *cancellation = nullptr) const {
    return score_batch(images.data(), images.size(), cancellation);
  }
  void score_batch_into(std::span<const Image> images, std::span<Output> outputs,
                        const Cancellation *cancellation = nullptr) const {
    if (images.size() != outputs.size())
      throw Error(NPAD_STATUS_INVALID_ARGUMENT, "there are " + std::to_string(images.size()) + " images, but " +
                                                    std::to_string(outputs.size()) + " outputs");
    score_batch_into(images.data(), images.size(), outputs.data(), cancellation);
  }
  Model recalibrate(std::span<const Image> images) const { return recalibrate(images.data(), images.size(), nullptr); }
  Model recalibrate(std::span<const Image> images, const Options &options) const {
    return recalibrate(images.data(), images.size(), options.checked());
  }
#endif

  /// The image with its anomaly map drawn over it, as rows of `width` RGB (or BGR) pixels without padding.
  std::vector<std::uint8_t> render(const Image &image, const Result &result,
                                   npad_pixel_format format = NPAD_PIXEL_FORMAT_RGB8) const {
    std::vector<std::uint8_t> pixels(3 * image.pixel_count());
    render_into(image, result, pixels.data(), 0, format);
    return pixels;
  }
  /// Draws the map and regions that score_into() wrote for the image.
  std::vector<std::uint8_t> render(const Image &image, const Output &output,
                                   npad_pixel_format format = NPAD_PIXEL_FORMAT_RGB8) const {
    std::vector<std::uint8_t> pixels(3 * image.pixel_count());
    render_into(image, output, pixels.data(), 0, format);
    return pixels;
  }
  /// Draws to the caller's rows of the image's width, three bytes per pixel, `stride` bytes apart.
  void render_into(const Image &image, const Result &result, std::uint8_t *pixels, std::int64_t stride = 0,
                   npad_pixel_format format = NPAD_PIXEL_FORMAT_RGB8) const {
    detail::call(npad_render, get(), image.get(), result.get(), pixels, stride, static_cast<std::int32_t>(format));
  }
  void render_into(const Image &image, const Output &output, std::uint8_t *pixels, std::int64_t stride = 0,
                   npad_pixel_format format = NPAD_PIXEL_FORMAT_RGB8) const {
    output.check_size(image);
    detail::call(npad_render_output, get(), image.get(), output.get(), pixels, stride, static_cast<std::int32_t>(format));
  }

  /// The model's metadata as JSON, and in "machine" what it runs on here.
  std::string info() const { return npad_model_info(get()); }
  /// The calibration card, plain text with one fact a line; see npad_model_card().
  std::string card() const { return npad_model_card(get()); }
  std::string method() const { return npad_model_method(get()); }
  std::string backbone() const { return npad_model_backbone(get()); }
  std::string device() const { return npad_model_device(get()); }
  int input_width() const noexcept { return npad_model_input_width(get()); }
  int input_height() const noexcept { return npad_model_input_height(get()); }
  /// The number of good images that the model has learnt.
  std::size_t image_count() const noexcept { return npad_model_image_count(get()); }
  double false_alarm_rate() const noexcept { return npad_model_false_alarm_rate(get()); }
  float threshold() const noexcept { return npad_model_threshold(get()); }
  float review_threshold() const noexcept { return npad_model_review_threshold(get()); }

  /// What the known defects of the fit say about thresholds, see Trainer::add_defect(); a count of 0 without any.
  npad_known_defects known_defects() const {
    npad_known_defects known = {};
    known.size = sizeof known;
    detail::call(npad_model_known_defects, get(), &known);
    return known;
  }

  /// A copy of the model with other thresholds, in the units of raw scores. Both share memory.
  Model with_thresholds(float threshold, float review) const {
    npad_model *model = nullptr;
    detail::call(npad_model_with_thresholds, get(), threshold, review, &model);
    return Model(model);
  }

  /// A copy of the model that is signed with a secret key of 32 bytes whenever it is saved. Both share memory.
  Model with_signature(const std::array<std::uint8_t, 32> &key) const {
    npad_model *model = nullptr;
    detail::call(npad_model_with_signature, get(), key.data(), key.size(), &model);
    return Model(model);
  }
  /// The public key of the model's signature, as "trusted_keys" takes it; empty if the model is not signed.
  std::string signer() const { return npad_model_signer(get()); }

  /// A copy of the model with thresholds computed from good images that are not among those of the fit, for its own
  /// rates: images that the model has learnt are left out, and images that equal one another count once. Both share memory.
  Model recalibrate(const std::vector<Image> &images) const { return recalibrate(images.data(), images.size(), nullptr); }
  Model recalibrate(std::initializer_list<Image> images) const {
    return recalibrate(images.begin(), images.size(), nullptr);
  }
  /// As above, for the rates of the options, and with their date.
  Model recalibrate(const std::vector<Image> &images, const Options &options) const {
    return recalibrate(images.data(), images.size(), options.checked());
  }
  Model recalibrate(std::initializer_list<Image> images, const Options &options) const {
    return recalibrate(images.begin(), images.size(), options.checked());
  }

  const npad_model *get() const noexcept { return handle_.get(); }

 private:
  static const npad_cancellation *request(const Cancellation *cancellation) noexcept {
    return cancellation == nullptr ? nullptr : cancellation->get();
  }

  Model recalibrate(const Image *images, std::size_t count, const npad_options *options) const {
    const auto views = detail::views(images, count);
    npad_model *model = nullptr;
    detail::call(npad_model_recalibrate, get(), views.data(), views.size(), options, &model);
    return Model(model);
  }

  detail::Handle<npad_model, npad_model_free> handle_;
};

/// A fit in progress, which learns good images one at a time. Only one thread at a time may use it. It shares the
/// callbacks of the options that it was created with, which need not outlive it. Its progress callback may call
/// image_count() alone: its other calls fail with NPAD_STATUS_WRONG_STATE.
class Trainer {
 public:
  explicit Trainer(const Options &options = Options()) : progress_(options.progress_) {
    npad_trainer *trainer = nullptr;
    detail::call(npad_trainer_new, options.checked(), &trainer);
    handle_.reset(trainer);
  }

  /// Resumes the fit of a model, to compute a new model from further good images. Only "date" and the progress callback
  /// of the options are used and, where they have been set, "operating_point" and "miss_cost". Known defects must be
  /// added again.
  static Trainer resume(const Model &model, const Options &options = Options()) {
    npad_trainer *trainer = nullptr;
    detail::call(npad_trainer_resume, model.get(), options.checked(), &trainer);
    return Trainer(trainer, options.progress_);
  }

  /// Goes on with a fit from the file of a trainer's state. The options that a model depends on, mask and region of interest are
  /// those of the state; others of the options must be unset or those of the state: see npad_trainer_load().
  static Trainer load(const std::string &path, const Options &options = Options()) {
    npad_trainer *trainer = nullptr;
    detail::call_with(options.progress_, npad_trainer_load, detail::c_string(path, "the path"), options.checked(),
                      &trainer);
    return Trainer(trainer, options.progress_);
  }
  /// Goes on with a fit from the bytes of a trainer's state.
  static Trainer load_memory(const void *data, std::size_t size, const Options &options = Options()) {
    npad_trainer *trainer = nullptr;
    detail::call_with(options.progress_, npad_trainer_load_memory, static_cast<const std::uint8_t *>(data), size,
                      options.checked(), &trainer);
    return Trainer(trainer, options.progress_);
  }

  /// Writes the state to a file atomically: what the trainer has learnt so far, with which another one goes on.
  void save(const std::string &path) {
    detail::call(npad_trainer_save, handle_.get(), detail::c_string(path, "the path"));
  }
  /// The bytes of the state.
  std::vector<std::uint8_t> save_memory() {
    npad_buffer *buffer = nullptr;
    detail::call(npad_trainer_save_memory, handle_.get(), &buffer);
    return detail::take(buffer);
  }

  /// Adds what another trainer with the same options has learnt, from the file of its state. The model is that of one fit of
  /// all images, to the last bit, however the images were divided and in whatever order states are merged: see
  /// npad_trainer_merge(). On failure the trainer is unchanged.
  void merge(const std::string &path) {
    detail::call_with(progress_, npad_trainer_merge, handle_.get(), detail::c_string(path, "the path"));
  }
  /// Adds what another trainer has learnt, from the bytes of its state.
  void merge_memory(const void *data, std::size_t size) {
    detail::call_with(progress_, npad_trainer_merge_memory, handle_.get(), static_cast<const std::uint8_t *>(data), size);
  }

  /// Sets the number of images that will be added, for the progress callback; 0 means unknown.
  void expect(std::size_t count) { detail::call(npad_trainer_expect, handle_.get(), count); }
  /// Learns one good image, unless it equals one already learnt. On failure, including cancellation, the trainer is
  /// unchanged.
  void add(const Image &image) { detail::call_with(progress_, npad_trainer_add_image, handle_.get(), image.get()); }
  /// Adds an image with a known defect, which is never learnt, after at least one good image. finish() scores it;
  /// Model::known_defects() reports, and the option "operating_point" lets the known defects set the threshold.
  /// An image that has been learnt as a good one is refused.
  void add_defect(const Image &image) {
    detail::call_with(progress_, npad_trainer_add_defect, handle_.get(), image.get());
  }
  std::size_t image_count() const noexcept { return npad_trainer_image_count(handle_.get()); }

  /// Finishes the fit. After a failure the trainer is unchanged: more images can be added, and the call can be
  /// repeated.
  Model finish() {
    npad_model *model = nullptr;
    detail::call_with(progress_, npad_trainer_finish, handle_.get(), &model);
    return Model(model);
  }

 private:
  Trainer(npad_trainer *owned, std::shared_ptr<detail::SharedProgress> progress) noexcept
      : progress_(std::move(progress)), handle_(owned) {}

  // Declared first, so that the callback outlives the handle that refers to it.
  std::shared_ptr<detail::SharedProgress> progress_;
  detail::Handle<npad_trainer, npad_trainer_free> handle_;
};

}  // namespace npad

#endif
