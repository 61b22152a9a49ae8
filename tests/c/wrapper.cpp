// npad.hpp: everything that examples/cpp/inspect.cpp does not show.

#include <algorithm>
#include <cmath>
#include <type_traits>

#include "check_parts.hpp"

namespace {

using namespace std::string_literals;

const std::uint8_t one_byte[1] = {};

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

  // Options that were moved from are not the defaults.
  THROWS(npad::Model::fit(good, options), NPAD_STATUS_INVALID_ARGUMENT, "moved from");
  THROWS(npad::Model::load("none.npad", options), NPAD_STATUS_INVALID_ARGUMENT, "moved from");
  THROWS(npad::Model::load_memory(one_byte, 1, options), NPAD_STATUS_INVALID_ARGUMENT, "moved from");
  THROWS(model.recalibrate(good, options), NPAD_STATUS_INVALID_ARGUMENT, "moved from");
  THROWS(npad::Trainer{options}, NPAD_STATUS_INVALID_ARGUMENT, "moved from");
  THROWS(npad::Trainer::resume(model, options), NPAD_STATUS_INVALID_ARGUMENT, "moved from");
  THROWS(options.set("size", "64"), NPAD_STATUS_INVALID_ARGUMENT, "options");
  options = quick();
  CHECK(npad::Model::fit(good, options).image_count() == 12);

  // What the model knows.
  CHECK(model.image_count() == 12 && model.method() == "npad" && model.device() == "cpu" && !model.backbone().empty());
  CHECK(model.input_width() == 64 && model.input_height() == 64 && std::abs(model.false_alarm_rate() - 0.01) < 1e-9);
  CHECK(model.threshold() > 0 && model.review_threshold() == model.threshold());
  model.warm_up(side, side);
  THROWS(model.warm_up(0, side), NPAD_STATUS_INVALID_ARGUMENT, "");

  // Lists and options.
  const auto options_list = npad::options();
  const auto size = std::find_if(options_list.begin(), options_list.end(), [](const auto &o) { return o.name == "size"; });
  CHECK(size != options_list.end() && size->default_value == "240" && !size->range.empty() && !size->help.empty());
  const auto methods = npad::methods();
  CHECK(std::any_of(methods.begin(), methods.end(), [](const auto &m) { return m.name == "npad" && !m.help.empty(); }));
  const auto devices = npad::devices();
  CHECK(std::find(devices.begin(), devices.end(), "cpu") != devices.end());
  npad::check_device("cpu");
  THROWS(npad::check_device("cuda:999"), NPAD_STATUS_DEVICE, "'cuda:999' cannot be used");
  THROWS(npad::check_device("cpu\0x"s), NPAD_STATUS_INVALID_ARGUMENT, "null character");
  CHECK(moved.get("size") == "64" && npad::Options().get("size") == "240");
  THROWS(moved.get("sice"), NPAD_STATUS_NOT_FOUND, "sice");
  THROWS(moved.set("sice", "1"), NPAD_STATUS_INVALID_OPTION, "sice");

  // A C string would end at the null character.
  THROWS(moved.set("size", "32\0x"s), NPAD_STATUS_INVALID_ARGUMENT, "value contains a null character after '32'");
  THROWS(moved.set("size\0x"s, "32"), NPAD_STATUS_INVALID_ARGUMENT, "name contains a null character after 'size'");
  THROWS(moved.get("size\0x"s), NPAD_STATUS_INVALID_ARGUMENT, "null character");
  THROWS(model.save("cut.npad\0x"s), NPAD_STATUS_INVALID_ARGUMENT, "path contains a null character after 'cut.npad'");
  THROWS(npad::Model::load("cut.npad\0x"s), NPAD_STATUS_INVALID_ARGUMENT, "null character");
  THROWS(npad::open_runtime("/none\0x"s), NPAD_STATUS_INVALID_ARGUMENT, "null character");
  THROWS(npad::load_plugin("/none\0x"s), NPAD_STATUS_INVALID_ARGUMENT, "null character");
  npad::Extractor cut;
  cut.name = "cut\0x"s;
  THROWS(moved.set_extractor(cut), NPAD_STATUS_INVALID_ARGUMENT, "null character");
  CHECK(moved.get("size") == "64");

