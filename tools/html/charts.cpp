#include "tools/html/charts.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "core/check.h"
#include "tools/html/page.h"

namespace gt::html {
namespace {

/// A linear axis. `step` is the distance between ticks: 1, 2 or 5 times a power of ten. `lo` and `hi` are multiples of
/// it.
struct Axis {
  double lo, hi, step;

  Axis(double min, double max, int ticks) {
    if (min > 0 && min < 0.6 * max) min = 0;
    if (max <= min) max = min + (min == 0 ? 1 : std::fabs(min));
    const double raw = (max - min) / ticks, power = std::pow(10, std::floor(std::log10(raw)));
    step = raw <= power ? power : raw <= 2 * power ? 2 * power : raw <= 5 * power ? 5 * power : 10 * power;
    lo = std::floor(min / step + 1e-9) * step;
    hi = std::ceil(max / step - 1e-9) * step;
  }
  int count() const { return int(std::lround((hi - lo) / step)); }
  double tick(int i) const { return lo + i * step; }
  std::string label(double value) const {
    if (step < 1e-4) {
      char buffer[32];
      std::snprintf(buffer, sizeof buffer, "%.2g", value);
      return buffer;
    }
    return step >= 1 ? whole(value) : fixed(value, int(std::ceil(-std::log10(step) - 1e-9)));
  }
};

constexpr double width = 520, wide = 1072;  // widths of charts, SVG units

/// Maps values to positions in a chart's box, in SVG units.
struct Frame {
  double left, top, right, bottom;
  double x_lo, x_hi, y_lo, y_hi;

