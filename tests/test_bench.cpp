// What the benchmarks do with times: intervals of medians, the gate against an earlier run, sizes, and the page.
#include "bench/gate.h"
#include "bench/passes.h"
#include "bench/roofline_page.h"
#include "core/io.h"
#include "tests/catch.h"
#include "tests/temp_folder.h"

using namespace gt;

namespace {

std::vector<double> up_to(int n) {
  std::vector<double> values;
  for (int i = n; i >= 1; --i) values.push_back(i);
  return values;
}

const std::string results = R"({
 "machine": {"cpu": "A & B", "commit": "abc", "date": "today", "threads": 2},
 "roofs": {"cpu": {"gb_per_s": 10, "gflop_per_s": 100}},
 "rows": [
  {"device": "cpu", "op": "conv", "size": "8x8", "type": "f32", "pass": "forward", "ms": 2, "low_ms": 1.9, "high_ms": 2.2,
   "bytes": 1e6, "flops": 1e8, "earlier_ms": 1},
  {"device": "cpu", "op": "<add>", "size": "9", "pass": "both", "ms": 1, "least_ms": 0.5, "most_ms": 3, "bytes": 1e6},
  {"device": "cpu", "op": "bad", "size": "9", "pass": "check", "failed": "why"}
 ]})";

}  // namespace

TEST_CASE("bench: the interval of a median is between order statistics", "[bench]") {
  // The published ranks for 95 % are 1 of 6, 2 of 9 and 6 of 21.
  for (const auto& [n, rank] : {std::pair{6, 1}, std::pair{8, 1}, std::pair{9, 2}, std::pair{21, 6}}) {
    const MedianTime t = median_time(up_to(n));
    INFO(n);
    CHECK(t.median == Approx((n + 1) / 2.0));
    CHECK(t.low == rank);
    CHECK(t.high == n + 1 - rank);
  }
  CHECK(median_time({3, 1, 2}).low == 1);
  CHECK(median_time({3, 1, 2}).high == 3);
  CHECK_THROWS_AS(median_time({}), Error);
}

TEST_CASE("bench: a row is slower only if the intervals do not overlap", "[bench]") {
  const MedianTime before{1.0, 0.9, 1.1};
  CHECK(is_slower({1.2, 1.15, 1.3}, before, 0.05));
  CHECK_FALSE(is_slower({1.2, 1.05, 1.3}, before, 0.05));
  CHECK_FALSE(is_slower({1.2, 1.15, 1.3}, before, 0.3));
  CHECK_FALSE(is_slower({0.5, 0.4, 0.6}, before, 0));
  CHECK(read_share("5%") == Approx(0.05));
  CHECK(read_share("0.1") == Approx(0.1));
  for (const char* wrong : {"", "%", "5 %", "x", "-1", "5000%"})
    CHECK(error_of([&] { read_share(wrong); }).find("expected a share from 0 to 10") == 0);
}

TEST_CASE("bench: an earlier run is read, also an older one without intervals", "[bench]") {
  const TempFolder tmp;
  write(tmp / "r.json", results);
  const EarlierRun run(tmp / "r.json");
  CHECK(run.facts() == "commit abc, today");
  CHECK(run.machine("cpu") == "A & B");
  const auto conv = run.find(row_key("cpu", "f32", "conv", "8x8", "forward"));
  REQUIRE(conv);
  CHECK(conv->high == Approx(2.2e-3));
  const auto add = run.find(row_key("cpu", "f32", "<add>", "9", "both"));
  REQUIRE(add);
  CHECK(add->low == Approx(0.5e-3));
  CHECK_FALSE(run.find(row_key("cpu", "f32", "bad", "9", "check")));
  write(tmp / "r.json", "{\"rows\": [{\"op\": 1, \"ms\": 1}]}");
  CHECK(error_of([&] { EarlierRun{tmp / "r.json"}; }).find("r.json: row 1") != std::string::npos);
  write(tmp / "r.json", "{}");
  CHECK(error_of([&] { EarlierRun{tmp / "r.json"}; }).find("expected a file that --json wrote") != std::string::npos);
}

TEST_CASE("bench: sizes are as many as the row has", "[bench]") {
  CHECK(read_sizes("8x4x1", {1, 2, 3}, "conv") == Sizes{8, 4, 1});
  CHECK(size_label({8, 4, 1}) == "8x4x1");
  for (const char* wrong : {"", "8x4", "8x4x", "8x4x1x2", "8x4x0", "8,4,1", "8x4xa", "8x4x99999999999"})
    CHECK(error_of([&] {
            read_sizes(wrong, {1, 2, 3}, "conv");
          }) == str_cat("--sizes ", wrong, ": expected 3 numbers above 0 for conv, as in 1x2x3"));
}

TEST_CASE("bench: the page has a point for each row with bytes and operations, and no references", "[bench]") {
  const TempFolder tmp;
  write(tmp / "r.json", results);
  const std::string page = roofline_page(read_results(tmp / "r.json"));
  const auto has = [&](const std::string& part) { return page.find(part) != std::string::npos; };
  CHECK(has("conv 8x8 forward: 2.00 ms, 50.0 GFLOP/s, 0.5 GB/s, before 1.00 ms"));
  CHECK(has("1 of the rows"));
  CHECK(has("ring: the earlier run"));
  CHECK(has("&lt;add&gt;"));
  CHECK(has("A &amp; B"));
  CHECK(has("<span title=\"why\">failed</span>"));
  CHECK_FALSE(has("http:"));
  CHECK_FALSE(has("<add>"));
  CHECK_FALSE(has("nan"));
  CHECK_FALSE(has("inf"));

  const auto error = [&](const std::string& text) {
    write(tmp / "r.json", text);
    return error_of([&] { read_results(tmp / "r.json"); });
  };
  CHECK(error("{\"rows\": []}").find("'roofs'") != std::string::npos);
  CHECK(error("{\"rows\": [3], \"roofs\": {}}").find("row 1: expected an object") != std::string::npos);
  CHECK(error("{\"rows\": [], \"roofs\": {\"cpu\": {\"gb_per_s\": 0}}}").find("roofs: cpu") != std::string::npos);
}

TEST_CASE("bench: results of a real GPU make a page", "[bench]") {
  const std::string page = roofline_page(read_results(GT_SOURCE_DIR "/bench/results/NVIDIA-H200/bench.json"));
  CHECK(page.find("Roofline of cuda") != std::string::npos);
}
