// Charts as SVG files that stand alone.
#include "core/check.h"
#include "core/text.h"
#include "tools/html/charts.h"
#include "tools/html/page.h"
#include "tools/html/style.h"

namespace gt::html {
namespace {

/// The value of a variable of the style sheet, such as "--s0", in its light scheme.
std::string style_value(const std::string& variable) {
  const std::string_view sheet = style_sheet;
  const std::string begin = variable + ": ";
  const size_t at = sheet.find(begin);
  GT_CHECK(at != sheet.npos, "style sheet: there is no '", variable, "'");
  const size_t from = at + begin.size();
  return std::string(sheet.substr(from, sheet.find(';', from) - from));
}

/// `svg` with the colours of print in place of the style sheet's variables, which only browsers know.
std::string with_print_colours(std::string svg) {
  for (int colour = 0; colour < colour_count; ++colour) {
    const std::string variable = css_colour(colour), value = style_value(str_cat("--s", colour));
    for (size_t at = 0; (at = svg.find(variable, at)) != svg.npos; at += value.size())
      svg.replace(at, variable.size(), value);
  }
  return svg;
}

constexpr double margin = 14, row_height = 18;  // SVG units

/// The legend in rows, below y. Sets y to where they end.
std::string draw_legend(const Chart& c, double& y) {
  constexpr double letter = 6.6, swatch = 17, gap = 16;  // widths; that of a letter is estimated
  std::string svg;
  double x = margin;
  if (!c.legend.empty()) y += row_height;
  for (const LegendEntry& entry : c.legend) {
    const double before = entry.colour >= 0 ? swatch : 0, width = before + letter * double(entry.text.size());
    if (x > margin && x + width > c.width - margin) x = margin, y += row_height;
    if (entry.colour >= 0)
      svg += str_cat("<rect x=\"", x, "\" y=\"", y - 10, "\" width=\"11\" height=\"11\" rx=\"3\" fill=\"",
                     css_colour(entry.colour), "\"/>");
    svg += str_cat("<text x=\"", x + before, "\" y=\"", y, "\">", escape(entry.text), "</text>");
    x += width + gap;
  }
  return svg;
}

}  // namespace

std::string svg_file(const Chart& c, const std::string& warning) {
  GT_CHECK(!c.empty(), "svg_file: the chart '", c.title, "' is empty, expected one with something drawn");
  double y = 24;
  std::string head = str_cat("<text class=\"title\" x=\"", margin, "\" y=\"", y, "\">", escape(c.title), "</text>");
  if (!warning.empty())
    head +=
        str_cat("<text class=\"warning\" x=\"", margin, "\" y=\"", y += row_height, "\">", escape(warning), "</text>");
  const std::string legend = draw_legend(c, y);
  const double top = y + 10, height = top + c.height;
  const std::string style =
      str_cat("text{fill:", style_value("--ink"),
              "} .title{font-size:15px;font-weight:bold} .grid{stroke:", style_value("--grid"),
              "} .axis{stroke:", style_value("--quiet"),
              "} .line{fill:none;stroke-width:1.8;stroke-linejoin:round} .warning{font-weight:bold;fill:",
              style_value("--warn"), "}");
  const std::string body = str_cat("<rect width=\"", c.width, "\" height=\"", height, "\" fill=\"#fff\"/>", head,
                                   legend, "<g transform=\"translate(0 ", top, ")\">", c.svg, "</g>");
  return str_cat(
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n", figure_mark,
      "\n<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"", c.width, "\" height=\"", height, "\" viewBox=\"0 0 ",
      c.width, " ", height,
      "\" font-family=\"Helvetica, Arial, 'Liberation Sans', 'DejaVu Sans', sans-serif\" font-size=\"12\">\n<title>",
      printable(escape(c.title)), "</title>\n<style>", style, "</style>\n", printable(with_print_colours(body)),
      "\n</svg>\n");
}

}  // namespace gt::html
