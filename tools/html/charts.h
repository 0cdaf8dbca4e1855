// Charts as SVG, for a page or as files of their own. Titles and names are escaped. Colours are numbers of series, see
// colour_count in tools/html/page.h.
#pragma once

#include <string>
#include <vector>

namespace gt::html {

/// An entry of a legend.
struct LegendEntry {
  std::string text;
  int colour = -1;  // of its swatch; -1 for none
};

/// A chart whose axes are labelled. It is empty if there was nothing to draw.
struct Chart {
  std::string title;
  std::vector<LegendEntry> legend = {};
  double width = 0, height = 0;  // SVG units, CSS pixels at full size
  std::string svg = {};          // what <svg> holds, with colours and classes of the style sheet

  bool empty() const { return svg.empty(); }
};

/// The chart as a <figure> of a page, with caption and legend; "" if it is empty.
std::string figure(const Chart& chart);

/// The chart as an SVG file that needs nothing else: XML with title, legend, colours for print and fonts. The fonts are
/// names of families that most systems have. Characters that XML does not allow are shown as \xNN. `warning`, such as
/// "SIMULATED GAZE", stands below the title.
std::string svg_file(const Chart& chart, const std::string& warning = "");

/// What each of these files holds, and no other one.
inline constexpr const char* figure_mark = "<!-- GradTrack figure -->";

/// One line of a line chart.
struct Series {
  std::string name;
  std::vector<double> x, y;  // points, x ascending; both have the same length
  int colour = 0;
  bool marked = false;  // draws a mark at each point, whose tooltip shows the value
};

/// The names of a chart's axes.
struct AxisNames {
  std::string x, y;
};

/// Lines over a common x axis, with a legend if there are several. Series without points are omitted. Empty if no
/// series has points.
Chart line_chart(const std::string& title, const AxisNames& axes, const std::vector<Series>& series);

/// One dot of a dot plot.
struct Dot {
  double value;      // in [0,1]
  std::string name;  // shown in the tooltip
};

/// Dots over an axis of [0,1]. Dots of nearly equal value are stacked. A solid line marks the mean, a dashed line the
/// median. Empty without dots.
Chart dot_plot(const std::string& title, const std::string& x_name, std::vector<Dot> dots, int colour);

/// One row of an interval plot: a value and an interval around it.
struct IntervalRow {
  std::string name;
  double value, low, high;
  int colour = 0;
  std::string series = {};  // name of the colour in the legend; "" for no entry
  std::string note = {};    // text to the right of the row
};

/// One row per interval, from top to bottom, over a common x axis. With `zero`, the axis includes 0 and marks it.
/// Empty without rows.
Chart interval_plot(const std::string& title, const std::string& x_name, const std::vector<IntervalRow>& rows,
                    bool zero);

}  // namespace gt::html