  double x(double v) const { return left + (v - x_lo) / (x_hi - x_lo) * (right - left); }
  double y(double v) const { return bottom - (v - y_lo) / (y_hi - y_lo) * (bottom - top); }
};

std::string line(const char* kind, double x0, double y0, double x1, double y1, const std::string& more = "") {
  return str_cat("<line class=\"", kind, "\" x1=\"", x0, "\" y1=\"", y0, "\" x2=\"", x1, "\" y2=\"", y1, "\"", more,
                 "/>");
}

std::string text_at(double x, double y, const char* anchor, const std::string& s) {
  return str_cat("<text x=\"", x, "\" y=\"", y, "\" text-anchor=\"", anchor, "\">", escape(s), "</text>");
}

std::string draw_axes(const Frame& f, const Axis& x, const Axis& y, const AxisNames& names) {
  std::string svg;
  for (int i = 0; i <= y.count(); ++i) {
    const double at = f.y(y.tick(i));
    svg += line("grid", f.left, at, f.right, at) + text_at(f.left - 8, at + 4, "end", y.label(y.tick(i)));
  }
  for (int i = 0; i <= x.count() && x.tick(i) <= f.x_hi; ++i) {
    const double at = f.x(x.tick(i));
    svg += line("grid", at, f.top, at, f.bottom) + text_at(at, f.bottom + 17, "middle", x.label(x.tick(i)));
  }
  const double middle = (f.top + f.bottom) / 2;
  svg += str_cat("<text x=\"13\" y=\"", middle, "\" text-anchor=\"middle\" transform=\"rotate(-90 13 ", middle, ")\">",
                 escape(names.y), "</text>");
  return svg + line("axis", f.left, f.bottom, f.right, f.bottom) + text_at(f.right, f.bottom + 34, "end", names.x);
}

std::string draw_series(const Frame& f, const Series& s) {
  std::string path, marks;
  char point[64];
  for (size_t i = 0; i < s.x.size(); ++i) {
    std::snprintf(point, sizeof point, "%c%.1f %.1f", i == 0 ? 'M' : 'L', f.x(s.x[i]), f.y(s.y[i]));
    path += point;
    if (s.marked || s.x.size() == 1)
      marks += str_cat("<circle cx=\"", f.x(s.x[i]), "\" cy=\"", f.y(s.y[i]), "\" r=\"3\"><title>", escape(s.name),
                       " at ", s.x[i] == std::floor(s.x[i]) ? whole(s.x[i]) : fixed(s.x[i], 2), ": ", fixed(s.y[i], 4),
                       "</title></circle>");
  }
  return str_cat("<g fill=\"", css_colour(s.colour), "\" stroke=\"", css_colour(s.colour),
                 "\"><path class=\"line\" d=\"", path, "\"",
                 s.colour >= colour_count ? " stroke-dasharray=\"5 3\"" : "", "><title>", escape(s.name),
                 "</title></path>", marks, "</g>");
}

}  // namespace

std::string figure(const Chart& c) {
  if (c.empty()) return "";
  std::string legend;
  for (const LegendEntry& entry : c.legend)
    legend += "<span>" + (entry.colour >= 0 ? swatch(entry.colour) : "") + escape(entry.text) + "</span>";
  return str_cat("<figure><figcaption>", escape(c.title), "</figcaption><div class=\"legend\">", legend,
                 "</div><div class=\"scroll\"><svg", c.width > width ? " class=\"wide\"" : "", " viewBox=\"0 0 ",
                 c.width, " ", c.height, "\" role=\"img\" aria-label=\"", escape(c.title), "\">", c.svg,
                 "</svg></div></figure>\n");
}

Chart line_chart(const std::string& title, const AxisNames& axes, const std::vector<Series>& series) {
  constexpr double height = 270;
  std::vector<Series> shown;
  double x_hi = 0, y_lo = INFINITY, y_hi = -INFINITY;
  for (const Series& s : series) {
    if (s.x.empty()) continue;
    shown.push_back(s);
    x_hi = std::max(x_hi, *std::max_element(s.x.begin(), s.x.end()));
    y_lo = std::min(y_lo, *std::min_element(s.y.begin(), s.y.end()));
    y_hi = std::max(y_hi, *std::max_element(s.y.begin(), s.y.end()));
  }
  Chart chart{title};
  if (shown.empty()) return chart;
  const Axis x(0, x_hi, 6), y(y_lo, y_hi, 5);
  const Frame f{70, 8, width - 22, height - 38, 0, x_hi > 0 ? x_hi : 1, y.lo, y.hi};
  chart.width = width, chart.height = height;
  chart.svg = draw_axes(f, x, y, axes);
  for (const Series& s : shown) {
    chart.svg += draw_series(f, s);
    if (shown.size() > 1) chart.legend.push_back({s.name, s.colour});
  }
  return chart;
}

Chart dot_plot(const std::string& title, const std::string& x_name, std::vector<Dot> dots, int colour) {
  Chart chart{title};
  if (dots.empty()) return chart;
  constexpr int bins = 100;
  constexpr double height = 164;
  const Frame f{14, 8, wide - 14, height - 42, 0, 1, 0, 1};
  std::sort(dots.begin(), dots.end(), [](const Dot& a, const Dot& b) { return a.value < b.value; });
  const auto bin = [](const Dot& d) { return size_t(std::clamp(int(d.value * bins), 0, bins - 1)); };
  std::vector<int> stack(bins, 0);
  for (const Dot& d : dots) ++stack[bin(d)];
  const double pitch =
      std::min((f.right - f.left) / bins, (f.bottom - f.top) / *std::max_element(stack.begin(), stack.end()));

  std::string svg;
  for (int i = 0; i <= 10; ++i) {
    const double at = f.x(i / 10.0);
    svg += line("grid", at, f.top, at, f.bottom) + text_at(at, f.bottom + 17, "middle", fixed(i / 10.0, 1));
  }
  svg += line("axis", f.left, f.bottom, f.right, f.bottom) + text_at(f.right, f.bottom + 35, "end", x_name) +
         str_cat("<g fill=\"", css_colour(colour), "\">");
  std::fill(stack.begin(), stack.end(), 0);
  double mean = 0;
  for (const Dot& d : dots) {
    const size_t b = bin(d);
    svg += str_cat("<circle cx=\"", f.x((double(b) + 0.5) / bins), "\" cy=\"", f.bottom - (stack[b]++ + 0.5) * pitch,
                   "\" r=\"", 0.42 * pitch, "\"><title>", escape(d.name), ": ", fixed(d.value, 3), "</title></circle>");
    mean += d.value / double(dots.size());
  }
  const size_t half = dots.size() / 2;
  const double median = dots.size() % 2 == 1 ? dots[half].value : (dots[half - 1].value + dots[half].value) / 2;
  svg += "</g>" + line("axis", f.x(mean), f.top, f.x(mean), f.bottom) +
         line("axis", f.x(median), f.top, f.x(median), f.bottom, " stroke-dasharray=\"4 3\"");
  chart.legend = {{str_cat(dots.size(), " images")},
                  {str_cat("mean ", fixed(mean, 3), " (line)")},
                  {str_cat("median ", fixed(median, 3), " (dashes)")}};
  chart.width = wide, chart.height = height, chart.svg = svg;
  return chart;
}

Chart interval_plot(const std::string& title, const std::string& x_name, const std::vector<IntervalRow>& rows,
                    bool zero) {
  Chart chart{title};
  if (rows.empty()) return chart;
  constexpr double pitch = 26, letter = 6.8, notes = 110;
  double names = 0;  // width of the widest name, estimated
  for (const IntervalRow& i : rows) names = std::max(names, std::min(24 + letter * double(i.name.size()), wide / 2));
  double lo = zero ? 0 : INFINITY, hi = zero ? 0 : -INFINITY;
  for (const IntervalRow& i : rows) {
    lo = std::min({lo, i.low, i.value});
    hi = std::max({hi, i.high, i.value});
  }
  const Axis x(lo, hi, 8);
  const double height = pitch * double(rows.size()) + 52;
  const Frame f{names, 8, wide - notes, height - 44, x.lo, x.hi, 0, double(rows.size())};
  std::string svg;
  for (int i = 0; i <= x.count(); ++i) {
    const double at = f.x(x.tick(i));
    svg += line("grid", at, f.top, at, f.bottom) + text_at(at, f.bottom + 17, "middle", x.label(x.tick(i)));
  }
  svg += line("axis", f.left, f.bottom, f.right, f.bottom) + text_at(f.right, f.bottom + 36, "end", x_name);
  if (zero) svg += line("axis", f.x(0), f.top, f.x(0), f.bottom);
  for (size_t k = 0; k < rows.size(); ++k) {
    const IntervalRow& i = rows[k];
    const double y = f.top + (double(k) + 0.5) * pitch;
    const std::string colour = css_colour(i.colour);
    svg += text_at(f.left - 14, y + 4, "end", i.name) + text_at(f.right + 14, y + 4, "start", i.note) +
           line("line", f.x(i.low), y, f.x(i.high), y, " stroke=\"" + colour + "\"") +
           str_cat("<circle cx=\"", f.x(i.value), "\" cy=\"", y, "\" r=\"4.5\" fill=\"", colour, "\"><title>",
                   escape(i.series), " ", escape(i.name), ": ", fixed(i.value, 4), ", ", fixed(i.low, 4), " to ",
                   fixed(i.high, 4), "</title></circle>");
    const auto is_entry = [&](const LegendEntry& e) { return e.text == i.series && e.colour == i.colour; };
    if (!i.series.empty() && std::none_of(chart.legend.begin(), chart.legend.end(), is_entry))
      chart.legend.push_back({i.series, i.colour});
  }
  chart.width = wide, chart.height = height, chart.svg = svg;
  return chart;
}

}  // namespace gt::html
