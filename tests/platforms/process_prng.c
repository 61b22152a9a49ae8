/* bcryptprimitives.dll, which Wine 8 lacks and Rust's standard library takes its seeds from. */
#include <windows.h>
#include <ntsecapi.h>

__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE data, SIZE_T size) { return RtlGenRandom(data, (ULONG)size); }
