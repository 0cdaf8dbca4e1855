#include "gaze/folds.h"

#include <algorithm>
#include <map>
#include <set>

#include "core/check.h"
#include "tests/catch.h"
#include "tests/temp_folder.h"

using namespace gt;

namespace {

// Patient p has 1 + p % 4 slices.
std::vector<ListEntry> slices(int patients) {
  std::vector<ListEntry> entries;
  const auto list = std::make_shared<const std::string>("list");
  for (int p = 0; p < patients; ++p)
    for (int z = 0; z <= p % 4; ++z) entries.push_back({str_cat("P", p, "_", z), list, int64_t(entries.size()) + 1});
  return entries;
}

bool equal(const Fold& a, const Fold& b) { return a.train == b.train && a.val == b.val && a.test == b.test; }

}  // namespace

TEST_CASE("folds: each image is tested once, and no patient is in two lists of a fold", "[folds]") {
  const std::vector<ListEntry> images = slices(23);
  const std::vector<Fold> folds = make_folds(images, {.folds = 5, .val = 0.2, .group = "^(P[0-9]+)_"});
  REQUIRE(folds.size() == 5);
  std::map<std::string, int> tested;
  size_t least = images.size(), most = 0;
  for (const Fold& fold : folds) {
    std::map<std::string, std::set<int>> lists_of;
    int list = 0;
    for (const auto* names : {&fold.train, &fold.val, &fold.test}) {
      CHECK(!names->empty());
      for (const std::string& name : *names) lists_of[name.substr(0, name.find('_'))].insert(list);
      ++list;
    }
    for (const auto& [patient, lists] : lists_of) CHECK(lists.size() == 1);
    CHECK(fold.train.size() + fold.val.size() + fold.test.size() == images.size());
    for (const std::string& name : fold.test) ++tested[name];
    least = std::min(least, fold.test.size()), most = std::max(most, fold.test.size());
    const double share = double(fold.val.size()) / double(fold.val.size() + fold.train.size());
    CHECK(share >= 0.2);
    CHECK(share < 0.3);
  }
  CHECK(tested.size() == images.size());
  for (const auto& [name, times] : tested) CHECK(times == 1);
  CHECK(most - least <= 4);
}

TEST_CASE("folds: the seed decides, the order of the images does not", "[folds]") {
  std::vector<ListEntry> images = slices(23);
  const FoldOptions options{.folds = 3, .group = "^(P[0-9]+)_", .seed = 7};
  const std::vector<Fold> folds = make_folds(images, options);
  FoldOptions other = options;
  other.seed = 8;
  CHECK(equal(make_folds(images, options)[0], folds[0]));
  CHECK_FALSE(equal(make_folds(images, other)[0], folds[0]));
  std::reverse(images.begin(), images.end());
  Fold reversed = make_folds(images, options)[0];
  for (auto* names : {&reversed.train, &reversed.val, &reversed.test}) std::reverse(names->begin(), names->end());
  CHECK(equal(reversed, folds[0]));
}

TEST_CASE("folds: too few groups, names without a group and malformed expressions are refused", "[folds]") {
  const auto error = [](int patients, const FoldOptions& options) {
    return error_of([&] { make_folds(slices(patients), options); });
  };
  CHECK(error(4, {.folds = 4, .group = "P[0-9]+"}) == "");
  CHECK(error(3, {.folds = 4, .group = "P[0-9]+"}) ==
        "6 images in 3 groups are too few for 4 folds: each fold needs groups to train on, to validate on and to test "
        "on");
  CHECK(error(3, {.folds = 2, .group = "P[0-9]+"}).find("6 images in 3 groups are too few for 2 folds") == 0);
  CHECK(error(8, {.folds = 2, .group = "Q"}) == "list:1: 'P0_0': the expression 'Q' finds no group in it");
  CHECK(error(8, {.folds = 2, .group = "("}).find("expected a regular expression (ECMAScript), got '('") == 0);
}
