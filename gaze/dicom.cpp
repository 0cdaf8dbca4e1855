#include "gaze/dicom.h"

#include "core/check.h"

#if GT_DICOM
#include <dcmtk/config/osconfig.h>

#include <dcmtk/dcmdata/dcrledrg.h>
#include <dcmtk/dcmdata/dctk.h>
#include <dcmtk/dcmimgle/dcmimage.h>
#include <dcmtk/dcmjpeg/djdecode.h>
#endif

namespace gt {

bool dicom_built() { return GT_DICOM; }

bool is_dicom(std::string_view bytes) {
  constexpr size_t preamble = 128;
  return bytes.size() > preamble && bytes.substr(preamble).starts_with("DICM");
}

#if GT_DICOM

namespace {

/// Silences DCMTK's log and registers the decoders of compressed slices, once.
void set_up_dcmtk() {
  static const bool done = [] {
    OFLog::configure(OFLogger::OFF_LOG_LEVEL);
    DcmRLEDecoderRegistration::registerCodecs();
    DJDecoderRegistration::registerCodecs();
    return true;
  }();
  (void)done;
}

void load(const std::string& path, DcmFileFormat& file) {
  set_up_dcmtk();
  const OFCondition loaded = file.loadFile(path.c_str());
  if (loaded.bad()) fail(path, ": cannot read the DICOM file: ", loaded.text());
}

/// The number in a field of an image. Throws Error if there is none.
uint16_t number(const std::string& path, DcmDataset& data, const DcmTagKey& tag, const char* name) {
  Uint16 value = 0;
  if (data.findAndGetUint16(tag, value).bad()) fail(path, ": is a DICOM file without ", name, ", expected an image");
  return value;
}

/// The text in a field; "" if there is none.
std::string word(DcmDataset& data, const DcmTagKey& tag) {
  OFString value;
  data.findAndGetOFString(tag, value);
  return value.c_str();
}

/// Throws Error for missing pixels, which the decoder would fill with zeros.
void check_pixels(const std::string& path, DcmDataset& data) {
  const DcmXfer syntax(data.getOriginalXfer());
  DcmElement* pixels = nullptr;
  if (data.findAndGetElement(DCM_PixelData, pixels).bad()) fail(path, ": is a DICOM file without pixels");
  const uint64_t expected = uint64_t(number(path, data, DCM_Rows, "Rows")) *
                            number(path, data, DCM_Columns, "Columns") *
                            (number(path, data, DCM_BitsAllocated, "BitsAllocated") / 8);
  if (!syntax.isEncapsulated() && pixels->getLength() < expected)
    fail(path, ": is truncated, expected ", expected, " bytes of pixels, got ", pixels->getLength());
}

}  // namespace

DicomHeader read_dicom_header(const std::string& path) {
  DcmFileFormat file;
  load(path, file);
  DcmDataset& data = *file.getDataset();
  DicomHeader header;
  header.patient = word(data, DCM_PatientID);
  header.series = word(data, DCM_SeriesInstanceUID);
  header.height = number(path, data, DCM_Rows, "Rows");
  header.width = number(path, data, DCM_Columns, "Columns");
  Sint32 instance = 0;
  if (data.findAndGetSint32(DCM_InstanceNumber, instance).bad())
    fail(path, ": is a DICOM file without InstanceNumber, expected a slice of a series");
  header.instance = instance;
  return header;
}

DicomSlice read_dicom(const std::string& path) {
  DcmFileFormat file;
  load(path, file);
  DcmDataset& data = *file.getDataset();
  check_pixels(path, data);
  const std::string photometry = word(data, DCM_PhotometricInterpretation);
  if (!photometry.starts_with("MONOCHROME")) fail(path, ": is ", photometry, ", expected a grey DICOM image");
  DicomImage image(&file, data.getOriginalXfer());
  if (image.getStatus() != EIS_Normal)
    fail(path, ": cannot decode the DICOM image: ", DicomImage::getString(image.getStatus()));
  if (image.getFrameCount() != 1) fail(path, ": has ", image.getFrameCount(), " frames, expected one slice");

  DicomSlice slice{int64_t(image.getHeight()), int64_t(image.getWidth()), {}};
  slice.values.resize(size_t(slice.height * slice.width));
  if (!image.setMinMaxWindow() || !image.getOutputData(slice.values.data(), slice.values.size() * 2, 16))
    fail(path, ": cannot decode the DICOM image: ", DicomImage::getString(image.getStatus()));
  return slice;
}

#else

namespace {
[[noreturn]] void not_built(const std::string& path) {
  fail(path, ": is a DICOM file, which this build does not read: build it with DCMTK (Debian: libdcmtk-dev)");
}
}  // namespace

DicomHeader read_dicom_header(const std::string& path) { not_built(path); }
DicomSlice read_dicom(const std::string& path) { not_built(path); }

#endif

}  // namespace gt
