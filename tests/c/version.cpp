// npad.hpp with a library of another version: the program's own npad_version_number() stands for that library's.

#include "check_parts.hpp"

extern "C" std::uint32_t npad_version_number(void) { return NPAD_VERSION_NUMBER + 1000; }

int main() {
  const std::string header = "npad " + npad::detail::version_text(NPAD_VERSION_NUMBER);
  const std::string library = "npad " + npad::detail::version_text(NPAD_VERSION_NUMBER + 1000);
  for (int twice = 0; twice < 2; ++twice) {
    THROWS(npad::Options(), NPAD_STATUS_WRONG_STATE, header);
    THROWS(npad::Model::load("none.npad"), NPAD_STATUS_WRONG_STATE, library);
    THROWS(npad::options(), NPAD_STATUS_WRONG_STATE, library);
    THROWS(npad::Cancellation(), NPAD_STATUS_WRONG_STATE, library);
  }
  // Before 1.0 a minor version changes the interface; later a newer library will do.
  npad::detail::check_versions(2000, 2009);
  THROWS(npad::detail::check_versions(2000, 1009), NPAD_STATUS_WRONG_STATE, "0.1.9");
  THROWS(npad::detail::check_versions(2000, 1000000), NPAD_STATUS_WRONG_STATE, "1.0.0");
  npad::detail::check_versions(1002003, 1005000);
  THROWS(npad::detail::check_versions(1005000, 1002003), NPAD_STATUS_WRONG_STATE, "1.2.3");
  THROWS(npad::detail::check_versions(1005000, 2005000), NPAD_STATUS_WRONG_STATE, "2.5.0");
  return done();
}
