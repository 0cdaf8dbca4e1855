// Which files a data set came from.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace gt {

/// Files, each with a digest of its bytes, in the order in which they were added. They are held in one text, as there
/// may be millions.
class FileDigests {
 public:
  FileDigests() = default;
  FileDigests(std::initializer_list<std::pair<const char*, const char*>> files) {
    for (const auto& [path, digest] : files) add(path, digest);
  }
  /// What text() gave. Throws Error if it is malformed.
  static FileDigests of_text(std::string text);

  /// `stamp` is that of the file as it was read, see file_stamp(); 0 if it is not known.
  void add(std::string_view path, std::string_view digest, uint64_t stamp = 0) {
    stamps_.push_back(stamp);
    for (const std::string_view part : {path, digest}) text_.append(part).push_back('\0');
  }
  void add(const FileDigests& others) {
    stamps_.insert(stamps_.end(), others.stamps_.begin(), others.stamps_.end());
    text_ += others.text_;
  }

  size_t size() const { return stamps_.size(); }
  const std::string& text() const { return text_; }
  const std::vector<uint64_t>& stamps() const { return stamps_; }
  bool operator==(const FileDigests& other) const { return text_ == other.text_; }

  /// Calls f(path, digest) for each file. Both are valid as long as this is not changed.
  template <class F>
  void each(F&& f) const {
    std::string_view rest = text_;
    const auto part = [&rest] {
      const std::string_view taken = rest.substr(0, rest.find('\0'));
      rest.remove_prefix(taken.size() + 1);
      return taken;
    };
    while (!rest.empty()) {
      const std::string_view path = part(), digest = part();
      f(path, digest);
    }
  }

 private:
  std::string text_;  // path and digest of each, each with a 0 at its end
  std::vector<uint64_t> stamps_;
};

/// "images/a.png was 120 bytes, CRC-32 0a1b2c3d, and is ...": the first difference; "" if there is none.
std::string first_file_difference(const FileDigests& then, const FileDigests& now);

/// The number of pictures, files in images/, among `files` with the bytes of an earlier one, or of one in `others`,
/// that has another path. `first` receives the paths of the first two.
size_t count_same_pictures(const FileDigests& files, const FileDigests& others,
                           std::pair<std::string, std::string>& first);

}  // namespace gt
