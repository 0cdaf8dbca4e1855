// Charts as inline SVG, each in a <figure> with a caption and a legend. Titles and names are escaped. Colours are
// numbers of series, see colour_count in tools/html/page.h.
#pragma once

#include <string>
#include <vector>

namespace gt::html {

/// One line of a line chart.
struct Series {
  std::string name;
  std::vector<double> x, y;  // points, x ascending; both have the same length
  int colour = 0;
  bool marked = false;  // draws a mark at each point, whose tooltip shows the value
};

/// Lines over a common x axis, with a legend if there are several. Series without points are omitted. Returns "" if no
/// series has points.
std::string line_chart(const std::string& title, const std::string& x_name, const std::vector<Series>& series);

/// One dot of a dot plot.
struct Dot {
  double value;      // in [0,1]
  std::string name;  // shown in the tooltip
};

/// Dots over an axis of [0,1]. Dots of nearly equal value are stacked. A solid line marks the mean, a dashed line the
/// median. Returns "" without dots.
std::string dot_plot(const std::string& title, std::vector<Dot> dots, int colour);

/// One row of an interval plot: a value and an interval around it.
struct IntervalRow {
  std::string name;
  double value, low, high;
  int colour = 0;
  std::string series = {};  // name of the colour in the legend; "" for no entry
  std::string note = {};    // text to the right of the row
};

/// One row per interval, from top to bottom, over a common x axis. With `zero`, the axis includes 0 and marks it.
/// Returns "" without rows.
std::string interval_plot(const std::string& title, const std::string& x_name, const std::vector<IntervalRow>& rows,
                          bool zero);

}  // namespace gt::html
