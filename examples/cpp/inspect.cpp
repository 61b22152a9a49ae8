// Learns from generated good parts, saves and reloads the model, and inspects a good and a scratched part.
//
//     inspect [key=value]...        sets options, for example size=128

#include <cstdio>
#include <string>
#include <vector>

#include "npad.hpp"

namespace {

constexpr int side = 128;

/// A grey part with a gradient and some noise; each seed is another one of the same kind.
std::vector<std::uint8_t> part(unsigned seed) {
  std::vector<std::uint8_t> pixels(side * side);
  unsigned state = seed * 2654435761u + 1;
  for (int i = 0; i < side * side; ++i) {
    state = state * 1664525u + 1013904223u;
    pixels[i] = static_cast<std::uint8_t>(60 + i % side + i / side / 2 % 16 + (state >> 29));
  }
  return pixels;
}

npad::Image view(const std::vector<std::uint8_t> &pixels) {
  return {pixels.data(), side, side, NPAD_PIXEL_FORMAT_GRAY8};
}

void inspect(const npad::Model &model, const std::vector<std::uint8_t> &pixels, const char *name) {
  const npad::Result result = model.score(view(pixels));
  std::printf("%s: %s, score %.9g\n", name, result.is_anomalous() ? "DEFECTIVE" : "good", result.score());
  for (const npad_region &region : result.regions())
    std::printf("  region at (%d, %d), %d x %d\n", region.x, region.y, region.width, region.height);
}

}  // namespace

int main(int argc, char **argv) try {
  npad::Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    const auto split = argument.find('=');
    options.set(argument.substr(0, split), split == std::string::npos ? "" : argument.substr(split + 1));
  }
  std::vector<std::vector<std::uint8_t>> good;
  for (unsigned seed = 0; seed < 20; ++seed) good.push_back(part(seed));
  npad::Trainer trainer(options);
  for (const auto &pixels : good) trainer.add(view(pixels));
  trainer.finish().save("inspect.npad");

  const npad::Model model = npad::Model::load("inspect.npad", options);
  auto scratched = part(100);
  for (int i = 0; i < 24; ++i)
    for (int thickness = 0; thickness < 4; ++thickness) scratched[(50 + i + thickness) * side + 40 + i] = 10;
  inspect(model, part(100), "fine");
  inspect(model, scratched, "scratched");
  return 0;
} catch (const npad::Error &error) {
  std::fprintf(stderr, "%s (status %d)\n", error.what(), static_cast<int>(error.status()));
  return 1;
}
