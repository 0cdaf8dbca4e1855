// DICOM files of several frames as scans, and DICOM segmentations of them, which DCMTK writes.
#include "gaze/scan.h"

#include "core/check.h"
#include "gaze/dicom.h"
#include "gaze/dicom_dcmtk.h"

#if GT_DICOM
#include <dcmtk/dcmdata/dcostrmb.h>
#include <dcmtk/dcmfg/fgfracon.h>
#include <dcmtk/dcmfg/fgpixmsr.h>
#include <dcmtk/dcmfg/fgplanor.h>
#include <dcmtk/dcmfg/fgplanpo.h>
#include <dcmtk/dcmseg/segdoc.h>
#include <dcmtk/dcmseg/segment.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <memory>
#include <numeric>

#include "core/io.h"
#endif

namespace gt {

#if GT_DICOM

namespace {

constexpr double tolerance = 0.01;  // mm, of places that must agree

/// The decimal numbers of a field of an item; empty if it has not `count` finite ones.
std::vector<double> numbers(DcmItem& item, const DcmTagKey& tag, unsigned long count) {
  std::vector<double> values;
  for (unsigned long i = 0; i < count; ++i) {
    OFString text;
    if (item.findAndGetOFString(tag, text, i).bad() || text.empty()) return {};
    char* end = nullptr;
    const double value = std::strtod(text.c_str(), &end);
    if (!std::isfinite(value) || end == text.c_str()) return {};
    values.push_back(value);
  }
  return values;
}

/// Where the frames of a file lie, from its groups of each frame, those of all frames, or the file's own fields.
class FramePlaces {
 public:
  FramePlaces(const std::string& path, DcmDataset& data) : path_(path), data_(data) {
    data.findAndGetSequenceItem(DCM_SharedFunctionalGroupsSequence, shared_);
  }

  std::vector<double> field(int64_t frame, const DcmTagKey& group, const DcmTagKey& tag, unsigned long count) {
    DcmItem *of_frame = nullptr, *item = nullptr;
    data_.findAndGetSequenceItem(DCM_PerFrameFunctionalGroupsSequence, of_frame, long(frame));
    for (DcmItem* groups : {of_frame, shared_})
      if (groups && groups->findAndGetSequenceItem(group, item).good() && item)
        if (const std::vector<double> values = numbers(*item, tag, count); !values.empty()) return values;
    return numbers(data_, tag, count);
  }

  Vector3 position(int64_t frame, const Vector3& normal) {
    const std::vector<double> p = field(frame, DCM_PlanePositionSequence, DCM_ImagePositionPatient, 3);
    if (p.empty())
      fail(path_, ": frame ", frame + 1, " has no ImagePositionPatient, expected its place in the patient");
    Vector3 place = {p[0], p[1], p[2]};
    if (const std::vector<double> offsets = numbers(data_, DCM_GridFrameOffsetVector, size_t(frame) + 1);
        !offsets.empty())
      for (size_t i = 0; i < 3; ++i) place[i] += (offsets[size_t(frame)] - offsets[0]) * normal[i];
    return place;
  }

 private:
  const std::string& path_;
  DcmDataset& data_;
  DcmItem* shared_ = nullptr;
};

double dot(const Vector3& a, const Vector3& b) { return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]; }

struct Frames {
  std::vector<int64_t> order;  // along the normal
  std::array<Vector3, 3> steps;
  Vector3 first;
};

/// Throws Error if frames are not parallel planes at equal distances.
Frames frames_of(const std::string& path, DcmDataset& data, int64_t count) {
  FramePlaces places(path, data);
  const auto orientation = [&](int64_t frame) {
    return places.field(frame, DCM_PlaneOrientationSequence, DCM_ImageOrientationPatient, 6);
  };
  const auto spacing = [&](int64_t frame) {
    return places.field(frame, DCM_PixelMeasuresSequence, DCM_PixelSpacing, 2);
  };
  const std::vector<double> o = orientation(0), s = spacing(0);
  if (o.empty() || s.empty() || s[0] <= 0 || s[1] <= 0)
    fail(path, ": does not say how its frames lie: expected ImageOrientationPatient and PixelSpacing");
  Frames frames;
  const Vector3 normal = {o[1] * o[5] - o[2] * o[4], o[2] * o[3] - o[0] * o[5], o[0] * o[4] - o[1] * o[3]};
  std::vector<Vector3> positions;
  for (int64_t i = 0; i < count; ++i) {
    positions.push_back(places.position(i, normal));
    if (orientation(i) != o || spacing(i) != s)
      fail(path, ": frame ", i + 1, " lies in another direction than the first, or has another PixelSpacing");
  }
  frames.order.resize(size_t(count));
  std::iota(frames.order.begin(), frames.order.end(), 0);
  const auto depth = [&](int64_t i) { return dot(positions[size_t(i)], normal); };
  std::sort(frames.order.begin(), frames.order.end(), [&](int64_t a, int64_t b) { return depth(a) < depth(b); });
  frames.first = positions[size_t(frames.order.front())];
  for (size_t i = 0; i < 3; ++i)
    frames.steps[0][i] = o[i] * s[1], frames.steps[1][i] = o[3 + i] * s[0],
    frames.steps[2][i] =
        count > 1 ? (positions[size_t(frames.order.back())][i] - frames.first[i]) / double(count - 1) : normal[i];
  for (int64_t k = 0; k < count; ++k)
    for (size_t i = 0; i < 3; ++i)
      if (std::abs(frames.first[i] + double(k) * frames.steps[2][i] - positions[size_t(frames.order[size_t(k)])][i]) >
          tolerance)
        fail(path, ": frame ", frames.order[size_t(k)] + 1, " is not at the place ", k + 1, " of ", count,
             " parallel slices of equal distance, expected one stack of slices");
  return frames;
}

}  // namespace

