// Whether a benchmark became slower than in an earlier run, beyond the noise of both.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/json.h"

namespace gt {

/// A median time in seconds, with a 95 % confidence interval.
struct MedianTime {
  double median = 0, low = 0, high = 0;
};

/// The median of times. Its interval is between two order statistics (binomial, without assumptions on the
/// distribution); below six times, which are too few for 95 %, it is from the least to the largest. Throws Error
/// without times. Source: David and Nagaraja, "Order statistics", 2003, section 7.1.
MedianTime median_time(std::vector<double> seconds);

/// What a row of a report is recognised by in another one.
std::string row_key(const std::string& device, const std::string& type, const std::string& op, const std::string& size,
                    const std::string& pass);

/// The rows of an earlier report.
class EarlierRun {
 public:
  /// Reads a file that --json wrote. Throws Error, naming the file and the row, for anything else.
  explicit EarlierRun(const std::string& path);

  /// The time of a row; nothing if the run does not have it. Older files have no interval: it is then from the
  /// fastest to the slowest repetition.
  std::optional<MedianTime> find(const std::string& key) const;
  /// "commit 1234567, 2026-01-02T03:04:05Z"
  std::string facts() const;
  /// A fact of the machine, such as cpu; "" if it is not known.
  std::string machine(const char* fact) const;

 private:
  Json machine_ = Json::object();
  std::map<std::string, MedianTime> times_;
};

/// Whether `now` is slower than `before` by more than the share `allowed`, and the intervals do not overlap.
bool is_slower(const MedianTime& now, const MedianTime& before, double allowed);

/// A share such as "5%" or "0.05". Throws Error for other text and for shares outside [0, 10].
double read_share(const std::string& text);

}  // namespace gt
