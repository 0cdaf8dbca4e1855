// Text of unknown encoding as UTF-8.
#pragma once

#include <string>

namespace gt {

/// The bytes of a text file as UTF-8 without a byte order mark, with LF line ends (CRLF and CR become LF).
/// `encoding` is auto or latin1. For auto, the text is UTF-8, or UTF-16 with a byte order mark, or UTF-16 without one
/// if its zero bytes show it. Other text is taken for Latin-1 if all its characters can be printed in it; then
/// `assumed_latin1`, if given, becomes true. Throws Error with `path` and the line for bytes that are no such text, and
/// for zeros.
std::string decode_text(const std::string& bytes, const std::string& path, const std::string& encoding = "auto",
                        bool* assumed_latin1 = nullptr);

}  // namespace gt
