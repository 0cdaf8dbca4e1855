#include "gaze/gunzip.h"

#include <zlib.h>

#include <algorithm>
#include <climits>
#include <memory>
#include <utility>

#include "core/check.h"

namespace gt {

namespace {

struct End {
  void operator()(z_stream* stream) const { inflateEnd(stream); }
};

/// What inflating gave: the bytes, at most one more than `limit`, and zlib's last result.
struct Unpacked {
  std::string bytes;
  int result = Z_OK;
};

Unpacked unpack(const std::string& path, std::string_view packed, size_t limit) {
  if (packed.size() > UINT_MAX) fail(path, ": is larger than 4 GiB");
  z_stream stream = {};
  constexpr int any_header = 15 + 32;  // gzip or zlib
  if (inflateInit2(&stream, any_header) != Z_OK) fail(path, ": no memory to unpack the data");
  const std::unique_ptr<z_stream, End> end(&stream);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data()));
  stream.avail_in = uInt(packed.size());
  Unpacked out;
  size_t got = 0;
  while (got <= limit) {
    constexpr size_t step = 1 << 20;
    out.bytes.resize(std::min(limit + 1, got + step));
    stream.next_out = reinterpret_cast<Bytef*>(out.bytes.data() + got);
    stream.avail_out = uInt(out.bytes.size() - got);
    out.result = inflate(&stream, Z_NO_FLUSH);
    got = out.bytes.size() - stream.avail_out;
    if (out.result == Z_STREAM_END) {
      // Zeros may fill the file's last block.
      const std::string_view rest = packed.substr(packed.size() - stream.avail_in);
      if (rest.find_first_not_of('\0') == rest.npos) break;
      inflateReset(&stream);
    } else if (out.result != Z_OK) {
      break;
    }
  }
  out.bytes.resize(got);
  return out;
}

}  // namespace

std::string gunzip(const std::string& path, std::string_view packed, size_t expected) {
  constexpr size_t max_ratio = 1032;  // of deflate
  if (expected / max_ratio > packed.size())
    fail(path, ": the data are damaged: ", packed.size(), " bytes cannot hold ", expected);
  Unpacked data = unpack(path, packed, expected);
  const size_t got = data.bytes.size();
  if (got > expected) fail(path, ": the data are more than the ", expected, " bytes that the sizes say");
  if (data.result != Z_STREAM_END)
    fail(path, ": the data are damaged: expected ", expected, " bytes unpacked, got ", got, " before a fault");
  if (got != expected) fail(path, ": the data are damaged: expected ", expected, " bytes unpacked, got ", got);
  return std::move(data.bytes);
}

std::string gunzip_any(const std::string& path, std::string_view packed, size_t limit) {
  Unpacked data = unpack(path, packed, limit);
  if (data.bytes.size() > limit) fail(path, ": unpacks to more than ", limit, " bytes, expected fewer");
  if (data.result != Z_STREAM_END)
    fail(path, ": the packed data are damaged or truncated, after ", data.bytes.size(), " bytes unpacked");
  return std::move(data.bytes);
}

std::string gzip(std::string_view bytes) {
  GT_CHECK(bytes.size() < UINT_MAX / 2, "gzip: ", bytes.size(), " bytes are too many");
  z_stream stream = {};
  constexpr int gzip_header = 15 + 16, memory_level = 8;
  if (deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, gzip_header, memory_level, Z_DEFAULT_STRATEGY) != Z_OK)
    fail("expected memory to pack ", bytes.size(), " bytes, there is too little");
  std::string out(deflateBound(&stream, uLong(bytes.size())), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = uInt(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = uInt(out.size());
  const int result = deflate(&stream, Z_FINISH);
  out.resize(out.size() - stream.avail_out);
  deflateEnd(&stream);
  GT_CHECK(result == Z_STREAM_END, "gzip: zlib returned ", result);
  return out;
}

}  // namespace gt