  // Braces and null pointers.
  THROWS(moved.set_extractor({}), NPAD_STATUS_PLUGIN, "");
  THROWS(moved.set_extractor(nullptr), NPAD_STATUS_INVALID_ARGUMENT, "null");
  THROWS(moved.set_extractor(npad_extractor{}), NPAD_STATUS_PLUGIN, "npad_extractor");
  CHECK(model.score_batch({}).empty() && model.score_batch({good[0], good[1]}).size() == 2);
  THROWS(npad::Model::fit({}), NPAD_STATUS_NOT_ENOUGH_IMAGES, "");
  CHECK(npad::Model::fit({good[0], good[1], good[2]}, moved).image_count() == 3);
  THROWS(model.recalibrate({}), NPAD_STATUS_NOT_ENOUGH_IMAGES, "");
  THROWS(model.recalibrate({}, moved), NPAD_STATUS_NOT_ENOUGH_IMAGES, "");

  // One image, and batches.
  const auto bad = scratched(200, 44, 20);
  const std::vector<npad::Image> batch{view(parts[12]), view(bad)};
  const std::vector<npad::Result> results = model.score_batch(batch);
  CHECK(results.size() == 2 && results[0].verdict() == NPAD_VERDICT_GOOD && results[1].verdict() == NPAD_VERDICT_DEFECTIVE);
  const npad::Result &found = results[1];
  CHECK(found.score() == model.score(view(bad)).score());
  CHECK(model.score_batch(std::vector<npad::Image>()).empty());
  npad::Cancellation cancellation;
  CHECK(!cancellation.is_cancelled() && model.score_batch(batch, &cancellation).size() == 2);
  cancellation.cancel();
  CHECK(cancellation.is_cancelled());
  THROWS(model.score_batch(batch, &cancellation), NPAD_STATUS_CANCELLED, "cancelled");

  // The caller's memory.
  std::vector<float> map(side * side);
  std::vector<std::uint8_t> map_u8(side * side);
  std::vector<npad_region> memory(1);
  npad::Output output;
  output.set_map(map).set_map_u8(map_u8).set_regions(memory);
  model.score_into(view(bad), output);
  CHECK(output.score() == found.score() && output.calibrated_score() == found.calibrated_score() && output.is_anomalous());
  CHECK(output.region_count() == found.region_count() && output.written_region_count() == 1);
  CHECK(std::equal(map.begin(), map.end(), found.map()) && map_u8 == found.map_u8());
  CHECK(found.region_count() > 0 && memory[0].area == found.region(0).area);
  std::vector<float> short_map(side * side - 1);
  npad::Output small_output;
  small_output.set_map(short_map);
  THROWS(model.score_into(view(bad), small_output), NPAD_STATUS_INVALID_ARGUMENT, "4095");
  std::vector<std::vector<float>> maps(2, std::vector<float>(side * side));
  std::vector<npad::Output> outputs(2);
  for (std::size_t i = 0; i < 2; ++i) outputs[i].set_map(maps[i]);
  model.score_batch_into(batch, outputs);
  CHECK(outputs[0].score() == results[0].score() && outputs[1].score() == found.score() && maps[1] == map);
  THROWS(model.score_batch_into(batch, outputs, &cancellation), NPAD_STATUS_CANCELLED, "cancelled");
  outputs.pop_back();
  THROWS(model.score_batch_into(batch, outputs), NPAD_STATUS_INVALID_ARGUMENT, "2 images, but 1 outputs");
#ifdef __cpp_lib_span
  npad::Output spans;
  std::vector<float> span_map(side * side);
  spans.set_map(std::span(span_map)).set_map_u8(std::span(map_u8)).set_regions(std::span(memory));
  model.score_into(view(bad), spans);
  CHECK(span_map == map && found.map_span().size() == map.size());
  CHECK(model.score_batch(std::span(batch)).size() == 2);
  spans.set_map(std::span(short_map));
  THROWS(model.score_into(view(bad), spans), NPAD_STATUS_INVALID_ARGUMENT, "4095");
#endif

