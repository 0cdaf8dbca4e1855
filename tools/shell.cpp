#include "tools/shell.h"

#include <algorithm>
#include <cctype>
#include <cstdint>

namespace gt {
namespace {

bool is_plain(char c) {
  return std::isalnum(uint8_t(c)) != 0 || std::string("_-./:=,+@%").find(c) != std::string::npos;
}

/// A word with control characters, as a shell reads it: $'...'.
std::string quote_controls(const std::string& word) {
  constexpr const char* digits = "01234567";
  std::string quoted = "$'";
  for (const char c : word) {
    if (std::iscntrl(uint8_t(c)) != 0)
      quoted += {'\\', digits[uint8_t(c) >> 6], digits[(uint8_t(c) >> 3) & 7], digits[c & 7]};
    else if (c == '\'' || c == '\\')
      quoted += {'\\', c};
    else
      quoted += c;
  }
  return quoted + "'";
}

std::string quote(const std::string& word) {
  if (!word.empty() && std::all_of(word.begin(), word.end(), is_plain)) return word;
  if (std::any_of(word.begin(), word.end(), [](char c) { return std::iscntrl(uint8_t(c)) != 0; }))
    return quote_controls(word);
  std::string quoted = "'";
  for (const char c : word) quoted += c == '\'' ? "'\\''" : std::string(1, c);
  return quoted + "'";
}

}  // namespace

std::string shell_words(const std::vector<std::string>& words) {
  std::string line;
  for (const std::string& word : words) line += (line.empty() ? "" : " ") + quote(word);
  return line;
}

std::string shell_command(const std::vector<std::string>& words) {
  return words.empty() ? "gradtrack" : "gradtrack " + shell_words(words);
}

}  // namespace gt
