#include "core/io.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <tuple>

namespace gt {
namespace {

constexpr size_t header_limit = 100u << 20;  // the format's own limit

const char* format_name(DType dtype) {
  switch (dtype) {
    case DType::f32:
      return "F32";
    case DType::f64:
      return "F64";
    case DType::bf16:
      return "BF16";
    case DType::u8:
      return "U8";
    case DType::i32:
      return "I32";
  }
  return "?";
}

DType dtype_named(const std::string& word, const std::string& path, const std::string& tensor) {
  for (const DType d : {DType::f32, DType::f64, DType::bf16, DType::u8, DType::i32})
    if (word == format_name(d)) return d;
  fail(path, ": tensor '", tensor, "' has type '", word, "': expected F32, F64, BF16, U8 or I32");
}

/// One tensor's entry in the header.
struct Entry {
  std::string key;
  DType dtype;
  Shape shape;
  size_t begin, end;  // byte offsets from the end of the header
};

Entry read_entry(const std::string& path, const std::string& key, const nlohmann::json& json) {
  const auto whole = [&](const nlohmann::json& number) {
    if (!number.is_number_unsigned() || number.get<uint64_t>() > uint64_t(INT64_MAX))
      fail(path, ": the header's entry for tensor '", key, "': expected a whole number, got ", number.dump());
    return number.get<int64_t>();
  };
  try {
    Entry e{key, dtype_named(json.at("dtype").get<std::string>(), path, key), {}, 0, 0};
    std::vector<int64_t> dims;
    for (const auto& d : json.at("shape").get_ref<const nlohmann::json::array_t&>()) dims.push_back(whole(d));
    e.shape = Shape(std::move(dims));
    const auto& offsets = json.at("data_offsets").get_ref<const nlohmann::json::array_t&>();
    if (offsets.size() != 2) fail(path, ": tensor '", key, "' has ", offsets.size(), " data offsets, expected 2");
    e.begin = size_t(whole(offsets[0]));
    e.end = size_t(whole(offsets[1]));
    return e;
  } catch (const nlohmann::json::exception&) {
    fail(path, ": the header's entry for tensor '", key, "' is malformed: expected dtype, shape and data_offsets");
  }
}

Tensor read_tensor(const std::string& path, const Entry& e, const char* data, size_t data_size, size_t expected_begin) {
  double bytes = double(size_of(e.dtype));  // never overflows, and is exact for any size that a file can have
  for (const int64_t d : e.shape) bytes *= double(d);
  if (e.begin != expected_begin || e.end < e.begin || e.end > data_size || bytes != double(e.end - e.begin))
    fail(path, ": tensor '", e.key, "' of shape ", e.shape, " does not match its data offsets (truncated file?)");
  Tensor t(e.shape, e.dtype);
  std::memcpy(t.raw(), data + e.begin, e.end - e.begin);
  return t;
}

}  // namespace

std::string read_file(const std::string& path) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rbe"), std::fclose);
  if (file == nullptr) fail(path, ": cannot open: ", std::strerror(errno));
  std::string bytes;
  for (size_t done = 0;;) {  // until the end of the file: pipes and /proc report no size
    bytes.resize(std::max<size_t>(done + done / 2, 1 << 16));
    done += std::fread(bytes.data() + done, 1, bytes.size() - done, file.get());
    if (std::ferror(file.get())) fail(path, ": cannot read: ", std::strerror(errno));
    if (done == bytes.size()) continue;
    bytes.resize(done);
    return bytes;
  }
}

std::vector<TextLine> read_lines(const std::string& path) {
  const std::string bytes = read_file(path);
  std::string_view rest = bytes;
  constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";
  if (rest.starts_with(byte_order_mark)) rest.remove_prefix(byte_order_mark.size());
  std::vector<TextLine> lines;
  for (int64_t number = 1; !rest.empty(); ++number) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    const std::string_view line = trim_blanks(rest.substr(0, end));
    if (!line.empty()) lines.push_back({number, std::string(line)});
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return lines;
}

