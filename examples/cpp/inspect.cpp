// Learns from a folder of good images, saves and reloads the model, and inspects other images.
//
//     inspect GOOD_FOLDER IMAGE... [key=value]...
//
// Images are binary PGM files (P5, 8 bits), a format that needs no library; see opencv_inspect.cpp for all others.
// key=value sets an option, for example size=128.

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "npad.hpp"

namespace {

/// A grey image in memory.
struct Picture {
  int width = 0, height = 0;
  std::vector<char> pixels;

  explicit Picture(const std::filesystem::path &path) {
    std::ifstream file(path, std::ios::binary);
    std::string magic;
    int depth = 0;
    const auto next = [&file]() -> std::istream & {
      while ((file >> std::ws).peek() == '#') file.ignore(1 << 20, '\n');
      return file;
    };
    next() >> magic;
    next() >> width;
    next() >> height;
    next() >> depth;
    if (!file || magic != "P5" || depth != 255 || width < 1 || height < 1)
      throw std::runtime_error(path.string() + " is no binary PGM file of 8 bits");
    pixels.resize(std::size_t(width) * height);
    if (!file.ignore(1).read(pixels.data(), std::streamsize(pixels.size())))
      throw std::runtime_error(path.string() + " ends too early");
  }

  npad::Image view() const { return {pixels.data(), width, height, NPAD_PIXEL_FORMAT_GRAY8}; }
};

void inspect(const npad::Model &model, const std::string &path) {
  const npad::Result result = model.score(Picture(path).view());
  std::printf("%s: %s, score %.9g\n", path.c_str(), result.is_anomalous() ? "DEFECTIVE" : "good", result.score());
  for (const npad_region &region : result.regions())
    std::printf("  region at (%d, %d), %d x %d\n", region.x, region.y, region.width, region.height);
}

}  // namespace

int main(int argc, char **argv) try {
  if (argc < 3) {
    std::fprintf(stderr, "usage: %s GOOD_FOLDER IMAGE... [key=value]...\n", argv[0]);
    return 2;
  }
  npad::Options options;
  std::vector<std::string> images;
  for (const std::string &argument : std::vector<std::string>(argv + 2, argv + argc)) {
    const auto split = argument.find('=');
    if (split == std::string::npos)
      images.push_back(argument);
    else
      options.set(argument.substr(0, split), argument.substr(split + 1));
  }
  std::vector<std::filesystem::path> good(std::filesystem::directory_iterator(argv[1]), {});
  std::sort(good.begin(), good.end());
  npad::Trainer trainer(options);
  trainer.expect(good.size());
  for (const auto &path : good) trainer.add(Picture(path).view());
  trainer.finish().save("inspect.npad");

  const npad::Model model = npad::Model::load("inspect.npad", options);
  for (const auto &path : images) inspect(model, path);
  return 0;
} catch (const npad::Error &error) {
  std::fprintf(stderr, "%s (status %d)\n", error.what(), static_cast<int>(error.status()));
  return 1;
} catch (const std::exception &error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
