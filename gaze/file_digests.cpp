#include "gaze/file_digests.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <vector>

#include "core/check.h"
#include "core/random.h"

namespace gt {

FileDigests FileDigests::of_text(std::string text) {
  const auto ends = size_t(std::count(text.begin(), text.end(), '\0'));
  if (ends % 2 != 0 || (!text.empty() && text.back() != '\0')) fail("a list of files is malformed");
  FileDigests files;
  files.text_ = std::move(text);
  files.stamps_.resize(ends / 2);
  return files;
}

std::string first_file_difference(const FileDigests& then, const FileDigests& now) {
  std::map<std::string_view, std::string_view> before, after;
  then.each([&](std::string_view path, std::string_view digest) { before.emplace(path, digest); });
  now.each([&](std::string_view path, std::string_view digest) { after.emplace(path, digest); });
  std::string first;
  then.each([&](std::string_view path, std::string_view digest) {
    if (!first.empty()) return;
    const auto at = after.find(path);
    if (at == after.end())
      first = str_cat(path, " was there (", digest, ") and is gone");
    else if (at->second != digest)
      first = str_cat(path, " was ", digest, " and is ", at->second);
  });
  now.each([&](std::string_view path, std::string_view digest) {
    if (first.empty() && !before.count(path)) first = str_cat(path, " is new (", digest, ")");
  });
  return first;
}

size_t count_same_pictures(const FileDigests& files, const FileDigests& others,
                           std::pair<std::string, std::string>& first) {
  struct Picture {
    uint64_t hash;  // of the digest
    std::string_view path, digest;
    bool other;
  };
  std::vector<Picture> pictures;
  for (const FileDigests* from : {&others, &files})
    from->each([&](std::string_view path, std::string_view digest) {
      if (path.starts_with("images/")) pictures.push_back({hash64(digest), path, digest, from == &others});
    });
  std::vector<size_t> order(pictures.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  const auto earlier = [&](size_t a, size_t b) {
    return std::pair(pictures[a].hash, a) < std::pair(pictures[b].hash, b);
  };
  std::sort(order.begin(), order.end(), earlier);
  size_t count = 0, first_at = SIZE_MAX;
  for (size_t k = 0, original = 0; k < order.size(); ++k) {
    const Picture& now = pictures[order[k]];
    if (now.digest != pictures[order[original]].digest) original = k;
    const Picture& one = pictures[order[original]];
    if (now.other || one.path == now.path) continue;
    ++count;
    if (order[k] < first_at) first_at = order[k], first = {std::string(one.path), std::string(now.path)};
  }
  return count;
}

}  // namespace gt
