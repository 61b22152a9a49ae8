/* npad for HALCON/C++: HImage in, HImage and HRegion out, over npad.hpp. Header-only.
 *
 * Images: byte, uint2 (65535 is white) and real (1 is white) with one channel, byte with three (red, green, blue). A
 * reduced domain is the region of interest: for scoring that of each image, for a fit one that all images share.
 * Anything else throws npad::Error.
 *
 * Written against HALCON/C++'s documented signatures (HALCON 12 and newer, namespace HalconCpp). */
#ifndef NPAD_HALCON_HPP
#define NPAD_HALCON_HPP

#include <halconcpp/HalconCpp.h>

#include <cstring>
#include <optional>

#include "npad.hpp"

namespace npad::halcon {

/// A view of an HImage without a copy of its pixels; it keeps the image alive. A reduced domain becomes a mask of its own.
class View {
 public:
  explicit View(const HalconCpp::HImage &image) : source_(image) {
    HalconCpp::HString type;
    void *planes[3] = {};
    const auto channels = static_cast<int>(source_.CountChannels().I());
    if (channels == 3)
      source_.GetImagePointer3(&planes[0], &planes[1], &planes[2], &type, &width_, &height_);
    else if (channels == 1)
      planes[0] = source_.GetImagePointer1(&type, &width_, &height_);
    const std::string name = channels == 1 || channels == 3 ? type.Text() : "";
    const int width = static_cast<int>(width_), height = static_cast<int>(height_);
    if (channels == 3 && name == "byte")
      image_ = Image::planar(planes[0], planes[1], planes[2], width, height);
    else if (channels == 1 && name == "byte")
      image_ = Image(planes[0], width, height, NPAD_PIXEL_FORMAT_GRAY8);
    else if (channels == 1 && name == "uint2")
      image_ = Image(planes[0], width, height, NPAD_PIXEL_FORMAT_GRAY16);
    else if (channels == 1 && name == "real")
      image_ = Image(planes[0], width, height, NPAD_PIXEL_FORMAT_GRAYF32);
    else
      throw Error(NPAD_STATUS_INVALID_IMAGE, "an HImage of type '" + name + "' with " + std::to_string(channels) +
                                                 " channels cannot be inspected: expected byte, uint2 or real with one "
                                                 "channel or byte with three; use convert_image_type or compose3");
    const HalconCpp::HRegion domain = source_.GetDomain();
    double row = 0, column = 0;
    if (domain.AreaCenter(&row, &column) == width_ * height_) return;
    domain_ = domain.RegionToBin(255, 0, width_, height_);
    HalconCpp::Hlong domain_width = 0, domain_height = 0;
    mask_.emplace(domain_.GetImagePointer1(&type, &domain_width, &domain_height), width, height);
  }

  View(const View &) = delete;
  View &operator=(const View &) = delete;

  /// All of the image, whatever its domain.
  Image all() const { return *image_; }
  /// The image with its reduced domain, if it has one, as region of interest; it must not outlive this view.
  Image image() const { return mask_ ? image_->with_mask(*mask_) : *image_; }
  /// The reduced domain, null for a full one.
  const Mask *mask() const { return mask_ ? &*mask_ : nullptr; }
  /// Whether both have the same size and the same domain.
  bool same_domain(const View &other) const {
    if (width_ != other.width_ || height_ != other.height_ || mask_.has_value() != other.mask_.has_value()) return false;
    return !mask_ || std::memcmp(mask_->get()->data, other.mask_->get()->data, std::size_t(width_ * height_)) == 0;
  }

 private:
  HalconCpp::HImage source_, domain_;
  HalconCpp::Hlong width_ = 0, height_ = 0;
  std::optional<Image> image_;
  std::optional<Mask> mask_;
};

/// A fit in progress. Where the first image's domain is reduced, it is the region of interest of the model, and all other
/// images must have the same.
class Trainer {
 public:
  explicit Trainer(Options options = Options()) : options_(std::move(options)) {}

  void add(const HalconCpp::HImage &image) {
    auto view = std::make_unique<View>(image);
    if (!trainer_) {
      if (view->mask()) options_.set_mask(*view->mask());
      trainer_.emplace(options_);
      first_ = std::move(view);
      trainer_->add(first_->all());
      return;
    }
    if (first_->mask() && !view->same_domain(*first_))
      throw Error(NPAD_STATUS_INVALID_IMAGE,
                  "the image has another domain than the first: a fit takes one domain for all images");
    if (!first_->mask() && view->mask())
      throw Error(NPAD_STATUS_INVALID_IMAGE,
                  "the image's domain is reduced, but the first image's was full: use full_domain or reduce all alike");
    trainer_->add(view->all());
  }

  Model finish() {
    if (!trainer_) trainer_.emplace(options_);
    return trainer_->finish();
  }

 private:
  Options options_;
  std::unique_ptr<View> first_;
  std::optional<npad::Trainer> trainer_;
};

/// Scores an image within its domain. A model that was fitted within a domain keeps to that too.
inline Result score(const Model &model, const HalconCpp::HImage &image) { return model.score(View(image).image()); }

/// The anomaly map as an image of type real, a copy.
inline HalconCpp::HImage map(const Result &result) {
  HalconCpp::HImage image;
  image.GenImage1("real", result.width(), result.height(), const_cast<float *>(result.map()));
  return image;
}

/// The defect regions as npad found them, highest peak first: none is smaller than the model's least region area.
inline std::vector<HalconCpp::HRegion> regions(const Result &result) {
  std::vector<HalconCpp::HRegion> regions;
  const std::size_t count = result.regions().size();
  for (std::size_t i = 0; i < count; ++i) {
    HalconCpp::HTuple rows, begins, ends;
    for (const Run &run : result.region_runs(i)) {
      rows.Append(static_cast<HalconCpp::Hlong>(run.row));
      begins.Append(static_cast<HalconCpp::Hlong>(run.first_column));
      ends.Append(static_cast<HalconCpp::Hlong>(run.end_column - 1));
    }
    HalconCpp::HRegion region;
    region.GenRegionRuns(rows, begins, ends);
    regions.push_back(region);
  }
  return regions;
}

}  // namespace npad::halcon

#endif
