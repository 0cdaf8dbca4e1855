// Parts of a self-contained HTML page: numbers, tables, pictures and the document around them. Parameters and members
// named `html` hold markup and are inserted unchanged. All other text is escaped.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace gt::html {

/// Number of colours of the style sheet. Series `i` has colour `i` modulo this number. The colours adapt to the
/// reader's light or dark scheme.
constexpr int colour_count = 8;

/// The CSS value of a series' colour, `colour` >= 0.
std::string css_colour(int colour);

/// `text` with & < > " ' replaced by entities, for use in elements and attribute values.
std::string escape(std::string_view text);

/// `value` with a fixed number of decimals and a typographic minus sign.
std::string fixed(double value, int decimals);

/// `value` rounded to an integer, with thousands separators from 10,000 on and a typographic minus sign.
std::string whole(double value);

/// A complete HTML document with the style sheet in its head.
std::string page(const std::string& title, const std::string& body_html);

/// An <img> element with the picture's data in it. `png` holds the bytes of the file `path`, `alt` describes the
/// picture. Throws Error, naming `path`, if the bytes are not a PNG file.
std::string picture(const std::string& png, const std::string& path, const std::string& alt);

/// A small square in a series' colour, for legends and labels.
std::string swatch(int colour);

/// The contents of an HTML table.
struct Table {
  std::vector<std::string> head_html;               // one item per column
  std::vector<std::vector<std::string>> rows_html;  // each row has one item per column
  size_t left = 1;                                  // columns aligned left; the columns after them are aligned right
};

/// A <table> element that scrolls when it is wider than the page.
std::string table(const Table& t);

}  // namespace gt::html
