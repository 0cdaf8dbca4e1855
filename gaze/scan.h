// Volumes of grey values: NIfTI files and DICOM files of several frames, as stacks of axial slices; and masks of them.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "gaze/image.h"

namespace gt {

using Vector3 = std::array<double, 3>;

/// How the voxels of a scan lie in its file and in the patient. The scan's axes x, y and z are those of the file that
/// run most nearly to the patient's left, back and head, reversed if they run the other way.
struct ScanGeometry {
  std::array<int64_t, 3> sizes = {};    // of x, y, z
  std::array<Vector3, 3> steps = {};    // mm of a step along x, y, z: to the patient's left, back and head
  Vector3 origin = {};                  // of the first voxel, likewise
  std::array<int, 3> axes = {0, 1, 2};  // the file's axis that is x, y, z; the file's first axis varies fastest
  std::array<bool, 3> reversed = {};    // whether it runs against the file's

  int64_t voxels() const { return sizes[0] * sizes[1] * sizes[2]; }
  /// The axes of the file: their sizes and steps, and the first voxel.
  std::array<int64_t, 3> file_sizes() const;
  std::array<Vector3, 3> file_steps() const;
  Vector3 file_origin() const;
  /// The place of a voxel in the file's order.
  int64_t file_index(int64_t x, int64_t y, int64_t z) const;
};

/// A volume of grey values.
struct Scan {
  enum class Kind { nifti, dicom };

  std::string path;
  Kind kind = Kind::nifti;
  ScanGeometry geometry;
  std::vector<float> values;  // (z,y,x)
  bool inverted = false;      // the largest value is black
  double low = 0, high = 0;   // the smallest and the largest value, set by finish_scan()
  bool whole = false;         // whole numbers whose range fits 16 bits, likewise
  std::string header;         // NIfTI: the file's header, in version 1

  /// The name of slice z of volume NAME: NAME_z007.
  std::string slice_name(int64_t z) const;
};

/// The geometry of a file with these sizes, steps (left, back, head; mm) and first voxel: its axes are reordered and
/// reversed. Throws Error, naming the path, if the axes have no lengths or do not run in three directions.
ScanGeometry scan_geometry(const std::string& path, const std::array<int64_t, 3>& sizes,
                           const std::array<Vector3, 3>& steps, const Vector3& first);

/// Notes what values a scan has, after they are read.
void finish_scan(Scan& scan);

/// Whether the file's name says that it is NIfTI: NAME.nii or NAME.nii.gz.
bool is_nifti_name(const std::string& path);

/// Whether the build reads NIfTI, and by which library.
std::string nifti_library();
bool nifti_built();

/// Reads a NIfTI file or a DICOM file of several frames. Throws Error, naming the file and the field. It refuses
/// damaged files, values that are not finite, other than three dimensions, and files that do not give the
/// orientation.
Scan read_nifti(const std::string& path, const ReadOptions& options = {});
Scan read_dicom_scan(const std::string& path, const ReadOptions& options = {});

/// The values of slice z, (y,x), as levels of 16 bits. Whole numbers whose range in the volume fits keep their steps;
/// others are stretched over the whole volume.
std::vector<uint16_t> scan_levels(const Scan& scan, int64_t z);

/// Slice z as an image with 1 or 3 channels. Its values become 0 to 255 as those of an image of 16 bits do.
Image scan_slice(const Scan& scan, int64_t z, int channels, const ReadOptions& options = {});

/// Values (z,y,x) in the file's order.
template <class T>
std::vector<T> in_file_order(const ScanGeometry& g, const std::vector<T>& values) {
  std::vector<T> out(values.size());
  const T* value = values.data();
  for (int64_t z = 0; z < g.sizes[2]; ++z)
    for (int64_t y = 0; y < g.sizes[1]; ++y)
      for (int64_t x = 0; x < g.sizes[0]; ++x) out[size_t(g.file_index(x, y, z))] = *value++;
  return out;
}

/// Masks, (z,y,x) of 0 and 1, or probabilities (z,y,x), as the bytes of a file in the geometry of the scan.
/// NIfTI, version 1; packed by gzip if `packed`.
std::string encode_nifti(const Scan& scan, const std::vector<uint8_t>& mask, bool packed);
std::string encode_nifti(const Scan& scan, const std::vector<float>& probability, bool packed);
/// A segmentation of 3D Slicer: NRRD with one segment, packed by gzip.
std::string encode_seg_nrrd(const Scan& scan, const std::vector<uint8_t>& mask);
/// Writes a DICOM segmentation of a scan that is a DICOM file, atomically.
void write_dicom_seg(const std::string& path, const Scan& scan, const std::vector<uint8_t>& mask);

}  // namespace gt
