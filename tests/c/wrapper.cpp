// npad.hpp: everything that examples/cpp/inspect.cpp does not show.

#include <type_traits>

#include "check_parts.hpp"

namespace {

npad::Image view(const std::vector<std::uint8_t> &pixels) { return {pixels.data(), side, side, NPAD_PIXEL_FORMAT_GRAY8}; }

}  // namespace

static_assert(std::is_nothrow_move_constructible_v<npad::Model> && !std::is_copy_constructible_v<npad::Model>);
static_assert(std::is_nothrow_move_constructible_v<npad::Result> && !std::is_copy_constructible_v<npad::Result>);
static_assert(std::is_move_constructible_v<npad::Trainer> && std::is_move_constructible_v<npad::Options>);

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
  const npad_decision decision = model.score_into(view(bad), map.data(), 0, &region, 1);
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
  THROWS(npad::load_plugin("/none.so"), NPAD_STATUS_PLUGIN, "/none.so");
  CHECK(npad::version().size() >= 5);
  return done();
}
