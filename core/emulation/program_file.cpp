#include "core/emulation/program_file.h"

#include <dlfcn.h>
#include <elf.h>

#include <cstdint>
#include <cstring>
#include <unordered_map>

#include "core/mapped_file.h"

// The addresses of the no-ops before each kernel that has launch bounds. The linker defines the symbols if there are
// any.
extern "C" {
[[gnu::weak]] extern const unsigned char* const __start___patchable_function_entries[];
[[gnu::weak]] extern const unsigned char* const __stop___patchable_function_entries[];
}

namespace gt::emulation {
namespace {

#if defined(__x86_64__)
constexpr unsigned char no_op[] = {0x90};
#elif defined(__aarch64__)
constexpr unsigned char no_op[] = {0x1f, 0x20, 0x03, 0xd5};
#else
#error "the no-op of this processor is not known"
#endif

/// The bounds of every kernel that has some.
std::unordered_map<const void*, unsigned> all_launch_bounds() {
  std::unordered_map<const void*, unsigned> bounds;
  for (auto entry = __start___patchable_function_entries; entry != __stop___patchable_function_entries; ++entry) {
    const unsigned char* at = *entry;
    unsigned count = 0;
    for (; std::memcmp(at, no_op, sizeof no_op) == 0; at += sizeof no_op) ++count;
    bounds[at] = count;
  }
  return bounds;
}

/// The symbols of the program's functions, by address.
std::unordered_map<const void*, std::string> all_symbols() {
  const MappedFile file("/proc/self/exe");
  const char* const bytes = file.bytes().data();
  const auto* const header = reinterpret_cast<const Elf64_Ehdr*>(bytes);
  const auto* const sections = reinterpret_cast<const Elf64_Shdr*>(bytes + header->e_shoff);
  uintptr_t base = 0;  // where the program was loaded
  if (Dl_info here; header->e_type == ET_DYN && dladdr(no_op, &here) != 0)
    base = reinterpret_cast<uintptr_t>(here.dli_fbase);
  std::unordered_map<const void*, std::string> names;
  for (unsigned i = 0; i < header->e_shnum; ++i) {
    if (sections[i].sh_type != SHT_SYMTAB) continue;
    const auto* const symbols = reinterpret_cast<const Elf64_Sym*>(bytes + sections[i].sh_offset);
    const char* const text = bytes + sections[sections[i].sh_link].sh_offset;
    for (size_t k = 0; k < sections[i].sh_size / sizeof(Elf64_Sym); ++k)
      if (ELF64_ST_TYPE(symbols[k].st_info) == STT_FUNC)
        names.emplace(reinterpret_cast<const void*>(base + symbols[k].st_value), text + symbols[k].st_name);
  }
  return names;
}

}  // namespace

std::string symbol_of(const void* function) {
  static const std::unordered_map<const void*, std::string> names = all_symbols();
  const auto found = names.find(function);
  return found == names.end() ? "" : found->second;
}

unsigned launch_bound(const void* kernel) {
  static const std::unordered_map<const void*, unsigned> bounds = all_launch_bounds();
  const auto found = bounds.find(kernel);
  return found == bounds.end() ? 0 : found->second;
}

}  // namespace gt::emulation
