# Programs for Windows, by Debian's MinGW.
set(CMAKE_SYSTEM_NAME Windows)
set(CMAKE_SYSTEM_PROCESSOR x86_64)
set(CMAKE_CXX_COMPILER x86_64-w64-mingw32-g++-posix)
# The compiler's own libraries are part of the programs.
set(CMAKE_EXE_LINKER_FLAGS_INIT -static)
