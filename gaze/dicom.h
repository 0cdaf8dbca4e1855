// DICOM slices, if the build has DCMTK (https://dicom.offis.de/dcmtk).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gaze/picture.h"

namespace gt {

/// Whether this build reads DICOM.
bool dicom_built();

/// Whether these are the bytes of a DICOM file: with "DICM" after a preamble of 128 bytes or, as some old programs
/// write them, with a first data element of group 2 or 8.
bool is_dicom(std::string_view bytes);

/// The place of a slice in the patient, in mm: x to the left, y to the back, z to the head.
struct SlicePlace {
  std::array<double, 3> position = {};  // of the first pixel
  std::array<double, 3> right = {};     // direction of a row of pixels
  std::array<double, 3> down = {};      // direction of a column
};

struct DicomHeader {
  std::string patient, series;      // PatientID, SeriesInstanceUID
  std::optional<int64_t> instance;  // InstanceNumber, the slice's place in its series
  int64_t height = 0, width = 0;    // 0: the file is no image
  int64_t frames = 1;
  std::optional<SlicePlace> place;  // ImagePositionPatient and ImageOrientationPatient
};

/// Reads a file's header. Throws Error, naming the file, if it is damaged or the build reads no DICOM.
DicomHeader read_dicom_header(const std::string& path);

struct DicomSlice {
  int64_t height = 0, width = 0;
  std::vector<int32_t> values;      // (height,width), in the order of the rescaled values
  std::vector<uint8_t> is_padding;  // (height,width); empty if no pixel is
  bool inverted = false;            // the largest value is black
  PixelSpacing spacing;             // PixelSpacing, if it is two positive numbers
};

/// The frames of a grey image, raw. Throws Error as read_dicom() does, and for compressed frames.
struct DicomFrames {
  int64_t count = 0;
  DicomSlice pixels;  // values and is_padding (count,height,width)
};
DicomFrames read_dicom_frames(const std::string& path, const ReadOptions& options = {});

/// Reads a grey slice: raw, RLE, JPEG or JPEG-LS. Values are as stored, or of the modality LUT. Slope and intercept do
/// not change their order, except that a negative slope inverts the slice, as MONOCHROME1 does. The viewing window is
/// ignored: it cuts off values, and networks get standardised images. Throws Error, naming the file and the reason, for
/// anything but one grey frame.
DicomSlice read_dicom(const std::string& path, const ReadOptions& options = {});

}  // namespace gt
