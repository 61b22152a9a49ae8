#include <iostream>
#include <opencv2/imgcodecs.hpp>
#include "npad_opencv.hpp"
int main(int argc, char **argv) {  // program MODEL.npad IMAGE...
  const npad::Model model = npad::Model::load(argv[1]);
  for (int n = 2; n < argc; n++) {
    const npad::Result result = npad::opencv::score(model, cv::imread(argv[n], cv::IMREAD_UNCHANGED));
    std::cout << argv[n] << ": " << (result.is_anomalous() ? "DEFECTIVE" : "good") << ", " << result.score() << "\n";
  }
}
