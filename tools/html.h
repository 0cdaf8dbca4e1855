// Pieces of a self-contained HTML page: text, tables, PNG pictures, charts as inline SVG. Colours follow the reader's
// light or dark scheme; a series is one of `colours` colours, by number. Arguments named `html` are taken as they are,
// all others are escaped.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace gt::html {

constexpr int colours = 8;

/// The text with & < > " ' made harmless, inside elements and attribute values.
std::string escape(std::string_view text);

/// A number with so many decimals, with a true minus sign; whole numbers with thousands apart.
std::string fixed(double value, int decimals);
std::string whole(double value);

/// A document with the page's style.
std::string page(const std::string& title, const std::string& body_html);

/// <img> that holds the PNG file's bytes. Throws Error, naming `path`, if they are not a PNG's.
std::string picture(const std::string& png, const std::string& path, const std::string& alt);

/// A small square in a series' colour.
std::string swatch(int colour);

struct Table {
  std::vector<std::string> head;                    // html
  std::vector<std::vector<std::string>> rows_html;  // a row has an item per column
  size_t left = 1;                                  // columns set to the left; the others are numbers, to the right
};
std::string table(const Table& t);

struct Series {
  std::string name;
  std::vector<double> x, y;  // as many of each
  int colour = 0;
  bool marked = false;  // a mark at each point, which tells its value
};

/// Lines over a common x axis, with a legend if there are several. Series without points are left out; "" if none is
/// left.
std::string line_chart(const std::string& title, const std::string& x_name, const std::vector<Series>& series);

struct Dot {
  double value;  // in [0,1]
  std::string name;
};

/// One dot per item over an axis of [0,1], stacked where they meet, with the mean (line) and the median (dashes).
std::string dot_plot(const std::string& title, std::vector<Dot> dots, int colour);

/// A value with an interval around it, in a row of its own.
struct Interval {
  std::string name;
  double value, low, high;
  int colour = 0;
  std::string series = {};  // that the colour stands for, in the legend
  std::string note = {};    // set to the right of the row
};

/// One row per interval over a common axis; with `zero`, that axis holds 0, which is marked. "" without intervals.
std::string interval_plot(const std::string& title, const std::string& x_name, const std::vector<Interval>& intervals,
                          bool zero);

}  // namespace gt::html
