// Data set folders (gaze/dataset.h) from public downloads. What the downloads look like: docs/data.md.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace gt {

struct PrepareOptions {
  std::string raw, out;  // folders: the download; the data set, which must not be there yet
  std::string gaze;      // gaze of any format (gaze/readers.h), of which that on the data set's images is kept; or none
  double val = 0.1;      // share of what is to be trained on that is held out for validation
};

struct Prepared {
  size_t train = 0, val = 0, test = 0;  // images
  std::vector<std::string> notes;       // what was left out, and why
};

/// done, all
using PrepareProgress = std::function<void(size_t, size_t)>;

/// Kvasir-SEG: raw/images/NAME.jpg and raw/masks/NAME.jpg. Masks become PNG of 0 and 255, cut at 127, as they ring. The
/// split is that of raw/train.txt and raw/test.txt where these are there (GazeMedSeg's 900 and 100), else a tenth of
/// the images is the test, chosen by a hash of their names. Throws Error, naming the file, for an image without a mask,
/// one of another size, and lists that name what is not there.
Prepared prepare_kvasir_seg(const PrepareOptions& options, const PrepareProgress& progress = {});

/// NCI-ISBI 2013: anywhere below raw, DICOM slices (.dcm, told apart by PatientID and InstanceNumber) and label volumes
/// PATIENT*.nrrd, below a folder whose name says training or test; those of the leaderboard are passed over. A slice
/// becomes an image PATIENT_NUMBER, NUMBER its place in the volume from 1, if it shows prostate (a label of 1 or more),
/// as GazeMedSeg has it; also as there, a patient whose volume has not as many slices as the series is left out.
/// Validation is held out by patient. Throws Error, naming the file, for a volume without slices or of another size,
/// and for two that are of one patient.
Prepared prepare_nci_isbi(const PrepareOptions& options, const PrepareProgress& progress = {});

}  // namespace gt
