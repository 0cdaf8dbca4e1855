// Small files of medical formats, for tests.
#pragma once

#include <zlib.h>

#include <cstdint>
#include <string>
#include <vector>

#include "core/check.h"

#if GT_DICOM
#include <dcmtk/config/osconfig.h>

#include <dcmtk/dcmdata/dctk.h>
#endif

namespace gt {

#if GT_DICOM

struct DicomFile {
  int height = 1, width = 1;
  std::vector<uint16_t> values;  // height * width * samples; none: the file has no pixels
  const char* photometry = "MONOCHROME2";
  int samples = 1, bits = 16;
  double slope = 1, intercept = 0, window = 0;  // window 0: none
  std::string patient = "P-01", series = "1.2.3";
  int instance = 1;  // 0: none
};

inline void write_dicom(const std::string& path, const DicomFile& f) {
  DcmFileFormat file;
  DcmDataset& data = *file.getDataset();
  const auto put = [&](const DcmTagKey& tag, const std::string& value) { data.putAndInsertString(tag, value.c_str()); };
  put(DCM_SOPClassUID, UID_MRImageStorage);
  put(DCM_SOPInstanceUID, "1.2.3.4." + std::to_string(f.instance));
  put(DCM_PatientID, f.patient);
  put(DCM_SeriesInstanceUID, f.series);
  if (f.instance) put(DCM_InstanceNumber, std::to_string(f.instance));
  put(DCM_PhotometricInterpretation, f.photometry);
  if (f.slope != 1 || f.intercept != 0) {
    put(DCM_RescaleSlope, str_cat(f.slope));
    put(DCM_RescaleIntercept, str_cat(f.intercept));
  }
  if (f.window > 0) {
    put(DCM_WindowCenter, str_cat(f.window));
    put(DCM_WindowWidth, str_cat(f.window));
  }
  if (f.height) {
    data.putAndInsertUint16(DCM_Rows, Uint16(f.height));
    data.putAndInsertUint16(DCM_Columns, Uint16(f.width));
  }
  data.putAndInsertUint16(DCM_SamplesPerPixel, Uint16(f.samples));
  if (f.samples > 1) data.putAndInsertUint16(DCM_PlanarConfiguration, 0);
  data.putAndInsertUint16(DCM_BitsAllocated, Uint16(f.bits));
  data.putAndInsertUint16(DCM_BitsStored, Uint16(f.bits));
  data.putAndInsertUint16(DCM_HighBit, Uint16(f.bits - 1));
  data.putAndInsertUint16(DCM_PixelRepresentation, 0);
  if (!f.values.empty()) data.putAndInsertUint16Array(DCM_PixelData, f.values.data(), f.values.size());
  const OFCondition saved = file.saveFile(path.c_str(), EXS_LittleEndianExplicit);
  if (saved.bad()) fail(path, ": ", saved.text());
}

#endif

inline std::string deflated(const std::string& bytes, int window) {
  z_stream stream = {};
  deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, window, 8, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&stream, uLong(bytes.size())) + 64, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = uInt(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = uInt(out.size());
  deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

inline std::string big_endian(uint32_t value, int bytes) {
  std::string out;
  for (int i = bytes - 1; i >= 0; --i) out += char(value >> (8 * i));
  return out;
}

/// A grey PNG of 16 bits.
inline std::string png16(int width, int height, const std::vector<uint16_t>& values) {
  const auto chunk = [](const std::string& type, const std::string& body) {
    const std::string both = type + body;
    return big_endian(uint32_t(body.size()), 4) + both +
           big_endian(uint32_t(crc32(0, reinterpret_cast<const Bytef*>(both.data()), uInt(both.size()))), 4);
  };
  std::string rows;
  for (size_t i = 0; i < values.size(); ++i) {
    if (i % size_t(width) == 0) rows += '\0';  // no filter
    rows += big_endian(values[i], 2);
  }
  const std::string header =
      big_endian(uint32_t(width), 4) + big_endian(uint32_t(height), 4) + std::string("\x10\0\0\0\0", 5);
  return "\x89PNG\r\n\x1A\n" + chunk("IHDR", header) + chunk("IDAT", deflated(rows, 15)) + chunk("IEND", "");
}

inline std::string nrrd(int width, int height, int depth, const std::vector<int32_t>& values, const std::string& type,
                        bool packed, bool big) {
  const int bytes = type.find("char") != type.npos || type == "int8"      ? 1
                    : type.find("short") != type.npos || type == "uint16" ? 2
                                                                          : 4;
  std::string data;
  for (const int32_t v : values) {
    const std::string one = big_endian(uint32_t(v), bytes);
    data += big ? one : std::string(one.rbegin(), one.rend());
  }
  return str_cat("NRRD0004\n# made by a test\ntype: ", type,
                 "\ndimension: 3\nspace: left-posterior-superior\nsizes: ", width, " ", height, " ", depth,
                 "\nendian: ", big ? "big" : "little", "\nencoding: ", packed ? "gzip" : "raw", "\nkey:=value\n\n") +
         (packed ? deflated(data, 15 + 16) : data);
}

}  // namespace gt
