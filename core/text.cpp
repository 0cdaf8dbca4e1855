#include "core/text.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstdlib>
#include <memory>

#include "core/check.h"

namespace gt {
namespace {

const utf8proc_uint8_t* bytes_of(std::string_view s) { return reinterpret_cast<const utf8proc_uint8_t*>(s.data()); }

/// The first character of `s` and its number of bytes; a negative number if it is not UTF-8.
std::pair<utf8proc_int32_t, utf8proc_ssize_t> first_character(std::string_view s) {
  utf8proc_int32_t character = -1;
  const utf8proc_ssize_t size = utf8proc_iterate(bytes_of(s), utf8proc_ssize_t(s.size()), &character);
  return {character, size};
}

bool is_control(utf8proc_int32_t character) {
  const utf8proc_category_t category = utf8proc_category(character);
  return category == UTF8PROC_CATEGORY_CC || category == UTF8PROC_CATEGORY_ZL || category == UTF8PROC_CATEGORY_ZP;
}

}  // namespace

std::string_view trim_blanks(std::string_view s) {
  constexpr std::string_view blank = " \t\r";
  const size_t first = s.find_first_not_of(blank);
  return first == s.npos ? std::string_view{} : s.substr(first, s.find_last_not_of(blank) - first + 1);
}

std::string joined(const std::vector<std::string>& words, std::string_view separator) {
  std::string all;
  for (const std::string& word : words) {
    if (&word != &words.front()) all += separator;
    all += word;
  }
  return all;
}

std::string lower(std::string s) {
  for (char& c : s)
    if (c >= 'A' && c <= 'Z') c = char(c - 'A' + 'a');
  return s;
}

bool is_utf8(std::string_view s) {
  while (!s.empty()) {
    const utf8proc_ssize_t size = first_character(s).second;
    if (size <= 0) return false;
    s.remove_prefix(size_t(size));
  }
  return true;
}

bool has_controls(std::string_view s) {
  while (!s.empty()) {
    const auto [character, size] = first_character(s);
    if (size <= 0 || is_control(character)) return true;
    s.remove_prefix(size_t(size));
  }
  return false;
}

std::string composed(const std::string& s) {
  if (std::all_of(s.begin(), s.end(), [](char c) { return uint8_t(c) < 0x80; })) return s;
  utf8proc_uint8_t* out = nullptr;
  const utf8proc_ssize_t size = utf8proc_map(bytes_of(s), utf8proc_ssize_t(s.size()), &out,
                                             utf8proc_option_t(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
  const std::unique_ptr<utf8proc_uint8_t, void (*)(void*)> owner(out, std::free);
  if (size < 0) fail(quoted(s), ": not composed: ", utf8proc_errmsg(size));
  return {reinterpret_cast<const char*>(out), size_t(size)};
}

std::string printable(std::string_view s) {
  constexpr char digits[] = "0123456789abcdef";
  std::string text;
  while (!s.empty()) {
    const auto [character, size] = first_character(s);
    const bool shown = size > 0 && !is_control(character);
    const size_t taken = size > 0 ? size_t(size) : 1;
    for (const char c : s.substr(0, taken)) {
      const uint8_t byte = uint8_t(c);
      text += shown ? std::string(1, c) : std::string("\\x") + digits[byte / 16] + digits[byte % 16];
    }
    s.remove_prefix(taken);
  }
  return text;
}

std::string quoted(std::string_view s) { return str_cat("'", printable(s), "'"); }

}  // namespace gt
