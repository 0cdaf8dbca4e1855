#include "tools/html.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "core/check.h"

namespace gt::html {
namespace {

constexpr const char* style = R"(
:root { color-scheme: light dark; --page: #fbfbfa; --card: #fff; --ink: #1c1e21; --quiet: #5f666d; --rule: #e2e4e6; --grid: #ececec;
  --warn: #7a3d00; --warn-back: #fff1d6; --warn-edge: #e08a00;
  --s0: #2563a8; --s1: #c2571a; --s2: #23855a; --s3: #8a4fb3; --s4: #a97b00; --s5: #bf3467; --s6: #4b6b7c; --s7: #7a5c3e; }
@media (prefers-color-scheme: dark) { :root { --page: #15171a; --card: #1c1f23; --ink: #e6e8ea; --quiet: #9aa2aa; --rule: #33383e;
  --grid: #2a2e33; --warn: #ffd591; --warn-back: #3a2a0c; --warn-edge: #d48806;
  --s0: #6ea8e5; --s1: #ef9157; --s2: #5cc295; --s3: #bd8ee0; --s4: #d9b13b; --s5: #ec7aa3; --s6: #8fb0c1; --s7: #bf9f7e; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif;
  -webkit-text-size-adjust: 100%; }
main { max-width: 1128px; margin: 0 auto; padding: 40px 24px 72px; }
.eyebrow { margin: 0 0 4px; font-size: 14px; font-weight: 600; color: var(--s0); }
h1 { font-size: 30px; line-height: 1.2; margin: 0 0 6px; letter-spacing: -.015em; overflow-wrap: anywhere; }
h2 { font-size: 20px; margin: 52px 0 14px; letter-spacing: -.01em; }
h3 { font-size: 16px; margin: 26px 0 10px; overflow-wrap: anywhere; }
p { margin: 0 0 12px; max-width: 88ch; }
a { color: var(--s0); } .quiet { color: var(--quiet); } .small { font-size: 14px; } .scroll + p { margin-top: 10px; }
.warning { margin: 26px 0 0; padding: 16px 20px; border: 1px solid var(--warn-edge); border-left-width: 8px; border-radius: 6px;
  background: var(--warn-back); color: var(--warn); }
.warning strong { display: block; font-size: 20px; letter-spacing: .04em; text-transform: uppercase; }
.badge { display: inline-block; padding: 1px 9px; border-radius: 99px; border: 1px solid var(--rule); color: var(--quiet);
  font-size: 13px; font-weight: 500; line-height: 1.5; white-space: nowrap; letter-spacing: 0; vertical-align: middle; }
.badge.simulated { background: var(--warn-back); color: var(--warn); border-color: var(--warn-edge); font-weight: 700;
  text-transform: uppercase; letter-spacing: .04em; }
.results { display: grid; grid-template-columns: repeat(auto-fit, minmax(300px, 1fr)); gap: 16px; margin: 26px 0 0; }
.result { background: var(--card); border: 1px solid var(--rule); border-radius: 8px; padding: 18px 22px; overflow-wrap: anywhere; }
.result .value { font-size: 30px; font-weight: 650; line-height: 1.2; margin: 8px 0 2px; letter-spacing: -.02em; font-variant-numeric: tabular-nums; }
.result:only-child .value { font-size: 46px; }
.result .value small { font-size: .55em; font-weight: 400; color: var(--quiet); letter-spacing: 0; white-space: nowrap; }
.swatch { display: inline-block; width: 11px; height: 11px; border-radius: 3px; margin-right: 7px; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; min-width: 60%; font-size: 15px; font-variant-numeric: tabular-nums; }
th, td { padding: 8px 14px; border-bottom: 1px solid var(--rule); text-align: right; white-space: nowrap; vertical-align: baseline; }
th { font-size: 13px; font-weight: 600; color: var(--quiet); border-bottom-color: var(--quiet); }
th.left, td.left { text-align: left; } th:first-child, td:first-child { padding-left: 0; } th:last-child, td:last-child { padding-right: 0; }
td small { color: var(--quiet); font-size: 13px; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(440px, 100%), 1fr)); gap: 16px; }
figure { margin: 0; background: var(--card); border: 1px solid var(--rule); border-radius: 8px; padding: 14px 16px; min-width: 0; }
figcaption { font-size: 15px; font-weight: 600; overflow-wrap: anywhere; }
figcaption .scores { font-weight: 400; color: var(--quiet); font-variant-numeric: tabular-nums; margin-left: 8px; }
.legend { display: flex; flex-wrap: wrap; gap: 2px 16px; font-size: 13px; color: var(--quiet); margin: 2px 0 4px; }
svg { display: block; width: 100%; height: auto; font: 12px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
svg text { fill: var(--quiet); font-variant-numeric: tabular-nums; }
svg.wide { min-width: 720px; } .grid { stroke: var(--grid); } .axis { stroke: var(--quiet); } .line { fill: none; stroke-width: 1.8; stroke-linejoin: round; }
.cases { display: grid; gap: 16px; margin-bottom: 16px; } .cases .scroll { margin-top: 10px; }
.panel { display: inline-block; } .panel img { display: block; height: 168px; max-width: none; border-radius: 4px; }
.columns { display: grid; grid-auto-flow: column; grid-auto-columns: minmax(0, 1fr); font-size: 13px; color: var(--quiet); }
details { border: 1px solid var(--rule); border-radius: 8px; background: var(--card); padding: 10px 16px; margin: 0 0 12px; }
summary { cursor: pointer; font-weight: 600; overflow-wrap: anywhere; }
pre { margin: 12px 0 4px; overflow-x: auto; font: 13px/1.5 ui-monospace, "SF Mono", Menlo, Consolas, monospace; }
footer { margin-top: 56px; padding-top: 14px; border-top: 1px solid var(--rule); color: var(--quiet); font-size: 14px; }
@media (max-width: 600px) { main { padding: 24px 16px 48px; } h1 { font-size: 25px; } }
@media print { :root { color-scheme: light; --page: #fff; --card: #fff; --ink: #000; --quiet: #444; --rule: #ccc; --grid: #e4e4e4;
  --warn: #7a3d00; --warn-back: #fff1d6; --warn-edge: #e08a00; }
  body { font-size: 11pt; } main { max-width: none; padding: 0; } .scroll, pre { overflow: visible; } pre { white-space: pre-wrap; }
  .panel img { height: auto; max-width: 100%; } svg.wide { min-width: 0; } table { font-size: 9.5pt; } th, td { padding: 4px 8px; } .warning, .badge, .swatch { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  figure, tr, .result { break-inside: avoid; } h2, h3 { break-after: avoid; } .charts { grid-template-columns: 1fr 1fr; } }
)";

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

std::string colour_of(int colour) { return str_cat("var(--s", colour % colours, ")"); }

/// A linear axis: its ends and the step between ticks, which is 1, 2 or 5 times a power of ten.
struct Axis {
  double lo, hi, step;

  Axis(double least, double most, int ticks) {
    if (least > 0 && least < 0.6 * most) least = 0;
    if (most <= least) most = least + (least == 0 ? 1 : std::fabs(least));
    const double raw = (most - least) / ticks, power = std::pow(10, std::floor(std::log10(raw)));
    step = raw <= power ? power : raw <= 2 * power ? 2 * power : raw <= 5 * power ? 5 * power : 10 * power;
    lo = std::floor(least / step + 1e-9) * step;
    hi = std::ceil(most / step - 1e-9) * step;
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

constexpr double width = 520, wide = 1072;  // of charts, in SVG units

/// Where values go in a chart's box.
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

std::string words(double x, double y, const char* anchor, const std::string& s) {
  return str_cat("<text x=\"", x, "\" y=\"", y, "\" text-anchor=\"", anchor, "\">", escape(s), "</text>");
}

std::string draw_axes(const Frame& f, const Axis& x, const Axis& y, const std::string& x_name) {
  std::string svg;
  for (int i = 0; i <= y.count(); ++i) {
    const double at = f.y(y.tick(i));
    svg += line("grid", f.left, at, f.right, at) + words(f.left - 8, at + 4, "end", y.label(y.tick(i)));
  }
  for (int i = 0; i <= x.count() && x.tick(i) <= f.x_hi; ++i) {
    const double at = f.x(x.tick(i));
    svg += line("grid", at, f.top, at, f.bottom) + words(at, f.bottom + 17, "middle", x.label(x.tick(i)));
  }
  return svg + line("axis", f.left, f.bottom, f.right, f.bottom) + words(f.right, f.bottom + 34, "end", x_name);
}

std::string draw_series(const Frame& f, const Series& s) {
  std::string path, marks;
  char point[64];
  for (size_t i = 0; i < s.x.size(); ++i) {
    std::snprintf(point, sizeof point, "%c%.1f %.1f", i == 0 ? 'M' : 'L', f.x(s.x[i]), f.y(s.y[i]));
    path += point;
    if (s.marked || s.x.size() == 1)
      marks += str_cat("<circle cx=\"", f.x(s.x[i]), "\" cy=\"", f.y(s.y[i]), "\" r=\"3\"><title>", escape(s.name),
                       " at ", whole(s.x[i]), ": ", fixed(s.y[i], 4), "</title></circle>");
  }
  return str_cat("<g fill=\"", colour_of(s.colour), "\" stroke=\"", colour_of(s.colour), "\"><path class=\"line\" d=\"",
                 path, "\"", s.colour >= colours ? " stroke-dasharray=\"5 3\"" : "", "><title>", escape(s.name),
                 "</title></path>", marks, "</g>");
}

std::string figure(const std::string& title, const std::string& legend_html, double w, double height,
                   const std::string& svg) {
  return str_cat("<figure><figcaption>", escape(title), "</figcaption><div class=\"legend\">", legend_html,
                 "</div><div class=\"scroll\"><svg", w > width ? " class=\"wide\"" : "", " viewBox=\"0 0 ", w, " ",
                 height, "\" role=\"img\" aria-label=\"", escape(title), "\">", svg, "</svg></div></figure>\n");
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

std::string page(const std::string& title, const std::string& body_html) {
  return str_cat("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n",
                 "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>", escape(title),
                 "</title>\n<style>", style, "</style>\n</head>\n<body>\n<main>\n", body_html,
                 "</main>\n</body>\n</html>\n");
}

std::string picture(const std::string& png, const std::string& path, const std::string& alt) {
  if (!png.starts_with("\x89PNG\r\n\x1a\n")) fail(path, ": not a PNG picture");
  return str_cat("<img alt=\"", escape(alt), "\" src=\"data:image/png;base64,", base64(png), "\">");
}

std::string swatch(int colour) {
  return str_cat("<span class=\"swatch\" style=\"background:", colour_of(colour), "\"></span>");
}

std::string table(const Table& t) {
  const auto row = [&](const char* cell, const std::vector<std::string>& items) {
    std::string out = "<tr>";
    for (size_t i = 0; i < items.size(); ++i)
      out += str_cat("<", cell, i < t.left ? " class=\"left\">" : ">", items[i], "</", cell, ">");
    return out + "</tr>\n";
  };
  std::string out = "<div class=\"scroll\"><table>\n<thead>" + row("th", t.head) + "</thead>\n<tbody>\n";
  for (const auto& items : t.rows_html) out += row("td", items);
  return out + "</tbody></table></div>\n";
}

std::string line_chart(const std::string& title, const std::string& x_name, const std::vector<Series>& series) {
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
  if (shown.empty()) return "";
  const Axis x(0, x_hi, 6), y(y_lo, y_hi, 5);
  const Frame f{54, 8, width - 22, height - 38, 0, x_hi > 0 ? x_hi : 1, y.lo, y.hi};
  std::string svg = draw_axes(f, x, y, x_name), legend;
  for (const Series& s : shown) {
    svg += draw_series(f, s);
    if (shown.size() > 1) legend += "<span>" + swatch(s.colour) + escape(s.name) + "</span>";
  }
  return figure(title, legend, width, height, svg);
}

std::string dot_plot(const std::string& title, std::vector<Dot> dots, int colour) {
  if (dots.empty()) return "";
  constexpr int bins = 100;
  constexpr double height = 146;
  const Frame f{14, 8, wide - 14, height - 24, 0, 1, 0, 1};
  std::sort(dots.begin(), dots.end(), [](const Dot& a, const Dot& b) { return a.value < b.value; });
  const auto bin = [](const Dot& d) { return size_t(std::clamp(int(d.value * bins), 0, bins - 1)); };
  std::vector<int> stack(bins, 0);
  for (const Dot& d : dots) ++stack[bin(d)];
  const double pitch =
      std::min((f.right - f.left) / bins, (f.bottom - f.top) / *std::max_element(stack.begin(), stack.end()));

  std::string svg;
  for (int i = 0; i <= 10; ++i) {
    const double at = f.x(i / 10.0);
    svg += line("grid", at, f.top, at, f.bottom) + words(at, f.bottom + 17, "middle", fixed(i / 10.0, 1));
  }
  svg += line("axis", f.left, f.bottom, f.right, f.bottom) + str_cat("<g fill=\"", colour_of(colour), "\">");
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
  const std::string legend = str_cat("<span>", dots.size(), " images</span><span>mean ", fixed(mean, 3),
                                     " (line)</span><span>median ", fixed(median, 3), " (dashes)</span>");
  return figure(title, legend, wide, height, svg);
}

std::string interval_plot(const std::string& title, const std::string& x_name, const std::vector<Interval>& intervals,
                          bool zero) {
  if (intervals.empty()) return "";
  constexpr double pitch = 26, letter = 6.8, notes = 110;
  double names = 0;  // room for the longest
  for (const Interval& i : intervals) names = std::max(names, std::min(24 + letter * double(i.name.size()), wide / 2));
  double lo = zero ? 0 : INFINITY, hi = zero ? 0 : -INFINITY;
  for (const Interval& i : intervals) {
    lo = std::min({lo, i.low, i.value});
    hi = std::max({hi, i.high, i.value});
  }
  const Axis x(lo, hi, 8);
  const double height = pitch * double(intervals.size()) + 52;
  const Frame f{names, 8, wide - notes, height - 44, x.lo, x.hi, 0, double(intervals.size())};
  std::string svg, legend;
  for (int i = 0; i <= x.count(); ++i) {
    const double at = f.x(x.tick(i));
    svg += line("grid", at, f.top, at, f.bottom) + words(at, f.bottom + 17, "middle", x.label(x.tick(i)));
  }
  svg += line("axis", f.left, f.bottom, f.right, f.bottom) + words(f.right, f.bottom + 36, "end", x_name);
  if (zero) svg += line("axis", f.x(0), f.top, f.x(0), f.bottom);
  for (size_t k = 0; k < intervals.size(); ++k) {
    const Interval& i = intervals[k];
    const double y = f.top + (double(k) + 0.5) * pitch;
    const std::string colour = colour_of(i.colour);
    svg += words(f.left - 14, y + 4, "end", i.name) + words(f.right + 14, y + 4, "start", i.note) +
           line("line", f.x(i.low), y, f.x(i.high), y, " stroke=\"" + colour + "\"") +
           str_cat("<circle cx=\"", f.x(i.value), "\" cy=\"", y, "\" r=\"4.5\" fill=\"", colour, "\"><title>",
                   escape(i.series), " ", escape(i.name), ": ", fixed(i.value, 4), ", ", fixed(i.low, 4), " to ",
                   fixed(i.high, 4), "</title></circle>");
    const std::string entry = "<span>" + swatch(i.colour) + escape(i.series) + "</span>";
    if (!i.series.empty() && legend.find(entry) == std::string::npos) legend += entry;
  }
  return figure(title, legend, wide, height, svg);
}

}  // namespace gt::html