void write_file(const std::string& path, const std::string& bytes) {
  std::error_code none;
  const bool special = std::filesystem::is_other(path, none);  // a device or a pipe has no old content to keep
  const std::string target = special ? path : path + ".tmp";   // if the process is killed, the next write replaces it
  const int file = ::open(target.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (file < 0) fail(path, ": cannot write: ", std::strerror(errno));
  const auto give_up = [&](const char* what) {
    const int reason = errno;
    if (!special) ::unlink(target.c_str());
    fail(path, ": cannot ", what, ": ", std::strerror(reason));
  };
  for (size_t done = 0; done < bytes.size();) {
    const ssize_t n = ::write(file, bytes.data() + done, bytes.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      const int reason = errno;
      ::close(file);
      errno = reason;
      give_up("write");
    }
    done += size_t(n);
  }
  const bool synced =
      ::fsync(file) == 0 || errno == EINVAL || errno == EROFS;  // pipes and some file systems do not sync
  if (::close(file) != 0 || !synced) give_up("write");
  if (!special && ::rename(target.c_str(), path.c_str()) != 0) give_up("replace");
}

void make_folder(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) fail(path, ": cannot create the folder: ", error.message());
}

const Tensor* SafeTensors::find(const std::string& name) const {
  for (const auto& [key, tensor] : tensors)
    if (key == name) return &tensor;
  return nullptr;
}

SafeTensors read_safetensors(const std::string& path) {
  const std::string bytes = read_file(path);
  uint64_t header_size = 0;
  if (bytes.size() >= 8) std::memcpy(&header_size, bytes.data(), 8);  // little endian, as every supported machine is
  if (bytes.size() < 8 || header_size > header_limit || header_size > bytes.size() - 8)
    fail(path, ": not a safetensors file, or a truncated one (", bytes.size(), " bytes)");
  const nlohmann::json header =
      nlohmann::json::parse(bytes.begin() + 8, bytes.begin() + 8 + int64_t(header_size), nullptr, false);
  if (!header.is_object()) fail(path, ": not a safetensors file: its header is not a JSON object");

  SafeTensors content;
  std::vector<Entry> entries;
  for (const auto& [key, json] : header.items()) {
    if (key != "__metadata__") {
      entries.push_back(read_entry(path, key, json));
      continue;
    }
    if (!json.is_object()) fail(path, ": __metadata__ is not a JSON object");
    for (const auto& [k, v] : json.items())
      if (v.is_string()) content.metadata[k] = v.get<std::string>();
  }
  // In file order. An empty tensor precedes the tensor that begins at its offset.
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return std::tie(a.begin, a.end, a.key) < std::tie(b.begin, b.end, b.key);
  });
  const char* data = bytes.data() + 8 + header_size;
  const size_t data_size = bytes.size() - 8 - header_size;
  size_t end = 0;
  for (const Entry& e : entries) {
    content.tensors.emplace_back(e.key, read_tensor(path, e, data, data_size, end));
    end = e.end;
  }
  if (end != data_size) fail(path, ": ", data_size - end, " bytes after the last tensor, expected none");
  return content;
}

void write_safetensors(const std::string& path, const SafeTensors& content) {
  auto header = nlohmann::ordered_json::object();
  if (!content.metadata.empty()) header["__metadata__"] = content.metadata;
  size_t offset = 0;
  for (const auto& [key, t] : content.tensors) {
    GT_CHECK(!header.contains(key) && key != "__metadata__", path, ": two tensors named '", key, "'");
    header[key] = {
        {"dtype", format_name(t.dtype())}, {"shape", t.shape().dims()}, {"data_offsets", {offset, offset + t.bytes()}}};
    offset += t.bytes();
  }
  std::string head =
      header.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);  // metadata may not be UTF-8
  head.resize((head.size() + 7) / 8 * 8, ' ');                                // aligns the data
  const uint64_t header_size = head.size();
  std::string bytes(reinterpret_cast<const char*>(&header_size), 8);
  bytes += head;
  bytes.reserve(bytes.size() + offset);
  for (const auto& [key, t] : content.tensors)
    bytes.append(static_cast<const char*>(t.to(Device::cpu).raw()), t.bytes());
  write_file(path, bytes);
}

}  // namespace gt
