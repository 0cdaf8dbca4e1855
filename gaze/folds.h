// Groups of images, such as those of one patient, and cross-validation.
#pragma once

#include <cstdint>
#include <regex>
#include <string>
#include <vector>

#include "gaze/image_folder.h"

namespace gt {

/// Finds the group of an image in its name, by a regular expression (ECMAScript). Images of one group, such as one
/// patient's, belong in one split.
class Grouping {
 public:
  /// Throws Error if the expression is malformed.
  explicit Grouping(const std::string& expression);

  /// What the first parentheses of the expression match in the name; without parentheses, what the expression matches.
  /// Throws Error, naming the entry, if that is nothing.
  std::string of(const ListEntry& entry) const;

 private:
  std::string expression_;
  std::regex regex_;
};

struct FoldOptions {
  int64_t folds = 5;
  double val = 0.1;   // share of the images outside a fold's test part that is held out for validation
  std::string group;  // see Grouping; empty: each image is a group
  uint64_t seed = 1;
};

/// The lists of one fold, each in the order of the images given.
struct Fold {
  std::vector<std::string> train, val, test;
};

/// Divides images for cross-validation: each image is in the test part of one fold. Groups are not divided. Test parts
/// differ in size by at most the size of the largest group. The result depends on the set of names, the expression and
/// the seed. Throws Error if a fold would lack training, validation or test images.
std::vector<Fold> make_folds(const std::vector<ListEntry>& images, const FoldOptions& options);

}  // namespace gt
