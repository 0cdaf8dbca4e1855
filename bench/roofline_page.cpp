#include "bench/roofline_page.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <vector>

#include "core/io.h"
#include "tools/html/page.h"

namespace gt {
namespace {

using html::escape;

// ---- Values ---------------------------------------------------------------------------------------------------------

double number(const Json& row, const char* key) {
  return row.contains(key) && row[key].is_number() ? row[key].get<double>() : 0;
}

std::string text(const Json& row, const char* key) {
  return row.contains(key) && row[key].is_string() ? row[key].get<std::string>() : "";
}

std::string row_name(const Json& row) {
  std::string name = text(row, "op") + " " + text(row, "size") + " " + text(row, "pass");
  return text(row, "type").empty() || text(row, "type") == "f32" ? name : name + " " + text(row, "type");
}

std::string digits(double value) {  // three significant digits
  if (value == 0) return "\u2013";
  char buffer[32];
  std::snprintf(buffer, sizeof buffer,
                value >= 100  ? "%.0f"
                : value >= 10 ? "%.1f"
                : value >= 1  ? "%.2f"
                              : "%.3g",
                value);
  return buffer;
}

// ---- The roofline ---------------------------------------------------------------------------------------------------

/// A row with known bytes and operations, in FLOP per byte and GFLOP/s.
struct Point {
  double intensity, rate, earlier;  // 0: no earlier rate
  bool both;                        // forward and backward
  std::string label;
};

std::vector<Point> points_of(const Json& rows, const std::string& device) {
  std::vector<Point> points;
  for (const Json& row : rows) {
    const double bytes = number(row, "bytes"), flops = number(row, "flops"), ms = number(row, "ms");
    if (text(row, "device") != device || bytes <= 0 || flops <= 0 || ms <= 0) continue;
    const double rate = 1e-6 * flops / ms, before = number(row, "earlier_ms");
    std::string label = str_cat(row_name(row), ": ", digits(ms), " ms, ", digits(rate), " GFLOP/s, ",
                                digits(1e-6 * bytes / ms), " GB/s");
    if (const double share = number(row, "share_of_floor"); share > 0)
      label += str_cat(", ", html::whole(100 * share), " % of the floor's speed");
    if (before > 0) label += str_cat(", before ", digits(before), " ms");
    points.push_back({flops / bytes, rate, before > 0 ? 1e-6 * flops / before : 0, text(row, "pass") == "both", label});
  }
  return points;
}

/// A logarithmic axis from one power of ten to another.
struct LogAxis {
  double low, high;  // exponents
  double from, to;   // positions

