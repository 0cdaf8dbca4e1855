// What the compiler left about kernels in the program's own file: names and launch bounds.
#pragma once

#include <string>

namespace gt::emulation {

/// The symbol of a function of the program, such as _ZN2gt3addEv. "" if the program was stripped of its symbols.
std::string symbol_of(const void* function);

/// The largest number of threads that the kernel's __launch_bounds__ allow in a block; 0 for a kernel without them.
unsigned launch_bound(const void* kernel);

}  // namespace gt::emulation
