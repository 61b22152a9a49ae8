// Learns from a folder of good images, then inspects a folder, a video or a camera, with the anomaly map and the verdict
// on each frame.
//
//     opencv_inspect GOOD_FOLDER SOURCE [--headless FOLDER] [--model FILE] [key=value]...
//
// SOURCE is a folder of images, a video file, or a camera's number. Frames are shown in a window until a key is pressed,
// or written as PNG files with --headless. key=value sets an option, for example size=320x240.

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <opencv2/highgui.hpp>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>
#include <opencv2/videoio.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#include "npad_opencv.hpp"

namespace fs = std::filesystem;

namespace {

struct Arguments {
  std::string good, source, headless, model = "inspect.npad";
  npad::Options options;
};

Arguments parse(int argc, char **argv) {
  Arguments arguments;
  std::vector<std::string> places;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    const auto split = argument.find('=');
    if ((argument == "--headless" || argument == "--model") && i + 1 < argc)
      (argument == "--model" ? arguments.model : arguments.headless) = argv[++i];
    else if (split != std::string::npos)
      arguments.options.set(argument.substr(0, split), argument.substr(split + 1));
    else
      places.push_back(argument);
  }
  if (places.size() != 2) throw std::invalid_argument("GOOD_FOLDER and SOURCE are needed");
  arguments.good = places[0];
  arguments.source = places[1];
  return arguments;
}

std::vector<fs::path> images_in(const fs::path &folder) {
  std::vector<fs::path> paths;
  for (const auto &entry : fs::directory_iterator(folder))
    if (cv::haveImageReader(entry.path().string())) paths.push_back(entry.path());
  std::sort(paths.begin(), paths.end());
  return paths;
}

npad::Model teach(const Arguments &arguments) {
  npad::Trainer trainer(arguments.options);
  const std::vector<fs::path> paths = images_in(arguments.good);
  trainer.expect(paths.size());
  for (const fs::path &path : paths)
    trainer.add(npad::opencv::view(cv::imread(path.string(), cv::IMREAD_UNCHANGED)));
  std::printf("learning from %zu good images\n", trainer.image_count());
  trainer.finish().save(arguments.model);
  return npad::Model::load(arguments.model, arguments.options);
}

/// Inspects one frame; returns false when the user wants to stop.
bool inspect(const npad::Model &model, const Arguments &arguments, const std::string &name, const cv::Mat &frame) {
  const npad::Result result = npad::opencv::score(model, frame);
  const char *const words[] = {"good", "review", "DEFECTIVE"};
  const cv::Scalar colours[] = {{60, 200, 60}, {40, 200, 240}, {40, 40, 230}};
  const int verdict = static_cast<int>(result.verdict());
  std::printf("%s: %s, score %.9g\n", name.c_str(), words[verdict], result.score());
  for (const cv::Rect &box : npad::opencv::regions(result))
    std::printf("  region at (%d, %d), %d x %d\n", box.x, box.y, box.width, box.height);

  cv::Mat picture = npad::opencv::overlay(model, frame, result);
  const double scale = std::max(0.4, picture.cols / 500.0);
  const std::string text = cv::format("%s %.2f", words[verdict], result.calibrated_score());
  cv::putText(picture, text, cv::Point(int(10 * scale), int(25 * scale)), cv::FONT_HERSHEY_SIMPLEX, scale,
              colours[verdict], 1 + int(scale), cv::LINE_AA);
  if (!arguments.headless.empty()) return cv::imwrite((fs::path(arguments.headless) / (name + ".png")).string(), picture);
  cv::imshow("npad", picture);
  return cv::waitKey(1) < 0;
}

void inspect_all(const npad::Model &model, const Arguments &arguments) {
  if (fs::is_directory(arguments.source)) {
    for (const fs::path &path : images_in(arguments.source)) {
      const cv::Mat frame = cv::imread(path.string(), cv::IMREAD_UNCHANGED);
      if (!inspect(model, arguments, path.filename().string(), frame)) return;
    }
    return;
  }
  const bool is_camera = std::all_of(arguments.source.begin(), arguments.source.end(), ::isdigit);
  cv::VideoCapture capture;
  if (!(is_camera ? capture.open(std::stoi(arguments.source)) : capture.open(arguments.source)))
    throw std::runtime_error(arguments.source + " is neither a folder nor a video nor a camera");
  cv::Mat frame;
  for (int number = 0; capture.read(frame); ++number)
    if (!inspect(model, arguments, cv::format("frame-%06d", number), frame)) return;
}

}  // namespace

int main(int argc, char **argv) try {
  const Arguments arguments = parse(argc, argv);
  if (!arguments.headless.empty()) fs::create_directories(arguments.headless);
  inspect_all(teach(arguments), arguments);
  return 0;
} catch (const std::invalid_argument &error) {
  std::fprintf(stderr, "%s\nusage: %s GOOD_FOLDER SOURCE [--headless FOLDER] [--model FILE] [key=value]...\n", error.what(),
               argv[0]);
  return 2;
} catch (const std::exception &error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
