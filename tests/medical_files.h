// Small files of medical formats, for tests.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "core/check.h"
#include "tests/picture_files.h"

#if GT_DICOM
#include <dcmtk/config/osconfig.h>

#include <dcmtk/dcmdata/dcpixel.h>
#include <dcmtk/dcmdata/dcpixseq.h>
#include <dcmtk/dcmdata/dcpxitem.h>
#include <dcmtk/dcmdata/dctk.h>
#endif

namespace gt {

#if GT_DICOM

struct DicomFile {
  int height = 1, width = 1;
  std::vector<uint16_t> values = {};  // height * width * samples; none: the file has no pixels
  const char* photometry = "MONOCHROME2";
  int samples = 1, bits = 16;
  double slope = 1, intercept = 0, window = 0;  // window 0: none
  std::string patient = "P-01", series = "1.2.3";
  int instance = 1;                                            // 0: none
  std::vector<std::pair<DcmTagKey, std::string>> fields = {};  // further ones
  int stored_bits = 0;                                         // 0: all
  bool is_signed = false;
  std::string jpeg = {};  // the pixels, instead of `values`
  E_TransferSyntax syntax = EXS_LittleEndianExplicit;
};

/// Makes a JPEG the pixels of a file.
inline void put_jpeg(DcmDataset& data, const std::string& jpeg, E_TransferSyntax syntax) {
  auto* sequence = new DcmPixelSequence(DCM_PixelSequenceTag);
  sequence->insert(new DcmPixelItem(DCM_PixelItemTag));  // no offsets
  DcmOffsetList offsets;
  std::string even = jpeg + std::string(jpeg.size() % 2, '\0');
  sequence->storeCompressedFrame(offsets, reinterpret_cast<Uint8*>(even.data()), Uint32(even.size()), 0);
  auto* pixels = new DcmPixelData(DCM_PixelData);
  pixels->putOriginalRepresentation(syntax, nullptr, sequence);
  data.insert(pixels, true);
}

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
  data.putAndInsertUint16(DCM_BitsStored, Uint16(f.stored_bits ? f.stored_bits : f.bits));
  data.putAndInsertUint16(DCM_HighBit, Uint16((f.stored_bits ? f.stored_bits : f.bits) - 1));
  data.putAndInsertUint16(DCM_PixelRepresentation, f.is_signed);
  for (const auto& [key, value] : f.fields) {
    DcmTag tag(key);
    if (tag.getEVR() == EVR_xs) tag.setVR(EVR_US);
    data.putAndInsertString(tag, value.c_str());
  }
  if (!f.jpeg.empty()) put_jpeg(data, f.jpeg, f.syntax);
  if (!f.values.empty()) data.putAndInsertUint16Array(DCM_PixelData, f.values.data(), f.values.size());
  if (f.jpeg.empty()) data.chooseRepresentation(f.syntax, nullptr);
  const OFCondition saved = file.saveFile(path.c_str(), f.syntax);
  if (saved.bad()) fail(path, ": ", saved.text());
}

#endif

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
