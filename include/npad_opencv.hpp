/* npad for OpenCV: cv::Mat in and out over npad.hpp, without copies. Header-only; needs opencv_core alone.
 *
 * Images: CV_8UC1, CV_8UC3 (BGR), CV_8UC4 (BGRA), CV_16UC1 and CV_32FC1 (1 is white), also sub-matrices. Masks: CV_8UC1, 0
 * excludes a pixel. Anything else throws npad::Error. */
#ifndef NPAD_OPENCV_HPP
#define NPAD_OPENCV_HPP

#include <opencv2/core.hpp>

#include "npad.hpp"

namespace npad::opencv {

/// A view of a matrix, which must outlive the view and keep its size. `significant_bits` is for CV_16UC1: 10 for
/// Mono10, 12 for Mono12; 0 means 16.
inline Image view(const cv::Mat &image, int significant_bits = 0) {
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
  if (image.dims != 2 || image.empty()) throw Error(NPAD_STATUS_INVALID_IMAGE, "the cv::Mat contains no image");
  return Image(image.data, image.cols, image.rows, format, static_cast<std::int64_t>(image.step[0]))
      .with_significant_bits(significant_bits);
}

/// A view of a mask, which must outlive the view.
inline Mask mask(const cv::Mat &mask) {
  if (mask.type() != CV_8UC1 || mask.dims != 2 || mask.empty())
    throw Error(NPAD_STATUS_INVALID_IMAGE, "a mask must be a cv::Mat of type CV_8UC1, but is " +
                                               (mask.empty() ? "empty" : cv::typeToString(mask.type())));
  return {mask.data, mask.cols, mask.rows, static_cast<std::int64_t>(mask.step[0])};
}

/// The same view with a rectangular region of interest, for scoring. An empty rectangle is an error.
inline Image with_roi(const Image &image, const cv::Rect &roi) {
  if (roi.empty()) throw Error(NPAD_STATUS_INVALID_IMAGE, "the region of interest is an empty cv::Rect");
  return image.with_roi(roi.x, roi.y, roi.width, roi.height);
}

namespace detail {

inline std::vector<Image> views(const std::vector<cv::Mat> &images, int significant_bits) {
  std::vector<Image> views;
  views.reserve(images.size());
  for (const cv::Mat &image : images) views.push_back(view(image, significant_bits));
  return views;
}

}  // namespace detail

/// Fits a model to good images.
inline Model fit(const std::vector<cv::Mat> &images, const Options &options = Options(), int significant_bits = 0) {
  return Model::fit(detail::views(images, significant_bits), options);
}

/// Scores an image, within a mask if the matrix is not empty.
inline Result score(const Model &model, const cv::Mat &image, const cv::Mat &included = cv::Mat()) {
  if (included.empty()) return model.score(view(image));
  const Mask kept = mask(included);
  return model.score(view(image).with_mask(kept));
}

/// Scores a rectangle of an image. The map has the size of the image and is 0 outside.
inline Result score(const Model &model, const cv::Mat &image, const cv::Rect &roi) {
  return model.score(with_roi(view(image), roi));
}

/// Scores a batch of images. If one fails, the call throws and returns no results.
inline std::vector<Result> score_batch(const Model &model, const std::vector<cv::Mat> &images,
                                       const Cancellation *cancellation = nullptr) {
  return model.score_batch(detail::views(images, 0), cancellation);
}

/// Scores an image into `map` (CV_32FC1) and, if given, `map_u8` (CV_8UC1, calibrated). Their memory is reused if size
/// and type match; sub-matrices are supported. The returned output refers to that memory.
inline Output score_into(const Model &model, const Image &image, cv::Mat &map, cv::Mat *map_u8 = nullptr) {
  Output output;
  map.create(image.height(), image.width(), CV_32FC1);
  output.set_map(map.ptr<float>(), static_cast<std::int64_t>(map.step[0]));
  if (map_u8 != nullptr) {
    map_u8->create(image.height(), image.width(), CV_8UC1);
    output.set_map_u8(map_u8->data, static_cast<std::int64_t>(map_u8->step[0]));
  }
  model.score_into(image, output);
  return output;
}
inline Output score_into(const Model &model, const cv::Mat &image, cv::Mat &map, cv::Mat *map_u8 = nullptr) {
  return score_into(model, view(image), map, map_u8);
}

/// Scores a batch of images into `maps` (CV_32FC1), which is resized to the number of images; memory is reused if size
/// and type match.
inline std::vector<Output> score_batch_into(const Model &model, const std::vector<cv::Mat> &images,
                                            std::vector<cv::Mat> &maps, const Cancellation *cancellation = nullptr) {
  const std::vector<Image> views = detail::views(images, 0);
  std::vector<Output> outputs(images.size());
  maps.resize(images.size());
  for (std::size_t i = 0; i < images.size(); ++i) {
    maps[i].create(images[i].rows, images[i].cols, CV_32FC1);
    outputs[i].set_map(maps[i].ptr<float>(), static_cast<std::int64_t>(maps[i].step[0]));
  }
  model.score_batch_into(views, outputs, cancellation);
  return outputs;
}

/// A view of the anomaly map (CV_32FC1) in the memory of the result. It must not be written to, and the result must
/// outlive it.
inline cv::Mat map(const Result &result) {
  return {result.height(), result.width(), CV_32FC1, const_cast<float *>(result.map())};
}
cv::Mat map(const Result &&) = delete;

/// The calibrated map as CV_8UC1: 128 and above exactly where the map exceeds the map threshold.
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
  cv::Mat picture(image.height(), image.width(), CV_8UC3);
  model.render_into(image, scored, picture.data, static_cast<std::int64_t>(picture.step[0]), NPAD_PIXEL_FORMAT_BGR8);
  return picture;
}
template <class Scored>
cv::Mat overlay(const Model &model, const cv::Mat &image, const Scored &scored) {
  return overlay(model, view(image), scored);
}

}  // namespace npad::opencv

#endif