Scan read_dicom_scan(const std::string& path, const ReadOptions& options) {
  DcmFileFormat file;
  load_dicom(path, file, options);
  const DicomFrames read = read_dicom_frames(path, options);
  const Frames frames = frames_of(path, *file.getDataset(), read.count);
  const DicomSlice& p = read.pixels;
  Scan scan;
  scan.path = path;
  scan.kind = Scan::Kind::dicom;
  scan.inverted = p.inverted;
  scan.geometry = scan_geometry(path, {p.width, p.height, read.count}, frames.steps, frames.first);
  // Padding becomes black.
  const auto [low, high] = std::minmax_element(p.values.begin(), p.values.end());
  std::vector<int32_t> values = p.values;
  for (size_t i = 0; i < p.is_padding.size(); ++i)
    if (p.is_padding[i]) values[i] = p.inverted ? *high : *low;
  const ScanGeometry& g = scan.geometry;
  const int64_t area = p.height * p.width;
  scan.values.reserve(values.size());
  for (int64_t z = 0; z < g.sizes[2]; ++z)
    for (int64_t y = 0; y < g.sizes[1]; ++y)
      for (int64_t x = 0; x < g.sizes[0]; ++x) {
        const int64_t index = g.file_index(x, y, z);
        scan.values.push_back(float(values[size_t(frames.order[size_t(index / area)] * area + index % area)]));
      }
  finish_scan(scan);
  return scan;
}

// ---- Segmentations --------------------------------------------------------------------------------------------------

namespace {

void check(const std::string& path, const OFCondition& done, const char* what) {
  if (done.bad()) fail(path, ": cannot write the DICOM segmentation, ", what, ": ", done.text());
}

std::string decimal_text(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.10g", value);
  return text;
}

double length(const Vector3& v) { return std::sqrt(dot(v, v)); }

/// The groups that hold for all frames: distances of pixels, and their plane's directions.
void add_shared_groups(const std::string& path, DcmSegmentation& seg, const std::array<Vector3, 3>& steps) {
  FGPixelMeasures measures;
  measures.setPixelSpacing((decimal_text(length(steps[1])) + "\\" + decimal_text(length(steps[0]))).c_str());
  measures.setSliceThickness(decimal_text(length(steps[2])).c_str());
  measures.setSpacingBetweenSlices(decimal_text(length(steps[2])).c_str());
  check(path, seg.addForAllFrames(measures), "the distances of pixels");
  std::array<std::string, 6> d;
  for (size_t i = 0; i < 3; ++i) {
    d[i] = decimal_text(steps[0][i] / length(steps[0]));
    d[3 + i] = decimal_text(steps[1][i] / length(steps[1]));
  }
  const std::unique_ptr<FGPlaneOrientationPatient> orientation(FGPlaneOrientationPatient::createMinimal(
      d[0].c_str(), d[1].c_str(), d[2].c_str(), d[3].c_str(), d[4].c_str(), d[5].c_str()));
  if (!orientation) fail(path, ": cannot write the DICOM segmentation, the directions of its planes are not accepted");
  check(path, seg.addForAllFrames(*orientation), "the directions of planes");
}

void add_frames(const std::string& path, DcmSegmentation& seg, Uint16 segment, const Scan& scan,
                const std::vector<uint8_t>& mask) {
  const std::array<int64_t, 3> sizes = scan.geometry.file_sizes();
  const std::array<Vector3, 3> steps = scan.geometry.file_steps();
  const Vector3 first = scan.geometry.file_origin();
  std::vector<uint8_t> in_order = in_file_order(scan.geometry, mask);
  for (int64_t k = 0; k < sizes[2]; ++k) {
    std::array<std::string, 3> p;
    for (size_t i = 0; i < 3; ++i) p[i] = decimal_text(first[i] + double(k) * steps[2][i]);
    const std::unique_ptr<FGPlanePosPatient> position(
        FGPlanePosPatient::createMinimal(p[0].c_str(), p[1].c_str(), p[2].c_str()));
    FGFrameContent content;
    content.setStackID("1");
    content.setInStackPositionNumber(Uint32(k + 1));
    content.setDimensionIndexValues(segment, 0);
    content.setDimensionIndexValues(Uint32(k + 1), 1);
    OFVector<FGBase*> groups;
    groups.push_back(position.get());
    groups.push_back(&content);
    check(path, seg.addFrame(in_order.data() + k * sizes[0] * sizes[1], segment, groups), "a frame");
  }
}

/// The mask as one run of bits, the first in the lowest bit of a byte. DCMTK 3.6.7 packs frames wrongly whose pixels
/// are not a multiple of 8.
std::vector<uint8_t> packed_bits(const std::vector<uint8_t>& mask) {
  std::vector<uint8_t> bytes((mask.size() + 15) / 16 * 2);  // an even number
  for (size_t i = 0; i < mask.size(); ++i)
    if (mask[i]) bytes[i / 8] = uint8_t(bytes[i / 8] | 1u << i % 8);
  return bytes;
}

/// The file's bytes.
std::string bytes_of(const std::string& path, DcmFileFormat& file) {
  file.transferInit();
  constexpr size_t step = 1 << 20;
  std::vector<char> buffer(step);
  DcmOutputBufferStream stream(buffer.data(), offile_off_t(buffer.size()));
  std::string bytes;
  OFCondition status = EC_StreamNotifyClient;
  while (status == EC_StreamNotifyClient) {
    status = file.write(stream, EXS_LittleEndianExplicit, EET_ExplicitLength, nullptr);
    void* data = nullptr;
    offile_off_t size = 0;
    stream.flushBuffer(data, size);
    bytes.append(static_cast<const char*>(data), size_t(size));
  }
  check(path, status, "its bytes");
  file.transferEnd();
  return bytes;
}

}  // namespace

