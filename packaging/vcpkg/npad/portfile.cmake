# Builds npad with cargo from the repository that this port lies in. vcpkg itself has not run it yet: only
# tests/install/vcpkg.sh has, which stands in for it on Linux.
vcpkg_check_linkage(ONLY_DYNAMIC_LIBRARY)
# The interface is C, so that the release build also serves debug builds of programs.
set(VCPKG_POLICY_MISMATCHED_NUMBER_OF_BINARIES enabled)

get_filename_component(SOURCE_PATH "${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)
set(BUILT "${CURRENT_BUILDTREES_DIR}/target/release")
# On Windows vcpkg clears PATH.
find_program(CARGO cargo HINTS "$ENV{CARGO_HOME}/bin" "$ENV{USERPROFILE}/.cargo/bin" "$ENV{HOME}/.cargo/bin" REQUIRED)
vcpkg_execute_required_process(
  COMMAND "${CARGO}" build --release --locked --package npad --lib --target-dir "${CURRENT_BUILDTREES_DIR}/target"
  WORKING_DIRECTORY "${SOURCE_PATH}"
  LOGNAME "build-${TARGET_TRIPLET}")

string(REGEX MATCH "^[0-9]+\\.[0-9]+" SONAME_VERSION "${VERSION}")
if(VCPKG_TARGET_IS_WINDOWS)
  file(INSTALL "${BUILT}/npad.dll" DESTINATION "${CURRENT_PACKAGES_DIR}/bin")
  file(INSTALL "${BUILT}/npad.dll.lib" DESTINATION "${CURRENT_PACKAGES_DIR}/lib")
elseif(VCPKG_TARGET_IS_OSX)
  file(INSTALL "${BUILT}/libnpad.dylib" DESTINATION "${CURRENT_PACKAGES_DIR}/lib")
else()
  file(INSTALL "${BUILT}/libnpad.so" DESTINATION "${CURRENT_PACKAGES_DIR}/lib")
  # The name by which programs find it at run time.
  file(CREATE_LINK libnpad.so "${CURRENT_PACKAGES_DIR}/lib/libnpad.so.${SONAME_VERSION}" SYMBOLIC)
endif()
file(INSTALL "${SOURCE_PATH}/include" DESTINATION "${CURRENT_PACKAGES_DIR}")

# One folder less deep than in an installation.
file(READ "${SOURCE_PATH}/cmake/npadConfig.cmake" CONFIG)
string(REPLACE "/../../.." "/../.." CONFIG "${CONFIG}")
string(CONFIGURE "${CONFIG}" CONFIG @ONLY)
file(WRITE "${CURRENT_PACKAGES_DIR}/share/${PORT}/npadConfig.cmake" "${CONFIG}")
configure_file("${SOURCE_PATH}/cmake/npadConfigVersion.cmake" "${CURRENT_PACKAGES_DIR}/share/${PORT}/npadConfigVersion.cmake" @ONLY)

file(INSTALL "${CMAKE_CURRENT_LIST_DIR}/usage" DESTINATION "${CURRENT_PACKAGES_DIR}/share/${PORT}")
vcpkg_install_copyright(FILE_LIST "${SOURCE_PATH}/LICENSE-MIT" "${SOURCE_PATH}/LICENSE-APACHE")
