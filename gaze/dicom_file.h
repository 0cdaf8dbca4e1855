// What the bytes of a DICOM file must be before DCMTK reads them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace gt {

/// Throws Error, naming the path, if sequences are nested too deeply, which DCMTK reads by recursion, or if a deflated
/// file grows to more than `max_pixels` pixels need. What is no valid structure is left for DCMTK to refuse.
void check_dicom_structure(const std::string& path, std::string_view bytes, int64_t max_pixels);

/// Throws Error, naming the path, unless RLE data (DICOM PS3.5, annex G) hold exactly `planes` planes of `pixels`
/// bytes. DCMTK fills up what is missing.
void check_rle(const std::string& path, std::string_view bytes, int64_t pixels, int planes);

}  // namespace gt
