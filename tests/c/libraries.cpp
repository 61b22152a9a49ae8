// npad.hpp: options from a shared library, whose callback throws. The file is compiled twice with hidden visibility: with
// LIBRARY to the library, without to the program.

#include <stdexcept>

#include "check_parts.hpp"

#ifdef _WIN32
#define EXPORTED __declspec(dllexport)
#else
#define EXPORTED __attribute__((visibility("default")))
#endif

extern "C" EXPORTED npad::Options *options_of_the_library();

#ifdef LIBRARY

npad::Options *options_of_the_library() {
  auto *const options = new npad::Options(quick());
  options->set_progress([](const char *, std::size_t, std::size_t) -> bool { throw std::runtime_error("from the library"); });
  return options;
}

#else

int main() {
  std::vector<std::vector<std::uint8_t>> parts;
  std::vector<npad::Image> good;
  for (unsigned seed = 0; seed < 3; ++seed) parts.push_back(part(seed));
  for (const auto &pixels : parts) good.emplace_back(pixels.data(), side, side, NPAD_PIXEL_FORMAT_GRAY8);
  const std::unique_ptr<npad::Options> options(options_of_the_library());
  const auto throws = [](const auto &action) {
    try {
      action();
    } catch (const std::runtime_error &error) {
      return std::string(error.what()) == "from the library";
    } catch (const npad::Error &error) {
      std::fprintf(stderr, "%s\n", error.what());
    }
    return false;
  };
  CHECK(throws([&] { npad::Model::fit(good, *options); }));
  npad::Trainer trainer(*options);
  CHECK(throws([&] { trainer.add(good[0]); }));
  return done();
}

#endif
