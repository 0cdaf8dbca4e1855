// Text: blanks, letter case, lists of words, and Unicode in UTF-8.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace gt {

/// `s` without leading and trailing blanks, tabs and carriage returns.
std::string_view trim_blanks(std::string_view s);

/// `s` with the letters A to Z in lower case.
std::string lower(std::string s);

/// The words with a separator between each two.
std::string joined(const std::vector<std::string>& words, std::string_view separator);

/// Whether these bytes are valid UTF-8.
bool is_utf8(std::string_view s);

/// Whether UTF-8 text has a control character or a line or paragraph separator.
bool has_controls(std::string_view s);

/// UTF-8 text in Unicode's composed form (NFC), in which texts that look alike have the same bytes. Throws Error for
/// bytes that are not UTF-8.
std::string composed(const std::string& s);

/// `s` as UTF-8 without control characters: these, and bytes that are not UTF-8, appear as \xNN.
std::string printable(std::string_view s);

/// printable() in quotes, for messages.
std::string quoted(std::string_view s);

}  // namespace gt
