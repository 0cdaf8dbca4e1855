#include "gaze/scan.h"
#include "tests/fuzz/fuzz.h"

namespace gt::fuzz {

void fuzz_nifti(std::string_view bytes) {
  if (!nifti_built()) return;
  const std::string path = scratch("volume.nii.gz"), mask_path = scratch("mask.nii");
  put(path, bytes);
  Scan scan;
  if (!reads(path, [&] { scan = read_nifti(path); })) return;
  if (int64_t(scan.values.size()) != scan.geometry.voxels())
    report_finding("a volume has another number of values than its sizes say");
  scan_slice(scan, 0, 1);
  std::vector<uint8_t> mask(scan.values.size());
  mask[mask.size() / 2] = 1;
  put(mask_path, encode_nifti(scan, mask, false));
  Scan again;
  must_read(mask_path, [&] { again = read_nifti(mask_path); });
  if (!std::equal(mask.begin(), mask.end(), again.values.begin(), again.values.end()))
    report_finding("a mask is read in another order than it was written");
}

}  // namespace gt::fuzz
