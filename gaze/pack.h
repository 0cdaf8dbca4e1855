// Packed data sets: a split in one file, prepared for training, which all processes of a machine share in memory.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/check.h"
#include "gaze/dataset.h"

namespace gt {

/// What a packed data set is made from.
struct PackSources {
  std::string identity;            // everything besides files that decides the samples, as a text
  std::string root;                // folder of DatasetFacts::files
  std::vector<std::string> paths;  // further files and folders, absolute
};

/// A packed data set, or the reason why there is none.
struct PackAttempt {
  std::unique_ptr<SampleSource> samples;  // null: `reason` says why
  std::string reason;
  std::vector<std::string> warnings;  // of LoadHooks::warn, when it was made
};

/// Opens the file `path`, if it was made from these sources, whose sizes and times are as they were. Each sample is
/// checked when it is first read; a file with a damaged one is removed, and Error thrown. Pages that were read are
/// given back, so that resident memory stays small whatever the size of the file.
PackAttempt open_pack(const std::string& path, const PackSources& sources);

/// Thrown if a packed data set cannot be written.
class CannotPack : public Error {
  using Error::Error;
};

/// Reads samples as read_samples() does, with these functions.
using ReadForPack = std::function<DatasetFacts(const std::function<void(Sample&& sample)>& take,
                                               const std::function<void(const std::string& line)>& warn)>;

/// Makes the file `path`, which appears when it is complete, and opens it. If sources change meanwhile, open_pack()
/// will say so. Throws CannotPack with the system's reason, or if the file would have more than max_bytes, and what
/// `read` throws.
std::unique_ptr<SampleSource> write_pack(const std::string& path, const PackSources& sources, const ReadForPack& read,
                                         uint64_t max_bytes = UINT64_MAX);

}  // namespace gt
