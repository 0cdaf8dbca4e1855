#include "models/run_log.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <functional>
#include <limits>
#include <map>

#include "core/csv.h"
#include "core/io.h"
#include "core/random.h"
#include "models/checkpoint.h"

namespace gt {
namespace {

constexpr int64_t max_iterations = 1'000'000'000;  // the largest train.iterations

/// Calls f(line, entry) for the lines of a log that end with a line break.
void for_each_line(const std::string& path, const std::function<void(const std::string& line, const Json& entry)>& f) {
  const std::string all = read_file(path);
  int64_t number = 0;
  for (size_t begin = 0, end; (end = all.find('\n', begin)) != all.npos; begin = end + 1) {
    const std::string line = all.substr(begin, end - begin);
    f(line, parse_json(line, str_cat(path, ":", ++number)));
  }
}

int64_t iteration_of(const Json& entry, const std::string& path) {
  return entry.contains("iteration") ? json_integer(entry, "iteration", path, 0, max_iterations) : 0;
}

}  // namespace

void LossSums::add(const StepLosses& losses) {
  ++count;
  sum.total += losses.total;
  sum.gradient_norm += losses.gradient_norm;
  sum.terms.resize(losses.terms.size());
  for (size_t i = 0; i < sum.terms.size(); ++i) sum.terms[i] += losses.terms[i];
}

StepLosses LossSums::mean() const {
  StepLosses mean = sum;
  mean.total /= double(count);
  mean.gradient_norm /= double(count);
  for (double& term : mean.terms) term /= double(count);
  return mean;
}

std::string counters_text(const RunCounters& c) {
  Json json = {{"iteration", c.iteration}, {"best_dice", c.best_dice}, {"seconds", 0}};
  if (c.validation_due) json["validation_due"] = 1;
  if (c.losses.count > 0)
    json["losses"] = {{"count", c.losses.count}, {"total", c.losses.sum.total}, {"terms", c.losses.sum.terms}};
  if (c.losses.sum.gradient_norm > 0) json["losses"]["gradient_norm"] = c.losses.sum.gradient_norm;
  return json.dump();
}

RunCounters read_counters(const SafeTensors& checkpoint, const std::string& path, const TrainOptions& train) {
  const std::string where = path + ": counters";
  const Json json = parse_json(metadata_entry(checkpoint, "counters", path), where);
  RunCounters c;
  c.iteration = json_integer(json, "iteration", where, 0, train.iterations);
  c.best_dice = json_number(json, "best_dice", where, -1, 1);
  c.validation_due = json.contains("validation_due") && json_integer(json, "validation_due", where, 0, 1) == 1;
  if (!json.contains("losses")) return c;
  const Json& losses = json_object(json, "losses", where);
  c.losses.count = json_integer(losses, "count", where, 1, train.log_every);
  c.losses.sum.total = json_number(losses, "total", where);
  if (losses.contains("gradient_norm"))
    c.losses.sum.gradient_norm = json_number(losses, "gradient_norm", where, 0, std::numeric_limits<double>::max());
  for (const Json& term : json_list(losses, "terms", where)) {
    if (!term.is_number()) fail(where, ": expected numbers under 'terms'");
    c.losses.sum.terms.push_back(term.get<double>());
  }
  return c;
}

std::string files_text(const FileDigests& files) {
  if (files.size() > 10'000)
    return dump_json({{"file_count", files.size()}, {"digest", std::to_string(hash64(files.text()))}});
  Json list = Json::array();
  files.each([&](std::string_view path, std::string_view digest) { list.push_back({path, digest}); });
  return dump_json({{"files", list}});
}

std::string first_data_difference(const std::string& then, const std::string& now, const std::string& where) {
  if (then == now) return "";
  const auto files_of = [](const Json& json, const std::string& place) {
    FileDigests files;
    try {
      for (const Json& file : json_list(json, "files", place))
        files.add(file.at(0).get<std::string>(), file.at(1).get<std::string>());
    } catch (const nlohmann::detail::exception&) {
      fail(place, ": expected pairs of strings under 'files'");
    }
    return files;
  };
  const Json before = parse_json(then, where), after = parse_json(now, "data");
  if (!before.contains("digest") && !after.contains("digest"))
    return first_file_difference(files_of(before, where), files_of(after, "data"));
  // Earlier versions listed all files, however many.
  const bool listed = !before.contains("digest") && files_text(files_of(before, where)) == now;
  return listed ? "" : "these are other files";
}

MetricsLog::MetricsLog(const std::string& path) : path_(path) {
  write_file(path, "");
  open();
}

MetricsLog::MetricsLog(const std::string& path, const RunCounters& counters, const TrainOptions& train) : path_(path) {
  std::string kept;
  int64_t logged = 0;
  for_each_line(path, [&](const std::string& line, const Json& entry) {
    const int64_t at = iteration_of(entry, path);
    if (at > counters.iteration || (entry.contains("val") && counters.repeats(at))) return;
    if (entry.contains("loss")) logged = at;
    if (entry.contains("seconds")) seconds_before_ = json_number(entry, "seconds", path, 0, 1e12);
    kept += line + "\n";
  });
  const bool last = counters.iteration == train.iterations;
  const int64_t expected = last ? counters.iteration : counters.iteration - counters.iteration % train.log_every;
  if (logged != expected)
    fail(path, ": expected losses up to iteration ", expected, ", which last.safetensors has, found up to ", logged);
  if (kept != read_file(path)) write_file(path, kept);
  open();
}

MetricsLog::~MetricsLog() { ::close(file_); }

void MetricsLog::open() {
  file_ = ::open(path_.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
  if (file_ < 0) fail(path_, ": cannot write: ", std::strerror(errno));
}

void MetricsLog::add(const Json& entry) { write_all(file_, dump_json(entry) + "\n", path_); }

void MetricsLog::sync() { sync_file(file_, path_); }

std::string metrics_csv(const std::string& path) {
  std::vector<std::string> columns;
  std::vector<std::map<std::string, std::string>> rows;
  for_each_line(path, [&](const std::string&, const Json& entry) {
    if (!entry.contains("iteration")) return;
    auto& row = rows.emplace_back();
    const auto add = [&](const std::string& column, const Json& value) {
      if (!value.is_number()) return;
      if (std::find(columns.begin(), columns.end(), column) == columns.end()) columns.push_back(column);
      row[column] = value.dump();
    };
    for (const auto& [key, value] : entry.items()) {
      add(key, value);
      if (value.is_object())
        for (const auto& [name, inner] : value.items()) add(key + "." + name, inner);
    }
  });
  std::string table = csv_row(columns);
  for (auto& row : rows) {
    std::vector<std::string> fields;
    for (const std::string& column : columns) fields.push_back(row[column]);
    table += csv_row(fields);
  }
  return table;
}

int64_t logged_iterations(const std::string& path) {
  int64_t logged = 0;
  if (path_exists(path))
    for_each_line(path,
                  [&](const std::string&, const Json& entry) { logged = std::max(logged, iteration_of(entry, path)); });
  return logged;
}

}  // namespace gt
