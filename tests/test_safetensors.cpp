// The file format safetensors.
#include "core/safetensors.h"

#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "core/random.h"
#include "tests/catch.h"
#include "tests/temp_folder.h"

using namespace gt;

namespace {

/// The bytes of a safetensors file with this header and data.
std::string raw_file(const std::string& header, const std::string& data) {
  const uint64_t size = header.size();
  return std::string(reinterpret_cast<const char*>(&size), 8) + header + data;
}

/// A header with one tensor; the arguments replace valid parts.
std::string entry(const std::string& dtype = "\"F32\"", const std::string& shape = "[2]",
                  const std::string& offsets = "[0,8]") {
  return R"({"x":{"dtype":)" + dtype + R"(,"shape":)" + shape + R"(,"data_offsets":)" + offsets + "}}";
}

SafeTensors example() {
  SafeTensors s;
  s.tensors = {{"conv.weight", Tensor::of<float>({2, 1, 2}, {1, -2, 3.5f, 4})},
               {"f64", Tensor::of<double>({2}, {0.1, 1e300})},
               {"bytes", Tensor::of<uint8_t>({3}, {0, 127, 255})},
               {"scalar", Tensor::of<int32_t>({}, {-7})},
               {"a \"quoted\" name", Tensor::of<float>({1}, {0})}};
  s.metadata = {{"recipe", "gradtrack"}, {"config", "lr: 1\nname: \"x\"\n"}};
  return s;
}

bool same(const SafeTensors& a, const SafeTensors& b) {
  if (a.metadata != b.metadata || a.tensors.size() != b.tensors.size()) return false;
  for (size_t i = 0; i < a.tensors.size(); ++i) {
    const auto& [name, x] = a.tensors[i];
    const auto& [other, y] = b.tensors[i];
    if (name != other || x.shape() != y.shape() || x.dtype() != y.dtype()) return false;
    if (std::memcmp(x.raw(), y.raw(), x.bytes()) != 0) return false;
  }
  return true;
}

/// The bytes of a safetensors file without its checksum, as other programs write it.
std::string without_checksum(const std::string& bytes) {
  uint64_t size = 0;
  std::memcpy(&size, bytes.data(), 8);
  auto header = nlohmann::ordered_json::parse(bytes.substr(8, size));
  header["__metadata__"].erase("checksum");
  return raw_file(header.dump(), bytes.substr(8 + size));
}

}  // namespace

TEST_CASE("safetensors: a written file reads back in order, with the same bits", "[safetensors]") {
  const TempFolder folder;
  const SafeTensors s = example();
  write_safetensors(folder / "a.safetensors", s);
  const SafeTensors back = read_safetensors(folder / "a.safetensors");
  CHECK(same(s, back));
  REQUIRE(back.find("scalar") != nullptr);
  CHECK(back.find("scalar")->item() == -7);
  CHECK(back.find("none") == nullptr);

  write_safetensors(folder / "empty.safetensors", {});
  CHECK(same(read_safetensors(folder / "empty.safetensors"), {}));
}

TEST_CASE("safetensors: empty tensors are kept at any position", "[safetensors]") {
  const TempFolder folder;
  SafeTensors s;
  for (const char* name : {"z", "a", "m"}) s.tensors.emplace_back(std::string(name) + "0", Tensor({0, 3}));
  s.tensors.emplace_back("b", Tensor::of<float>({1}, {5}));
  s.tensors.emplace_back("c0", Tensor({int64_t(1) << 40, 0}));
  write_safetensors(folder / "f", s);
  const SafeTensors back = read_safetensors(folder / "f");
  CHECK(back.tensors.size() == 5);
  for (const auto& [name, t] : s.tensors) CHECK(back.find(name)->shape() == t.shape());
  CHECK(back.find("b")->item() == 5);
}

TEST_CASE("safetensors: the bytes follow the format's specification", "[safetensors]") {
  const TempFolder folder;
  const SafeTensors s = example();
  write_safetensors(folder / "f", s);
  const std::string bytes = read_file(folder / "f");
  uint64_t size = 0;  // little endian
  for (size_t i = 0; i < 8; ++i) size |= uint64_t(uint8_t(bytes[i])) << (8 * i);
  REQUIRE(size <= bytes.size() - 8);
  CHECK(size % 8 == 0);
  CHECK(bytes[8] == '{');
  const nlohmann::json header = nlohmann::json::parse(bytes.substr(8, size));
  CHECK(header.size() == s.tensors.size() + 1);
  CHECK(header["__metadata__"]["recipe"] == "gradtrack");
  CHECK(header["conv.weight"] == nlohmann::json({{"dtype", "F32"}, {"shape", {2, 1, 2}}, {"data_offsets", {0, 16}}}));
  CHECK(header["f64"]["dtype"] == "F64");
  CHECK(header["f64"]["data_offsets"] == nlohmann::json({16, 32}));
  CHECK(header["bytes"]["dtype"] == "U8");
  CHECK(header["scalar"] ==
        nlohmann::json({{"dtype", "I32"}, {"shape", nlohmann::json::array()}, {"data_offsets", {35, 39}}}));
  CHECK(bytes.size() == 8 + size + 43);
  CHECK(bytes.substr(8 + size, 8) == std::string("\0\0\x80\x3f\0\0\0\xc0", 8));  // 1.0f, -2.0f
}

