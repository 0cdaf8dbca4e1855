// Charts as SVG files that stand alone.
#include "core/io.h"
#include "tests/catch.h"
#include "tests/temp_folder.h"
#include "tests/xml.h"
#include "tools/html/figures.h"

using namespace gt;
using namespace gt::html;

namespace {

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("figures: the check of XML finds what is malformed", "[figures]") {
  CHECK(xml_error("<?xml version=\"1.0\"?>\n<!-- a -->\n<a b=\"c\"><d/>x &amp; y</a>\n").empty());
  for (const char* bad : {"", "<a>", "<a></b>", "<a/><b/>", "<a b=c/>", "<a>&</a>", "<a>\x01</a>", "x<a/>", "<a"})
    CHECK_FALSE(xml_error(bad).empty());
}

TEST_CASE("figures: every kind of chart is valid XML with labelled axes, whatever its names are", "[figures]") {
  const std::string odd = "a <b> & \"c\" 'd' \x01 caf\xc3\xa9 \xff";
  const Chart lines = line_chart(odd, {"iteration", "Dice"},
                                 {{odd, {0, 10, 20}, {0.1, 0.5, 0.7}, 0, true}, {"second", {0, 20}, {0.2, 0.3}, 1}});
  const Chart dots = dot_plot(odd, "Dice", {{0.5, odd}, {0.75, "b"}}, 2);
  const Chart intervals = interval_plot(odd, "difference", {{odd, 0.1, -0.1, 0.3, 3, odd, odd}}, true);
  for (const Chart& chart : {lines, dots, intervals}) {
    const std::string svg = svg_file(chart, "SIMULATED GAZE");
    INFO(svg);
    CHECK(xml_error(svg).empty());
    CHECK(svg.starts_with("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"));
    CHECK(has(svg, ">SIMULATED GAZE</text>"));
    CHECK(has(svg, "caf\xc3\xa9"));
    CHECK_FALSE(has(svg, "var("));
    CHECK(has(svg, "font-family="));
  }
  CHECK(has(svg_file(lines), ">iteration</text>"));
  CHECK(has(svg_file(lines), ">Dice</text>"));
  CHECK(has(svg_file(lines), ">second</text>"));  // the legend
  CHECK(has(svg_file(lines), "stroke=\"#2563a8\""));
  CHECK(has(svg_file(dots), ">Dice</text>"));
  CHECK(has(svg_file(intervals), ">difference</text>"));
}

TEST_CASE("figures: files have the names of their charts, and empty charts have none", "[figures]") {
  const TempFolder tmp;
  Figures figures;
  const Chart chart = line_chart("Loss, total (1)", {"x", "y"}, {{"a", {1}, {2}}});
  CHECK(figures(chart) == figure(chart));
  CHECK(has(figures(chart), "<figcaption>Loss, total (1)</figcaption>"));
  CHECK(figures(chart, "Other").starts_with("<figure>"));
  CHECK(figures(line_chart("Nothing", {"x", "y"}, {})).empty());
  CHECK(figures(dot_plot("Nothing", "x", {}, 0)).empty());
  CHECK(figures(interval_plot("Nothing", "x", {}, false)).empty());
  CHECK(figures.size() == 3);
  figures.write(tmp / "figures", false);
  for (const char* name : {"loss_total_1.svg", "loss_total_1_2.svg", "other.svg"})
    CHECK(read_file(tmp / "figures/" + name) == svg_file(chart));
  figures.write(tmp / "figures", false);
  write(tmp / "figures/other.svg", "mine");
  CHECK(error_of([&] { figures.write(tmp / "figures", false); }).find("other.svg: exists already") !=
        std::string::npos);
  CHECK(read_file(tmp / "figures/other.svg") == "mine");
}
