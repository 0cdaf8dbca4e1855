#include "core/safetensors.h"

#include <zlib.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <tuple>

#include "core/io.h"
#include "core/json.h"

namespace gt {
namespace {

constexpr uint64_t max_header = 32u << 20;  // bytes; a header has about 100 per tensor
constexpr const char* checksum_key = "checksum";

/// The metadata value of a checksum: "crc32:" and eight hexadecimal digits.
std::string checksum_text(uint32_t crc) {
  char text[32];
  std::snprintf(text, sizeof text, "crc32:%08x", crc);
  return text;
}

/// The checksum of a file whose header has `checksum` as its value. The digits count as zeros. `at` is the position of
/// `checksum` in the file.
std::string checksum_of(const std::string& bytes, size_t at) {
  const std::string zeros = checksum_text(0);
  const auto* data = reinterpret_cast<const Bytef*>(bytes.data());
  uLong crc = crc32_z(0, data, at);
  crc = crc32_z(crc, reinterpret_cast<const Bytef*>(zeros.data()), zeros.size());
  return checksum_text(uint32_t(crc32_z(crc, data + at + zeros.size(), bytes.size() - at - zeros.size())));
}

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
    if (dims.size() > 8 || std::any_of(dims.begin(), dims.end(), [](int64_t d) { return d > int64_t(1) << 40; }))
      fail(path, ": the header's entry for tensor '", key, "': expected at most 8 dimensions of at most 2^40, got ",
           json.at("shape").dump());
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

/// Throws Error unless the tensor begins where the one before it ended, lies in the data and has the bytes of its
/// shape.
void check_entry(const std::string& path, const Entry& e, size_t data_size, size_t expected_begin) {
  double bytes = double(size_of(e.dtype));  // never overflows, and is exact for any size that a file can have
  for (const int64_t d : e.shape) bytes *= double(d);
  if (e.begin != expected_begin || e.end < e.begin || e.end > data_size || bytes != double(e.end - e.begin))
    fail(path, ": tensor '", e.key, "' of shape ", e.shape, " does not match its data offsets (truncated file?)");
}

/// Takes the text of the metadata from the header's entry. Checks the checksum if it has one.
void take_metadata(const std::string& path, const nlohmann::json& json, const std::string& bytes,
                   SafeTensors& content) {
  if (!json.is_object()) fail(path, ": __metadata__ is not a JSON object");
  for (const auto& [key, value] : json.items())
    if (value.is_string()) content.metadata[key] = value.get<std::string>();
  const auto found = content.metadata.find(checksum_key);
  if (found == content.metadata.end()) return;
  const size_t at = bytes.find(found->second);
  if (found->second.size() != checksum_text(0).size() || at == bytes.npos || checksum_of(bytes, at) != found->second)
    fail(path, ": expected the checksum that its bytes give, found ", json[checksum_key].dump(),
         ": the file is damaged, or another program changed it");
  content.metadata.erase(found);
  content.checked = true;
}

}  // namespace

const Tensor* SafeTensors::find(const std::string& name) const {
  for (const auto& [key, tensor] : tensors)
    if (key == name) return &tensor;
  return nullptr;
}

SafeTensors read_safetensors(const std::string& path) {
  const std::string bytes = read_file(path);
  uint64_t header_size = 0;
  if (bytes.size() >= 8) std::memcpy(&header_size, bytes.data(), 8);  // little endian, as every supported machine is
  if (bytes.size() < 8 || header_size > bytes.size() - 8)
    fail(path, ": not a safetensors file, or a truncated one (", bytes.size(), " bytes)");
  if (header_size > max_header) fail(path, ": expected a header of at most ", max_header, " bytes, got ", header_size);
  const auto header = parse_json<nlohmann::json>(std::string_view(bytes).substr(8, header_size),
                                                 path + ": not a safetensors file: its header");

  SafeTensors content;
  std::vector<Entry> entries;
  for (const auto& [key, json] : header.items()) {
    if (key == "__metadata__")
      take_metadata(path, json, bytes, content);
    else
      entries.push_back(read_entry(path, key, json));
  }
  // In file order. An empty tensor precedes the tensor that begins at its offset.
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return std::tie(a.begin, a.end, a.key) < std::tie(b.begin, b.end, b.key);
  });
  const char* data = bytes.data() + 8 + header_size;
  const size_t data_size = bytes.size() - 8 - header_size;
  size_t end = 0;
  for (const Entry& e : entries) {
    check_entry(path, e, data_size, end);
    Tensor t(e.shape, e.dtype);
    std::memcpy(t.raw(), data + e.begin, e.end - e.begin);
    content.tensors.emplace_back(e.key, std::move(t));
    end = e.end;
  }
  if (end != data_size) fail(path, ": ", data_size - end, " bytes after the last tensor, expected none");
  return content;
}

void write_safetensors(const std::string& path, const SafeTensors& content) {
  auto header = Json::object();
  Json& metadata = header["__metadata__"];
  metadata[checksum_key] = checksum_text(0);  // the first value in the file
  for (const auto& [key, value] : content.metadata) {
    GT_CHECK(key != checksum_key, path, ": the metadata entry '", key, "' is for the checksum of the file");
    metadata[key] = value;
  }
  size_t offset = 0;
  for (const auto& [key, t] : content.tensors) {
    GT_CHECK(!header.contains(key), path, ": two tensors named '", key, "'");
    header[key] = {
        {"dtype", format_name(t.dtype())}, {"shape", t.shape().dims()}, {"data_offsets", {offset, offset + t.bytes()}}};
    offset += t.bytes();
  }
  std::string head = header.dump(-1, ' ', false, Json::error_handler_t::replace);  // metadata may not be UTF-8
  head.resize((head.size() + 7) / 8 * 8, ' ');                                     // aligns the data
  const uint64_t header_size = head.size();
  std::string bytes(reinterpret_cast<const char*>(&header_size), 8);
  bytes.reserve(8 + head.size() + offset);
  bytes += head;
  for (const auto& [key, t] : content.tensors)
    bytes.append(static_cast<const char*>(t.to(Device::cpu).raw()), t.bytes());
  const size_t at = bytes.find(checksum_text(0));
  bytes.replace(at, checksum_text(0).size(), checksum_of(bytes, at));
  write_file(path, bytes);
}

}  // namespace gt
