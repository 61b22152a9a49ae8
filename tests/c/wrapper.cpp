// npad.hpp: everything that examples/cpp/inspect.cpp does not show.

#include <algorithm>
#include <stdexcept>
#include <type_traits>

#include "check_parts.hpp"

namespace {

npad::Image view(const std::vector<std::uint8_t> &pixels) { return {pixels.data(), side, side, NPAD_PIXEL_FORMAT_GRAY8}; }

}  // namespace

static_assert(std::is_nothrow_move_constructible_v<npad::Model> && !std::is_copy_constructible_v<npad::Model>);
static_assert(std::is_nothrow_move_constructible_v<npad::Result> && !std::is_copy_constructible_v<npad::Result>);
static_assert(std::is_move_constructible_v<npad::Trainer> && std::is_move_constructible_v<npad::Options>);

/// Callbacks outlive the options that they were set on, and what they throw arrives at the caller.
void callbacks(const std::vector<npad::Image> &good) {
  int first = 0, second = 0;
  const auto fitted = [&good](npad::Trainer trainer) {
    trainer.expect(good.size());
    for (const npad::Image &image : good) trainer.add(image);
    return trainer.finish();
  };
  const auto counting = [](int &count) {
    return [&count](const char *, std::size_t, std::size_t) { return ++count > 0; };
  };
  CHECK(fitted(npad::Trainer(quick().set_progress(counting(first)))).image_count() == good.size());
  CHECK(first > 12);
  npad::Options options = quick();
  options.set_progress(counting(first));
  npad::Trainer trainer(options);
  options.set_progress(counting(second));
  const int before = first;
  trainer.add(good[0]);
  CHECK(first == before + 1 && second == 0);

  struct Stop {};
  options.set_progress([&second](const char *, std::size_t, std::size_t) -> bool {
    if (++second == 3) throw Stop();
    return true;
  });
  npad::Trainer throwing(options);
  bool stopped = false;
  for (int i = 0; i < 3; ++i) {
    try {
      throwing.add(good[std::size_t(i)]);
    } catch (const Stop &) {
      stopped = i == 2;
    }
  }
  CHECK(stopped && throwing.image_count() == 2);
  npad::Trainer moved = std::move(throwing);
  moved.add(good[3]);
  CHECK(moved.image_count() == 3);
  stopped = false;
  second = 0;
  try {
    npad::Model::fit(good, options);
  } catch (const Stop &) {
    stopped = true;
  }
  CHECK(stopped);

  int messages = 0;
  npad::set_log([&messages](npad_log_level, const char *) { ++messages; }, NPAD_LOG_LEVEL_INFO);
  npad::Model::fit(good, quick());
  npad::set_log(nullptr);
  const int logged = messages;
  npad::Model::fit(good, quick());
  CHECK(logged > 0 && messages == logged);

  npad::Options own = quick();
  own.set_extractor({"mean", {8}, {3}}, [](const float *input, int height, int width, float *const *outputs) {
    for (int c = 0; c < 3; ++c)
      for (int y = 0; y < height / 8; ++y)
        for (int x = 0; x < width / 8; ++x)
          outputs[0][(c * (height / 8) + y) * (width / 8) + x] =
              input[(c * height + 8 * y) * width + 8 * x] + 0.01f * float((x * y + c) % 7);
  });
  own.set("npad.channels", "3");
  CHECK(npad::Model::fit(good, own).backbone() == "host/mean");
  own.set_extractor({"none", {8}, {3}}, [](const float *, int, int, float *const *) { throw std::runtime_error("no film"); });
  THROWS(npad::Model::fit(good, own), NPAD_STATUS_BACKBONE, "no film");
}

