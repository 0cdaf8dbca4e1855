#include "bench/report.h"

#include <cmath>
#include <cstdio>

#include "bench/roofline_page.h"
#include "core/check.h"
#include "core/csv.h"
#include "core/io.h"
#include "core/parallel.h"

namespace gt {
namespace {

std::string key(const Row& row) {
  return row_key(to_string(row.device), to_string(row.dtype), row.op, row.size, row.pass);
}

/// A number in a column of width 9; a dash for 0, which stands for unknown.
std::string cell(const char* format, double value) {
  if (value == 0) return "        -";
  char number[32], padded[40];
  std::snprintf(number, sizeof number, format, value);
  std::snprintf(padded, sizeof padded, "%9s", number);
  return padded;
}

const char* times_format(double times) { return times < 10 ? "%.2fx" : times < 100 ? "%.1fx" : "%.0fx"; }

std::string times_cell(double times) { return cell(times_format(times), times); }

double rate(double amount, double seconds) { return 1e-9 * amount / seconds; }

Json to_json(const Row& row, double floor, const std::optional<MedianTime>& earlier) {
  Json json = {{"device", to_string(row.device)},
               {"op", row.op},
               {"size", row.size},
               {"type", to_string(row.dtype)},
               {"pass", row.pass}};
  if (!row.failed.empty()) {
    json["failed"] = row.failed;
    return json;
  }
  const Timing& t = row.time;
  json.update({{"ms", 1e3 * t.median},
               {"min_ms", 1e3 * t.min},
               {"max_ms", 1e3 * t.max},
               {"low_ms", 1e3 * t.low},
               {"high_ms", 1e3 * t.high},
               {"repetitions", t.repetitions},
               {"calls", t.calls}});
  if (row.bytes > 0) json.update({{"bytes", row.bytes}, {"gb_per_s", rate(row.bytes, t.median)}});
  if (row.flops > 0) json.update({{"flops", row.flops}, {"gflop_per_s", rate(row.flops, t.median)}});
  if (floor > 0) json.update({{"floor_ms", 1e3 * floor}, {"share_of_floor", floor / t.median}});
  if (row.composed > 0) json.update({{"composed_ms", 1e3 * row.composed}, {"x_composed", row.composed / t.median}});
  if (row.error > 0) json["error"] = row.error;
  if (row.cpu > 0) json.update({{"cpu_ms", 1e3 * row.cpu}, {"x_cpu", row.cpu / t.median}});
  if (earlier)
    json.update({{"earlier_ms", 1e3 * earlier->median},
                 {"earlier_low_ms", 1e3 * earlier->low},
                 {"earlier_high_ms", 1e3 * earlier->high},
                 {"x_earlier", earlier->median / t.median}});
  return json;
}

/// The rows of a report as a table: a column for each key.
std::string rows_csv(const Json& rows) {
  const std::vector<std::string> columns = {"device",         "op",
                                            "size",           "type",
                                            "pass",           "ms",
                                            "low_ms",         "high_ms",
                                            "min_ms",         "max_ms",
                                            "repetitions",    "calls",
                                            "bytes",          "gb_per_s",
                                            "flops",          "gflop_per_s",
                                            "floor_ms",       "share_of_floor",
                                            "composed_ms",    "x_composed",
                                            "error",          "cpu_ms",
                                            "x_cpu",          "earlier_ms",
                                            "earlier_low_ms", "earlier_high_ms",
                                            "x_earlier",      "failed"};
  std::string table = csv_row(columns);
  for (const Json& row : rows) {
    std::vector<std::string> fields;
    for (const std::string& column : columns)
      fields.push_back(!row.contains(column)     ? ""
                       : row[column].is_string() ? row[column].get<std::string>()
                                                 : row[column].dump());
    table += csv_row(fields);
  }
  return table;
}

}  // namespace

Report::Report(ReportOptions options, Machine machine, std::map<Device, Roof> roofs)
    : options_(std::move(options)), machine_(std::move(machine)), roofs_(std::move(roofs)) {
  if (!options_.compare.empty()) {
    earlier_.emplace(options_.compare);
    for (const auto& [fact, now] : {std::pair{"cpu", machine_.cpu}, std::pair{"gpu", machine_.gpu}})
      if (const std::string before = earlier_->machine(fact); before != now && !before.empty() && !now.empty())
        std::printf("note: %s was measured on another %s: %s\n", options_.compare.c_str(), fact, before.c_str());
  }
  print_head();
}

void Report::print_head() const {
  for (const auto& [device, roof] : roofs_)
    std::printf("%-4s  %s: copies %.1f GB/s, multiplies and adds %.0f GFLOP/s (f32%s, measured)\n", to_string(device),
                device == Device::cpu ? str_cat(machine_.cpu, ", ", num_threads(), " threads").c_str()
                                      : str_cat(machine_.gpu, ", ", machine_.driver).c_str(),
                1e-9 * roof.bytes_per_second, 1e-9 * roof.flops_per_second,
                roof.bf16_products_per_second > 0
                    ? str_cat("; bf16 products ", int64_t(1e-9 * roof.bf16_products_per_second), " GFLOP/s").c_str()
                    : "");
  std::printf(
      "\nms: the median. floor ms: the time of the bytes and operations at those rates. %% floor: floor / median, over "
      "100 "
      "if a cache holds the data.\nx composed, x CPU%s: speed relative to the op's composed twin, to the CPU%s.\n\n",
      options_.compare.empty() ? "" : ", x earlier",
      options_.compare.empty() ? "" : str_cat(", to ", options_.compare).c_str());
  std::printf("%-*s  %-*s  %-4s  %-7s  %-4s %9s %9s %9s %9s %9s %9s %9s%s%s\n", int(options_.op_width), "op",
              int(options_.size_width), "size", "type", "pass", "on", "ms", "GB/s", "GFLOP/s", "floor ms", "% floor",
              "x composed", "x CPU", options_.compare.empty() ? "" : " x earlier", options_.errors ? "     error" : "");
  std::fflush(stdout);
}

void Report::print(const Row& row, double speedup) const {
  std::printf("%-*s  %-*s  %-4s  %-7s  %-4s ", int(options_.op_width), row.op.c_str(), int(options_.size_width),
              row.size.c_str(), to_string(row.dtype), row.pass.c_str(), to_string(row.device));
  if (!row.failed.empty()) {
    std::printf("FAILED: %s\n", row.failed.c_str());
  } else {
    const double seconds = row.time.median, floor = roofs_.at(row.device).floor(row.bytes, row.flops, row.unit);
    std::printf("%s%s%s%s%s %s%s%s%s\n", cell("%.4g", 1e3 * seconds).c_str(),
                cell(" %.1f", rate(row.bytes, seconds)).c_str(), cell(" %.1f", rate(row.flops, seconds)).c_str(),
                cell(" %.4g", 1e3 * floor).c_str(), cell(" %.0f%%", 100 * floor / seconds).c_str(),
                times_cell(row.composed / seconds).c_str(), times_cell(row.cpu / seconds).c_str(),
                options_.compare.empty() ? "" : times_cell(speedup).c_str(),
                options_.errors ? cell(" %.1e", row.error).c_str() : "");
  }
  std::fflush(stdout);
}

void Report::add(const Row& row) {
  const std::optional<MedianTime> before = earlier_ && row.failed.empty() ? earlier_->find(key(row)) : std::nullopt;
  const double speedup = before ? before->median / row.time.median : 0;
  if (before) changes_.push_back({key(row), speedup});
  const MedianTime now{row.time.median, row.time.low, row.time.high};
  if (before && options_.fail_over && is_slower(now, *before, *options_.fail_over)) {
    char line[256];
    std::snprintf(line, sizeof line, "%.4g ms (%.4g to %.4g), before %.4g ms (%.4g to %.4g), %+.1f %%",
                  1e3 * now.median, 1e3 * now.low, 1e3 * now.high, 1e3 * before->median, 1e3 * before->low,
                  1e3 * before->high, 100 * (now.median / before->median - 1));
    too_slow_.push_back("SLOWER: " + key(row) + ": " + line);
  }
  failed_ += !row.failed.empty();
  unsteady_ += row.time.median > 1.5 * row.time.min;
  rows_.push_back(
      to_json(row, row.failed.empty() ? roofs_.at(row.device).floor(row.bytes, row.flops, row.unit) : 0, before));
  print(row, speedup);
  write(false);
}

Json Report::json(bool complete) const {
  Json json = {{"machine",
                {{"cpu", machine_.cpu},
                 {"threads", num_threads()},
                 {"gpu", machine_.gpu},
                 {"driver_clocks_power", machine_.driver},
                 {"commit", options_.commit},
                 {"date", machine_.date},
                 {"version", GT_VERSION}}},
               {"roofs", Json::object()},
               {"complete", complete},
               {"rows", rows_}};
  for (const auto& [device, roof] : roofs_)
    json["roofs"][to_string(device)] = {{"gb_per_s", 1e-9 * roof.bytes_per_second},
                                        {"gflop_per_s", 1e-9 * roof.flops_per_second},
                                        {"bf16_products_gflop_per_s", 1e-9 * roof.bf16_products_per_second}};
  if (earlier_) json["earlier"] = earlier_->facts();
  return json;
}

void Report::write(bool complete) const {
  if (!options_.json.empty()) write_file(options_.json, json(complete).dump(1) + "\n");
  if (!options_.csv.empty()) write_file(options_.csv, rows_csv(rows_));
}

void Report::print_comparison() const {
  double logs = 0;
  size_t faster = 0, slower = 0;
  const Change* worst = nullptr;
  for (const Change& change : changes_) {
    logs += std::log(change.speedup);
    faster += change.speedup > 1.1;
    slower += change.speedup < 1 / 1.1;
    if (worst == nullptr || change.speedup < worst->speedup) worst = &change;
  }
  if (worst == nullptr) {
    std::printf("%s has no row in common\n", options_.compare.c_str());
    return;
  }
  std::printf(
      "relative to %s (%s): %.2fx as fast in the geometric mean of %zu rows; %zu faster and %zu slower by more "
      "than 10 %%; slowest: %s, %.2fx\n",
      options_.compare.c_str(), earlier_->facts().c_str(), std::exp(logs / double(changes_.size())), changes_.size(),
      faster, slower, worst->what.c_str(), worst->speedup);
  for (const std::string& line : too_slow_) std::printf("%s\n", line.c_str());
  if (options_.fail_over)
    std::printf("%zu of %zu rows are slower by more than %g %%, beyond the noise of both runs\n", too_slow_.size(),
                changes_.size(), 100 * *options_.fail_over);
}

Report::Outcome Report::finish() {
  write(true);
  if (!options_.html.empty()) write_file(options_.html, roofline_page(json(true)));
  std::printf("\n%zu rows, %zu failed\n", rows_.size(), failed_);
  if (unsteady_ > 0)
    std::printf("%zu have a median above 1.5 times their minimum: other programs were running\n", unsteady_);
  if (earlier_) print_comparison();
  return {failed_, too_slow_.size()};
}

}  // namespace gt
