/* npad for HALCON/C++: HImage in, HImage and HRegion out, over npad.hpp. Header-only.
 *
 * Images: byte, uint2 and real (1 is white) with one channel, byte with three (red, green, blue). A reduced domain is the
 * region of interest: for scoring that of each image, for a fit one that all images share. Anything else throws npad::Error.
 *
 * `significant_bits` is for images of type uint2: 10 for Mono10, 12 for Mono12; 0 means 16. It must be the same for fitting
 * and scoring.
 *
 * Written against HALCON/C++'s documented signatures (HALCON 12 and newer, namespace HalconCpp). */
#ifndef NPAD_HALCON_HPP
#define NPAD_HALCON_HPP

#include <halconcpp/HalconCpp.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "npad.hpp"

namespace npad::halcon {

/// A view of an HImage without a copy of its pixels; it keeps the image alive. A reduced domain becomes a mask.
class View {
 public:
  explicit View(const HalconCpp::HImage &image, int significant_bits = 0) : source_(image) {
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
                                                 " channels cannot be used: expected byte, uint2 or real with one "
                                                 "channel or byte with three; use convert_image_type or compose3");
    image_ = image_->with_significant_bits(significant_bits);
    const HalconCpp::HRegion domain = source_.GetDomain();
    double row = 0, column = 0;
    if (domain.AreaCenter(&row, &column) == width_ * height_) return;
    domain_ = domain.RegionToBin(255, 0, width_, height_);
    HalconCpp::Hlong domain_width = 0, domain_height = 0;
    mask_.emplace(domain_.GetImagePointer1(&type, &domain_width, &domain_height), width, height);
  }

  View(const View &) = delete;
  View &operator=(const View &) = delete;

  /// The whole image, regardless of its domain.
  Image all() const { return *image_; }
  /// The image with its reduced domain, if any, as region of interest; the returned view must not outlive this object.
  Image image() const { return mask_ ? image_->with_mask(*mask_) : *image_; }
  /// The reduced domain; null for a full domain.
  const Mask *mask() const { return mask_ ? &*mask_ : nullptr; }
  /// Whether both have the same size and the same domain.
  bool same_domain(const View &other) const {
    if (width_ != other.width_ || height_ != other.height_ || mask_.has_value() != other.mask_.has_value()) return false;
    return !mask_ || std::memcmp(mask_->get()->data, other.mask_->get()->data, static_cast<std::size_t>(width_ * height_)) == 0;
  }

 private:
  HalconCpp::HImage source_, domain_;
  HalconCpp::Hlong width_ = 0, height_ = 0;
  std::optional<Image> image_;
  std::optional<Mask> mask_;
};

/// A fit in progress. A reduced domain of the first image becomes the mask of the model, and all other images must then
/// have the same domain. If the options have a mask, the domains must be full.
class Trainer {
 public:
  explicit Trainer(Options options = Options(), int significant_bits = 0)
      : options_(std::move(options)), significant_bits_(significant_bits) {}

  /// Sets the number of images that will be added, for the progress callback; 0 means unknown.
  void expect(std::size_t count) {
    expected_ = count;
    if (trainer_) trainer_->expect(count);
  }

  /// Learns one good image. On failure the trainer is unchanged.
  void add(const HalconCpp::HImage &image) {
    auto view = std::make_unique<View>(image, significant_bits_);
    if (!first_) {
      add_first(std::move(view));
      return;
    }
    check_domain(*view);
    trainer_->add(view->all());
  }

  /// Adds an image with a known defect, of the domain of the good images, see npad::Trainer::add_defect().
  void add_defect(const HalconCpp::HImage &image) {
    const View view(image, significant_bits_);
    if (!trainer_) {
      npad::Trainer(options_).add_defect(view.image());
      return;
    }
    check_domain(view);
    trainer_->add_defect(view.all());
  }

  std::size_t image_count() const noexcept { return trainer_ ? trainer_->image_count() : 0; }

  /// Finishes the fit, see npad::Trainer::finish().
  Model finish() {
    if (trainer_) return trainer_->finish();
    return npad::Trainer(options_).finish();
  }

 private:
  void check_domain(const View &view) const {
    if (first_->mask() && !view.same_domain(*first_))
      throw Error(NPAD_STATUS_INVALID_IMAGE,
                  "the image has another domain than the first: a fit takes one domain for all images");
    if (!first_->mask() && view.mask())
      throw Error(NPAD_STATUS_INVALID_IMAGE,
                  "the image's domain is reduced, but the first image's was full: use full_domain or reduce all alike");
  }

