# find_package(npad) gives npad::npad (shared) and npad::static. The folder may be moved: paths are relative to this file.
# A package may have put a link to it where CMake looks.
get_filename_component(_npad_file "${CMAKE_CURRENT_LIST_FILE}" REALPATH)
get_filename_component(_npad_prefix "${_npad_file}/../../../.." ABSOLUTE)

if(NOT TARGET npad::npad)
  add_library(npad::npad SHARED IMPORTED)
  set_target_properties(npad::npad PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${_npad_prefix}/include")
  if(MINGW)
    set_target_properties(npad::npad PROPERTIES
      IMPORTED_LOCATION "${_npad_prefix}/bin/npad.dll"
      IMPORTED_IMPLIB "${_npad_prefix}/lib/libnpad.dll.a")
  elseif(WIN32)
    set_target_properties(npad::npad PROPERTIES
      IMPORTED_LOCATION "${_npad_prefix}/bin/npad.dll"
      IMPORTED_IMPLIB "${_npad_prefix}/lib/npad.dll.lib")
  elseif(APPLE)
    set_target_properties(npad::npad PROPERTIES IMPORTED_LOCATION "${_npad_prefix}/lib/libnpad.dylib")
  else()
    set_target_properties(npad::npad PROPERTIES
      IMPORTED_LOCATION "${_npad_prefix}/lib/libnpad.so"
      IMPORTED_SONAME "libnpad.so.@SONAME_VERSION@")
  endif()
endif()

if(NOT TARGET npad::static)
  add_library(npad::static STATIC IMPORTED)
  if(MINGW)
    set(_npad_archive "${_npad_prefix}/lib/libnpad.a")
    set(_npad_system "ws2_32;userenv;ntdll;bcrypt")
  elseif(WIN32)
    set(_npad_archive "${_npad_prefix}/lib/npad.lib")
    set(_npad_system "ws2_32;userenv;ntdll;bcrypt")
  else()
    set(_npad_archive "${_npad_prefix}/lib/libnpad.a")
    set(_npad_system "pthread;dl;m")
  endif()
  set_target_properties(npad::static PROPERTIES
    IMPORTED_LOCATION "${_npad_archive}"
    INTERFACE_INCLUDE_DIRECTORIES "${_npad_prefix}/include"
    INTERFACE_LINK_LIBRARIES "${_npad_system}")
endif()

# The ONNX Runtime to ship with a program: what -Dnpad_ONNXRUNTIME_LIBRARY=FILE says, else this package's, else the system's.
if(NOT npad_ONNXRUNTIME_LIBRARY)
  file(GLOB _npad_runtime
    "${_npad_prefix}/lib/libonnxruntime.so*" "${_npad_prefix}/lib/libonnxruntime.*dylib" "${_npad_prefix}/bin/onnxruntime.dll")
  # An installation over an older one has two: the newest.
  list(SORT _npad_runtime ORDER DESCENDING)
  if(_npad_runtime)
    list(GET _npad_runtime 0 npad_ONNXRUNTIME_LIBRARY)
  else()
    find_library(npad_ONNXRUNTIME_LIBRARY onnxruntime)
  endif()
endif()

set(npad_FOUND TRUE)
