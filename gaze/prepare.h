// Preparation of public downloads as data set folders (gaze/dataset.h). docs/data.md describes the downloads.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "gaze/mask.h"

namespace gt {

struct PrepareOptions {
  std::string raw;      // folder of the download
  std::string out;      // folder of the data set; it must not hold one
  std::string gaze;     // file of any format (gaze/readers.h); gaze on other images is left out; "" for none
  double val = 0.1;     // share of the training part that is held out for validation
  LabelOptions labels;  // what the values of Kvasir-SEG's masks mean
};

struct Prepared {
  size_t train = 0, val = 0, test = 0;  // images
  std::vector<std::string> notes;       // what was left out, and why
};

using PrepareProgress = std::function<void(size_t done, size_t count)>;

/// Prepares Kvasir-SEG from raw/images/NAME.jpg and raw/masks/NAME.jpg. Masks become PNG of 0 and 255 by the rules of
/// read_mask(), and of ignored_pixel where options.labels says so. The split is that of raw/train.txt and raw/test.txt
/// if given (GazeMedSeg's 900 and 100 images). Without them, a tenth of the images, chosen by a hash of their names, is
/// the test. Throws Error, naming the file, for an image without a mask, a mask of another size, and a list that names
/// a missing image. Then nothing is left of `out` but what was there before.
Prepared prepare_kvasir_seg(const PrepareOptions& options, const PrepareProgress& progress = {});

/// Prepares NCI-ISBI 2013 from files anywhere below raw: DICOM slices (.dcm, identified by PatientID, SeriesInstanceUID
/// and InstanceNumber) and label volumes PATIENT*.nrrd. The name of a volume's folder contains "train" or "test";
/// volumes of the leaderboard are skipped. A slice with a label of 1 or more becomes the image PATIENT_NUMBER, with its
/// place in the volume from 1. As in GazeMedSeg, a patient is left out if no series has the volume's number of slices.
/// Validation holds out patients. Throws Error, naming the file, for slices of another size than the volume, several
/// fitting series, and two volumes of one patient.
Prepared prepare_nci_isbi(const PrepareOptions& options, const PrepareProgress& progress = {});

/// Prepares volumes raw/images/NAME.nii, .nii.gz or .dcm and label volumes raw/masks/NAME.*, of the same voxels and
/// place. A slice with a label of 1 or more becomes the image NAME_zNNN, a PNG of 16 bits, and its mask. A tenth of the
/// volumes, chosen by a hash of their names, is the test; validation holds out volumes. Throws Error, naming the file,
/// for a volume without labels, and for labels of other voxels, of another place or that are no whole numbers.
Prepared prepare_volumes(const PrepareOptions& options, const PrepareProgress& progress = {});

}  // namespace gt
