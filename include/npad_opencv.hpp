/* npad for OpenCV: cv::Mat in and out over npad.hpp, without copies. Header-only; needs opencv_core alone.
 *
 * Images: CV_8UC1, CV_8UC3 (BGR), CV_8UC4 (BGRA), CV_16UC1 (65535 is white) and CV_32FC1 (1 is white), also regions of
 * larger images. Masks: CV_8UC1, as OpenCV's own, 0 leaves a pixel out. Anything else throws npad::Error. */
#ifndef NPAD_OPENCV_HPP
#define NPAD_OPENCV_HPP

#include <opencv2/core.hpp>

#include "npad.hpp"

namespace npad::opencv {

/// A view of a matrix, which must live, and keep its size, as long as the view. For CV_16UC1, `significant_bits` is what the
/// camera fills: 10 for Mono10, 12 for Mono12.
inline Image view(const cv::Mat &image, int significant_bits = 16) {
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
                      " cannot be inspected: expected CV_8UC1, CV_8UC3, CV_8UC4, CV_16UC1 or CV_32FC1; use cv::cvtColor "
                      "or convertTo");
  }
  if (image.dims != 2 || image.empty()) throw Error(NPAD_STATUS_INVALID_IMAGE, "the cv::Mat holds no image");
  const Image view(image.data, image.cols, image.rows, format, static_cast<std::int64_t>(image.step[0]));
  return format == NPAD_PIXEL_FORMAT_GRAY16 ? view.with_significant_bits(significant_bits) : view;
}

/// A view of a mask, which must live as long as the view.
inline Mask mask(const cv::Mat &mask) {
  if (mask.type() != CV_8UC1 || mask.empty())
    throw Error(NPAD_STATUS_INVALID_IMAGE, "a mask must be a cv::Mat of type CV_8UC1, but is " +
                                               (mask.empty() ? "empty" : cv::typeToString(mask.type())));
  return {mask.data, mask.cols, mask.rows, static_cast<std::int64_t>(mask.step[0])};
}

/// Learns from good images; an image of the options' mask's size is expected where there is one.
inline Model fit(const std::vector<cv::Mat> &images, const Options &options = Options()) {
  std::vector<Image> views;
  views.reserve(images.size());
  for (const cv::Mat &image : images) views.push_back(view(image));
  return Model::fit(views, options);
}

/// Scores an image, or the part of it that `region` keeps.
inline Result score(const Model &model, const cv::Mat &image, const cv::Mat &region = cv::Mat()) {
  if (region.empty()) return model.score(view(image));
  const Mask kept = mask(region);
  return model.score(view(image).with_mask(kept));
}

/// Scores the part of an image inside a rectangle; the rest is neither looked at nor scored.
inline Result score(const Model &model, const cv::Mat &image, const cv::Rect &roi) {
  return model.score(view(image).with_roi(roi.x, roi.y, roi.width, roi.height));
}

/// Scores several images, all or none.
inline std::vector<Result> score(const Model &model, const std::vector<cv::Mat> &images,
                                 const Cancellation *cancellation = nullptr) {
  std::vector<Image> views;
  views.reserve(images.size());
  for (const cv::Mat &image : images) views.push_back(view(image));
  return model.score(views, cancellation);
}

/// Scores an image into `map` (CV_32FC1), whose memory is used again where its size fits; regions of interest of larger
/// matrices will do.
inline npad_output score_into(const Model &model, const cv::Mat &image, cv::Mat &map) {
  const Image source = view(image);
  map.create(image.rows, image.cols, CV_32FC1);
  return model.score_into(source, map.ptr<float>(), static_cast<std::int64_t>(map.step[0]));
}

/// The anomaly map (CV_32FC1) in the result's own memory: read it only, and not longer than the result lives.
inline cv::Mat map(const Result &result) {
  return {result.height(), result.width(), CV_32FC1, const_cast<float *>(result.map())};
}
cv::Mat map(const Result &&) = delete;

/// The calibrated map in 8 bits (CV_8UC1), a copy: 128 and above is above the threshold.
inline cv::Mat map_u8(const Result &result) {
  cv::Mat map(result.height(), result.width(), CV_8UC1);
  result.map_u8(map.ptr<std::uint8_t>(), static_cast<std::int64_t>(map.step[0]));
  return map;
}

/// The outer boundary of a region, as cv::findContours gives it.
inline std::vector<cv::Point> contour(const Result &result, std::size_t region) {
  std::vector<cv::Point> points;
  for (const Point &point : result.region_contour(region)) points.emplace_back(point.x, point.y);
  return points;
}

/// The bounding boxes of the defect regions, highest peak first.
inline std::vector<cv::Rect> regions(const Result &result) {
  std::vector<cv::Rect> boxes;
  for (const npad_region &region : result.regions()) boxes.emplace_back(region.x, region.y, region.width, region.height);
  return boxes;
}

/// The image (as CV_8UC3, BGR) with its anomaly map laid over it and boxes around its regions.
inline cv::Mat overlay(const Model &model, const cv::Mat &image, const Result &result) {
  const Image source = view(image);
  cv::Mat picture(image.rows, image.cols, CV_8UC3);
  detail::call(npad_render, model.get(), source.get(), result.get(), picture.ptr<std::uint8_t>(),
               static_cast<std::int64_t>(picture.step[0]), static_cast<std::int32_t>(NPAD_PIXEL_FORMAT_BGR8));
  return picture;
}

}  // namespace npad::opencv

#endif
