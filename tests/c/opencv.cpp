// npad_opencv.hpp with OpenCV.

#include "npad_opencv.hpp"

#include <opencv2/imgproc.hpp>

#include "check_parts.hpp"

namespace {

cv::Mat image_of(const std::vector<std::uint8_t> &pixels) {
  return cv::Mat(side, side, CV_8UC1, const_cast<std::uint8_t *>(pixels.data())).clone();
}

}  // namespace

int main() {
  std::vector<cv::Mat> good;
  for (unsigned seed = 0; seed < 12; ++seed) good.push_back(image_of(part(seed)));
  const npad::Model model = npad::opencv::fit(good, quick());
  const cv::Mat bad = image_of(scratched(200, 44, 20));
  const npad::Result found = npad::opencv::score(model, bad);
  CHECK(found.is_anomalous() && !npad::opencv::score(model, image_of(part(200))).is_anomalous());
  const auto boxes = npad::opencv::regions(found);
  CHECK(!boxes.empty() && (boxes[0] & cv::Rect(44, 20, 8, 8)).area() > 0);

  // The same pixels in other types, and as a region of a larger image.
  cv::Mat bgr, bgra, wide, floats, large(side + 20, side + 30, CV_8UC1, cv::Scalar(9));
  cv::cvtColor(bad, bgr, cv::COLOR_GRAY2BGR);
  cv::cvtColor(bad, bgra, cv::COLOR_GRAY2BGRA);
  bad.convertTo(wide, CV_16U, 257);
  bad.convertTo(floats, CV_32F, 1 / 255.0);
  const cv::Mat part_of_large = large(cv::Rect(11, 7, side, side));
  bad.copyTo(part_of_large);
  CHECK(!part_of_large.isContinuous());
  for (const cv::Mat &image : {bgr, bgra, wide, floats, part_of_large})
    CHECK(npad::opencv::score(model, image).score() == found.score());

  // The map in the result's memory, and in the caller's, there also as a region of a larger matrix.
  const cv::Mat map = npad::opencv::map(found);
  CHECK(map.type() == CV_32FC1 && map.size() == bad.size() && map.ptr<float>() == found.map());
  cv::Mat own, large_map(side + 4, side + 8, CV_32FC1, cv::Scalar(-1));
  const npad_output decision = npad::opencv::score_into(model, bad, own);
  CHECK(decision.score == found.score() && decision.verdict == NPAD_VERDICT_DEFECTIVE);
  CHECK(cv::norm(own, map, cv::NORM_INF) == 0);
  cv::Mat inner = large_map(cv::Rect(3, 2, side, side));
  const auto *const before = inner.data;
  npad::opencv::score_into(model, bad, inner);
  CHECK(inner.data == before && cv::norm(inner, map, cv::NORM_INF) == 0 && large_map.at<float>(0, 0) == -1);

  // Pictures and masks.
  const cv::Mat picture = npad::opencv::overlay(model, bgr, found);
  CHECK(picture.type() == CV_8UC3 && picture.size() == bad.size() && cv::norm(picture, bgr, cv::NORM_INF) > 20);
  cv::Mat left(side, side, CV_8UC1, cv::Scalar(0));
  left(cv::Rect(0, 0, 31, side)).setTo(255);
  CHECK(!npad::opencv::score(model, bad, left).is_anomalous());
  npad::Options masked = quick();
  masked.set_mask(npad::opencv::mask(left));
  const npad::Model within = npad::opencv::fit(good, masked);
  CHECK(!npad::opencv::score(within, bad).is_anomalous());
  CHECK(npad::opencv::score(within, image_of(scratched(200, 12, 20))).is_anomalous());

  // Shapes, bytes, rectangles, bits.
  const cv::Mat bytes = npad::opencv::map_u8(found);
  CHECK(bytes.type() == CV_8UC1 && cv::countNonZero(bytes >= 128) == cv::countNonZero(map > model.map_threshold()));
  CHECK(cv::boundingRect(npad::opencv::contour(found, 0)) == boxes[0]);
  CHECK(!npad::opencv::score(model, bad, cv::Rect(0, 0, 31, side)).is_anomalous());
  cv::Mat twelve;
  bad.convertTo(twelve, CV_16U, 4095 / 255.0);
  CHECK(model.score(npad::opencv::view(twelve, 12)).is_anomalous());
  CHECK(npad::opencv::score(model, std::vector<cv::Mat>{bad, bad})[1].score() == found.score());

  THROWS(npad::opencv::view(cv::Mat(4, 4, CV_64FC1)), NPAD_STATUS_INVALID_IMAGE, "CV_64FC1");
  THROWS(npad::opencv::view(cv::Mat()), NPAD_STATUS_INVALID_IMAGE, "no image");
  THROWS(npad::opencv::mask(cv::Mat(4, 4, CV_8UC3)), NPAD_STATUS_INVALID_IMAGE, "CV_8UC3");
  THROWS(npad::opencv::mask(cv::Mat()), NPAD_STATUS_INVALID_IMAGE, "empty");
  THROWS(npad::opencv::score(model, bad, cv::Mat(4, 4, CV_8UC1, cv::Scalar(1))), NPAD_STATUS_INVALID_IMAGE, "4 x 4");
  return done();
}
