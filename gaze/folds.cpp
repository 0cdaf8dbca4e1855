#include "gaze/folds.h"

#include <algorithm>
#include <map>
#include <set>

#include "core/check.h"
#include "core/random.h"

namespace gt {
namespace {

struct Group {
  std::string name;
  int64_t images = 0;
};

/// The groups in an order drawn from (seed, stream). The order in which they come has no influence.
std::vector<Group> shuffled(std::vector<Group> groups, uint64_t seed, uint32_t stream) {
  std::map<std::string, uint64_t> key;
  for (const Group& group : groups) {
    Random random(seed, hash64(group.name), stream);
    key[group.name] = uint64_t(random.bits()) << 32 | random.bits();
  }
  std::sort(groups.begin(), groups.end(), [&](const Group& a, const Group& b) {
    return std::pair(key[a.name], a.name) < std::pair(key[b.name], b.name);
  });
  return groups;
}

/// The fold whose test part each group is in: large groups first, each to the fold with the fewest images.
std::map<std::string, size_t> assign(const std::vector<Group>& groups, const FoldOptions& options) {
  std::vector<Group> order = shuffled(groups, options.seed, 0);
  std::stable_sort(order.begin(), order.end(), [](const Group& a, const Group& b) { return a.images > b.images; });
  std::vector<int64_t> images(size_t(options.folds));
  std::map<std::string, size_t> fold_of;
  for (const Group& group : order) {
    const size_t fold = size_t(std::min_element(images.begin(), images.end()) - images.begin());
    images[fold] += group.images;
    fold_of[group.name] = fold;
  }
  return fold_of;
}

/// The groups of a fold that are held out for validation: at least one, and not all.
std::set<std::string> held_out(const std::vector<Group>& groups, const std::map<std::string, size_t>& fold_of,
                               size_t fold, const FoldOptions& options) {
  std::vector<Group> others;
  int64_t images = 0, held = 0;
  for (const Group& group : shuffled(groups, options.seed, uint32_t(fold) + 1))
    if (fold_of.at(group.name) != fold) {
      others.push_back(group);
      images += group.images;
    }
  std::set<std::string> chosen;
  for (size_t i = 0; i + 1 < others.size() && (i == 0 || double(held) < options.val * double(images)); ++i) {
    chosen.insert(others[i].name);
    held += others[i].images;
  }
  return chosen;
}

}  // namespace

Grouping::Grouping(const std::string& expression) : expression_(expression) {
  try {
    regex_ = std::regex(expression);
  } catch (const std::regex_error& error) {
    fail("expected a regular expression (ECMAScript), got '", expression, "': ", error.what());
  }
}

std::string Grouping::of(const ListEntry& entry) const {
  std::smatch match;
  const bool found = std::regex_search(entry.name, match, regex_);
  const std::string group = found ? match[match.size() > 1 ? 1 : 0].str() : "";
  if (group.empty())
    fail(entry.where(), ": '", entry.name, "': the expression '", expression_, "' finds no group in it");
  return group;
}

std::vector<Fold> make_folds(const std::vector<ListEntry>& images, const FoldOptions& options) {
  std::vector<std::string> group_of;
  std::map<std::string, int64_t> sizes;
  const Grouping grouping(options.group.empty() ? "^.*$" : options.group);
  for (const ListEntry& image : images) {
    group_of.push_back(grouping.of(image));
    ++sizes[group_of.back()];
  }
  std::vector<Group> groups;
  for (const auto& [name, count] : sizes) groups.push_back({name, count});
  const std::map<std::string, size_t> fold_of = assign(groups, options);
  std::vector<Fold> folds{size_t(options.folds)};
  for (size_t f = 0; f < folds.size(); ++f) {
    const std::set<std::string> val = held_out(groups, fold_of, f, options);
    for (size_t i = 0; i < images.size(); ++i) {
      const bool is_test = fold_of.at(group_of[i]) == f, is_val = val.contains(group_of[i]);
      (is_test ? folds[f].test : is_val ? folds[f].val : folds[f].train).push_back(images[i].name);
    }
    if (folds[f].train.empty() || folds[f].val.empty() || folds[f].test.empty())
      fail(images.size(), " images in ", groups.size(), " groups are too few for ", options.folds,
           " folds: each fold needs groups to train on, to validate on and to test on");
  }
  return folds;
}

}  // namespace gt
