#include "gaze/dicom.h"

#include "gaze/image.h"
#include "gaze/scan.h"
#include "tests/fuzz/fuzz.h"

namespace gt::fuzz {

void fuzz_dicom(std::string_view bytes) {
  if (!dicom_built()) return;
  const std::string path = scratch("slice.dcm");
  put(path, bytes);
  ReadOptions options;
  options.max_pixels = 1 << 14;  // so that the time goes into different inputs, not into large ones
  DicomHeader header;
  DicomSlice slice;
  Scan scan;
  if (reads(path, [&] { scan = read_dicom_scan(path, options); }) &&
      int64_t(scan.values.size()) != scan.geometry.voxels())
    report_finding("a volume has another number of values than its sizes say");
  const bool has_header = reads(path, [&] { header = read_dicom_header(path); });
  if (!reads(path, [&] { slice = read_dicom(path, options); })) return;
  const size_t size = size_t(slice.height * slice.width);
  if (slice.values.size() != size || (!slice.is_padding.empty() && slice.is_padding.size() != size))
    report_finding("a slice has another number of values than pixels");
  // The header alone has the place of the slice in its volume, so it is refused more often.
  if (has_header && (slice.height != header.height || slice.width != header.width))
    report_finding("a slice has another size than its header");
  reads(path, [&] { read_image(path, 1, options); });
}

}  // namespace gt::fuzz
