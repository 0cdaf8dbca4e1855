// Damaged checkpoints.
#include <filesystem>

#include "core/io.h"
#include "tests/faults/campaign.h"

namespace gt::faults {
namespace {

/// Writes the bytes as a checkpoint of a half-way run and checks that it is refused.
std::string refused(const Workshop& w, const std::string& file, const std::string& bytes) {
  w.copy_half_way("damaged");
  write_file(w.path("damaged/") + file, bytes);
  return not_refused(w.run(file == "last.safetensors" ? w.training("damaged") : w.evaluation("damaged")), file);
}

}  // namespace

Row truncated_checkpoints(Workshop& w) {
  Row row = {"truncated or longer checkpoint", "refused, the file named"};
  w.copy_half_way("damaged");
  for (const std::string file : {"last.safetensors", "best.safetensors"}) {
    const std::string bytes = read_file(w.path("half/") + file);
    for (const size_t size : {size_t(0), size_t(1), size_t(8), size_t(100), bytes.size() / 2, bytes.size() - 1}) {
      const std::string loss = refused(w, file, bytes.substr(0, size));
      row.add(loss.empty() ? "" : str_cat(file, " of ", size, " bytes: ", loss));
    }
    row.add(refused(w, file, bytes + '\0'));
  }
  return row;
}

Row flipped_bits(Workshop& w) {
  Row row = {"one flipped bit of a checkpoint", "refused, the file named"};
  w.copy_half_way("damaged");
  for (const std::string file : {"last.safetensors", "best.safetensors"}) {
    const std::string bytes = read_file(w.path("half/") + file);
    for (int i = 0; i < 30; ++i) {
      // A third of the bits each from the length and the header's begin, the whole file, and the data's end.
      const double low = i % 3 == 2 ? 0.5 : 0, high = i % 3 == 0 ? 200 / double(bytes.size()) : 1;
      const size_t at = std::min(bytes.size() - 1, size_t(w.uniform(low, high) * double(bytes.size())));
      const int bit = int(w.uniform(0, 8));
      std::string flipped = bytes;
      flipped[at] = char(flipped[at] ^ 1 << bit);
      const std::string loss = refused(w, file, flipped);
      row.add(loss.empty() ? "" : str_cat(file, ", bit ", bit, " of byte ", at, ": ", loss));
    }
  }
  return row;
}

}  // namespace gt::faults
