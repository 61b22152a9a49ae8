# Runs the vcpkg port without vcpkg: cmake -DPACKAGES=FOLDER -DBUILDTREES=FOLDER -P vcpkg.cmake. What the port calls of vcpkg is
# stood in for as far as the port needs it.
cmake_minimum_required(VERSION 3.21)
get_filename_component(PORT_DIR "${CMAKE_CURRENT_LIST_DIR}/../../packaging/vcpkg/npad" ABSOLUTE)
file(READ "${PORT_DIR}/vcpkg.json" MANIFEST)
string(JSON PORT GET "${MANIFEST}" name)
string(JSON VERSION GET "${MANIFEST}" version-semver)
set(CURRENT_PACKAGES_DIR "${PACKAGES}")
set(CURRENT_BUILDTREES_DIR "${BUILDTREES}")
set(TARGET_TRIPLET x64-linux)
set(VCPKG_TARGET_IS_LINUX ON)

function(vcpkg_check_linkage)
endfunction()

function(vcpkg_execute_required_process)
  cmake_parse_arguments(PARSE_ARGV 0 arg "" "WORKING_DIRECTORY;LOGNAME" "COMMAND")
  execute_process(COMMAND ${arg_COMMAND} WORKING_DIRECTORY "${arg_WORKING_DIRECTORY}" COMMAND_ERROR_IS_FATAL ANY)
endfunction()

function(vcpkg_install_copyright)
  cmake_parse_arguments(PARSE_ARGV 0 arg "" "" "FILE_LIST")
  foreach(file IN LISTS arg_FILE_LIST)
    file(READ "${file}" text)
    file(APPEND "${CURRENT_PACKAGES_DIR}/share/${PORT}/copyright" "${text}")
  endforeach()
endfunction()

include("${PORT_DIR}/portfile.cmake")
