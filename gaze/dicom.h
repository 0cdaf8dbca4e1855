// DICOM slices, where the build has DCMTK (https://dicom.offis.de/dcmtk).
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

/// Throws Error, naming the file, if it is no DICOM image or the build reads none.
DicomHeader read_dicom_header(const std::string& path);

struct DicomSlice {
  int64_t height = 0, width = 0;
  std::vector<uint16_t> values;  // (height, width)
};

/// A grey slice: stored values, rescaled by slope and intercept, the smallest as 0 and the largest as 65535;
/// MONOCHROME1 (0 is white) is inverted. The window that the file proposes for viewing is ignored: networks are fed
/// standardised images, and a window cuts off values that the eye does without. Throws Error, naming the file and the
/// reason, for what is not one grey frame.
DicomSlice read_dicom(const std::string& path);

}  // namespace gt
