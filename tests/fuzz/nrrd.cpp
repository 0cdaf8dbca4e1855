#include "gaze/nrrd.h"

#include "tests/fuzz/fuzz.h"

namespace gt::fuzz {

void fuzz_nrrd(std::string_view bytes) {
  const std::string path = scratch("volume.nrrd");
  put(path, bytes);
  Volume volume;
  if (!reads(path, [&] { volume = read_nrrd(path); })) return;
  if (volume.width < 1 || volume.height < 1 || volume.depth < 1 ||
      volume.values.size() != size_t(volume.width * volume.height * volume.depth))
    report_finding("a volume has another number of values than its sizes say");
}

}  // namespace gt::fuzz
