#include "tools/html/page.h"

#include <cmath>
#include <cstdio>

#include "core/check.h"
#include "tools/html/style.h"

namespace gt::html {
namespace {

std::string base64(const std::string& bytes) {
  static constexpr char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t bits = 0;
    for (size_t k = 0; k < 3; ++k) bits = bits << 8 | (i + k < bytes.size() ? uint8_t(bytes[i + k]) : 0u);
    for (size_t k = 0; k < 4; ++k) out += i + k <= bytes.size() ? digits[bits >> (18 - 6 * k) & 63] : '=';
  }
  return out;
}

}  // namespace

std::string escape(std::string_view s) {
  std::string out;
  for (const char c : s) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string fixed(double value, int decimals) {
  char buffer[400];
  std::snprintf(buffer, sizeof buffer, "%.*f", decimals, std::fabs(value));
  const bool zero = std::string_view(buffer).find_first_of("123456789") == std::string_view::npos;
  return (value < 0 && !zero ? "\u2212" : "") + std::string(buffer);
}

std::string whole(double value) {
  std::string digits = fixed(std::fabs(value), 0);
  for (int64_t at = int64_t(digits.size()) - 3; at > 0 && digits.size() > 4; at -= 3) digits.insert(size_t(at), 1, ',');
  return (value <= -0.5 ? "\u2212" : "") + digits;
}

std::string css_colour(int colour) { return str_cat("var(--s", colour % colour_count, ")"); }

std::string page(const std::string& title, const std::string& body_html) {
  return str_cat("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n",
                 "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>", escape(title),
                 "</title>\n<style>\n", style_sheet, "</style>\n</head>\n<body>\n<main>\n", body_html,
                 "</main>\n</body>\n</html>\n");
}

std::string picture(const std::string& png, const std::string& path, const std::string& alt) {
  if (!png.starts_with("\x89PNG\r\n\x1a\n")) fail(path, ": not a PNG picture");
  return str_cat("<img alt=\"", escape(alt), "\" src=\"data:image/png;base64,", base64(png), "\">");
}

std::string swatch(int colour) {
  return str_cat("<span class=\"swatch\" style=\"background:", css_colour(colour), "\"></span>");
}

std::string table(const Table& t) {
  const auto row = [&](const char* cell, const std::vector<std::string>& items) {
    std::string out = "<tr>";
    for (size_t i = 0; i < items.size(); ++i)
      out += str_cat("<", cell, i < t.left ? " class=\"left\">" : ">", items[i], "</", cell, ">");
    return out + "</tr>\n";
  };
  std::string out = "<div class=\"scroll\"><table>\n<thead>" + row("th", t.head_html) + "</thead>\n<tbody>\n";
  for (const auto& items : t.rows_html) out += row("td", items);
  return out + "</tbody></table></div>\n";
}

}  // namespace gt::html