void lists_and_shapes(const npad::Model &model, const npad::Result &found) {
  CHECK(npad::options().size() > 40 && npad::methods().front() == "npad" && npad::devices().front() == "cpu");
  npad::Options options;
  CHECK(options.set("threads", "2").get("threads") == "2" && options.get("size") == "240");
  CHECK(model.method() == "npad" && model.device() == "cpu" && model.input_width() == 64 && model.input_height() == 64);
  CHECK(model.image_count() == 12 && model.false_alarm_rate() == 0.01);
  model.warm_up(side, side);
  const auto pixels = part(12);
  const npad::Cancellation cancellation;
  std::vector<npad_output> outputs(2, npad::Model::output());
  model.score_into({view(pixels), view(pixels)}, outputs, &cancellation);
  CHECK(outputs[0].score == model.score(view(pixels)).score() && outputs[1].score == outputs[0].score);
  cancellation.cancel();
  THROWS(model.score({view(pixels)}, &cancellation), NPAD_STATUS_CANCELLED, "cancel");

  const npad_region region = found.regions().at(0);
  std::int64_t area = 0;
  for (const npad::Run &run : found.region_runs(0)) area += run.end_column - run.first_column;
  CHECK(area == region.area && !found.region_contour(0).empty() && found.region_contour(99).empty());
  std::vector<std::uint8_t> mask(std::size_t(region.width) * std::size_t(region.height)), bytes(side * side);
  found.region_mask(0, mask.data());
  CHECK(std::int64_t(std::count(mask.begin(), mask.end(), 255)) == region.area);
  found.map_u8(bytes.data());
  CHECK(*std::max_element(bytes.begin(), bytes.end()) >= 128);
  CHECK(!model.score(view(scratched(200, 44, 20)).with_roi(0, 0, 31, side)).is_anomalous());
  THROWS(model.score(view(pixels).with_roi(0, 0, 65, side)), NPAD_STATUS_INVALID_IMAGE, "region of interest");
}

int main() {
  std::vector<std::vector<std::uint8_t>> parts;
  std::vector<npad::Image> good;
  for (unsigned seed = 0; seed < 14; ++seed) parts.push_back(part(seed));
  for (unsigned seed = 0; seed < 12; ++seed) good.push_back(view(parts[seed]));

  int steps = 0;
  npad::Options options = quick();
  options.set_progress([&steps](const char *, std::size_t, std::size_t) { return ++steps != 5; });
  npad::Options moved = std::move(options);
  THROWS(npad::Model::fit(good, moved), NPAD_STATUS_CANCELLED, "cancelled");
  CHECK(steps == 5);
  const npad::Model model = npad::Model::fit(good, moved);
  CHECK(steps > 15 && model.info().find("\"images\":12") != std::string::npos);

  const auto bad = scratched(200, 44, 20);
  const std::vector<npad::Result> results = model.score(std::vector<npad::Image>{view(parts[12]), view(bad)});
  CHECK(results.size() == 2 && results[0].verdict() == NPAD_VERDICT_GOOD && results[1].verdict() == NPAD_VERDICT_DEFECTIVE);
  CHECK(results[1].score() == model.score(view(bad)).score());
  std::vector<float> map(side * side);
  npad_region region{};
  const npad_output decision = model.score_into(view(bad), map.data(), 0, &region, 1);
  CHECK(decision.score == results[1].score() && region.area == results[1].regions()[0].area);

  std::vector<std::uint8_t> left(side * side);
  for (int i = 0; i < side * side; ++i) left[i] = i % side < 31;
  const npad::Mask mask(left.data(), side, side);
  CHECK(!model.score(view(bad).with_mask(mask)).is_anomalous());
  const npad::Mask small(left.data(), 8, 8);
  THROWS(model.score(view(bad).with_mask(small)), NPAD_STATUS_INVALID_IMAGE, "8 x 8");

  const npad::Model loose = model.with_thresholds(results[1].score() + 1, results[1].score() - 1, model.map_threshold());
  CHECK(loose.score(view(bad)).verdict() == NPAD_VERDICT_REVIEW);
  THROWS(model.with_thresholds(-5, -5, 1), NPAD_STATUS_INVALID_ARGUMENT, "threshold is -5");
  CHECK(model.recalibrate(good).threshold() > 0);
  npad::Options rates;
  rates.set("false_alarm_rate", "0.3").set("review_rate", "0.5");
  const npad::Model rough = model.recalibrate(good, rates);
  CHECK(rough.review_threshold() < rough.threshold() && rough.threshold() < model.recalibrate(good).threshold());

  npad::Trainer trainer = npad::Trainer::resume(model);
  trainer.add(view(parts[13]));
  CHECK(trainer.image_count() == 1 && trainer.finish().info().find("\"images\":13") != std::string::npos);

  const auto bytes = model.save_memory();
  CHECK(npad::Model::load_memory(bytes.data(), bytes.size()).score(view(bad)).score() == results[1].score());
  THROWS(npad::load_plugin("/none.so"), NPAD_STATUS_NOT_FOUND, "/none.so");
  CHECK(npad::version().size() >= 5);
  callbacks(good);
  lists_and_shapes(model, results[1]);
  return done();
}
