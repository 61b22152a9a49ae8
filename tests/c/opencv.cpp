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
  const npad::Output output = npad::opencv::score_into(model, bad, own);
  CHECK(output.score() == found.score() && output.verdict() == NPAD_VERDICT_DEFECTIVE);
  CHECK(cv::norm(own, map, cv::NORM_INF) == 0);
  cv::Mat inner = large_map(cv::Rect(3, 2, side, side));
  const auto *const before = inner.data;
  npad::opencv::score_into(model, bad, inner);
  CHECK(inner.data == before && cv::norm(inner, map, cv::NORM_INF) == 0 && large_map.at<float>(0, 0) == -1);

  const auto *const reused = own.data;
  cv::Mat bytes;
  npad::opencv::score_into(model, bad, own, &bytes);
  CHECK(own.data == reused && bytes.type() == CV_8UC1);
  const cv::Mat levels = npad::opencv::map_u8(found);
  CHECK(cv::norm(bytes, levels, cv::NORM_INF) == 0);
  CHECK(cv::norm(levels >= 128, map > double(model.threshold()), cv::NORM_INF) == 0);

  // Batches.
  const std::vector<cv::Mat> batch{good[0], bad};
  const auto results = npad::opencv::score_batch(model, batch);
  CHECK(results.size() == 2 && !results[0].is_anomalous() && results[1].score() == found.score());
  std::vector<cv::Mat> maps;
  const auto outputs = npad::opencv::score_batch_into(model, batch, maps);
  CHECK(maps.size() == 2 && outputs[1].score() == found.score() && cv::norm(maps[1], map, cv::NORM_INF) == 0);

  // In place: the map gets new memory, and the image is read to its end. The image may also be a view of that memory.
  const auto same = [](const cv::Mat &a, const cv::Mat &b) { return a.type() == b.type() && cv::norm(a, b, cv::NORM_INF) == 0; };
  cv::Mat frame = bad.clone();
  CHECK(npad::opencv::score_into(model, frame, frame).score() == found.score() && same(frame, map));
  frame = bad.clone();
  CHECK(npad::opencv::score_into(model, npad::opencv::view(frame), frame).score() == found.score() && same(frame, map));
  frame = floats.clone();  // Size and type are the map's.
  const cv::Mat original = frame;
  CHECK(npad::opencv::score_into(model, frame, frame).score() == found.score() && same(frame, map) && same(original, floats));
  frame = bad.clone();
  const cv::Mat grey = frame;
  npad::opencv::score_into(model, frame, own, &frame);
  CHECK(same(frame, bytes) && same(own, map) && same(grey, bad));
  cv::Mat included(side, side, CV_8UC1, cv::Scalar(255));
  const cv::Mat included_too = included;
  const npad::Mask in_map_u8 = npad::opencv::mask(included);
  npad::opencv::score_into(model, npad::opencv::view(bad).with_mask(in_map_u8), own, &included);
  CHECK(same(included, bytes) && cv::countNonZero(included_too) == side * side);
  THROWS(npad::opencv::score_into(model, bad, own, &own), NPAD_STATUS_INVALID_ARGUMENT, "map and map_u8 are one cv::Mat");
  frame = bad.clone();
  THROWS(npad::opencv::score_into(model, npad::opencv::view(frame).with_roi(60, 0, 8, 8), frame), NPAD_STATUS_INVALID_IMAGE, "");
  CHECK(same(frame, bad));
  THROWS(npad::opencv::score_into(model, npad::Image(frame.data, -1, 4, NPAD_PIXEL_FORMAT_GRAY8), own), NPAD_STATUS_INVALID_IMAGE,
         "-1 x 4");

  // Batches: maps that share memory with each other or with the images get memory of their own.
  const auto right = [&](const std::vector<cv::Mat> &written) { return same(written[0], maps[0]) && same(written[1], map); };
  std::vector<cv::Mat> sharing(2, cv::Mat(side, side, CV_32FC1));
  const auto *const first = sharing[0].data;
  npad::opencv::score_batch_into(model, batch, sharing);
  CHECK(right(sharing) && sharing[0].data == first);
  cv::Mat tall(side + 1, side, CV_32FC1);
  sharing = {tall.rowRange(0, side), tall.rowRange(1, side + 1)};
  npad::opencv::score_batch_into(model, batch, sharing);
  CHECK(right(sharing) && sharing[0].data == tall.data && sharing[1].data != tall.ptr(1));
  sharing = {floats.clone(), good[0].clone()};
  const cv::Mat read = sharing[0];
  npad::opencv::score_batch_into(model, sharing, sharing);
  CHECK(same(sharing[0], map) && same(sharing[1], maps[0]) && same(read, floats));
  sharing = {floats.clone(), floats.clone()};
  cv::Mat swapped[] = {sharing[0], sharing[1]};
  std::vector<cv::Mat> crossed{swapped[1], swapped[0]};
  npad::opencv::score_batch_into(model, sharing, crossed);
  CHECK(same(crossed[0], map) && same(crossed[1], map) && same(sharing[0], floats) && same(sharing[1], floats));
  // Parts of one matrix beside each other do not.
  cv::Mat pair(side, 2 * side, CV_32FC1), quad(2 * side, 2 * side + 3, CV_32FC1);
  for (const auto &[left_map, right_map] : {std::pair(pair.colRange(0, side), pair.colRange(side, 2 * side)),
                                            std::pair(pair.colRange(side, 2 * side), pair.colRange(0, side)),
                                            std::pair(quad(cv::Rect(side, 0, side, side)), quad(cv::Rect(0, side, side, side))),
                                            std::pair(quad(cv::Rect(0, 1, side, side)), quad(cv::Rect(side, 0, side, side)))}) {
    std::vector<cv::Mat> parts{left_map, right_map};
    npad::opencv::score_batch_into(model, batch, parts);
    CHECK(right(parts) && parts[0].data == left_map.data && parts[1].data == right_map.data);
  }
  for (const cv::Rect &second : {cv::Rect(side - 1, side - 1, side, side), cv::Rect(0, 1, side, side)}) {
    std::vector<cv::Mat> corners{quad(cv::Rect(50, 0, side, side)), quad(second)};
    const auto *const corner = corners[1].data;
    npad::opencv::score_batch_into(model, batch, corners);
    CHECK(right(corners) && corners[1].data != corner);
  }
  std::vector<cv::Mat> kept{own};
  THROWS(npad::opencv::score_batch_into(model, {bad, cv::Mat(4, 4, CV_64FC1)}, kept), NPAD_STATUS_INVALID_IMAGE, "image 1");
  CHECK(kept.size() == 1 && kept[0].data == own.data);

  // A camera with 12 bits, in every function.
  cv::Mat mono12;
  bad.convertTo(mono12, CV_16U, 4095 / 255.0);
  const npad::Result with_12 = model.score(npad::opencv::view(mono12, 12));
  const cv::Mat whole(side, side, CV_8UC1, cv::Scalar(1));
  CHECK(npad::opencv::score(model, mono12, 12).score() == with_12.score());
  CHECK(npad::opencv::score(model, mono12).score() != with_12.score());
  CHECK(npad::opencv::score(model, mono12, whole, 12).score() == with_12.score());
  CHECK(npad::opencv::score(model, mono12, cv::Mat(), 12).score() == with_12.score());
  CHECK(npad::opencv::score(model, mono12, cv::Rect(0, 0, side, side), 12).score() == with_12.score());
  CHECK(npad::opencv::score_batch(model, {mono12}, nullptr, 12)[0].score() == with_12.score());
  CHECK(npad::opencv::score_into(model, mono12, own, nullptr, 12).score() == with_12.score());
  CHECK(npad::opencv::score_batch_into(model, {mono12}, maps, nullptr, 12)[0].score() == with_12.score());
  CHECK(same(npad::opencv::overlay(model, mono12, with_12, 12),
             npad::opencv::overlay(model, npad::opencv::view(mono12, 12), with_12)));
  CHECK(!same(npad::opencv::overlay(model, mono12, with_12, 12), npad::opencv::overlay(model, mono12, with_12)));
  CHECK(model.score(npad::opencv::view(mono12, 12)).is_anomalous());
  THROWS(model.score(npad::opencv::view(mono12, 10)), NPAD_STATUS_INVALID_IMAGE, "");

  // The pixels of the regions.
  const auto contours = npad::opencv::contours(found);
  CHECK(contours.size() == boxes.size());
  cv::Mat all(bad.size(), CV_8UC1, cv::Scalar(0));
  for (std::size_t i = 0; i < boxes.size(); ++i) {
    const cv::Mat inside = npad::opencv::region_mask(found, i);
    CHECK(inside.size() == bad.size() && cv::countNonZero(inside) == found.region(i).area);
    CHECK(cv::boundingRect(inside) == boxes[i] && cv::boundingRect(contours[i]) == boxes[i]);
    for (const cv::Point &point : contours[i]) CHECK(inside.at<std::uint8_t>(point) == 255);
    all |= inside;
  }
  CHECK(cv::norm(all, map > double(model.threshold()), cv::NORM_INF) == 0);

  // Regions of interest.
  CHECK(!npad::opencv::score(model, bad, cv::Rect(0, 0, 31, side)).is_anomalous());
  CHECK(npad::opencv::score(model, bad, cv::Rect(32, 0, 32, side)).is_anomalous());
  CHECK(!npad::opencv::score(model, bad, {0, 0, 31, side}).is_anomalous());
  CHECK(npad::opencv::score(model, bad, {}).score() == found.score());
  CHECK(!npad::opencv::score(model, bad, bad > 50).is_anomalous());
  THROWS(npad::opencv::score(model, bad, cv::Rect()), NPAD_STATUS_INVALID_IMAGE, "empty");
  THROWS(npad::opencv::score(model, bad, cv::Rect(60, 0, 8, 8)), NPAD_STATUS_INVALID_IMAGE, "");

  // Pictures and masks.
  const cv::Mat picture = npad::opencv::overlay(model, bgr, found);
  CHECK(picture.type() == CV_8UC3 && picture.size() == bad.size() && cv::norm(picture, bgr, cv::NORM_INF) > 20);
  npad::Output drawn = npad::opencv::score_into(model, bgr, own);
  std::vector<npad_region> memory(boxes.size());
  drawn.set_regions(memory);
  model.score_into(npad::opencv::view(bgr), drawn);
  CHECK(cv::norm(npad::opencv::overlay(model, bgr, drawn), picture, cv::NORM_INF) == 0);
  cv::Mat left(side, side, CV_8UC1, cv::Scalar(0));
  left(cv::Rect(0, 0, 31, side)).setTo(255);
  CHECK(!npad::opencv::score(model, bad, left).is_anomalous());
  npad::Options masked = quick();
  masked.set_mask(npad::opencv::mask(left));
  const npad::Model within = npad::opencv::fit(good, masked);
  CHECK(!npad::opencv::score(within, bad).is_anomalous());
  CHECK(npad::opencv::score(within, image_of(scratched(200, 12, 20))).is_anomalous());

  THROWS(npad::opencv::view(cv::Mat(4, 4, CV_64FC1)), NPAD_STATUS_INVALID_IMAGE, "CV_64FC1");
  THROWS(npad::opencv::view(cv::Mat()), NPAD_STATUS_INVALID_IMAGE, "the image is an empty cv::Mat");
  const cv::Mat cube(std::vector<int>{2, 3, 4}, CV_8UC1, cv::Scalar(1));
  THROWS(npad::opencv::view(cube), NPAD_STATUS_INVALID_IMAGE, "the image must be a cv::Mat of two dimensions, but has 3");
  THROWS(npad::opencv::mask(cube), NPAD_STATUS_INVALID_IMAGE, "the mask must be a cv::Mat of two dimensions, but has 3");
  THROWS(npad::opencv::fit({bad, bad, cv::Mat(4, 4, CV_64FC1)}), NPAD_STATUS_INVALID_IMAGE,
         "image 2: a cv::Mat of type CV_64FC1");
  THROWS(npad::opencv::overlay(model, npad::Image(bad.data, -1, 4, NPAD_PIXEL_FORMAT_GRAY8), found), NPAD_STATUS_INVALID_IMAGE,
         "-1 x 4");
  THROWS(npad::opencv::mask(cv::Mat(4, 4, CV_8UC3)), NPAD_STATUS_INVALID_IMAGE, "CV_8UC3");
  THROWS(npad::opencv::mask(cv::Mat()), NPAD_STATUS_INVALID_IMAGE, "empty");
  THROWS(npad::opencv::score(model, bad, cv::Mat(4, 4, CV_8UC1, cv::Scalar(1))), NPAD_STATUS_INVALID_IMAGE, "4 x 4");
  return done();
}