TEST_CASE("safetensors: duplicate names are refused, and metadata that is not UTF-8 is replaced", "[safetensors]") {
  const TempFolder folder;
  SafeTensors s;
  s.tensors = {{"x", Tensor({1})}, {"x", Tensor({2})}};
  CHECK_THROWS_AS(write_safetensors(folder / "f", s), Error);
  s.tensors = {{"__metadata__", Tensor({1})}};
  CHECK_THROWS_AS(write_safetensors(folder / "f", s), Error);
  s.tensors = {{"x", Tensor()}};
  CHECK_THROWS_AS(write_safetensors(folder / "f", s), Error);
  CHECK(std::filesystem::is_empty(folder.path()));
  s.tensors.clear();
  s.metadata = {{"path", "caf\xe9"}};
  write_safetensors(folder / "f", s);
  CHECK(read_safetensors(folder / "f").metadata.at("path") == "caf\xef\xbf\xbd");
}

TEST_CASE("safetensors: a file truncated at any byte is an error that names it", "[safetensors]") {
  const TempFolder folder;
  const std::string path = folder / "f";
  write_safetensors(path, example());
  const std::string bytes = read_file(path);
  for (size_t size = 0; size < bytes.size(); ++size) {
    write_file(path, bytes.substr(0, size));
    INFO("first " << size << " of " << bytes.size() << " bytes");
    CHECK(error_of([&] { read_safetensors(path); }).starts_with(path + ": "));
  }
  write_file(path, bytes + "x");
  CHECK(error_of([&] { read_safetensors(path); }).find("the checksum that its bytes give") != std::string::npos);
  write_file(path, without_checksum(bytes) + "x");
  CHECK(error_of([&] { read_safetensors(path); }).find("1 bytes after the last tensor") != std::string::npos);
}

TEST_CASE("safetensors: every flipped bit is noticed, but for those that turn the checksum into another entry",
          "[safetensors]") {
  const TempFolder folder;
  const std::string path = folder / "f";
  write_safetensors(path, example());
  CHECK(read_safetensors(path).checked);
  const std::string good = read_file(path);
  size_t unnoticed = 0;
  for (size_t bit = 0; bit < 8 * good.size(); ++bit) {
    std::string bytes = good;
    bytes[bit / 8] = char(bytes[bit / 8] ^ (1 << bit % 8));
    write(path, bytes);
    const std::string error = error_of([&] { unnoticed += read_safetensors(path).checked ? 1 : 0; });
    REQUIRE((error.empty() || error.starts_with(path + ": ")));
  }
  CHECK(unnoticed == 0);
}

TEST_CASE("safetensors: a file without a checksum is read, and one with the checksum of other bytes is refused",
          "[safetensors]") {
  const TempFolder folder;
  const std::string path = folder / "f";
  write_safetensors(path, example());
  const std::string good = read_file(path);
  write_file(path, without_checksum(good));
  const SafeTensors other = read_safetensors(path);
  CHECK(same(other, example()));
  CHECK_FALSE(other.checked);

  const size_t at = good.find("crc32:");
  REQUIRE(at != good.npos);
  for (const char* checksum : {"crc32:00000000", "md5:xxxxxxxxxx", "crc32:0"}) {
    write_file(path, std::string(good).replace(at, 14, checksum + std::string(14 - std::strlen(checksum), ' ')));
    CHECK(error_of([&] { read_safetensors(path); }).find("expected the checksum that its bytes give") !=
          std::string::npos);
  }
  CHECK_THROWS_AS(write_safetensors(path, {{}, {{"checksum", "x"}}}), Error);
}

TEST_CASE("safetensors: a header that is too large or too deep is refused", "[safetensors]") {
  const TempFolder folder;
  const std::string path = folder / "f";
  write_file(path, raw_file("{}" + std::string((32u << 20), ' '), ""));
  CHECK(error_of([&] { read_safetensors(path); }).find("expected a header of at most 33554432 bytes") !=
        std::string::npos);
  write_file(path,
             raw_file(entry("\"F32\"", std::string(100000, '[') + std::string(100000, ']')), std::string(8, 'x')));
  CHECK(error_of([&] { read_safetensors(path); }) ==
        path + ": not a safetensors file: its header: expected JSON of at most 64 levels");
}

