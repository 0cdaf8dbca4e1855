#include "tools/scores.h"

#include <cmath>
#include <cstdio>

#include "core/csv.h"
#include "core/io.h"

namespace gt {

Json summary_json(const std::vector<ImageScores>& scores) {
  Json all;
  for (const Metric* m : known_metrics(scores)) {
    const MeanStd s = summarize_scores(scores, *m);
    all[m->key] = {{"mean", s.mean}, {"std", s.std}};
  }
  return all;
}

Json per_image_json(const std::vector<ImageScores>& scores) {
  Json all = Json::array();
  for (const ImageScores& s : scores) {
    all.push_back({{"name", s.name}});
    for (const Metric& m : metric_table())
      if (const double value = s.scores.at(m.key); !std::isnan(value)) all.back()[m.key] = value;
  }
  return all;
}

std::string scores_csv(const std::vector<ImageScores>& scores) {
  std::vector<std::string> row = {"name"};
  for (const Metric& m : metric_table()) row.emplace_back(m.key);
  std::string table = csv_row(row);
  for (const ImageScores& s : scores) {
    row = {s.name};
    for (const Metric& m : metric_table()) row.push_back(csv_number(s.scores.at(m.key)));
    table += csv_row(row);
  }
  return table;
}

void print_summary(const char* title, const Json& summary) {
  std::printf("%-16s %10s %10s\n", title, "mean", "std");
  for (const Metric& m : metric_table()) {
    if (!summary.contains(m.key)) continue;
    const int decimals = m.decimals + 1;
    std::printf("%-16s %10.*f %10.*f  %s\n", m.key, decimals, summary[m.key]["mean"].get<double>(), decimals,
                summary[m.key]["std"].get<double>(), m.unit);
  }
}

void write_evaluation(const std::string& path, const Json& evaluation, const std::vector<ImageScores>& scores) {
  const std::string csv = path.substr(0, path.rfind('.')) + ".csv";
  write_file(csv, scores_csv(scores));
  write_file(path, dump_json(evaluation, 1) + "\n");
  std::printf("written: %s, %s\n", path.c_str(), csv.c_str());
}

}  // namespace gt
