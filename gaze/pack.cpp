#include "gaze/pack.h"

#include <zlib.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <filesystem>
#include <optional>
#include <type_traits>
#include <utility>

#include "core/check.h"
#include "core/io.h"
#include "core/json.h"
#include "core/mapped_file.h"
#include "core/parallel.h"
#include "core/random.h"

namespace gt {
namespace {

// The file: samples one after the other, the index, the files, their stamps, facts in JSON, and an End of fixed size.
constexpr char magic[8] = {'g', 't', 'p', 'a', 'c', 'k', '0', '1'};

/// A sample's place in the file.
struct Entry {
  uint64_t offset = 0;
  uint32_t bytes = 0, crc = 0, fixations = 0;
  uint32_t unused = 0;  // else 4 undefined bytes would be written
};

struct End {
  uint64_t index = 0, samples = 0;      // place of the index, and number of its entries
  uint64_t files = 0, files_bytes = 0;  // text of DatasetFacts::files
  uint64_t stamps = 0;                  // of these and of PackSources::paths
  uint64_t facts = 0, facts_bytes = 0;
  uint64_t crc = 0;  // of all from the index up to here
  char word[8] = {};
};

uint32_t crc_of(std::string_view bytes) {
  return uint32_t(crc32_z(0, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

// ---- Values as bytes ------------------------------------------------------------------------------------------------

template <class T>
void put(std::string& out, const T& value) {
  static_assert(std::is_trivially_copyable_v<T>);
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

void put_text(std::string& out, std::string_view text) {
  put(out, uint32_t(text.size()));
  out += text;
}

template <class T>
void put_list(std::string& out, const std::vector<T>& values) {
  put(out, uint64_t(values.size()));
  if (!values.empty()) out.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T));
}

/// Takes values from bytes. Throws Error where they end too early.
class Taker {
 public:
  explicit Taker(std::string_view bytes) : rest_(bytes) {}

  template <class T>
  T take() {
    T value;
    std::memcpy(&value, take_bytes(sizeof value).data(), sizeof value);
    return value;
  }
  std::string_view take_text() { return take_bytes(take<uint32_t>()); }
  template <class T>
  std::vector<T> take_list() {
    const uint64_t count = take<uint64_t>();
    if (count > rest_.size() / sizeof(T)) fail("the file ends early");
    std::vector<T> values(static_cast<size_t>(count));
    if (count > 0) std::memcpy(values.data(), take_bytes(size_t(count) * sizeof(T)).data(), size_t(count) * sizeof(T));
    return values;
  }

 private:
  std::string_view take_bytes(size_t count) {
    if (count > rest_.size()) fail("the file ends early");
    const std::string_view bytes = rest_.substr(0, count);
    rest_.remove_prefix(count);
    return bytes;
  }
  std::string_view rest_;
};

// ---- Samples --------------------------------------------------------------------------------------------------------

void put_image(std::string& out, const Image& image) {
  for (const int64_t side : {image.height, image.width, image.channels}) put(out, side);
  put(out, image.spacing);
  put_list(out, image.pixels);
}

Image take_image(Taker& from) {
  Image image;
  image.height = from.take<int64_t>();
  image.width = from.take<int64_t>();
  image.channels = from.take<int64_t>();
  image.spacing = from.take<PixelSpacing>();
  image.pixels = from.take_list<uint8_t>();
  return image;
}

std::string sample_bytes(const Sample& sample) {
  std::string out;
  put_text(out, sample.name);
  put_list(out, sample.normalisation.mean);
  put_list(out, sample.normalisation.std);
  for (const Image* image : {&sample.image, &sample.mask, &sample.label}) put_image(out, *image);
  put_text(out, sample.track.image);
  put(out, sample.track.image_height);
  put(out, sample.track.image_width);
  put_list(out, sample.track.fixations);
  put(out, uint32_t(sample.pseudo.size()));
  for (const Image& mask : sample.pseudo) put_image(out, mask);
  return out;
}

Sample sample_of(std::string_view bytes) {
  Taker from(bytes);
  Sample sample;
  sample.name = from.take_text();
  sample.normalisation.mean = from.take_list<double>();
  sample.normalisation.std = from.take_list<double>();
  for (Image* image : {&sample.image, &sample.mask, &sample.label}) *image = take_image(from);
  sample.track.image = from.take_text();
  sample.track.image_height = from.take<int64_t>();
  sample.track.image_width = from.take<int64_t>();
  sample.track.fixations = from.take_list<Fixation>();
  for (uint32_t k = from.take<uint32_t>(); k > 0; --k) sample.pseudo.push_back(take_image(from));
  return sample;
}

// ---- Facts and files ------------------------------------------------------------------------------------------------

Json json_of(const MaskValues::Value& value) {
  return {{"value", value.value}, {"largest", value.largest}, {"path", value.path}};
}

MaskValues::Value value_of(const Json& json) { return {json.at("value"), json.at("largest"), json.at("path")}; }

std::string facts_text(const DatasetFacts& facts, const std::string& identity,
                       const std::vector<std::string>& warnings) {
  return dump_json({{"identity", identity},
                    {"simulated_gaze", facts.simulated_gaze},
                    {"gaze_assumed", facts.gaze_assumed},
                    {"ignores_pixels", facts.ignores_pixels},
                    {"foreground", json_of(facts.mask_values.foreground())},
                    {"background", json_of(facts.mask_values.background())},
                    {"masks", facts.masks},
                    {"warnings", warnings}});
}

/// f(path) for the absolute path of each source: of the files, which are relative to the root, and of the others.
template <class F>
void for_sources(const FileDigests& files, const PackSources& sources, const F& f) {
  const std::filesystem::path root = std::filesystem::absolute(sources.root);
  files.each([&](std::string_view path, std::string_view) { f((root / path).string()); });
  for (const std::string& path : sources.paths) f(path);
}

// ---- The packed data set --------------------------------------------------------------------------------------------

class PackedDataset : public SampleSource {
 public:
  /// Throws Error if the file is damaged or is none of this version.
  explicit PackedDataset(const std::string& path) : path_(path), file_(path) {
    const std::string_view bytes = file_.bytes();
    if (bytes.size() < sizeof end_) fail("the file is damaged");
    std::memcpy(&end_, bytes.data() + bytes.size() - sizeof end_, sizeof end_);
    const uint64_t tail = bytes.size() - sizeof end_;
    if (std::memcmp(end_.word, magic, sizeof magic) != 0) fail("the file is of another version, or is damaged");
    if (end_.index > end_.files || end_.files > end_.stamps || end_.stamps > end_.facts || end_.facts > tail ||
        end_.samples != (end_.files - end_.index) / sizeof(Entry) || end_.files_bytes != end_.stamps - end_.files ||
        end_.facts_bytes != tail - end_.facts || crc_of(bytes.substr(end_.index, tail - end_.index)) != end_.crc)
      fail("the file is damaged");
    const Json json = parse_json(bytes.substr(end_.facts, end_.facts_bytes), path);
    identity_ = json.at("identity");
    facts_.simulated_gaze = json.at("simulated_gaze");
    facts_.gaze_assumed = json.at("gaze_assumed");
    facts_.ignores_pixels = json.at("ignores_pixels");
    facts_.mask_values = MaskValues(value_of(json.at("foreground")), value_of(json.at("background")));
    facts_.masks = json.at("masks");
    warnings_ = json.at("warnings").get<std::vector<std::string>>();
    checked_ = std::vector<std::atomic<bool>>(end_.samples);
    facts_.files = FileDigests::of_text(std::string(bytes.substr(end_.files, end_.files_bytes)));
    file_.release();
  }

  const std::string& identity() const { return identity_; }
  const std::vector<std::string>& warnings() const { return warnings_; }

  /// The first source that is not as it was when this was made; "" if there is none.
  std::string changed_source(const PackSources& sources) const {
    const std::string_view bytes = file_.bytes().substr(end_.stamps, end_.facts - end_.stamps);
    std::vector<uint64_t> stamps(bytes.size() / sizeof(uint64_t));
    if (stamps.size() != facts_.files.size() + sources.paths.size()) return "the list of files";
    std::memcpy(stamps.data(), bytes.data(), stamps.size() * sizeof(uint64_t));
    file_.release();
    size_t done = 0;
    std::string first;
    std::vector<std::string> block;
    const auto check = [&] {
      std::vector<uint8_t> changed(block.size());
      parallel_for(int64_t(block.size()), 64, [&](int64_t begin, int64_t end) {
        for (size_t k = size_t(begin); k < size_t(end); ++k)
          changed[k] = stamps[done + k] == 0 || file_stamp(block[k]) != stamps[done + k];
      });
      const auto at = std::find(changed.begin(), changed.end(), 1);
      if (first.empty() && at != changed.end()) first = block[size_t(at - changed.begin())];
      done += block.size();
      block.clear();
    };
    for_sources(facts_.files, sources, [&](const std::string& path) {
      block.push_back(path);
      if (block.size() == 65536) check();
    });
    check();
    return first;
  }

  const DatasetFacts& facts() const override { return facts_; }
  int64_t size() const override { return int64_t(end_.samples); }
  int64_t fixations(int64_t index) const override { return entry(index).fixations; }
  std::string name(int64_t index) const override { return std::string(Taker(bytes_of(index)).take_text()); }

  Sample sample(int64_t index) const override {
    Sample sample = sample_of(bytes_of(index));
    constexpr int64_t most = 64 << 20;
    if ((read_ += int64_t(entry(index).bytes)) > most) {
      read_ = 0;
      file_.release();
    }
    return sample;
  }

 private:
  Entry entry(int64_t index) const {
    GT_CHECK(0 <= index && index < size(), "PackedDataset: sample ", index, " of ", size());
    Entry entry;
    std::memcpy(&entry, file_.bytes().data() + end_.index + uint64_t(index) * sizeof entry, sizeof entry);
    return entry;
  }

  std::string_view bytes_of(int64_t index) const {
    const Entry at = entry(index);
    const bool inside = at.offset <= end_.index && at.bytes <= end_.index - at.offset;
    const std::string_view bytes = inside ? file_.bytes().substr(at.offset, at.bytes) : std::string_view();
    if (checked_[size_t(index)]) return bytes;
    if (!inside || crc_of(bytes) != at.crc) fail_damaged(index);
    checked_[size_t(index)] = true;
    return bytes;
  }

  /// The next training makes the file again.
  [[noreturn]] void fail_damaged(int64_t index) const {
    std::error_code error;
    std::filesystem::remove(path_, error);
    fail(path_, ": sample ", index, " is damaged; ", error ? "remove the file" : "the file is removed",
         ", and start again");
  }

  std::string path_;
  MappedFile file_;
  End end_;
  std::string identity_;
  DatasetFacts facts_;
  std::vector<std::string> warnings_;
  mutable std::vector<std::atomic<bool>> checked_;  // samples whose bytes agree with their checksum
  mutable std::atomic<int64_t> read_ = 0;           // bytes since pages were given back
};

}  // namespace

PackAttempt open_pack(const std::string& path, const PackSources& sources) {
  try {
    if (!path_exists(path)) return {nullptr, "there is none yet", {}};
    auto packed = std::make_unique<PackedDataset>(path);
    if (packed->identity() != sources.identity) return {nullptr, "it is of other options or another program", {}};
    const std::string changed = packed->changed_source(sources);
    if (!changed.empty()) return {nullptr, changed + " has changed", {}};
    std::vector<std::string> warnings = packed->warnings();
    return {std::move(packed), "", std::move(warnings)};
  } catch (const std::exception& error) {  // a damaged file is made again
    return {nullptr, error.what(), {}};
  }
}

std::unique_ptr<SampleSource> write_pack(const std::string& path, const PackSources& sources, const ReadForPack& read,
                                         uint64_t max_bytes) {
  std::vector<uint64_t> before;  // of the sources besides files, whose stamps come with the files
  for (const std::string& source : sources.paths) before.push_back(file_stamp(source));
  std::optional<FileReplacement> file;
  const auto write = [&](const auto& work) {
    try {
      work();
    } catch (const Error& error) {
      throw CannotPack(error.what());
    }
  };
  write([&] { file.emplace(path); });
  std::vector<Entry> index;
  std::vector<std::string> warnings;
  End end;
  const DatasetFacts facts = read(
      [&](Sample&& sample) {
        const std::string bytes = sample_bytes(sample);
        if (bytes.size() > UINT32_MAX) fail(path, ": sample '", sample.name, "' has over 4 GB");
        index.push_back({end.index, uint32_t(bytes.size()), crc_of(bytes), uint32_t(sample.track.fixations.size()), 0});
        end.index += bytes.size();
        write([&] {
          if (end.index > max_bytes) fail(path, ": would have more than ", max_bytes >> 20, " MiB");
          file->append(bytes);
        });
      },
      [&](const std::string& line) { warnings.push_back(line); });

  std::string tail(reinterpret_cast<const char*>(index.data()), index.size() * sizeof(Entry));
  end.samples = index.size();
  end.files = end.index + tail.size();
  tail += facts.files.text();
  end.files_bytes = facts.files.text().size();
  end.stamps = end.index + tail.size();
  for (const uint64_t stamp : facts.files.stamps()) put(tail, stamp);
  for (size_t k = 0; k < before.size(); ++k)
    put(tail, file_stamp(sources.paths[k]) == before[k] ? before[k] : uint64_t(0));
  end.facts = end.index + tail.size();
  const std::string text = facts_text(facts, sources.identity, warnings);
  end.facts_bytes = text.size();
  tail += text;
  end.crc = crc_of(tail);
  std::memcpy(end.word, magic, sizeof magic);
  put(tail, end);
  write([&] {
    file->append(tail);
    file->commit();
  });
  return std::make_unique<PackedDataset>(path);
}

}  // namespace gt
