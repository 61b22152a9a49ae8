// npad.hpp: lifetimes and exceptions of callbacks. Run under AddressSanitizer.

#include <array>
#include <atomic>
#include <optional>
#include <stdexcept>
#include <thread>

#include "check_parts.hpp"

namespace {

npad::Image view(const std::vector<std::uint8_t> &pixels) { return {pixels.data(), side, side, NPAD_PIXEL_FORMAT_GRAY8}; }

/// What a callback throws: not npad's own type, so that it cannot be mistaken.
struct Stop {
  int number;
};

/// Whether the action throws that Stop.
template <class Action>
bool stops(int number, Action action) {
  try {
    action();
  } catch (const Stop &stop) {
    return stop.number == number;
  } catch (const npad::Error &error) {
    std::fprintf(stderr, "%s\n", error.what());
  }
  return false;
}

/// A callback with memory of its own, whose use after it is freed AddressSanitizer sees.
struct Counted {
  std::shared_ptr<int> calls;
  std::vector<int> memory = std::vector<int>(100, 1);
  bool operator()(const char *, std::size_t, std::size_t) const { return (*calls += memory[50]) > 0; }
};

/// Sums of blocks of pixels, as features of the program.
npad::Extractor blocks(std::shared_ptr<std::atomic<int>> calls) {
  npad::Extractor extractor;
  extractor.name = "blocks";
  extractor.outputs = {{8, 4}};
  extractor.extract = [calls](const float *input, int height, int width, float *const *outputs) {
    ++*calls;
    const int rows = (height + 7) / 8, cols = (width + 7) / 8;
    for (int c = 0; c < 4; ++c)
      for (int y = 0; y < rows; ++y)
        for (int x = 0; x < cols; ++x) {
          float sum = 0;
          for (int i = c; i < 64; i += c + 1) {
            const int py = std::min(8 * y + i / 8, height - 1), px = std::min(8 * x + i % 8, width - 1);
            sum += input[py * width + px];
          }
          outputs[0][(c * rows + y) * cols + x] = sum;
        }
  };
  return extractor;
}

}  // namespace

