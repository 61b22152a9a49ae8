/* npad for OpenCV: cv::Mat in and out over npad.hpp, without copies. Header-only; needs opencv_core alone.
 *
 * Images: CV_8UC1, CV_8UC3 (BGR), CV_8UC4 (BGRA), CV_16UC1 and CV_32FC1 (1 is white), also sub-matrices. Masks: CV_8UC1, 0
 * excludes a pixel. Anything else throws npad::Error.
 *
 * `significant_bits` is for CV_16UC1: 10 for Mono10, 12 for Mono12; 0 means 16. It must be the same for fitting and
 * scoring. */
#ifndef NPAD_OPENCV_HPP
#define NPAD_OPENCV_HPP

#include <array>
#include <cstddef>
#include <cstdint>
#include <opencv2/core.hpp>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "npad.hpp"

namespace npad::opencv {

namespace detail {

/// Throws unless the matrix has pixels in two dimensions.
inline void check_shape(const cv::Mat &matrix, const std::string &what) {
  if (matrix.empty()) throw Error(NPAD_STATUS_INVALID_IMAGE, what + " is an empty cv::Mat");
  if (matrix.dims != 2)
    throw Error(NPAD_STATUS_INVALID_IMAGE,
                what + " must be a cv::Mat of two dimensions, but has " + std::to_string(matrix.dims));
}

}  // namespace detail

/// A view of a matrix, which must outlive the view and keep its size.
inline Image view(const cv::Mat &image, int significant_bits = 0) {
  detail::check_shape(image, "the image");
  npad_pixel_format format;
  switch (image.type()) {
    case CV_8UC1: format = NPAD_PIXEL_FORMAT_GRAY8; break;
    case CV_8UC3: format = NPAD_PIXEL_FORMAT_BGR8; break;
    case CV_8UC4: format = NPAD_PIXEL_FORMAT_BGRA8; break;
    case CV_16UC1: format = NPAD_PIXEL_FORMAT_GRAY16; break;
    case CV_32FC1: format = NPAD_PIXEL_FORMAT_GRAYF32; break;
    default:
      throw Error(NPAD_STATUS_INVALID_IMAGE,
                  "a cv::Mat of type " + cv::typeToString(image.type()) +
                      " cannot be used: expected CV_8UC1, CV_8UC3, CV_8UC4, CV_16UC1 or CV_32FC1; use cv::cvtColor or "
                      "convertTo");
  }
  return Image(image.data, image.cols, image.rows, format, static_cast<std::int64_t>(image.step[0]))
      .with_significant_bits(significant_bits);
}

/// A view of a mask, which must outlive the view.
inline Mask mask(const cv::Mat &mask) {
  detail::check_shape(mask, "the mask");
  if (mask.type() != CV_8UC1)
    throw Error(NPAD_STATUS_INVALID_IMAGE,
                "the mask must be a cv::Mat of type CV_8UC1, but is of type " + cv::typeToString(mask.type()));
  return {mask.data, mask.cols, mask.rows, static_cast<std::int64_t>(mask.step[0])};
}

/// The same view with a rectangular region of interest, for scoring. An empty rectangle is an error.
inline Image with_roi(const Image &image, const cv::Rect &roi) {
  if (roi.empty()) throw Error(NPAD_STATUS_INVALID_IMAGE, "the region of interest is an empty cv::Rect");
  return image.with_roi(roi.x, roi.y, roi.width, roi.height);
}

namespace detail {

/// Views of all images. An error names the image's index.
inline std::vector<Image> views(const std::vector<cv::Mat> &images, int significant_bits) {
  std::vector<Image> views;
  views.reserve(images.size());
  for (const cv::Mat &image : images) {
    try {
      views.push_back(view(image, significant_bits));
    } catch (const Error &error) {
      throw npad::detail::error_of(views.size(), error);
    }
  }
  return views;
}

/// Memory in rows of `length` bytes, `step` bytes apart.
struct Rows {
  std::uintptr_t begin = 0;
  std::int64_t step = 0, length = 0, count = 0;
};

inline Rows rows_of(const void *data, std::int64_t step, std::int64_t length, std::int64_t count) {
  return {reinterpret_cast<std::uintptr_t>(data), step == 0 ? length : step, length, count};
}

inline Rows rows_of(const cv::Mat &matrix) {
  if (matrix.empty()) return {};
  return rows_of(matrix.data, static_cast<std::int64_t>(matrix.step[0]),
                 static_cast<std::int64_t>(matrix.elemSize()) * matrix.cols, matrix.rows);
}

/// What a call reads of an image: the planes and the mask.
inline std::array<Rows, 4> rows_of(const Image &image) {
  const npad_image &view = *image.get();
  std::int64_t bytes = 1;
  switch (view.format) {
    case NPAD_PIXEL_FORMAT_RGB8:
    case NPAD_PIXEL_FORMAT_BGR8: bytes = 3; break;
    case NPAD_PIXEL_FORMAT_GRAY16: bytes = 2; break;
    case NPAD_PIXEL_FORMAT_RGBA8:
    case NPAD_PIXEL_FORMAT_BGRA8:
    case NPAD_PIXEL_FORMAT_GRAYF32: bytes = 4; break;
    default: break;
  }
  std::array<Rows, 4> rows;
  for (std::size_t i = 0; i < 3; ++i)
    if (view.data[i] != nullptr) rows[i] = rows_of(view.data[i], view.stride, bytes * view.width, view.height);
  if (view.mask != nullptr) rows[3] = rows_of(view.mask->data, view.mask->stride, view.mask->width, view.mask->height);
  return rows;
}

/// Whether both have a byte in common. Parts of one matrix beside each other have none.
inline bool overlap(const Rows &a, const Rows &b) {
  for (const Rows &rows : {a, b})
    if (rows.step < 1 || rows.length < 1 || rows.count < 1) return false;  // No memory, or an image that npad refuses.
  if (b.begin < a.begin) return overlap(b, a);
  const auto distance = static_cast<std::int64_t>(b.begin - a.begin);
  const std::int64_t row = distance / a.step, column = distance % a.step;  // Where b begins in a.
  if (a.step != b.step) return row < a.count;  // Two layouts of one memory: not told apart.
  return (row < a.count && column < a.length) || (row + 1 < a.count && column + b.length > a.step);
}

/// The matrix itself if its size and type are right and it has no byte in common with what the call reads or writes
/// elsewhere, otherwise a new one.
template <class Used>
cv::Mat target(const cv::Mat &matrix, const Image &image, int type, const Used &used) {
  static_cast<void>(image.pixel_count());  // Throws for an image without pixels.
  const Rows rows = rows_of(matrix);
  bool fits = matrix.dims == 2 && matrix.rows == image.height() && matrix.cols == image.width() && matrix.type() == type;
  for (const Rows &other : used) fits = fits && !overlap(rows, other);
  return fits ? matrix : cv::Mat(image.height(), image.width(), type);
}

}  // namespace detail

/// Fits a model to good images.
inline Model fit(const std::vector<cv::Mat> &images, const Options &options = Options(), int significant_bits = 0) {
  return Model::fit(detail::views(images, significant_bits), options);
}

/// Scores an image.
inline Result score(const Model &model, const cv::Mat &image, int significant_bits = 0) {
  return model.score(view(image, significant_bits));
}

/// Scores a rectangle of an image. The map has the size of the image and is 0 outside.
inline Result score(const Model &model, const cv::Mat &image, const cv::Rect &roi, int significant_bits = 0) {
  return model.score(with_roi(view(image, significant_bits), roi));
}

/// Scores an image within a mask, a cv::Mat; an empty one means the whole image. A template, so that braces always mean a
/// cv::Rect.
template <class Matrix, class = std::enable_if_t<std::is_convertible_v<const Matrix &, cv::Mat>>>
Result score(const Model &model, const cv::Mat &image, const Matrix &included, int significant_bits = 0) {
  const cv::Mat matrix = included;
  if (matrix.empty()) return score(model, image, significant_bits);
  const Mask kept = mask(matrix);
  return model.score(view(image, significant_bits).with_mask(kept));
}

/// Scores a batch of images. If one fails, the call throws and returns no results.
inline std::vector<Result> score_batch(const Model &model, const std::vector<cv::Mat> &images,
                                       const Cancellation *cancellation = nullptr, int significant_bits = 0) {
  return model.score_batch(detail::views(images, significant_bits), cancellation);
}

/// Scores an image into `map` (CV_32FC1) and, if given, `map_u8` (CV_8UC1, calibrated), which must be another matrix.
///
/// Their memory is reused if size and type match; sub-matrices are supported. A matrix that shares memory with the image,
/// its mask or the other map gets new memory, so `map` may be the image itself. If the call throws, both still refer to
/// their memory. The returned output refers to the memory of the maps.
inline Output score_into(const Model &model, const Image &image, cv::Mat &map, cv::Mat *map_u8 = nullptr) {
  if (map_u8 == &map)
    throw Error(NPAD_STATUS_INVALID_ARGUMENT, "map and map_u8 are one cv::Mat, but must be two: their types differ");
  // `map` and `map_u8` keep their memory, which the image may be a view of, until the call has returned.
  const std::array<detail::Rows, 4> read = detail::rows_of(image);
  cv::Mat values = detail::target(map, image, CV_32FC1, read), bytes;
  Output output;
  output.set_map(values.ptr<float>(), static_cast<std::int64_t>(values.step[0]));
  if (map_u8 != nullptr) {
    const std::array<detail::Rows, 5> used{read[0], read[1], read[2], read[3], detail::rows_of(values)};
    bytes = detail::target(*map_u8, image, CV_8UC1, used);
    output.set_map_u8(bytes.data, static_cast<std::int64_t>(bytes.step[0]));
  }
  model.score_into(image, output);
  map = values;
  if (map_u8 != nullptr) *map_u8 = bytes;
  return output;
}
inline Output score_into(const Model &model, const cv::Mat &image, cv::Mat &map, cv::Mat *map_u8 = nullptr,
                         int significant_bits = 0) {
  return score_into(model, view(image, significant_bits), map, map_u8);
}

/// Scores a batch of images into `maps` (CV_32FC1), which is resized to the number of images. Memory is reused if size
/// and type match, except that of a matrix that shares memory with an image or with another map: it gets new memory. If
/// the call throws, `maps` still refers to its memory.
inline std::vector<Output> score_batch_into(const Model &model, const std::vector<cv::Mat> &images,
                                            std::vector<cv::Mat> &maps, const Cancellation *cancellation = nullptr,
                                            int significant_bits = 0) {
  const std::vector<Image> views = detail::views(images, significant_bits);
  std::vector<Output> outputs(views.size());
  std::vector<detail::Rows> used;
  for (const cv::Mat &image : images) used.push_back(detail::rows_of(image));
  // `maps` keeps its memory, which may be that of the images, until the call has returned.
  std::vector<cv::Mat> targets;
  for (std::size_t i = 0; i < views.size(); ++i) {
    targets.push_back(detail::target(i < maps.size() ? maps[i] : cv::Mat(), views[i], CV_32FC1, used));
    used.push_back(detail::rows_of(targets[i]));
    outputs[i].set_map(targets[i].ptr<float>(), static_cast<std::int64_t>(targets[i].step[0]));
  }
  model.score_batch_into(views, outputs, cancellation);
  maps = std::move(targets);
  return outputs;
}

/// A view of the anomaly map (CV_32FC1) in the memory of the result. It must not be written to, and the result must
/// outlive it.
inline cv::Mat map(const Result &result) {
  return {result.height(), result.width(), CV_32FC1, const_cast<float *>(result.map())};
}
cv::Mat map(const Result &&) = delete;

/// The calibrated map as CV_8UC1: 128 and above exactly where the map exceeds the threshold.
inline cv::Mat map_u8(const Result &result) {
  cv::Mat map(result.height(), result.width(), CV_8UC1);
  result.map_u8_into(map.data, static_cast<std::int64_t>(map.step[0]));
  return map;
}

/// The bounding box of a region.
inline cv::Rect box(const npad_region &region) { return {region.x, region.y, region.width, region.height}; }

/// The bounding boxes of the defect regions, highest peak first.
inline std::vector<cv::Rect> regions(const Result &result) {
  std::vector<cv::Rect> boxes;
  for (const npad_region &region : result.regions()) boxes.push_back(box(region));
  return boxes;
}

/// The outer contour of a region, for cv::polylines, cv::drawContours and similar functions.
inline std::vector<cv::Point> contour(const Result &result, std::size_t index) {
  std::vector<cv::Point> points;
  for (const Point &point : result.region_contour(index)) points.emplace_back(point.x, point.y);
  return points;
}

/// The outer contours of all regions, highest peak first.
inline std::vector<std::vector<cv::Point>> contours(const Result &result) {
  std::vector<std::vector<cv::Point>> all;
  for (std::size_t i = 0; i < result.region_count(); ++i) all.push_back(contour(result, i));
  return all;
}

/// A region as a mask of the image's size (CV_8UC1): 255 inside, 0 outside.
inline cv::Mat region_mask(const Result &result, std::size_t index) {
  const cv::Rect bounds = box(result.region(index));
  cv::Mat mask(result.height(), result.width(), CV_8UC1, cv::Scalar(0));
  result.region_mask_into(index, mask(bounds).data, static_cast<std::int64_t>(mask.step[0]));
  return mask;
}

/// The image (as CV_8UC3, BGR) with its anomaly map drawn over it and boxes around its regions. `scored` is the Result or the
/// Output of the image.
template <class Scored>
cv::Mat overlay(const Model &model, const Image &image, const Scored &scored) {
  static_cast<void>(image.pixel_count());  // Throws for an image without pixels.
  cv::Mat picture(image.height(), image.width(), CV_8UC3);
  model.render_into(image, scored, picture.data, static_cast<std::int64_t>(picture.step[0]), NPAD_PIXEL_FORMAT_BGR8);
  return picture;
}
template <class Scored>
cv::Mat overlay(const Model &model, const cv::Mat &image, const Scored &scored, int significant_bits = 0) {
  return overlay(model, view(image, significant_bits), scored);
}

}  // namespace npad::opencv

#endif