  double at(double value) const { return from + (std::log10(value) - low) / (high - low) * (to - from); }
};

LogAxis axis_over(std::vector<double> values, double from, double to) {
  const auto [least, most] = std::minmax_element(values.begin(), values.end());
  const double low = std::floor(std::log10(*least)), high = std::ceil(std::log10(*most));
  return {low, std::max(high, low + 1), from, to};
}

std::string svg_text(double x, double y, const char* anchor, const std::string& words) {
  return str_cat("<text x=\"", x, "\" y=\"", y, "\" text-anchor=\"", anchor, "\">", escape(words), "</text>");
}

std::string svg_line(const char* kind, double x0, double y0, double x1, double y1, const std::string& more = "") {
  return str_cat("<line class=\"", kind, "\" x1=\"", x0, "\" y1=\"", y0, "\" x2=\"", x1, "\" y2=\"", y1, "\" ", more,
                 "/>");
}

std::string power_of_ten(int exponent) {
  if (exponent < -3 || exponent > 5) return str_cat("1e", exponent);
  return exponent < 0 ? html::fixed(std::pow(10, exponent), -exponent) : html::whole(std::pow(10, exponent));
}

std::string grid(const LogAxis& x, const LogAxis& y) {
  std::string svg;
  for (int e = int(x.low); e <= int(x.high); ++e) {
    const double at = x.at(std::pow(10, e));
    svg += svg_line("grid", at, y.from, at, y.to) + svg_text(at, y.from + 18, "middle", power_of_ten(e));
  }
  for (int e = int(y.low); e <= int(y.high); ++e) {
    const double at = y.at(std::pow(10, e));
    svg += svg_line("grid", x.from, at, x.to, at) + svg_text(x.from - 8, at + 4, "end", power_of_ten(e));
  }
  return svg + svg_text((x.from + x.to) / 2, y.from + 40, "middle", "FLOP per byte") +
         svg_text(x.from, y.to - 10, "start", "GFLOP/s");
}

/// The ceilings of bytes and of operations, which meet where both rates are used up. `bf16` is that of bf16 products, 0
/// for a device without.
std::string ceilings(double bandwidth, double peak, double bf16, const LogAxis& x, const LogAxis& y) {
  const double left = std::pow(10, x.low), right = std::pow(10, x.high), ridge = peak / bandwidth;
  const auto segment = [&](double x0, double y0, double x1, double y1, const char* more = "") {
    return svg_line("axis", x.at(x0), y.at(y0), x.at(x1), y.at(y1), std::string("stroke-width=\"1.8\"") + more);
  };
  const double bottom = std::max(left, std::pow(10, y.low) / bandwidth);
  std::string svg;
  if (ridge > bottom)
    svg += segment(bottom, bandwidth * bottom, std::min(ridge, right), bandwidth * std::min(ridge, right));
  if (ridge < right) svg += segment(std::max(ridge, left), peak, right, peak);
  if (bf16 > 0) {
    const char* dashes = " stroke-dasharray=\"5 4\"";
    const double end = std::min(bf16 / bandwidth, right);
    if (end > ridge) svg += segment(ridge, peak, end, bandwidth * end, dashes);
    if (end < right) svg += segment(end, bf16, right, bf16, dashes);
    svg += svg_text(x.to, y.at(bf16) - 8, "end", str_cat(digits(bf16), " GFLOP/s, bf16 products"));
  }
  return svg + svg_text(x.to, y.at(peak) - 8, "end", str_cat(digits(peak), " GFLOP/s")) +
         svg_text(x.at(bottom) + 8, y.at(bandwidth * bottom) - 44, "start", str_cat(digits(bandwidth), " GB/s"));
}

std::string mark(const Point& p, const LogAxis& x, const LogAxis& y) {
  const double cx = x.at(p.intensity), cy = y.at(p.rate);
  const std::string colour = html::css_colour(p.both ? 1 : 0);
  std::string svg;
  if (p.earlier > 0)
    svg = str_cat("<line x1=\"", cx, "\" y1=\"", y.at(p.earlier), "\" x2=\"", cx, "\" y2=\"", cy, "\" stroke=\"",
                  colour, "\"/><circle cx=\"", cx, "\" cy=\"", y.at(p.earlier), "\" r=\"3\" fill=\"none\" stroke=\"",
                  colour, "\"/>");
  return svg + str_cat("<circle cx=\"", cx, "\" cy=\"", cy, "\" r=\"4\" fill=\"", colour, "\"><title>", escape(p.label),
                       "</title></circle>\n");
}

std::string roofline(const Json& results, const std::string& device) {
  const Json& roof = results["roofs"][device];
  const double bandwidth = number(roof, "gb_per_s"), peak = number(roof, "gflop_per_s"),
               bf16 = number(roof, "bf16_products_gflop_per_s");
  const std::vector<Point> points = points_of(results["rows"], device);
  std::vector<double> intensities = {0.1, peak / bandwidth}, rates = {peak, 0.1 * bandwidth};
  if (bf16 > 0) rates.push_back(bf16);
  bool compared = false;
  for (const Point& p : points) {
    intensities.push_back(p.intensity);
    rates.push_back(p.rate);
    if (p.earlier > 0) rates.push_back(p.earlier), compared = true;
  }
  const LogAxis x = axis_over(intensities, 70, 1052), y = axis_over(rates, 500, 30);
  std::string svg = grid(x, y) + ceilings(bandwidth, peak, bf16, x, y);
  for (const Point& p : points) svg += mark(p, x, y);
  return str_cat("<figure><figcaption>Roofline of ", escape(device), ": ", points.size(), " of the rows</figcaption>\n",
                 "<div class=\"legend\"><span>", html::swatch(0), "forward</span><span>", html::swatch(1),
                 "forward and backward</span>", compared ? "<span>ring: the earlier run</span>" : "",
                 "</div>\n<div class=\"scroll\"><svg class=\"wide\" viewBox=\"0 0 1072 550\" role=\"img\">\n", svg,
                 "</svg></div></figure>\n");
}

// ---- The table ------------------------------------------------------------------------------------------------------

std::string table(const Json& rows) {
  html::Table t{
      {"op", "size", "type", "pass", "on", "ms", "GB/s", "GFLOP/s", "floor ms", "% floor", "x composed", "x CPU"},
      {},
      5};
  const bool compared = std::any_of(rows.begin(), rows.end(), [](const Json& r) { return r.contains("earlier_ms"); });
  if (compared) t.head_html.insert(t.head_html.end(), {"earlier ms", "x earlier"});
  for (const Json& row : rows) {
    auto& cells = t.rows_html.emplace_back();
    for (const char* key : {"op", "size", "type", "pass", "device"}) cells.push_back(escape(text(row, key)));
    if (row.contains("failed")) {
      cells.push_back("<span title=\"" + escape(text(row, "failed")) + "\">failed</span>");
      cells.resize(t.head_html.size());
      continue;
    }
    for (const char* key : {"ms", "gb_per_s", "gflop_per_s", "floor_ms"}) cells.push_back(digits(number(row, key)));
    cells.push_back(digits(100 * number(row, "share_of_floor")));
    for (const char* key : {"x_composed", "x_cpu"}) cells.push_back(digits(number(row, key)));
    if (compared)
      for (const char* key : {"earlier_ms", "x_earlier"}) cells.push_back(digits(number(row, key)));
  }
  return html::table(t);
}

/// Sorts the table by the column whose head is clicked, and shows the rows that have every word of the filter.
constexpr const char* script = R"js(<script>
const body = document.querySelector('tbody'), rows = [...body.rows];
const value = (row, i) => { const t = row.cells[i].textContent; return isNaN(parseFloat(t)) ? t : parseFloat(t); };
document.querySelectorAll('th').forEach((head, i) => {
  let sign = -1;
  head.style.cursor = 'pointer';
  head.onclick = () => {
    sign = -sign;
    rows.sort((a, b) => { const x = value(a, i), y = value(b, i);
      return sign * (typeof x == typeof y ? (x < y ? -1 : x > y ? 1 : 0) : typeof x == 'string' ? 1 : -1); });
    body.append(...rows);
  };
});
document.querySelector('#filter').oninput = event => {
  const words = event.target.value.toLowerCase().split(' ');
  for (const row of rows) row.hidden = !words.every(word => row.textContent.toLowerCase().includes(word));
};
</script>
)js";

std::string machine_facts(const Json& results) {
  std::string facts;
  if (!results.contains("machine") || !results["machine"].is_object()) return facts;
  for (const auto& [name, value] : results["machine"].items()) {
    const std::string shown = value.is_string() ? value.get<std::string>() : value.dump();
    if (!shown.empty()) facts += str_cat(facts.empty() ? "" : " \u00b7 ", escape(name), " ", escape(shown));
  }
  return "<p class=\"quiet\">" + facts + "</p>\n";
}

}  // namespace