int main() {
  std::vector<std::vector<std::uint8_t>> parts;
  std::vector<npad::Image> good;
  for (unsigned seed = 0; seed < 12; ++seed) parts.push_back(part(seed));
  for (const auto &pixels : parts) good.push_back(view(pixels));

  // The options are a temporary: the trainer keeps the callback.
  const auto calls = std::make_shared<int>(0);
  {
    npad::Trainer trainer(quick().set_progress(Counted{calls}));
    trainer.add(good[0]);
    CHECK(*calls > 0 && calls.use_count() == 2);
    // The trainer moves, and its callback with it.
    npad::Trainer moved(std::move(trainer));
    const int before = *calls;
    moved.add(good[1]);
    npad::Trainer assigned(quick());
    assigned = std::move(moved);
    assigned.add(good[2]);
    CHECK(*calls > before && assigned.image_count() == 3);
    CHECK(assigned.finish().image_count() == 3);
  }
  CHECK(calls.use_count() == 1);

  // A second callback is for later trainers; the first trainer keeps its own.
  {
    const auto first = std::make_shared<int>(0), second = std::make_shared<int>(0);
    npad::Options options = quick();
    options.set_progress(Counted{first});
    npad::Trainer trainer(options);
    options.set_progress(Counted{second});
    trainer.add(good[0]);
    CHECK(*first > 0 && *second == 0);
    npad::Options moved(std::move(options));
    npad::Trainer other(moved);
    other.add(good[0]);
    CHECK(*second > 0);
    moved.set_progress(nullptr);
    const int before = *second;
    npad::Trainer silent(moved);
    silent.add(good[0]);
    CHECK(*second == before);
  }

  // Totals.
  {
    std::size_t last = 0;
    npad::Trainer trainer(quick().set_progress([&last](const char *, std::size_t, std::size_t total) {
      last = total;
      return true;
    }));
    trainer.add(good[0]);
    CHECK(last == 0);
    trainer.expect(12);
    trainer.add(good[1]);
    CHECK(last == 12);
  }

  // Exceptions cancel add, finish, fit and a resumed fit, come out of the call, and leave the trainer as it was.
  {
    std::optional<int> thrown;
    npad::Options options = quick();
    options.set_progress([&thrown](const char *, std::size_t, std::size_t) {
      if (thrown) throw Stop{*thrown};
      return true;
    });
    npad::Trainer trainer(options);
    thrown = 1;
    CHECK(stops(1, [&] { trainer.add(good[0]); }) && trainer.image_count() == 0);
    thrown.reset();
    for (const npad::Image &image : good) trainer.add(image);
    thrown = 2;
    CHECK(stops(2, [&] { trainer.finish(); }) && trainer.image_count() == 12);
    thrown = 3;
    CHECK(stops(3, [&] { npad::Model::fit(good, options); }));
    thrown.reset();
    const npad::Model model = trainer.finish();
    CHECK(model.image_count() == 12);
    THROWS(trainer.add(good[0]), NPAD_STATUS_WRONG_STATE, "");
    npad::Trainer resumed = npad::Trainer::resume(model, options);
    thrown = 4;
    const auto further = part(400);
    CHECK(stops(4, [&] { resumed.add(view(further)); }));
    // The exception does not stick to the thread: an ordinary error follows.
    thrown.reset();
    THROWS(model.score(npad::Image(nullptr, 4, 4, NPAD_PIXEL_FORMAT_GRAY8)), NPAD_STATUS_INVALID_IMAGE, "");
    resumed.add(view(further));
    CHECK(resumed.finish().image_count() == 13);
  }

  // Two trainers of one callback on two threads: each call gets its own exception.
  {
    npad::Options options = quick();
    options.set("threads", "1").set_progress([](const char *, std::size_t, std::size_t total) -> bool {
      throw Stop{static_cast<int>(total)};
    });
    npad::Trainer trainers[] = {npad::Trainer(options), npad::Trainer(options)};
    std::array<bool, 2> right{};
    std::vector<std::thread> threads;
    for (std::size_t t = 0; t < 2; ++t) {
      trainers[t].expect(20 + t);
      threads.emplace_back([&, t] {
        right[t] = true;
        for (int i = 0; i < 5; ++i) right[t] = right[t] && stops(20 + int(t), [&] { trainers[t].add(good[0]); });
      });
    }
    for (std::thread &thread : threads) thread.join();
    CHECK(right[0] && right[1]);
  }

  // A callback that calls npad itself: the inner call's exception stays in the inner call.
  {
    bool inner = false;
    npad::Options throwing = quick();
    throwing.set_progress([](const char *, std::size_t, std::size_t) -> bool { throw Stop{5}; });
    npad::Trainer other(throwing);
    npad::Trainer trainer(quick().set_progress([&](const char *, std::size_t, std::size_t) {
      inner = stops(5, [&] { other.add(good[0]); });
      return true;
    }));
    trainer.add(good[0]);
    CHECK(inner && trainer.image_count() == 1);
  }

  // A callback that uses its own trainer: the inner calls fail, the outer call goes on.
  {
    std::optional<npad::Trainer> trainer;
    int refused = 0;
    trainer.emplace(quick().set_progress([&](const char *, std::size_t, std::size_t) {
      THROWS(trainer->add(good[1]), NPAD_STATUS_WRONG_STATE, "in use");
      THROWS(trainer->finish(), NPAD_STATUS_WRONG_STATE, "in use");
      ++refused;
      return true;
    }));
    trainer->add(good[0]);
    CHECK(refused > 0 && trainer->image_count() == 1);
  }

  // The callback replaces itself during a call: it lives until the call has returned.
  {
    const auto last = std::make_shared<int>(0);
    npad::Options options = quick();
    options.set_progress([&options, counted = Counted{last}](const char *stage, std::size_t done, std::size_t total) {
      options.set_progress(nullptr);
      return counted(stage, done, total);
    });
    npad::Model::fit(good, options);
    CHECK(*last > 0 && last.use_count() == 1);
  }

  // An extractor lives as long as the model, and its exceptions are errors of the call.
  {
    const auto count = std::make_shared<std::atomic<int>>(0);
    {
      npad::Options options;
      options.set("size", "64").set("npad.channels", "4").set_extractor(blocks(count));
      const npad::Model model = npad::Model::fit(good, options);
      options = npad::Options();
      const int before = *count;
      CHECK(model.score(view(scratched(200, 44, 20))).score() > model.score(good[0]).score());
      CHECK(*count == before + 2 && count.use_count() > 1);
    }
    CHECK(count.use_count() == 1);

    auto failing = std::make_shared<npad::Extractor>(blocks(count));
    failing->extract = [](const float *, int, int, float *const *) { throw std::runtime_error("the engine is cold"); };
    npad::Options options;
    options.set("size", "64").set_extractor(failing);
    THROWS(npad::Model::fit(good, options), NPAD_STATUS_BACKBONE, "the engine is cold");
    failing->extract = nullptr;
    THROWS(options.set_extractor(failing), NPAD_STATUS_PLUGIN, "extract");
    failing->name = "No Name";
    THROWS(options.set_extractor(*failing), NPAD_STATUS_PLUGIN, "");
    THROWS(options.set_extractor(std::shared_ptr<const npad::Extractor>()), NPAD_STATUS_INVALID_ARGUMENT, "null");
  }

  // Logs: exceptions are dropped; a callback is freed only when nobody is in it.
  {
    const auto lines = std::make_shared<std::atomic<int>>(0);
    const auto logged = std::make_shared<std::atomic<bool>>(false);
    npad::set_log(
        [lines, logged](npad_log_level, const char *message) {
          ++*lines;
          try {
            npad::set_log(nullptr);
          } catch (const npad::Error &error) {
            *logged = error.status() == NPAD_STATUS_WRONG_STATE;
          }
          throw std::runtime_error(message);
        },
        NPAD_LOG_LEVEL_DEBUG);
    npad::Model::fit(good, quick());
    CHECK(*lines > 0 && *logged && lines.use_count() == 2);
    THROWS(npad::set_log([](npad_log_level, const char *) {}, static_cast<npad_log_level>(9)), NPAD_STATUS_INVALID_ARGUMENT, "9");
    CHECK(lines.use_count() == 2);
    npad::set_log(nullptr);
    CHECK(lines.use_count() == 1);
    const int before = *lines;
    npad::Model::fit(good, quick());
    CHECK(*lines == before);
  }
  return done();
}
