// DICOM slices, if the build has DCMTK (https://dicom.offis.de/dcmtk).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace gt {

/// Whether this build reads DICOM.
bool dicom_built();

/// Whether these are the bytes of a DICOM file.
bool is_dicom(std::string_view bytes);

struct DicomHeader {
  std::string patient, series;  // PatientID, SeriesInstanceUID
  int64_t instance = 0;         // InstanceNumber, the slice's place in its series
  int64_t height = 0, width = 0;
};

/// Reads a slice's header. Throws Error, naming the file, if it is not a DICOM image or the build reads none.
DicomHeader read_dicom_header(const std::string& path);

struct DicomSlice {
  int64_t height = 0, width = 0;
  std::vector<uint16_t> values;  // (height,width)
};

/// Reads a grey slice: raw, RLE or JPEG. Stored values are rescaled by slope and intercept, then stretched so that the
/// smallest is 0 and the largest 65535. MONOCHROME1 (0 is white) is inverted. The viewing window is ignored: it cuts
/// off values, and networks get standardised images. Throws Error, naming the file and the reason, for anything but one
/// grey frame.
DicomSlice read_dicom(const std::string& path);

}  // namespace gt
