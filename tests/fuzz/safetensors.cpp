#include "core/safetensors.h"

#include <cstring>

#include "models/checkpoint.h"
#include "tests/fuzz/fuzz.h"

namespace gt::fuzz {
namespace {

bool equal(const SafeTensors& a, const SafeTensors& b) {
  if (a.tensors.size() != b.tensors.size()) return false;
  for (const auto& [name, tensor] : a.tensors) {
    const Tensor* other = b.find(name);
    if (!other || other->shape() != tensor.shape() || other->dtype() != tensor.dtype()) return false;
    if (std::memcmp(other->raw(), tensor.raw(), size_t(tensor.bytes())) != 0) return false;
  }
  return true;
}

}  // namespace

/// The bytes: one that says whether to put the header's length right, so that mutations reach what is behind it; then
/// the file.
void fuzz_safetensors(std::string_view bytes) {
  if (bytes.size() < 9) return;
  const std::string path = scratch("model.safetensors"), out = scratch("written.safetensors");
  std::string file(bytes.substr(1));
  if (bytes[0] & 1) {
    const size_t end = std::min(file.find('\n', 8), file.size());
    const uint64_t length = end - 8;
    std::memcpy(file.data(), &length, sizeof length);
  }
  put(path, file);
  SafeTensors content;
  if (!reads(path, [&] { content = read_safetensors(path); })) return;
  reads(path, [&] { read_checkpoint(path); });
  must_read(out, [&] {
    write_safetensors(out, content);
    const SafeTensors again = read_safetensors(out);
    if (!equal(content, again) || !again.checked) report_finding("tensors change when they are written and read");
  });
}

}  // namespace gt::fuzz
