/* NOT HALCON. A stand-in with the signatures that npad_halcon.hpp uses, after HALCON/C++'s reference, so that its code can
 * be compiled, and its logic run, where HALCON is not installed. Regions are kept as images; nothing else is imitated. */
#ifndef HALCON_STAND_IN_H
#define HALCON_STAND_IN_H

#include <algorithm>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

namespace HalconCpp {

typedef std::intptr_t Hlong;

class HString {
 public:
  HString() = default;
  HString(const char *text) : text_(text) {}
  const char *Text() const { return text_.c_str(); }

 private:
  std::string text_;
};

class HTuple {
 public:
  HTuple() = default;
  HTuple(Hlong value) : values_{value} {}
  /// Writing past the end makes the tuple longer.
  Hlong &operator[](Hlong index) {
    if (index >= Length()) values_.resize(std::size_t(index) + 1);
    return values_[std::size_t(index)];
  }
  int I() const { return static_cast<int>(values_.at(0)); }
  Hlong Length() const { return static_cast<Hlong>(values_.size()); }

 private:
  friend class HRegion;
  std::vector<Hlong> values_;
};

class HRegion;

class HImage {
 public:
  HImage() = default;

  void GenImage1(const HString &Type, Hlong Width, Hlong Height, void *PixelPointer) {
    const std::size_t size = Type.Text() == std::string("byte") ? 1 : Type.Text() == std::string("uint2") ? 2 : 4;
    const auto *bytes = static_cast<const char *>(PixelPointer);
    planes_.assign(1, std::vector<char>(bytes, bytes + size * std::size_t(Width * Height)));
    type_ = Type.Text();
    width_ = Width;
    height_ = Height;
    domain_.assign(std::size_t(Width * Height), 1);
  }

  void GenImage3(const HString &Type, Hlong Width, Hlong Height, void *PixelPointerRed, void *PixelPointerGreen,
                 void *PixelPointerBlue) {
    HImage green, blue;
    GenImage1(Type, Width, Height, PixelPointerRed);
    green.GenImage1(Type, Width, Height, PixelPointerGreen);
    blue.GenImage1(Type, Width, Height, PixelPointerBlue);
    planes_.push_back(green.planes_[0]);
    planes_.push_back(blue.planes_[0]);
  }

  HTuple CountChannels() const { return static_cast<Hlong>(planes_.size()); }

  void *GetImagePointer1(HString *Type, Hlong *Width, Hlong *Height) const {
    *Type = type_.c_str();
    *Width = width_;
    *Height = height_;
    return const_cast<char *>(planes_[0].data());
  }

  void GetImagePointer3(void **PointerRed, void **PointerGreen, void **PointerBlue, HString *Type, Hlong *Width,
                        Hlong *Height) const {
    *PointerRed = GetImagePointer1(Type, Width, Height);
    *PointerGreen = const_cast<char *>(planes_[1].data());
    *PointerBlue = const_cast<char *>(planes_[2].data());
  }

  HRegion GetDomain() const;
  HImage ReduceDomain(const HRegion &Region) const;

 private:
  friend class HRegion;
  std::vector<std::vector<char>> planes_;
  std::vector<char> domain_;
  std::string type_;
  Hlong width_ = 0, height_ = 0;
};

class HRegion {
 public:
  HRegion() = default;
  HRegion(double Row1, double Column1, double Row2, double Column2) : width_(Hlong(Column2) + 1) {
    inside_.assign(std::size_t((Hlong(Row2) + 1) * width_), 0);
    for (Hlong y = Hlong(Row1); y <= Hlong(Row2); ++y)
      for (Hlong x = Hlong(Column1); x <= Hlong(Column2); ++x) inside_[std::size_t(y * width_ + x)] = 1;
  }

  Hlong AreaCenter(double *Row, double *Column) const {
    Hlong area = 0;
    *Row = *Column = 0;
    for (std::size_t i = 0; i < inside_.size(); ++i) {
      area += inside_[i];
      *Row += inside_[i] * double(Hlong(i) / width_);
      *Column += inside_[i] * double(Hlong(i) % width_);
    }
    if (area > 0) {
      *Row /= double(area);
      *Column /= double(area);
    }
    return area;
  }

  HImage RegionToBin(Hlong ForegroundGray, Hlong BackgroundGray, Hlong Width, Hlong Height) const {
    std::vector<char> pixels(std::size_t(Width * Height), static_cast<char>(BackgroundGray));
    for (std::size_t i = 0; i < inside_.size(); ++i) {
      const Hlong y = Hlong(i) / width_, x = Hlong(i) % width_;
      if (inside_[i] && x < Width && y < Height) pixels[std::size_t(y * Width + x)] = static_cast<char>(ForegroundGray);
    }
    HImage image;
    image.GenImage1("byte", Width, Height, pixels.data());
    return image;
  }

  void GenEmptyRegion() { *this = HRegion(); }

  /// The last column belongs to a run, as the reference says. HALCON does not require an order; sorted runs are fastest.
  void GenRegionRuns(const HTuple &Row, const HTuple &ColumnBegin, const HTuple &ColumnEnd) {
    const auto &rows = Row.values_, &begins = ColumnBegin.values_, &ends = ColumnEnd.values_;
    if (rows.size() != begins.size() || rows.size() != ends.size()) throw std::invalid_argument("lengths differ");
    Hlong height = 0;
    width_ = 1;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      if (ends[i] < begins[i] || begins[i] < 0 || rows[i] < 0) throw std::invalid_argument("not a run");
      height = std::max(height, rows[i] + 1);
      width_ = std::max(width_, ends[i] + 1);
    }
    inside_.assign(std::size_t(height * width_), 0);
    for (std::size_t i = 0; i < rows.size(); ++i)
      for (Hlong x = begins[i]; x <= ends[i]; ++x) inside_[std::size_t(rows[i] * width_ + x)] = 1;
  }

 private:
  friend class HImage;
  std::vector<char> inside_;
  Hlong width_ = 1;
};

inline HRegion HImage::GetDomain() const {
  HRegion region;
  region.inside_ = domain_;
  region.width_ = width_;
  return region;
}

inline HImage HImage::ReduceDomain(const HRegion &Region) const {
  HImage reduced = *this;
  const HImage bin = Region.RegionToBin(1, 0, width_, height_);
  for (std::size_t i = 0; i < domain_.size(); ++i) reduced.domain_[i] = char(domain_[i] & bin.planes_[0][i]);
  return reduced;
}

}  // namespace HalconCpp

#endif
