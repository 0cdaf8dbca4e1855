// Unpacking and packing gzip.
#pragma once

#include <string>
#include <string_view>

namespace gt {

/// Unpacks gzip data of one or more members, or zlib data, to at least `expected` bytes. Memory grows with the bytes
/// that are really there, and ends at `expected` + 1. Throws Error, naming the path, for damaged data and for fewer or
/// more bytes.
std::string gunzip(const std::string& path, std::string_view packed, size_t expected);

/// Unpacks gzip or zlib data of an unknown size. Throws Error, naming the path, for damaged and truncated data, and for
/// more than `limit` bytes.
std::string gunzip_any(const std::string& path, std::string_view packed, size_t limit);

/// Packs bytes as one member of gzip, without a time: the same bytes give the same result.
std::string gzip(std::string_view bytes);

}  // namespace gt