  // A region's pixels, in three ways.
  for (std::size_t i = 0; i < found.region_count(); ++i) {
    const npad_region region = found.region(i);
    const auto inside = found.region_mask(i);
    const auto at = [&](int x, int y) { return inside[std::size_t((y - region.y) * region.width + x - region.x)]; };
    CHECK(std::count(inside.begin(), inside.end(), 255) == region.area);
    std::int64_t area = 0;
    for (const npad::Run &run : found.region_runs(i)) {
      area += run.column_end - run.column_begin;
      for (int x = run.column_begin; x < run.column_end; ++x) CHECK(at(x, run.row) == 255);
    }
    CHECK(area == region.area);
    const auto contour = found.region_contour(i);
    CHECK(!contour.empty());
    for (const npad::Point &point : contour) CHECK(at(point.x, point.y) == 255);
  }
  THROWS(found.region_runs(found.region_count()), NPAD_STATUS_INVALID_ARGUMENT, "");
  THROWS(found.region_mask(found.region_count()), NPAD_STATUS_INVALID_ARGUMENT, "");

  // Pictures: the result's and the output's are the same where the output has all regions.
  memory.resize(found.region_count());
  output.set_regions(memory);
  model.score_into(view(bad), output);
  CHECK(model.render(view(bad), found) == model.render(view(bad), output));
  CHECK(model.render(view(bad), found, NPAD_PIXEL_FORMAT_BGR8) != model.render(view(bad), found));
  THROWS(model.render(view(bad), found, NPAD_PIXEL_FORMAT_GRAY8), NPAD_STATUS_INVALID_ARGUMENT, "");

  // An output belongs to an image of one size, until it has another map.
  const npad::Image wider(bad.data(), 2 * side, side / 2, NPAD_PIXEL_FORMAT_GRAY8);
  THROWS(model.render(wider, output), NPAD_STATUS_INVALID_IMAGE,
         "the image is 128 x 32, but the output is that of an image of 64 x 64");
  THROWS(model.render(wider, found), NPAD_STATUS_INVALID_IMAGE, "");
  output.set_map(map).set_regions(nullptr, 0);
  CHECK(model.render(wider, output).size() == 3 * map.size());
  outputs[0].set_map(maps[0]);
  outputs.resize(2);
  outputs[1].set_map(maps[1]);
  model.score_batch_into(batch, outputs);
  THROWS(model.render(wider, outputs[1]), NPAD_STATUS_INVALID_IMAGE, "64 x 64");
  THROWS(model.render(npad::Image(nullptr, 0, 5, NPAD_PIXEL_FORMAT_GRAY8), found), NPAD_STATUS_INVALID_IMAGE, "0 x 5");

  // Masks, rectangles, and cameras with 12 bits.
  std::vector<std::uint8_t> left(side * side);
  for (int i = 0; i < side * side; ++i) left[std::size_t(i)] = i % side < 31;
  const npad::Mask mask(left.data(), side, side);
  CHECK(!model.score(view(bad).with_mask(mask)).is_anomalous());
  const npad::Mask small(left.data(), 8, 8);
  THROWS(model.score(view(bad).with_mask(small)), NPAD_STATUS_INVALID_IMAGE, "8 x 8");
  CHECK(!model.score(view(bad).with_roi(0, 0, 31, side)).is_anomalous());
  CHECK(model.score(view(bad).with_roi(32, 0, 32, side)).is_anomalous());
  THROWS(model.score(view(bad).with_roi(60, 0, 8, 8)), NPAD_STATUS_INVALID_IMAGE, "");
  npad::Options within = quick();
  within.set_mask(mask).clear_mask().set_roi(0, 0, 31, side);
  CHECK(!npad::Model::fit(good, within).score(view(bad)).is_anomalous());
  std::vector<std::uint16_t> wide(bad.size());
  for (std::size_t i = 0; i < bad.size(); ++i) wide[i] = static_cast<std::uint16_t>(bad[i] * 4095 / 255);
  const npad::Image mono12(wide.data(), side, side, NPAD_PIXEL_FORMAT_GRAY16);
  CHECK(model.score(mono12.with_significant_bits(12)).is_anomalous());
  THROWS(model.score(mono12.with_significant_bits(10)), NPAD_STATUS_INVALID_IMAGE, "");

