// What the preparations of all data sets share.
#pragma once

#include <initializer_list>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "gaze/prepare.h"

namespace gt {

using Names = std::vector<std::string>;

/// The sorted paths of files below a folder whose extension, in lower case, is one of these. Each file is given once,
/// whatever links lead to it. Hidden files and links to nothing are passed over. Throws Error for unreadable folders.
Names files_below(const std::string& folder, std::initializer_list<std::string_view> extensions);

/// Throws Error if a list of names, read again, would not give this name; `path` is the file that it belongs to.
void check_name(const std::string& path, const std::string& name);

/// The share of the names with the smallest hashes; at least one of two or more. The order of the names has no
/// influence.
std::set<std::string> hold_out(Names names, double share);

/// The folder of a data set that is being written. Unless finish() returns, the destructor removes what was written.
class NewDataset {
 public:
  /// Makes the folders. Throws Error if there is a data set.
  explicit NewDataset(const PrepareOptions& options);
  ~NewDataset();
  NewDataset(const NewDataset&) = delete;
  NewDataset& operator=(const NewDataset&) = delete;

  /// Writes lists and gaze, and loads the data set as a check. train.txt comes last, as it marks a complete data set.
  /// Throws Error, with the notes so far, if there are no images for training or for validation.
  void finish(const Names& train, const Names& val, const Names& test, Prepared& prepared);

 private:
  void check_written(bool has_test) const;

  const PrepareOptions& options_;
  bool made_root_;
  bool finished_ = false;
};

}  // namespace gt
