#include "core/io.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

namespace gt {
namespace {

constexpr size_t header_limit = 100u << 20;  // the format's own limit

const char* format_name(DType dtype) {
  switch (dtype) {
    case DType::f32: return "F32";
    case DType::f64: return "F64";
    case DType::u8: return "U8";
    case DType::i32: return "I32";
  }
  return "?";
}

DType dtype_named(const std::string& word, const std::string& path, const std::string& tensor) {
  for (const DType d : {DType::f32, DType::f64, DType::u8, DType::i32})
    if (word == format_name(d)) return d;
  fail(path, ": tensor '", tensor, "' has type '", word, "': expected F32, F64, U8 or I32");
}

Tensor read_tensor(const std::string& path, const std::string& key, const nlohmann::json& entry, const char* data,
                   size_t data_size, size_t& expected_begin) {
  try {
    const DType dtype = dtype_named(entry.at("dtype").get<std::string>(), path, key);
    Shape shape;
    double count = 1;
    for (const auto& d : entry.at("shape")) {
      shape.push_back(d.get<int64_t>());
      if (shape.back() < 0) fail(path, ": tensor '", key, "' has a negative dimension");
      count *= double(shape.back());
    }
    const size_t begin = entry.at("data_offsets").at(0), end = entry.at("data_offsets").at(1);
    if (begin != expected_begin || end < begin || end > data_size || count * double(size_of(dtype)) != double(end - begin))
      fail(path, ": tensor '", key, "' of shape ", shape, " does not fit its place in the file (truncated file?)");
    Tensor t(shape, dtype);
    std::memcpy(t.raw(), data + begin, end - begin);
    expected_begin = end;
    return t;
  } catch (const nlohmann::json::exception&) {
    fail(path, ": the header's entry for tensor '", key, "' is not as safetensors has it");
  }
}

}  // namespace

std::string read_file(const std::string& path) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) fail(path, ": is a folder, expected a file");
  std::ifstream in(path, std::ios::binary | std::ios::ate);
  if (!in) fail(path, ": cannot open: ", std::strerror(errno));
  std::string bytes(size_t(in.tellg()), '\0');
  in.seekg(0);
  if (!in.read(bytes.data(), std::streamsize(bytes.size()))) fail(path, ": cannot read: ", std::strerror(errno));
  return bytes;
}

void write_file(const std::string& path, const std::string& bytes) {
  const std::string temporary = path + ".tmp" + std::to_string(getpid());
  const int file = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (file < 0) fail(path, ": cannot write: ", std::strerror(errno));
  const auto give_up = [&](const char* what) {
    const int reason = errno;
    ::unlink(temporary.c_str());
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
  const bool synced = ::fsync(file) == 0 || errno == EINVAL || errno == EROFS;  // pipes and some file systems cannot
  if (::close(file) != 0 || !synced) give_up("write");
  if (::rename(temporary.c_str(), path.c_str()) != 0) give_up("replace");
}

void make_folder(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) fail(path, ": cannot make the folder: ", error.message());
}

const Tensor* SafeTensors::find(const std::string& name) const {
  for (const auto& [key, tensor] : tensors)
    if (key == name) return &tensor;
  return nullptr;
}

SafeTensors read_safetensors(const std::string& path) {
  const std::string bytes = read_file(path);
  uint64_t header_size = 0;
  if (bytes.size() >= 8) std::memcpy(&header_size, bytes.data(), 8);  // little endian, as is every machine we build for
  if (bytes.size() < 8 || header_size > header_limit || header_size > bytes.size() - 8)
    fail(path, ": not a safetensors file, or a truncated one (", bytes.size(), " bytes)");
  const nlohmann::json header = nlohmann::json::parse(bytes.begin() + 8, bytes.begin() + 8 + int64_t(header_size), nullptr, false);
  if (!header.is_object()) fail(path, ": not a safetensors file: its header is not a JSON object");

  SafeTensors content;
  std::vector<std::pair<size_t, std::string>> order;
  for (const auto& [key, entry] : header.items()) {
    if (key == "__metadata__") {
      if (!entry.is_object()) fail(path, ": __metadata__ is not a JSON object");
      for (const auto& [k, v] : entry.items())
        if (v.is_string()) content.metadata[k] = v.get<std::string>();
      continue;
    }
    const bool placed = entry.is_object() && entry.contains("data_offsets") && entry["data_offsets"].is_array() &&
                        entry["data_offsets"].size() == 2 && entry["data_offsets"][0].is_number_unsigned();
    if (!placed) fail(path, ": the header's entry for tensor '", key, "' is not as safetensors has it");
    order.emplace_back(entry["data_offsets"][0].get<size_t>(), key);
  }
  std::sort(order.begin(), order.end());
  const char* data = bytes.data() + 8 + header_size;
  const size_t data_size = bytes.size() - 8 - header_size;
  size_t end = 0;
  for (const auto& [begin, key] : order)
    content.tensors.emplace_back(key, read_tensor(path, key, header[key], data, data_size, end));
  if (end != data_size) fail(path, ": ", data_size - end, " bytes after the last tensor, expected none");
  return content;
}

void write_safetensors(const std::string& path, const SafeTensors& content) {
  nlohmann::ordered_json header;
  if (!content.metadata.empty()) header["__metadata__"] = content.metadata;
  size_t offset = 0;
  for (const auto& [key, t] : content.tensors) {
    header[key] = {{"dtype", format_name(t.dtype())},
                   {"shape", std::vector<int64_t>(t.shape())},
                   {"data_offsets", {offset, offset + t.bytes()}}};
    offset += t.bytes();
  }
  std::string head = header.dump();
  head.resize((head.size() + 7) / 8 * 8, ' ');  // keeps the data aligned
  const uint64_t header_size = head.size();
  std::string bytes(reinterpret_cast<const char*>(&header_size), 8);
  bytes += head;
  bytes.reserve(bytes.size() + offset);
  for (const auto& [key, t] : content.tensors) bytes.append(static_cast<const char*>(t.raw()), t.bytes());
  write_file(path, bytes);
}

}  // namespace gt
