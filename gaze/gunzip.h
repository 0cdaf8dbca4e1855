// Unpacking gzip.
#pragma once

#include <string>
#include <string_view>

namespace gt {

/// Unpacks gzip data of one or more members, or zlib data, to at least `expected` bytes. Memory grows with the bytes
/// that are really there, and ends at `expected` + 1. Throws Error, naming the path, for damaged data and for fewer or
/// more bytes.
std::string gunzip(const std::string& path, std::string_view packed, size_t expected);

}  // namespace gt