  const npad::Model loose = model.with_thresholds(found.score() + 1, found.score() - 1);
  CHECK(loose.score(view(bad)).verdict() == NPAD_VERDICT_REVIEW);
  CHECK(loose.card().find("set to a given value") != std::string::npos && loose.card() != model.card());
  THROWS(model.with_thresholds(-5, -5), NPAD_STATUS_INVALID_ARGUMENT, "threshold is -5");
  const npad::Model signed_model = model.with_signature({1, 2, 3});
  CHECK(signed_model.signer().size() == 64 && model.signer().empty() && loose.signer().empty());
  const auto signed_bytes = signed_model.save_memory();
  npad::Options trusting;
  trusting.set("trusted_keys", signed_model.signer());
  CHECK(npad::Model::load_memory(signed_bytes.data(), signed_bytes.size(), trusting).signer() == signed_model.signer());
  const auto unsigned_bytes = model.save_memory();
  THROWS(npad::Model::load_memory(unsigned_bytes.data(), unsigned_bytes.size(), trusting), NPAD_STATUS_UNTRUSTED_MODEL,
         "not signed");
  std::vector<std::vector<std::uint8_t>> other_parts;
  std::vector<npad::Image> others;
  for (unsigned seed = 300; seed < 312; ++seed) other_parts.push_back(part(seed));
  for (const auto &pixels : other_parts) others.push_back(view(pixels));
  CHECK(model.recalibrate(others).threshold() > 0);
  THROWS(model.recalibrate(good), NPAD_STATUS_NOT_ENOUGH_IMAGES, "learnt do not count");
  npad::Options rates;
  rates.set("false_alarm_rate", "0.3").set("review_rate", "0.5");
  const npad::Model rough = model.recalibrate(others, rates);
  CHECK(rough.review_threshold() < rough.threshold() && rough.threshold() < model.recalibrate(others).threshold());

  npad::Trainer trainer = npad::Trainer::resume(model);
  trainer.add(view(parts[13]));
  trainer.add_defect(view(bad));
  CHECK(trainer.image_count() == 1 && model.known_defects().count == 0);
  const npad::Model reported = trainer.finish();
  CHECK(reported.info().find("\"images\":13") != std::string::npos);
  const npad_known_defects known = reported.known_defects();
  CHECK(known.count == 1 && known.missed == 0 && known.threshold == reported.threshold());

  npad::Options undated;
  undated.set("date", "none");
  npad::Trainer part_a(undated), part_b(undated);
  part_a.add(view(parts[0]));
  for (int i = 1; i < 5; ++i) part_b.add(view(parts[i]));
  part_a.save("wrapper.state");
  const auto state = part_b.save_memory();
  npad::Trainer joined = npad::Trainer::load("wrapper.state", undated);
  joined.merge_memory(state.data(), state.size());
  part_b.merge("wrapper.state");
  CHECK(joined.image_count() == 5 && part_b.image_count() == 5 && part_b.finish().save_memory() == joined.finish().save_memory());
  CHECK(npad::Trainer::load_memory(state.data(), state.size()).image_count() == 4);
  THROWS(npad::Trainer::load("none.state"), NPAD_STATUS_NOT_FOUND, "none.state");
  THROWS(part_a.merge_memory(state.data(), 10), NPAD_STATUS_INVALID_MODEL, "trainer state");

  const auto bytes = model.save_memory();
  CHECK(npad::Model::load_memory(bytes.data(), bytes.size()).score(view(bad)).score() == found.score());
  model.export_onnx("wrapper.onnx");
  npad::Options export_options;
  export_options.set("export_size", "90x80").set("export_batch", "2");
  model.export_onnx("wrapper.onnx", export_options);
  THROWS(model.export_onnx("wrapper.npad"), NPAD_STATUS_INVALID_ARGUMENT, "ends in .onnx");
  THROWS(npad::load_plugin("/none.so"), NPAD_STATUS_NOT_FOUND, "/none.so");
  CHECK(npad::version().size() >= 5);
  return done();
}
