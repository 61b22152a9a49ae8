/* What the tests in C++ share: checks that go on after a failure, and generated parts. */
#ifndef CHECK_PARTS_HPP
#define CHECK_PARTS_HPP

#include <cstdio>
#include <cstdint>
#include <string>
#include <vector>

#include "npad.hpp"

constexpr int side = 64;

inline int failures = 0;

inline void check(bool condition, const char *what, int line) {
  if (condition) return;
  std::fprintf(stderr, "line %d: %s\n", line, what);
  ++failures;
}

#define CHECK(condition) check((condition), #condition, __LINE__)

/// The statement must throw npad::Error with that status and text.
#define THROWS(statement, expected, text)                                                    \
  do {                                                                                       \
    bool as_expected = false;                                                                \
    try {                                                                                    \
      statement;                                                                             \
    } catch (const npad::Error &error) {                                                     \
      as_expected = error.status() == (expected) && std::string(error.what()).find(text) != std::string::npos; \
      if (!as_expected) std::fprintf(stderr, "status %d: %s\n", int(error.status()), error.what()); \
    }                                                                                        \
    check(as_expected, #statement, __LINE__);                                                \
  } while (0)

/// A grey part with a gradient and some noise; each seed is another one of the same kind.
inline std::vector<std::uint8_t> part(unsigned seed) {
  std::vector<std::uint8_t> pixels(side * side);
  unsigned state = seed * 2654435761u + 1;
  for (int i = 0; i < side * side; ++i) {
    state = state * 1664525u + 1013904223u;
    pixels[std::size_t(i)] = static_cast<std::uint8_t>(100 + i % side + (state >> 28));
  }
  return pixels;
}

inline std::vector<std::uint8_t> scratched(unsigned seed, int x0, int y0) {
  auto pixels = part(seed);
  for (int y = y0; y < y0 + 8; ++y)
    for (int x = x0; x < x0 + 8; ++x) pixels[std::size_t(y * side + x)] = 5;
  return pixels;
}

inline npad::Options quick() {
  npad::Options options;
  options.set("size", "64").set("npad.channels", "8");
  return options;
}

inline int done() {
  if (failures == 0) std::puts("all as documented");
  return failures != 0;
}

#endif
