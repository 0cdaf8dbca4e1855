#include "gaze/dicom.h"

#include "core/check.h"

#if GT_DICOM
#include <dcmtk/config/osconfig.h>

#include <dcmtk/dcmdata/dcpixel.h>
#include <dcmtk/dcmdata/dcpixseq.h>
#include <dcmtk/dcmdata/dcpxitem.h>
#include <dcmtk/dcmdata/dcrledrg.h>
#include <dcmtk/dcmdata/dctk.h>
#include <dcmtk/dcmjpeg/djdecode.h>
#include <dcmtk/dcmjpls/djdecode.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "core/io.h"
#include "gaze/dicom_dcmtk.h"
#include "gaze/dicom_file.h"
#include "gaze/picture_files.h"
#endif

namespace gt {

bool dicom_built() { return GT_DICOM; }

bool is_dicom(std::string_view bytes) {
  constexpr size_t preamble = 128;
  if (bytes.size() > preamble && bytes.substr(preamble).starts_with("DICM")) return true;
  if (bytes.size() < 8) return false;
  const auto byte = [&](size_t i) { return uint8_t(bytes[i]); };
  const auto is_letter = [&](size_t i) { return bytes[i] >= 'A' && bytes[i] <= 'Z'; };
  const bool has_type = is_letter(4) && is_letter(5), is_short = byte(6) == 0 && byte(7) == 0;
  const bool little = (byte(0) == 2 || byte(0) == 8) && byte(1) == 0 && byte(3) == 0 && byte(2) <= 0x18;
  const bool big = byte(0) == 0 && byte(1) == 8 && byte(2) == 0 && byte(3) <= 0x18;
  return (little && (has_type || is_short)) || (big && has_type);
}

#if GT_DICOM

namespace {

/// Silences DCMTK's log and registers the decoders of compressed slices, once.
void set_up_dcmtk() {
  static const bool done = [] {
    OFLog::configure(OFLogger::OFF_LOG_LEVEL);
    DcmRLEDecoderRegistration::registerCodecs();
    DJDecoderRegistration::registerCodecs();
    DJLSDecoderRegistration::registerCodecs();
    return true;
  }();
  (void)done;
}

// ---- Fields ---------------------------------------------------------------------------------------------------------

/// The number in a field of an image. Throws Error if there is none.
uint16_t number(const std::string& path, DcmItem& data, const DcmTagKey& tag, const char* name) {
  Uint16 value = 0;
  if (data.findAndGetUint16(tag, value).bad()) fail(path, ": is a DICOM file without ", name, ", expected an image");
  return value;
}

/// The text in a field; "" if there is none.
std::string word(DcmItem& data, const DcmTagKey& tag) {
  OFString value;
  data.findAndGetOFString(tag, value);
  return std::string(trim_blanks(value.c_str()));
}

/// The decimal number in a text field, or nothing if the field is missing or empty. Throws Error for other text.
std::optional<double> decimal(const std::string& path, DcmItem& data, const DcmTagKey& tag, const char* name,
                              unsigned long place = 0) {
  OFString value;
  data.findAndGetOFString(tag, value, place);
  const std::string text(trim_blanks(value.c_str()));
  if (text.empty()) return std::nullopt;
  char* end = nullptr;
  const double result = std::strtod(text.c_str(), &end);
  if (*end || !std::isfinite(result)) fail(path, ": field ", name, ": expected a finite number, got '", text, "'");
  return result;
}

// ---- Compressed slices ----------------------------------------------------------------------------------------------

/// How the pixels of a slice are stored.
struct Format {
  int64_t height = 0, width = 0;
  int allocated = 0, bits = 0, high_bit = 0;
  bool is_signed = false;
};

Format format_of(const std::string& path, DcmDataset& data, const ReadOptions& options) {
  Format f;
  f.height = number(path, data, DCM_Rows, "Rows"), f.width = number(path, data, DCM_Columns, "Columns");
  check_size(path, f.height, f.width, options);
  f.allocated = number(path, data, DCM_BitsAllocated, "BitsAllocated");
  f.bits = number(path, data, DCM_BitsStored, "BitsStored");
  f.high_bit = number(path, data, DCM_HighBit, "HighBit");
  const int sign = number(path, data, DCM_PixelRepresentation, "PixelRepresentation");
  f.is_signed = sign == 1;
  if (f.allocated != 8 && f.allocated != 16 && f.allocated != 32)
    fail(path, ": field BitsAllocated: expected 8, 16 or 32, got ", f.allocated);
  if (f.bits < 1 || f.high_bit >= f.allocated || f.bits > f.high_bit + 1 || sign > 1)
    fail(path, ": has ", f.bits, " bits stored up to bit ", f.high_bit, " of ", f.allocated,
         " and PixelRepresentation ", sign, ", which do not fit together");
  return f;
}

void check_grey(const std::string& path, DcmDataset& data) {
  const std::string photometry = word(data, DCM_PhotometricInterpretation);
  if (photometry != "MONOCHROME1" && photometry != "MONOCHROME2")
    fail(path, ": is ", photometry.empty() ? "of unknown colours" : photometry, ", expected a grey DICOM image");
  if (const int samples = number(path, data, DCM_SamplesPerPixel, "SamplesPerPixel"); samples != 1)
    fail(path, ": has ", samples, " samples per pixel, expected a grey DICOM image");
  if (photometry == "MONOCHROME2" && word(data, DCM_PresentationLUTShape) == "INVERSE")
    fail(path, ": is MONOCHROME2 with PresentationLUTShape INVERSE, which contradict each other");
}

/// Throws Error if pixels are stored in a way that DCMTK does not know. It would read such a file as one without
/// pixels.
void check_syntax(const std::string& path, DcmFileFormat& file) {
  const std::string uid = word(*file.getMetaInfo(), DCM_TransferSyntaxUID);
  const DcmXfer syntax(uid.c_str());
  const bool by_network = uid == "1.2.840.10008.1.2.4.94" || uid == "1.2.840.10008.1.2.4.95";
  if (uid.empty() || (syntax.getXfer() != EXS_Unknown && !by_network)) return;
  constexpr std::pair<const char*, const char*> names[] = {{"1.2.840.10008.1.2.4.94", "JPIP"},
                                                           {"1.2.840.10008.1.2.4.95", "JPIP"},
                                                           {"1.2.840.10008.1.2.4.11", "JPEG XL"},
                                                           {"1.2.840.10008.1.2.4.20", "HTJ2K"},
                                                           {"1.2.840.10008.1.2.4.9", "JPEG 2000"},
                                                           {"1.2.840.10008.1.2.4.10", "MPEG"},
                                                           {"1.2.840.10008.1.2.8", "deflating each frame"}};
  for (const auto& [start, name] : names)
    if (uid.starts_with(start))
      fail(path, ": is compressed by ", name, " (", uid, "), which is not supported: expected RLE, JPEG or JPEG-LS");
  fail(path, ": has the transfer syntax ", uid, ", which is not supported");
}

enum class Packing { none, rle, jpeg, jpeg_ls };

Packing packing_of(const std::string& path, const DcmXfer& syntax) {
  if (!syntax.isEncapsulated()) return Packing::none;
  switch (syntax.getXfer()) {
    case EXS_RLELossless:
      return Packing::rle;
    case EXS_JPEGProcess1:
    case EXS_JPEGProcess2_4:
    case EXS_JPEGProcess14:
    case EXS_JPEGProcess14SV1:
      return Packing::jpeg;
    case EXS_JPEGLSLossless:
    case EXS_JPEGLSLossy:
      return Packing::jpeg_ls;
    default:
      fail(path, ": is compressed by ", syntax.getXferName(),
           ", which is not supported: expected RLE, JPEG or JPEG-LS");
  }
}

/// The bytes of the fragments of a compressed slice. Throws Error if another frame begins after the first.
std::string packed_bytes(const std::string& path, DcmPixelData& pixels, E_TransferSyntax syntax) {
  DcmPixelSequence* sequence = nullptr;
  if (pixels.getEncapsulatedRepresentation(syntax, nullptr, sequence).bad() || !sequence)
    fail(path, ": is damaged, it has no compressed pixels");
  std::string bytes;
  for (unsigned long i = 1; i < sequence->card(); ++i) {  // item 0 is a table of offsets
    DcmPixelItem* item = nullptr;
    Uint8* data = nullptr;
    if (sequence->getItem(item, i).bad() || item->getUint8Array(data).bad() || !data)
      fail(path, ": is damaged, its compressed pixels cannot be read");
    const std::string_view fragment(reinterpret_cast<const char*>(data), item->getLength());
    if (!bytes.empty() && bytes.starts_with(jpeg_start) && fragment.starts_with(jpeg_start))
      fail(path, ": has compressed pixels of several frames, expected one slice");
    bytes += fragment;
  }
  return bytes;
}

/// Height and width in the header of JPEG-LS.
std::pair<int64_t, int64_t> jpeg_ls_size(const std::string& path, std::string_view bytes) {
  constexpr uint8_t frame = 0xF7;
  for (size_t at = 2; at + 9 <= bytes.size() && uint8_t(bytes[at]) == 0xFF;) {
    if (uint8_t(bytes[at + 1]) == frame) return {big_endian(bytes, at + 5, 2), big_endian(bytes, at + 7, 2)};
    at += 2 + size_t(big_endian(bytes, at + 2, 2));
  }
  fail(path, ": is damaged, its JPEG-LS data have no header");
}

/// Throws Error if compressed pixels are damaged or of another size than the slice. DCMTK fills what is missing with
/// zeros, reserves memory for whatever a JPEG says, and never ends on some damaged ones.
void check_packed(const std::string& path, DcmPixelData& pixels, const DcmXfer& syntax, const Format& f,
                  const ReadOptions& options) {
  const Packing packing = packing_of(path, syntax);
  const std::string bytes = packed_bytes(path, pixels, syntax.getXfer());
  std::pair<int64_t, int64_t> size = {f.height, f.width};
  int64_t max_ratio = 64;  // pixel bytes of a packed byte, for RLE
  if (packing == Packing::jpeg) {
    if (!bytes.starts_with(jpeg_start)) fail(path, ": is damaged, its pixels are not JPEG");
    const JpegFile jpeg = read_jpeg_file(path, bytes, options, true);
    check_jpeg_scans(path, jpeg);
    size = {jpeg.height, jpeg.width};
    max_ratio = 1 << 10;
  } else if (packing == Packing::jpeg_ls) {
    size = jpeg_ls_size(path, bytes);
    max_ratio = 1 << 12;
  }
  if (packing == Packing::rle) check_rle(path, bytes, f.height * f.width, f.allocated / 8);
  if (size != std::pair(f.height, f.width))
    fail(path, ": is damaged, its compressed frame is ", size.first, "x", size.second, ", expected Rows x Columns, ",
         f.height, "x", f.width);
  if (f.height * f.width * (f.allocated / 8) / max_ratio > int64_t(bytes.size()) + 1024)
    fail(path, ": is damaged, ", bytes.size(), " bytes cannot hold ", f.height, "x", f.width, " pixels");
}

// ---- Values ---------------------------------------------------------------------------------------------------------

DcmPixelData& pixels_of(const std::string& path, DcmDataset& data) {
  DcmElement* element = nullptr;
  if (data.findAndGetElement(DCM_PixelData, element).bad()) fail(path, ": is a DICOM file without pixels");
  auto* pixels = dynamic_cast<DcmPixelData*>(element);
  if (!pixels) fail(path, ": is a DICOM file with pixels of an unknown type");
  return *pixels;
}

/// The decoded pixels as little-endian bytes.
std::vector<uint8_t> pixel_bytes(const std::string& path, DcmPixelData& pixels, size_t expected) {
  const size_t got = pixels.getLength();
  if (got < expected) fail(path, ": is truncated, expected ", expected, " bytes of pixels, got ", got);
  if (got >= 2 * expected && expected > 1)
    fail(path, ": has ", got, " bytes of pixels, expected ", expected, " for one frame of Rows x Columns");
  std::vector<uint8_t> bytes(expected);
  Uint16* words = nullptr;
  Uint8* single = nullptr;
  if (pixels.getUint16Array(words).good() && words) {
    for (size_t i = 0; i < expected; ++i) bytes[i] = uint8_t(words[i / 2] >> (i % 2 * 8));
  } else if (pixels.getUint8Array(single).good() && single) {
    std::copy_n(single, expected, bytes.data());
  } else {
    fail(path, ": cannot read the pixels of the DICOM file");
  }
  return bytes;
}

/// A stored number of `bits` as a value. Numbers of 32 bits without sign are lowered by 2^31, which keeps their order.
int32_t value_of(uint32_t raw, int bits, bool is_signed) {
  const uint32_t sign = 1u << (bits - 1), all = sign | (sign - 1);
  raw &= all;
  if (is_signed && (raw & sign)) return int32_t(raw | ~all);
  return int32_t(!is_signed && bits == 32 ? raw ^ sign : raw);
}

std::vector<int32_t> stored_values(const std::vector<uint8_t>& bytes, const Format& f) {
  const size_t width = size_t(f.allocated / 8);
  std::vector<int32_t> values(bytes.size() / width);
  for (size_t i = 0; i < values.size(); ++i) {
    uint32_t raw = 0;
    for (size_t b = width; b-- > 0;) raw = raw << 8 | bytes[i * width + b];
    values[i] = value_of(raw >> (f.high_bit + 1 - f.bits), f.bits, f.is_signed);
  }
  return values;
}

/// Marks pixels of PixelPaddingValue, or from it to PixelPaddingRangeLimit.
void mark_padding(DcmDataset& data, const Format& f, DicomSlice& slice) {
  const auto bound = [&](const DcmTagKey& tag) -> std::optional<int32_t> {
    Uint16 as_unsigned = 0;
    Sint16 as_signed = 0;
    if (data.findAndGetUint16(tag, as_unsigned).bad()) {
      if (data.findAndGetSint16(tag, as_signed).bad()) return std::nullopt;
      as_unsigned = Uint16(as_signed);
    }
    return f.is_signed ? int32_t(int16_t(as_unsigned)) : int32_t(as_unsigned);
  };
  const std::optional<int32_t> first = bound(DCM_PixelPaddingValue);
  if (!first || f.bits == 32) return;
  const int32_t last = bound(DCM_PixelPaddingRangeLimit).value_or(*first);
  const auto is_padding = [low = std::min(*first, last), high = std::max(*first, last)](int32_t v) {
    return v >= low && v <= high;
  };
  if (std::none_of(slice.values.begin(), slice.values.end(), is_padding)) return;
  slice.is_padding.resize(slice.values.size());
  std::transform(slice.values.begin(), slice.values.end(), slice.is_padding.begin(), is_padding);
}

/// Replaces values by the modality LUT's. Whether there is one.
bool apply_modality_lut(const std::string& path, DcmDataset& data, const Format& f, std::vector<int32_t>& values) {
  DcmItem* lut = nullptr;
  if (data.findAndGetSequenceItem(DCM_ModalityLUTSequence, lut).bad() || !lut) return false;
  Uint16 count = 0, first = 0;
  Sint16 first_signed = 0;
  const Uint16* entries = nullptr;
  unsigned long given = 0;
  const bool has_first = lut->findAndGetUint16(DCM_LUTDescriptor, first, 1).good() ||
                         lut->findAndGetSint16(DCM_LUTDescriptor, first_signed, 1).good();
  Sint16 count_signed = 0;
  const bool has_count = lut->findAndGetUint16(DCM_LUTDescriptor, count, 0).good() ||
                         lut->findAndGetSint16(DCM_LUTDescriptor, count_signed, 0).good();
  if (!has_first || !has_count || lut->findAndGetUint16Array(DCM_LUTData, entries, &given).bad() || !entries)
    fail(path, ": has a modality LUT that cannot be read, expected LUTDescriptor and LUTData");
  const int64_t size = count ? count : count_signed ? uint16_t(count_signed) : 1 << 16;
  if (int64_t(given) < size) fail(path, ": has a modality LUT of ", given, " entries, expected ", size);
  const int64_t start = f.is_signed ? int16_t(first | first_signed) : uint16_t(first | first_signed);
  for (int32_t& v : values) v = entries[std::clamp<int64_t>(v - start, 0, size - 1)];
  return true;
}

/// Whether RescaleSlope reverses the order of values. An empty field counts as missing.
bool slope_inverts(const std::string& path, DcmDataset& data) {
  decimal(path, data, DCM_RescaleIntercept, "RescaleIntercept");
  const double slope = decimal(path, data, DCM_RescaleSlope, "RescaleSlope").value_or(1);
  if (slope == 0) fail(path, ": field RescaleSlope: is 0, expected another number");
  return slope < 0;
}

/// Not known if the field is missing or not positive: training does not need it.
PixelSpacing spacing_of(const std::string& path, DcmDataset& data) {
  const PixelSpacing spacing{decimal(path, data, DCM_PixelSpacing, "PixelSpacing", 0).value_or(0),
                             decimal(path, data, DCM_PixelSpacing, "PixelSpacing", 1).value_or(0)};
  return spacing.known() ? spacing : PixelSpacing{};
}

std::optional<SlicePlace> place_of(const std::string& path, DcmDataset& data) {
  SlicePlace place;
  for (unsigned long i = 0; i < 3; ++i) {
    const auto position = decimal(path, data, DCM_ImagePositionPatient, "ImagePositionPatient", i),
               right = decimal(path, data, DCM_ImageOrientationPatient, "ImageOrientationPatient", i),
               down = decimal(path, data, DCM_ImageOrientationPatient, "ImageOrientationPatient", i + 3);
    if (!position || !right || !down) return std::nullopt;
    place.position[i] = *position, place.right[i] = *right, place.down[i] = *down;
  }
  return place;
}

int64_t frames_of(const std::string& path, DcmDataset& data) {
  const double frames = decimal(path, data, DCM_NumberOfFrames, "NumberOfFrames").value_or(1);
  constexpr double max_frames = 1 << 16;
  if (frames != std::floor(frames) || frames < 1 || frames > max_frames)
    fail(path, ": field NumberOfFrames: expected a number from 1 to ", max_frames, ", got ", frames);
  return int64_t(frames);
}

/// The values of some frames, raw or decoded.
DicomSlice read_pixels(const std::string& path, DcmDataset& data, int64_t frames, const ReadOptions& options) {
  const Format f = format_of(path, data, options);
  if (f.allocated == 32 && DcmXfer(data.getOriginalXfer()).getByteOrder() == EBO_BigEndian)
    fail(path, ": has big-endian values of 32 bits, expected little-endian ones");
  DicomSlice slice{f.height, f.width, {}, {}, false, {}};
  const size_t expected = size_t(frames * f.height * f.width * (f.allocated / 8));
  slice.values = stored_values(pixel_bytes(path, pixels_of(path, data), expected), f);
  mark_padding(data, f, slice);
  const bool inverts = !apply_modality_lut(path, data, f, slice.values) && slope_inverts(path, data);
  slice.inverted = inverts != (word(data, DCM_PhotometricInterpretation) == "MONOCHROME1");
  slice.spacing = spacing_of(path, data);
  return slice;
}

}  // namespace

void load_dicom(const std::string& path, DcmFileFormat& file, const ReadOptions& options) {
  set_up_dcmtk();
  check_dicom_structure(path, read_file(path), options.max_pixels);
  const OFCondition loaded = file.loadFile(path.c_str());
  if (loaded.bad()) fail(path, ": cannot read the DICOM file: ", loaded.text());
}

DicomHeader read_dicom_header(const std::string& path) {
  DcmFileFormat file;
  load_dicom(path, file, {});
  DcmDataset& data = *file.getDataset();
  DicomHeader header;
  header.patient = word(data, DCM_PatientID);
  header.series = word(data, DCM_SeriesInstanceUID);
  Uint16 rows = 0, columns = 0;
  if (data.findAndGetUint16(DCM_Rows, rows).good() && data.findAndGetUint16(DCM_Columns, columns).good() &&
      data.tagExists(DCM_PixelData))
    header.height = rows, header.width = columns;
  Sint32 instance = 0;
  if (data.findAndGetSint32(DCM_InstanceNumber, instance).good()) header.instance = instance;
  header.place = place_of(path, data);
  header.frames = frames_of(path, data);
  return header;
}

DicomSlice read_dicom(const std::string& path, const ReadOptions& options) {
  DcmFileFormat file;
  load_dicom(path, file, options);
  check_syntax(path, file);
  DcmDataset& data = *file.getDataset();
  DcmPixelData& pixels = pixels_of(path, data);
  check_grey(path, data);
  if (const int64_t frames = frames_of(path, data); frames != 1)
    fail(path, ": has ", frames, " frames, expected one slice");
  const Format packed = format_of(path, data, options);
  const DcmXfer syntax(data.getOriginalXfer());
  if (syntax.isEncapsulated()) {
    check_packed(path, pixels, syntax, packed, options);
    if (const OFCondition decoded = data.chooseRepresentation(EXS_LittleEndianExplicit, nullptr); decoded.bad())
      fail(path, ": cannot decode the DICOM image: ", decoded.text());
  }
  return read_pixels(path, data, 1, options);
}

DicomFrames read_dicom_frames(const std::string& path, const ReadOptions& options) {
  DcmFileFormat file;
  load_dicom(path, file, options);
  check_syntax(path, file);
  DcmDataset& data = *file.getDataset();
  check_grey(path, data);
  if (DcmXfer(data.getOriginalXfer()).isEncapsulated())
    fail(path, ": has several frames that are compressed, expected raw ones");
  const int64_t frames = frames_of(path, data);
  const Format f = format_of(path, data, options);
  constexpr int64_t max_voxels = 500'000'000;
  if (f.height * f.width > max_voxels / frames)
    fail(path, ": is ", frames, "x", f.height, "x", f.width, ", expected at most ", max_voxels, " voxels");
  return {frames, read_pixels(path, data, frames, options)};
}

#else

namespace {
[[noreturn]] void not_built(const std::string& path) {
  fail(path, ": is a DICOM file, which this build does not read: build it with DCMTK (Debian: libdcmtk-dev)");
}
}  // namespace

DicomHeader read_dicom_header(const std::string& path) { not_built(path); }
DicomSlice read_dicom(const std::string& path, const ReadOptions&) { not_built(path); }
DicomFrames read_dicom_frames(const std::string& path, const ReadOptions&) { not_built(path); }

#endif

}  // namespace gt
