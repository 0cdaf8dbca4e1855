// A small check that a text is well-formed XML.
#pragma once

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <string>
#include <vector>

namespace gt {

/// What keeps a text from being well-formed XML of one root element, as this project writes it (no CDATA, no DTD); ""
/// if nothing does.
inline std::string xml_error(const std::string& text) {
  std::vector<std::string> open;
  size_t roots = 0;
  for (size_t at = 0; at < text.size();) {
    if (text[at] != '<') {
      const size_t end = std::min(text.find('<', at), text.size());
      for (size_t i = at; i < end; ++i) {
        if (uint8_t(text[i]) < 32 && text[i] != '\n') return "a control character";
        if (open.empty() && std::isspace(uint8_t(text[i])) == 0) return "text outside the root";
        if (text[i] == '&' && text.substr(i, 8).find(';') == std::string::npos) return "a bare &";
      }
      at = end;
      continue;
    }
    const bool comment = text.compare(at, 4, "<!--") == 0;
    const size_t end = text.find(comment ? "-->" : ">", at);
    if (end == std::string::npos) return "a tag without an end";
    const std::string tag = text.substr(at + 1, end - at - 1);
    at = end + (comment ? 3 : 1);
    if (comment || tag[0] == '?') continue;
    if (tag[0] == '/') {
      if (open.empty() || open.back() != tag.substr(1)) return "</" + tag.substr(1) + "> does not close what is open";
      open.pop_back();
      continue;
    }
    const std::string name = tag.substr(0, tag.find_first_of(" /"));
    size_t i = name.size();
    while (i < tag.size() && tag[i] == ' ') {  // attributes: name="value"
      const size_t quote = tag.find("=\"", i), close = quote == std::string::npos ? quote : tag.find('"', quote + 2);
      if (close == std::string::npos || tag.substr(quote + 2, close - quote - 2).find('<') != std::string::npos)
        return "a malformed attribute of " + name;
      i = close + 1;
    }
    if (i < tag.size() && tag.substr(i) != "/") return "a malformed tag: " + tag;
    if (open.empty() && ++roots > 1) return "a second root";
    if (i == tag.size()) open.push_back(name);
  }
  return !open.empty() ? open.back() + " is not closed" : roots == 1 ? "" : "no root";
}

}  // namespace gt