void write_dicom_seg(const std::string& path, const Scan& scan, const std::vector<uint8_t>& mask) {
  if (scan.kind != Scan::Kind::dicom) fail(path, ": a DICOM segmentation needs a DICOM scan, got ", scan.path);
  DcmFileFormat source;
  load_dicom(scan.path, source, {});
  const std::array<int64_t, 3> sizes = scan.geometry.file_sizes();
  DcmSegmentation* made = nullptr;
  check(path,
        DcmSegmentation::createBinarySegmentation(
            made, Uint16(sizes[1]), Uint16(sizes[0]),
            IODGeneralEquipmentModule::EquipmentInfo("GradTrack", "GradTrack", "0", GT_VERSION),
            ContentIdentificationMacro("1", "PREDICTION", "Prediction of a network", "GradTrack")),
        "its start");
  const std::unique_ptr<DcmSegmentation> seg(made);
  check(path, seg->importFromSourceImage(*source.getDataset()), "patient and study");
  seg->getSeries().setSeriesNumber("1000");
  seg->getSeries().setSeriesDescription("Prediction");
  DcmSegment* segment = nullptr;
  const CodeSequenceMacro tissue("85756007", "SCT", "Tissue");
  check(path, DcmSegment::create(segment, "prediction", tissue, tissue, DcmSegTypes::SAT_AUTOMATIC, "GradTrack"),
        "the segment");
  Uint16 number = 0;
  check(path, seg->addSegment(segment, number), "the segment");
  char uid[100];
  const OFString dimensions = dcmGenerateUniqueIdentifier(uid);
  IODMultiframeDimensionModule& index = seg->getDimensions();
  check(path,
        index.addDimensionIndex(DCM_ReferencedSegmentNumber, dimensions, DCM_SegmentIdentificationSequence, "Segment"),
        "dimensions");
  check(path, index.addDimensionIndex(DCM_ImagePositionPatient, dimensions, DCM_PlanePositionSequence, "Position"),
        "dimensions");
  add_shared_groups(path, *seg, scan.geometry.file_steps());
  add_frames(path, *seg, number, scan, mask);
  DcmFileFormat file;
  check(path, seg->writeDataset(*file.getDataset()), "its data");
  const std::vector<uint8_t> bits = packed_bits(in_file_order(scan.geometry, mask));
  check(path, file.getDataset()->putAndInsertUint8Array(DCM_PixelData, bits.data(), bits.size()), "its pixels");
  write_file(path, bytes_of(path, file));
}

#else

Scan read_dicom_scan(const std::string& path, const ReadOptions&) {
  read_dicom_frames(path);
  return {};
}
void write_dicom_seg(const std::string& path, const Scan&, const std::vector<uint8_t>&) { read_dicom_frames(path); }

#endif

}  // namespace gt