Json read_results(const std::string& path) {
  Json results = parse_json(read_file(path), path);
  const Json& rows = json_list(results, "rows", path);
  for (const auto& [device, roof] : json_object(results, "roofs", path).items()) {
    const std::string where = str_cat(path, ": roofs: ", device);
    if (!roof.is_object()) fail(where, ": expected an object");
    for (const char* key : {"gb_per_s", "gflop_per_s"}) json_number(roof, key, where, 1e-9);
  }
  for (size_t i = 0; i < rows.size(); ++i) {
    const std::string where = str_cat(path, ": row ", i + 1);
    if (!rows[i].is_object()) fail(where, ": expected an object");
    for (const char* key : {"op", "size", "pass", "device"}) json_string(rows[i], key, where);
    if (!rows[i].contains("failed")) json_number(rows[i], "ms", where, 0);
  }
  return results;
}

std::string roofline_page(const Json& results) {
  std::string body = "<p class=\"eyebrow\">GradTrack benchmarks</p>\n<h1>Roofline</h1>\n" + machine_facts(results);
  body +=
      "<p>The ceilings are measured in the same run: bytes per second of large copies, multiply-adds in f32 and, "
      "dashed, large products of bf16 matrices. Where "
      "a cache holds the data, a point may lie above them.</p>\n";
  for (const auto& [device, roof] : results["roofs"].items()) body += roofline(results, device);
  body += "<h2>All rows</h2>\n";
  if (const std::string earlier = text(results, "earlier"); !earlier.empty())
    body += "<p class=\"quiet\">The earlier run: " + escape(earlier) + "</p>\n";
  body += "<p><label>Filter <input id=\"filter\" type=\"search\"></label> A click on a heading sorts.</p>\n";
  return html::page("Roofline", body + table(results["rows"]) + script);
}

}  // namespace gt
