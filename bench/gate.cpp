#include "bench/gate.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "core/io.h"

namespace gt {
namespace {

/// The largest j for which fewer than j of n times lie below the median with a probability of at most 2.5 %; 0 if there
/// is none.
int64_t interval_rank(int64_t n) {
  double term = std::pow(0.5, double(n)), below = 0;  // probability of j times below the median, and of less than j
  int64_t rank = 0;
  for (int64_t j = 0; j < n; ++j) {
    below += term;
    if (below > 0.025) break;
    rank = j + 1;
    term *= double(n - j) / double(j + 1);
  }
  return rank;
}

double milliseconds(const Json& row, std::initializer_list<const char*> keys, const std::string& where,
                    double without) {
  for (const char* key : keys)
    if (row.contains(key)) return json_number(row, key, where, 0);
  return without;
}

}  // namespace

MedianTime median_time(std::vector<double> seconds) {
  GT_CHECK(!seconds.empty(), "median_time: no times");
  std::sort(seconds.begin(), seconds.end());
  const size_t n = seconds.size();
  const size_t rank = size_t(std::max<int64_t>(interval_rank(int64_t(n)), 1));
  return {0.5 * (seconds[(n - 1) / 2] + seconds[n / 2]), seconds[rank - 1], seconds[n - rank]};
}

std::string row_key(const std::string& device, const std::string& type, const std::string& op, const std::string& size,
                    const std::string& pass) {
  return device + " " + type + ", " + op + " " + size + ", " + pass;
}

EarlierRun::EarlierRun(const std::string& path) {
  const Json report = parse_json(read_file(path), path);
  if (!report.contains("rows")) fail(path, ": expected a file that --json wrote, found no 'rows'");
  const Json& rows = json_list(report, "rows", path);
  for (size_t i = 0; i < rows.size(); ++i) {
    const std::string where = str_cat(path, ": row ", i + 1);
    if (!rows[i].is_object()) fail(where, ": expected an object");
    if (!rows[i].contains("ms")) continue;  // it failed
    const double ms = json_number(rows[i], "ms", where, 0);
    const std::string type = rows[i].contains("type") ? json_string(rows[i], "type", where) : "f32";
    times_[row_key(json_string(rows[i], "device", where), type, json_string(rows[i], "op", where),
                   json_string(rows[i], "size", where), json_string(rows[i], "pass", where))] = {
        1e-3 * ms, 1e-3 * milliseconds(rows[i], {"low_ms", "min_ms", "least_ms"}, where, ms),
        1e-3 * milliseconds(rows[i], {"high_ms", "max_ms", "most_ms"}, where, ms)};
  }
  if (report.contains("machine")) machine_ = json_object(report, "machine", path);
}

std::optional<MedianTime> EarlierRun::find(const std::string& key) const {
  const auto found = times_.find(key);
  return found == times_.end() ? std::nullopt : std::optional(found->second);
}

std::string EarlierRun::machine(const char* fact) const {
  return machine_.contains(fact) && machine_[fact].is_string() ? machine_[fact].get<std::string>() : "";
}

std::string EarlierRun::facts() const {
  const std::string commit = machine("commit"), date = machine("date");
  return str_cat("commit ", commit.empty() ? "?" : commit, ", ", date.empty() ? "?" : date);
}

bool is_slower(const MedianTime& now, const MedianTime& before, double allowed) {
  return now.median > (1 + allowed) * before.median && now.low > before.high;
}

double read_share(const std::string& text) {
  const bool percent = text.ends_with('%');
  const char *begin = text.data(), *end = begin + text.size() - percent;
  double value = 0;
  const auto [at, error] = std::from_chars(begin, end, value);
  if (percent) value /= 100;
  if (error != std::errc{} || at != end || !(value >= 0 && value <= 10))
    fail("expected a share from 0 to 10, such as 5% or 0.05, got '", text, "'");
  return value;
}

}  // namespace gt
