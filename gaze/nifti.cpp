// NIfTI files (https://nifti.nimh.nih.gov/nifti-1), whose headers libnifti reads and writes.
#include "gaze/scan.h"

#include "core/check.h"

#if GT_NIFTI
#include <nifti2_io.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <memory>

#include "core/io.h"
#include "gaze/gunzip.h"
#include "gaze/picture_files.h"
#endif

namespace gt {

bool nifti_built() { return GT_NIFTI; }

#if GT_NIFTI

std::string nifti_library() { return "libnifti2"; }

namespace {

constexpr int64_t max_voxels = 500'000'000;
constexpr size_t header_size = 348, header_size_2 = 540, data_start = 352;

struct Free {
  void operator()(nifti_image* image) const { nifti_image_free(image); }
};
using NiftiImage = std::unique_ptr<nifti_image, Free>;

/// The value with its bytes in the other order.
template <class T>
T swapped(T value) {
  auto* bytes = reinterpret_cast<unsigned char*>(&value);
  std::reverse(bytes, bytes + sizeof value);
  return value;
}

/// Throws Error for headers of which libnifti would print a line of its own.
template <class Header>
void check_header(const std::string& path, const Header& header) {
  const auto count = header.dim[0];
  const bool other_order = count < 1 || count > 7;
  const auto value = [other_order](auto v) { return other_order ? swapped(v) : v; };
  const bool understood = value(count) >= 1 && value(count) <= 7 && value(header.dim[1]) >= 1;
  const int type = value(header.datatype);
  if (!understood || type == DT_BINARY || type == DT_UNKNOWN)
    fail(path, ": has a damaged NIfTI header: its sizes or its data type are not understood");
}

/// The header as libnifti understands it. Throws Error if the bytes do not begin with one of a single file.
NiftiImage parse_header(const std::string& path, std::string_view bytes) {
  nifti_set_debug_level(0);
  int32_t size = 0;
  if (bytes.size() >= 4) std::memcpy(&size, bytes.data(), 4);
  const int32_t other = swapped(size);
  NiftiImage image;
  if ((size == header_size || other == header_size) && bytes.size() >= header_size) {
    nifti_1_header header;
    std::memcpy(&header, bytes.data(), sizeof header);
    if (std::memcmp(header.magic, "n+1", 4) != 0)
      fail(path, ": is no NIfTI volume in one file, expected the mark n+1 in its header");
    check_header(path, header);
    image.reset(nifti_convert_n1hdr2nim(header, path.c_str()));
  } else if ((size == header_size_2 || other == header_size_2) && bytes.size() >= header_size_2) {
    nifti_2_header header;
    std::memcpy(&header, bytes.data(), sizeof header);
    if (std::memcmp(header.magic, "n+2", 4) != 0)
      fail(path, ": is no NIfTI volume in one file, expected the mark n+2 in its header");
    check_header(path, header);
    image.reset(nifti_convert_n2hdr2nim(header, path.c_str()));
  } else {
    fail(path, ": is no NIfTI file, or its header is cut short");
  }
  if (!image) fail(path, ": has a damaged NIfTI header: its sizes or its data type are not understood");
  return image;
}

void check_sizes(const std::string& path, const nifti_image& n, const ReadOptions& options) {
  for (int64_t d = 4; d <= n.ndim; ++d)
    if (n.dim[d] > 1) fail(path, ": has ", n.dim[d], " volumes, expected one (dim[", d, "])");
  if (n.nx < 1 || n.ny < 1 || n.nz < 1)
    fail(path, ": is ", n.nx, "x", n.ny, "x", n.nz, " voxels, expected three sizes");
  constexpr int64_t max_side = 32767;  // of NIfTI-1
  if (n.nx > max_side || n.ny > max_side || n.nz > max_side || n.nx * n.ny > max_voxels / n.nz)
    fail(path, ": is ", n.nx, "x", n.ny, "x", n.nz, ", expected at most ", max_side, " voxels a side and ", max_voxels);
  check_size(path, std::max(n.ny, n.nz), std::max(n.nx, n.nz), options);
}

/// The directions of the file's axes: of the sform, else of the qform.
ScanGeometry geometry_of(const std::string& path, const nifti_image& n) {
  if (n.sform_code <= 0 && n.qform_code <= 0)
    fail(path, ": does not say how the patient lies: qform_code and sform_code are 0, expected one of them");
  const auto geometry = [&](const nifti_dmat44& m) {
    std::array<Vector3, 3> steps;
    Vector3 first;
    for (size_t i = 0; i < 3; ++i) {
      const double sign = i < 2 ? -1 : 1;  // NIfTI counts to the right and to the front
      for (size_t a = 0; a < 3; ++a) steps[a][i] = sign * m.m[i][a];
      first[i] = sign * m.m[i][3];
    }
    return scan_geometry(path, {n.nx, n.ny, n.nz}, steps, first);
  };
  const ScanGeometry g = geometry(n.sform_code > 0 ? n.sto_xyz : n.qto_xyz);
  if (n.sform_code > 0 && n.qform_code > 0) {
    const ScanGeometry q = geometry(n.qto_xyz);
    if (q.axes != g.axes || q.reversed != g.reversed)
      fail(path, ": qform and sform turn the patient in two ways, expected one");
  }
  return g;
}

template <class T>
void read_values(const nifti_image& n, std::string_view bytes, std::vector<double>& values) {
  const bool swaps = n.byteorder != nifti_short_order();
  for (size_t i = 0; i < values.size(); ++i) {
    char raw[sizeof(T)];
    for (size_t b = 0; b < sizeof(T); ++b) raw[b] = bytes[i * sizeof(T) + (swaps ? sizeof(T) - 1 - b : b)];
    T value;
    std::memcpy(&value, raw, sizeof value);
    values[i] = double(value);
  }
}

/// The values in the file's order, scaled.
std::vector<double> values_of(const std::string& path, const nifti_image& n, std::string_view bytes) {
  std::vector<double> values(size_t(n.nx * n.ny * n.nz));
  switch (n.datatype) {
    case NIFTI_TYPE_UINT8:
      read_values<uint8_t>(n, bytes, values);
      break;
    case NIFTI_TYPE_INT8:
      read_values<int8_t>(n, bytes, values);
      break;
    case NIFTI_TYPE_UINT16:
      read_values<uint16_t>(n, bytes, values);
      break;
    case NIFTI_TYPE_INT16:
      read_values<int16_t>(n, bytes, values);
      break;
    case NIFTI_TYPE_UINT32:
      read_values<uint32_t>(n, bytes, values);
      break;
    case NIFTI_TYPE_INT32:
      read_values<int32_t>(n, bytes, values);
      break;
    case NIFTI_TYPE_FLOAT32:
      read_values<float>(n, bytes, values);
      break;
    case NIFTI_TYPE_FLOAT64:
      read_values<double>(n, bytes, values);
      break;
    default:
      fail(path, ": has values of the type ", nifti_datatype_string(n.datatype),
           ", expected integers of up to 32 bits, or floating-point numbers");
  }
  const double slope = n.scl_slope != 0 ? n.scl_slope : 1, intercept = n.scl_slope != 0 ? n.scl_inter : 0;
  if (!std::isfinite(slope) || !std::isfinite(intercept))
    fail(path, ": scl_slope and scl_inter: expected finite numbers, got ", slope, " and ", intercept);
  int64_t faulty = 0;
  for (double& v : values) {
    v = v * slope + intercept;
    faulty += !std::isfinite(float(v));
  }
  if (faulty > 0) fail(path, ": has ", faulty, " values that are NaN or infinite, expected finite ones");
  return values;
}

/// A header for a scan that was not NIfTI: its geometry, in the scan's order of axes.
NiftiImage header_of(const Scan& scan) {
  const std::array<int64_t, 3> sides = scan.geometry.file_sizes();
  const std::array<Vector3, 3> steps = scan.geometry.file_steps();
  const Vector3 first = scan.geometry.file_origin();
  const int64_t sizes[8] = {3, sides[0], sides[1], sides[2], 1, 1, 1, 1};
  NiftiImage image(nifti_make_new_nim(sizes, NIFTI_TYPE_UINT8, 0));
  if (!image) fail(scan.path, ": no memory for a NIfTI header");
  nifti_dmat44 m = {};
  m.m[3][3] = 1;
  for (size_t i = 0; i < 3; ++i) {
    const double sign = i < 2 ? -1 : 1;
    for (size_t a = 0; a < 3; ++a) m.m[i][a] = sign * steps[a][i];
    m.m[i][3] = sign * first[i];
  }
  image->sto_xyz = m;
  image->sform_code = image->qform_code = NIFTI_XFORM_SCANNER_ANAT;
  nifti_dmat44_to_quatern(m, &image->quatern_b, &image->quatern_c, &image->quatern_d, &image->qoffset_x,
                          &image->qoffset_y, &image->qoffset_z, &image->dx, &image->dy, &image->dz, &image->qfac);
  image->pixdim[1] = image->dx, image->pixdim[2] = image->dy, image->pixdim[3] = image->dz;
  image->xyz_units = NIFTI_UNITS_MM;
  return image;
}

template <class T>
std::string encode(const Scan& scan, const std::vector<T>& values, bool packed, int datatype, int intent) {
  NiftiImage image = scan.header.empty() ? header_of(scan) : parse_header(scan.path, scan.header);
  image->ndim = image->dim[0] = 3;
  image->datatype = datatype;
  image->nbyper = sizeof(T);
  image->scl_slope = 1, image->scl_inter = 0;
  image->cal_min = 0, image->cal_max = 1;
  image->intent_code = intent;
  image->nifti_type = NIFTI_FTYPE_NIFTI1_1;
  image->iname_offset = data_start;
  image->byteorder = nifti_short_order();
  std::snprintf(image->descrip, sizeof image->descrip, "%s by GradTrack", sizeof(T) == 1 ? "mask" : "probability");
  nifti_1_header header = {};
  if (nifti_convert_nim2n1hdr(image.get(), &header) != 0)
    fail(scan.path, ": its header does not fit NIfTI-1, in which predictions are written");
  header.vox_offset = float(data_start);
  std::memcpy(header.magic, "n+1", 4);
  const std::vector<T> in_order = in_file_order(scan.geometry, values);
  std::string bytes(reinterpret_cast<const char*>(&header), sizeof header);
  bytes.resize(data_start, '\0');
  bytes.append(reinterpret_cast<const char*>(in_order.data()), in_order.size() * sizeof(T));
  return packed ? gzip(bytes) : bytes;
}

}  // namespace

Scan read_nifti(const std::string& path, const ReadOptions& options) {
  std::string bytes = read_file(path);
  if (bytes.empty()) fail(path, ": is empty, expected a NIfTI volume");
  constexpr size_t max_bytes = size_t(max_voxels) * sizeof(double) + (1 << 20);
  if (bytes.starts_with("\x1F\x8B")) bytes = gunzip_any(path, bytes, max_bytes);
  const NiftiImage image = parse_header(path, bytes);
  const nifti_image& n = *image;
  check_sizes(path, n, options);
  const int64_t start = n.iname_offset, size = n.nx * n.ny * n.nz * n.nbyper;
  if (start < int64_t(data_start) || start + size > int64_t(bytes.size()))
    fail(path, ": is truncated, expected ", size, " bytes of values from byte ", start, ", the file has ",
         bytes.size());
  Scan scan;
  scan.path = path;
  scan.geometry = geometry_of(path, n);
  const std::vector<double> values = values_of(path, n, std::string_view(bytes).substr(size_t(start), size_t(size)));
  const ScanGeometry& g = scan.geometry;
  scan.values.reserve(values.size());
  for (int64_t z = 0; z < g.sizes[2]; ++z)
    for (int64_t y = 0; y < g.sizes[1]; ++y)
      for (int64_t x = 0; x < g.sizes[0]; ++x) scan.values.push_back(float(values[size_t(g.file_index(x, y, z))]));
  scan.header = bytes.substr(0, header_size_2);
  finish_scan(scan);
  return scan;
}

std::string encode_nifti(const Scan& scan, const std::vector<uint8_t>& mask, bool packed) {
  return encode(scan, mask, packed, NIFTI_TYPE_UINT8, NIFTI_INTENT_LABEL);
}

std::string encode_nifti(const Scan& scan, const std::vector<float>& probability, bool packed) {
  return encode(scan, probability, packed, NIFTI_TYPE_FLOAT32, NIFTI_INTENT_NONE);
}

#else

namespace {
[[noreturn]] void not_built(const std::string& path) {
  fail(path, ": NIfTI is not built in: build with libnifti (Debian: libnifti2-dev)");
}
}  // namespace

std::string nifti_library() { return ""; }
Scan read_nifti(const std::string& path, const ReadOptions&) { not_built(path); }
std::string encode_nifti(const Scan& scan, const std::vector<uint8_t>&, bool) { not_built(scan.path); }
std::string encode_nifti(const Scan& scan, const std::vector<float>&, bool) { not_built(scan.path); }

#endif

}  // namespace gt
