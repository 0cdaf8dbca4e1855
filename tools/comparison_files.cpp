// The tables of an experiment as files: scores.csv and table.tex.

#include "core/check.h"
#include "core/csv.h"
#include "tools/comparison.h"
#include "tools/text_table.h"

namespace gt {
namespace {

/// `text` with the characters that LaTeX treats specially escaped.
std::string latex(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\')
      out += "\\textbackslash{}";
    else if (c == '~' || c == '^')
      out += std::string("\\") + c + "{}";
    else
      out += std::string("#$%&_{}").find(c) != std::string::npos ? std::string("\\") + c : std::string(1, c);
  }
  return out;
}

}  // namespace

std::string comparison_csv(const Comparison& c) {
  std::vector<std::string> head = {"arm", "seed", "image"};
  for (const Metric& m : metric_table()) head.emplace_back(m.key);
  std::string out = csv_row(head);
  const std::vector<std::string> images = c.images();
  for (size_t arm = 0; arm < c.runs.size(); ++arm)
    for (const SeedRun& r : c.runs[arm]) {
      const Json& per_image = r.run.eval["per_image"];
      for (size_t i = 0; i < images.size(); ++i) {
        std::vector<std::string> row = {c.arm(arm).name, str_cat(r.seed), images[i]};
        for (const Metric& m : metric_table())
          row.push_back(per_image[i].contains(m.key) ? per_image[i][m.key].dump() : std::string());
        out += csv_row(row);
      }
    }
  return out;
}

std::string comparison_latex(const Comparison& c) {
  const std::vector<const Metric*> metrics = compared_metrics();
  std::string out = str_cat("% ", c.command, "\n");
  for (const std::string& note : settings_notes(c.experiment)) out += str_cat("% ", note, "\n");
  out += str_cat("\\begin{tabular}{l", std::string(metrics.size() + 1, 'r'), "}\n\\toprule\nArm & Seeds");
  for (const Metric* m : metrics) out += " & " + latex(m->with_unit());
  out += " \\\\\n\\midrule\n";
  for (size_t arm = 0; arm < c.runs.size(); ++arm) {
    out += str_cat(latex(c.arm(arm).name), " & ", c.runs[arm].size());
    for (const Metric* m : metrics) {
      out += " & ";
      if (!c.has(arm, *m)) continue;
      const MeanStd score = c.over_seeds(arm, m->key);
      out += "$" + number_text(score.mean, m->decimals);
      if (score.std > 0) out += " \\pm " + number_text(score.std, m->decimals);
      out += "$";
    }
    out += " \\\\\n";
  }
  out +=
      "\\bottomrule\n\\end{tabular}\n\n\\begin{tabular}{lrrr}\n\\toprule\nDifference in Dice & Mean & 95\\,\\% "
      "interval & "
      "$p$ \\\\\n\\midrule\n";
  for (const ArmsDifference& pair : c.differences)
    for (const auto& [metric, d] : pair.scores) {
      if (std::string_view(metric->key) != "dice") continue;
      out += str_cat(latex(c.arm(pair.first).name), " $-$ ", latex(c.arm(pair.second).name), " & $",
                     number_text(d.mean, metric->decimals, true), "$ & $",
                     number_text(d.interval.low, metric->decimals, true), "$ to $",
                     number_text(d.interval.high, metric->decimals, true), "$ & ", format_p(d.p), " \\\\\n");
    }
  return out + "\\bottomrule\n\\end{tabular}\n";
}

}  // namespace gt
