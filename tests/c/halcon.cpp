// npad_halcon.hpp against the stand-in for HALCON.

#include "npad_halcon.hpp"

#include <cmath>

#include "check_parts.hpp"

using HalconCpp::HImage;
using HalconCpp::HRegion;

namespace {

HImage image_of(std::vector<std::uint8_t> pixels) {
  HImage image;
  image.GenImage1("byte", side, side, pixels.data());
  return image;
}

npad::Model fit(bool reduced) {
  npad::halcon::Trainer trainer(quick());
  for (unsigned seed = 0; seed < 12; ++seed) {
    const HImage image = image_of(part(seed));
    trainer.add(reduced ? image.ReduceDomain(HRegion(0, 0, side - 1, 39)) : image);
  }
  return trainer.finish();
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
  const auto shapes = npad::halcon::regions(found);
  const auto regions = found.regions();
  CHECK(!regions.empty() && shapes.size() == regions.size());
  for (std::size_t i = 0; i < shapes.size(); ++i) {
    double row = 0, column = 0;
    CHECK(shapes[i].AreaCenter(&row, &column) == regions[i].area);
    CHECK(std::abs(row - regions[i].centroid_y) < 0.01 && std::abs(column - regions[i].centroid_x) < 0.01);
  }
  // The least region area counts.
  npad::halcon::Trainer large(std::move(quick().set("min_region_area", "100000")));
  for (unsigned seed = 0; seed < 12; ++seed) large.add(image_of(part(seed)));
  CHECK(npad::halcon::regions(npad::halcon::score(large.finish(), bad)).empty());

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
  odd.GenImage1("int4", side, side, floats.data());
  THROWS(npad::halcon::score(model, odd), NPAD_STATUS_INVALID_IMAGE, "'int4' with 1 channels");
  THROWS(npad::halcon::score(model, HImage()), NPAD_STATUS_INVALID_IMAGE, "0 channels");

  // A reduced domain: of one image, and of a fit.
  CHECK(!npad::halcon::score(model, bad.ReduceDomain(HRegion(0, 0, side - 1, 30))).is_anomalous());
  const npad::Model reduced = fit(true);
  CHECK(!npad::halcon::score(reduced, bad).is_anomalous());
  CHECK(npad::halcon::score(reduced, image_of(scratched(200, 12, 20))).is_anomalous());
  npad::halcon::Trainer trainer(quick());
  trainer.add(bad.ReduceDomain(HRegion(0, 0, 50, 50)));
  THROWS(trainer.add(bad), NPAD_STATUS_INVALID_IMAGE, "another domain");
  npad::halcon::Trainer full(quick());
  full.add(bad);
  THROWS(full.add(bad.ReduceDomain(HRegion(0, 0, 50, 50))), NPAD_STATUS_INVALID_IMAGE, "first image's was full");
  THROWS(full.finish(), NPAD_STATUS_NOT_ENOUGH_IMAGES, "1 good images");
  return done();
}