  void add_first(std::unique_ptr<View> view) {
    if (view->mask() && options_.has_mask())
      throw Error(NPAD_STATUS_INVALID_IMAGE,
                  "the image's domain is reduced, but the options have a mask, and a fit takes one of both: use "
                  "full_domain, or options without a mask");
    if (view->mask()) options_.set_mask(*view->mask());
    try {
      npad::Trainer trainer(options_);
      if (expected_ > 0) trainer.expect(expected_);
      trainer.add(view->all());
      trainer_.emplace(std::move(trainer));
      first_ = std::move(view);
    } catch (...) {
      if (view->mask()) options_.clear_mask();
      throw;
    }
  }

  Options options_;
  int significant_bits_;
  std::size_t expected_ = 0;
  std::unique_ptr<View> first_;
  std::optional<npad::Trainer> trainer_;
};

/// Scores an image within its domain. If the model was fitted within a domain, it is also restricted to that domain.
inline Result score(const Model &model, const HalconCpp::HImage &image, int significant_bits = 0) {
  return model.score(View(image, significant_bits).image());
}

/// Scores a batch of images, each within its domain. If one fails, the call throws and returns no results.
inline std::vector<Result> score_batch(const Model &model, const std::vector<HalconCpp::HImage> &images,
                                       const Cancellation *cancellation = nullptr, int significant_bits = 0) {
  std::vector<std::unique_ptr<View>> views;
  std::vector<Image> batch;
  for (const HalconCpp::HImage &image : images) {
    try {
      views.push_back(std::make_unique<View>(image, significant_bits));
    } catch (const Error &error) {
      throw npad::detail::error_of(batch.size(), error);
    }
    batch.push_back(views.back()->image());
  }
  return model.score_batch(batch, cancellation);
}

/// A copy of the anomaly map as an image of type real.
inline HalconCpp::HImage map(const Result &result) {
  HalconCpp::HImage image;
  image.GenImage1("real", result.width(), result.height(), const_cast<float *>(result.map()));
  return image;
}

/// The calibrated map as an image of type byte: 128 and above exactly where the map exceeds the threshold.
inline HalconCpp::HImage map_u8(const Result &result) {
  std::vector<std::uint8_t> bytes = result.map_u8();
  HalconCpp::HImage image;
  image.GenImage1("byte", result.width(), result.height(), bytes.data());
  return image;
}

namespace detail {

/// The region of the runs, which must be sorted by row, then by column.
inline HalconCpp::HRegion region_of(const std::vector<Run> &runs) {
  HalconCpp::HRegion region;
  if (runs.empty()) {
    region.GenEmptyRegion();
    return region;
  }
  HalconCpp::HTuple rows, begins, ends;
  HalconCpp::Hlong index = 0;
  for (const Run &run : runs) {
    rows[index] = static_cast<HalconCpp::Hlong>(run.row);
    begins[index] = static_cast<HalconCpp::Hlong>(run.column_begin);
    ends[index] = static_cast<HalconCpp::Hlong>(run.column_end - 1);  // HALCON's last column is part of the run.
    ++index;
  }
  region.GenRegionRuns(rows, begins, ends);
  return region;
}

}  // namespace detail

/// A defect region with the pixels that npad found, which respects the option "min_region_area".
inline HalconCpp::HRegion region(const Result &result, std::size_t index) {
  return detail::region_of(result.region_runs(index));
}

/// The defect regions, highest peak first; may be empty.
inline std::vector<HalconCpp::HRegion> regions(const Result &result) {
  std::vector<HalconCpp::HRegion> all;
  for (std::size_t i = 0; i < result.region_count(); ++i) all.push_back(region(result, i));
  return all;
}

/// All defect regions as one region; may be empty.
inline HalconCpp::HRegion defects(const Result &result) {
  std::vector<Run> runs;
  for (std::size_t i = 0; i < result.region_count(); ++i) {
    const std::vector<Run> more = result.region_runs(i);
    runs.insert(runs.end(), more.begin(), more.end());
  }
  std::sort(runs.begin(), runs.end(), [](const Run &a, const Run &b) {
    return std::make_pair(a.row, a.column_begin) < std::make_pair(b.row, b.column_begin);
  });
  return detail::region_of(runs);
}

}  // namespace npad::halcon

#endif
