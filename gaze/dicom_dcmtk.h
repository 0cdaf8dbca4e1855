// What sources that use DCMTK share. Empty in builds without it.
#pragma once

#include <string>

#include "gaze/picture.h"

#if GT_DICOM
#include <dcmtk/config/osconfig.h>

#include <dcmtk/dcmdata/dctk.h>

namespace gt {

/// Loads a DICOM file after a check of its structure. Throws Error, naming the file, if it is damaged.
void load_dicom(const std::string& path, DcmFileFormat& file, const ReadOptions& options);

}  // namespace gt
#endif
