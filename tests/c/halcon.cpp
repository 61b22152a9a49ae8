// npad_halcon.hpp against the stand-in for HALCON.

#include "npad_halcon.hpp"

#include <cmath>
#include <limits>

#include "check_parts.hpp"

using HalconCpp::HImage;
using HalconCpp::HRegion;

namespace {

HImage image_of(std::vector<std::uint8_t> pixels) {
  HImage image;
  image.GenImage1("byte", side, side, pixels.data());
  return image;
}

npad::Model fit(bool reduced, npad::Options &options) {
  npad::halcon::Trainer trainer(std::move(options));
  for (unsigned seed = 0; seed < 12; ++seed) {
    const HImage image = image_of(part(seed));
    trainer.add(reduced ? image.ReduceDomain(HRegion(0, 0, side - 1, 39)) : image);
  }
  return trainer.finish();
}

npad::Model fit(bool reduced) {
  npad::Options options = quick();
  return fit(reduced, options);
}

}  // namespace

int main() {
  const npad::Model model = fit(false);
  const HImage bad = image_of(scratched(200, 44, 20));
  const npad::Result found = npad::halcon::score(model, bad);
  CHECK(found.is_anomalous() && !npad::halcon::score(model, image_of(part(200))).is_anomalous());

  // The map and the regions are the result's.
  HalconCpp::HString type;
  HalconCpp::Hlong width = 0, height = 0;
  const HImage map = npad::halcon::map(found);
  const auto *values = static_cast<const float *>(map.GetImagePointer1(&type, &width, &height));
  CHECK(std::string(type.Text()) == "real" && width == side && height == side);
  CHECK(std::memcmp(values, found.map(), sizeof(float) * side * side) == 0);
  const HImage bytes = npad::halcon::map_u8(found);
  const auto *levels = static_cast<const std::uint8_t *>(bytes.GetImagePointer1(&type, &width, &height));
  CHECK(std::string(type.Text()) == "byte" && std::vector<std::uint8_t>(levels, levels + side * side) == found.map_u8());

  // HALCON's regions are npad's, pixel for pixel.
  const auto regions = npad::halcon::regions(found);
  CHECK(!regions.empty() && regions.size() == found.region_count());
  for (std::size_t i = 0; i < regions.size(); ++i) {
    const npad_region expected = found.region(i);
    double row = 0, column = 0;
    CHECK(regions[i].AreaCenter(&row, &column) == expected.area);
    CHECK(std::abs(row - double(expected.centroid_y)) < 0.01 && std::abs(column - double(expected.centroid_x)) < 0.01);
  }
  const HImage defects = npad::halcon::defects(found).RegionToBin(1, 0, side, side);
  const auto *inside = static_cast<const std::uint8_t *>(defects.GetImagePointer1(&type, &width, &height));
  for (int i = 0; i < side * side; ++i) CHECK((inside[i] == 1) == (found.map()[i] > model.threshold()));
  THROWS(npad::halcon::region(found, regions.size()), NPAD_STATUS_INVALID_ARGUMENT, "");

  // The least region area is npad's: a model that drops every region gives HALCON none.
  double row = 0, column = 0;
  npad::Options least = quick();
  least.set("min_region_area", std::to_string(side * side + 1));
  const npad::Model coarse = fit(false, least);
  const npad::Result dropped = npad::halcon::score(coarse, bad);
  CHECK(dropped.score() == coarse.threshold() && dropped.region_count() == 0 && !dropped.is_anomalous());
  CHECK(npad::halcon::regions(dropped).empty() && npad::halcon::defects(dropped).AreaCenter(&row, &column) == 0);

  // Layouts of the same pixels.
  auto pixels = scratched(200, 44, 20);
  std::vector<std::uint16_t> wide(pixels.size());
  std::vector<float> floats(pixels.size());
  for (std::size_t i = 0; i < pixels.size(); ++i) {
    wide[i] = static_cast<std::uint16_t>(pixels[i] * 257);
    floats[i] = static_cast<float>(pixels[i]) / 255.0f;
  }
  HImage colour, uint2, real, odd;
  colour.GenImage3("byte", side, side, pixels.data(), pixels.data(), pixels.data());
  uint2.GenImage1("uint2", side, side, wide.data());
  real.GenImage1("real", side, side, floats.data());
  for (const HImage &image : {colour, uint2, real}) CHECK(npad::halcon::score(model, image).score() == found.score());
  std::vector<std::uint16_t> mono12(pixels.size());
  for (std::size_t i = 0; i < pixels.size(); ++i) mono12[i] = static_cast<std::uint16_t>(pixels[i] * 4095 / 255);
  HImage narrow;
  narrow.GenImage1("uint2", side, side, mono12.data());
  CHECK(npad::halcon::score(model, narrow, 12).is_anomalous());
  CHECK(npad::halcon::score_batch(model, {narrow}, nullptr, 12)[0].score() == npad::halcon::score(model, narrow, 12).score());
  const auto batch = npad::halcon::score_batch(model, {bad, colour});
  CHECK(batch.size() == 2 && batch[0].score() == found.score() && batch[1].score() == found.score());
  odd.GenImage1("int4", side, side, floats.data());
  THROWS(npad::halcon::score(model, odd), NPAD_STATUS_INVALID_IMAGE, "'int4' with 1 channels");
  THROWS(npad::halcon::score(model, HImage()), NPAD_STATUS_INVALID_IMAGE, "0 channels");
  THROWS(npad::halcon::score_batch(model, {bad, odd}), NPAD_STATUS_INVALID_IMAGE, "image 1: an HImage of type 'int4'");

  // A reduced domain: of one image, and of a fit.
  CHECK(!npad::halcon::score(model, bad.ReduceDomain(HRegion(0, 0, side - 1, 30))).is_anomalous());
  const npad::Model reduced = fit(true);
  CHECK(!npad::halcon::score(reduced, bad).is_anomalous());
  CHECK(npad::halcon::score(reduced, image_of(scratched(200, 12, 20))).is_anomalous());
  npad::halcon::Trainer trainer(quick());
  trainer.add(bad.ReduceDomain(HRegion(0, 0, 50, 50)));
  THROWS(trainer.add(bad), NPAD_STATUS_INVALID_IMAGE, "another domain");
  THROWS(trainer.add_defect(bad), NPAD_STATUS_INVALID_IMAGE, "another domain");
  trainer.add_defect(image_of(scratched(200, 12, 20)).ReduceDomain(HRegion(0, 0, 50, 50)));
  THROWS(npad::halcon::Trainer(quick()).add_defect(bad), NPAD_STATUS_WRONG_STATE, "good images before");
  // A refused first image leaves no domain behind.
  npad::halcon::Trainer retried(quick());
  std::vector<float> broken(side * side, std::numeric_limits<float>::quiet_NaN());
  HImage nan;
  nan.GenImage1("real", side, side, broken.data());
  THROWS(retried.add(nan.ReduceDomain(HRegion(0, 0, 50, 50))), NPAD_STATUS_INVALID_IMAGE, "");
  retried.add(bad);
  CHECK(retried.image_count() == 1);
  // A mask of the options stays: a reduced domain is refused, and full images are learnt within the mask.
  std::vector<std::uint8_t> left(side * side);
  for (int i = 0; i < side * side; ++i) left[std::size_t(i)] = i % side < 31;
  npad::Options masked = quick();
  masked.set_mask({left.data(), side, side});
  npad::halcon::Trainer within(std::move(masked));
  const HRegion top(0, 0, 39, side - 1);
  THROWS(within.add(nan), NPAD_STATUS_INVALID_IMAGE, "");
  THROWS(within.add(image_of(part(0)).ReduceDomain(top)), NPAD_STATUS_INVALID_IMAGE, "the options have a mask");
  for (unsigned seed = 0; seed < 12; ++seed) within.add(image_of(part(seed)));
  THROWS(within.add(image_of(part(0)).ReduceDomain(top)), NPAD_STATUS_INVALID_IMAGE, "");
  const npad::Model left_half = within.finish();
  CHECK(!npad::halcon::score(left_half, bad).is_anomalous());
  CHECK(npad::halcon::score(left_half, image_of(scratched(200, 12, 20))).is_anomalous());

  npad::halcon::Trainer full(quick());
  full.add(bad);
  THROWS(full.add(bad.ReduceDomain(HRegion(0, 0, 50, 50))), NPAD_STATUS_INVALID_IMAGE, "first image's was full");
  THROWS(full.finish(), NPAD_STATUS_NOT_ENOUGH_IMAGES, "1 good images");
  return done();
}