TEST_CASE("safetensors: dimensions that no file can have are refused, even of an empty tensor", "[safetensors]") {
  const TempFolder folder;
  const std::string path = folder / "f";
  for (const char* shape : {"[4611686018427387904,0]", "[0,1,1,1,1,1,1,1,1]"}) {
    write_file(path, raw_file(entry("\"F32\"", shape, "[0,0]"), ""));
    const std::string message = error_of([&] { read_safetensors(path); });
    INFO(message);
    CHECK(message.starts_with(path + ": the header's entry for tensor "));
    CHECK(message.ends_with(str_cat("expected at most 8 dimensions of at most 2^40, got ", shape)));
  }
}

TEST_CASE("safetensors: other files and malformed headers are refused", "[safetensors]") {
  const TempFolder folder;
  const std::string path = folder / "f";
  const std::string data(8, '\1');
  const auto refused = [&](const std::string& bytes) {
    write_file(path, bytes);
    return error_of([&] { read_safetensors(path); }).starts_with(path + ": ");
  };
  REQUIRE_FALSE(refused(raw_file(entry(), data)));

  CHECK(refused(std::string("\x89PNG\r\n\x1a\n\0\0\0\rIHDR and more", 26)));
  CHECK(refused("Some text, which is not a tensor file at all.\n"));
  CHECK(refused(std::string(8, '\xff') + entry() + data));                // a header of 2^64 - 1 bytes
  CHECK(refused(std::string("\0\0\0\0\0\0\0\x80", 8) + entry() + data));  // a header of 2^63 bytes
  for (const char* header : {"", " ", "[]", "3", "null", "\"x\"", "{", "{}{}", "{\"x\":}", "{\"x\":1}", "{\"x\":[]}",
                             "{\"x\":{}}", "{\"__metadata__\":1}", "{\"\xff\":1}"})
    CHECK(refused(raw_file(header, header == std::string("{}") ? data : "")));
  CHECK(refused(raw_file(std::string(100000, '['), data)));

  for (const char* dtype : {"\"BF16\"", "\"f32\"", "4", "null", "[]"}) CHECK(refused(raw_file(entry(dtype), data)));
  for (const char* shape : {"2", "[3]", "[-2]", "[-1,-2]", "[2.0]", "[\"2\"]", "[true,2]", "{}", "null", "[[2]]",
                            "[9223372036854775807]", "[18446744073709551615]", "[4294967296,4294967296]",
                            "[4611686018427387904,2]", "[2305843009213693954]", "[4611686018427387904,4,0]"})
    CHECK(refused(raw_file(entry("\"F32\"", shape), data)));
  for (const char* offsets : {"[0]", "[0,8,8]", "[0,9]", "[0,7]", "[8,0]", "[-1,7]", "[0,-1]", "[0.0,8.0]", "[4,12]",
                              "8", "null", "[0,18446744073709551615]", "[18446744073709551608,0]", "[\"0\",\"8\"]"})
    CHECK(refused(raw_file(entry("\"F32\"", "[2]", offsets), data)));

  const auto two = [&](const std::string& a, const std::string& b) {
    const std::string first = entry("\"F32\"", "[1]", a), second = entry("\"F32\"", "[1]", b);
    return raw_file(first.substr(0, first.size() - 1) + ",\"y\"" + second.substr(4), data);
  };
  CHECK_FALSE(refused(two("[4,8]", "[0,4]")));  // any order is valid
  CHECK(read_safetensors(path).tensors[0].first == "y");
  CHECK(refused(two("[0,4]", "[0,4]")));  // overlap
  CHECK(refused(two("[0,4]", "[2,6]")));
  CHECK(refused(two("[0,4]", "[5,9]")));  // hole
}

TEST_CASE("safetensors: a file with changed bytes is read, or refused with its name", "[safetensors]") {
  const TempFolder folder;
  const std::string path = folder / "f";
  write_safetensors(path, example());
  const std::string good = without_checksum(read_file(path));
  Random random(17);
  int refused = 0;
  for (int trial = 0; trial < 3000; ++trial) {
    std::string bytes = good;
    for (int64_t flips = 1 + random.below(4); flips > 0; --flips) {
      const size_t at = size_t(random.below(random.chance(0.2) ? 8 : int64_t(bytes.size()) - 43));
      bytes[at] = random.chance(0.5) ? char(random.below(256)) : "0123456789-[]{},\":."[random.below(19)];
    }
    write_file(path, bytes);
    const std::string error = error_of([&] { read_safetensors(path); });
    refused += !error.empty();
    REQUIRE((error.empty() || error.starts_with(path + ": ")));
  }
  CHECK(refused > 1000);
}
