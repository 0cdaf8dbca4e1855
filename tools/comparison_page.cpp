// The report of an experiment as one HTML page.
#include <algorithm>
#include <filesystem>

#include "core/check.h"
#include "core/io.h"
#include "models/checkpoint.h"
#include "tools/comparison.h"
#include "tools/html/charts.h"
#include "tools/html/page.h"
#include "tools/panels.h"
#include "tools/report_parts.h"

namespace gt {
namespace {

using html::escape;
using html::fixed;

std::string arm_label(const Comparison& c, size_t i) { return html::swatch(int(i)) + escape(c.arm(i).name); }

/// A difference's number with its sign.
std::string with_sign(double value, int decimals) { return str_cat(value > 0 ? "+" : "", fixed(value, decimals)); }

// ---- Scores ---------------------------------------------------------------------------------------------------------

/// The mean alone where there is no deviation: of one seed, or where none was published.
std::string cell(const MeanStd& m, int decimals) {
  return m.std > 0 ? mean_std_html(m, decimals) : fixed(m.mean, decimals);
}

std::string score_table(const Comparison& c) {
  bool any_published = false;
  for (const Arm& arm : c.experiment.arms) any_published |= published(arm) != nullptr;
  html::Table t{{"Arm", "Gaze", "Seeds"}, {}, 3};
  for (const Metric* m : compared_metrics()) t.head_html.push_back(m->with_unit());
  if (any_published) t.head_html.insert(t.head_html.end(), {"Kvasir-SEG *", "NCI-ISBI *"});
  for (size_t i = 0; i < c.runs.size(); ++i) {
    const bool there = !c.runs[i].empty();
    t.rows_html.push_back(
        {arm_label(c, i), there ? gaze_badge(c.runs[i][0].run) : dash(), str_cat(c.runs[i].size(), " of ", c.seeds)});
    std::vector<std::string>& row = t.rows_html.back();
    for (const Metric* m : compared_metrics())
      row.push_back(c.has(i, *m) ? cell(c.over_seeds(i, m->key), m->decimals) : dash());
    if (!any_published) continue;
    const PublishedDice* p = published(c.arm(i));
    row.insert(row.end(), {p ? cell(p->kvasir_seg, 3) : "", p ? cell(p->nci_isbi, 3) : ""});
  }
  std::string out = str_cat("<h2>Scores</h2>\n", html::table(t), "<p class=\"quiet small\">", c.images().size(),
                            " images of ", escape(c.split),
                            ": mean over images, then mean \u00b1 standard deviation over seeds.", metric_notes(true));
  if (any_published)
    out +=
        " * Published: Dice on the test splits of those data sets, trained on recorded gaze by the full-size protocol; "
        "it compares only with runs of the same kind.";
  return out + "</p>\n";
}

// ---- Differences ----------------------------------------------------------------------------------------------------

std::string differences(const Comparison& c) {
  std::vector<html::IntervalRow> forest;
  html::Table t{{"Difference", "Metric"}, {}, 2};
  t.head_html.insert(t.head_html.end(), {"Mean", "95 % interval", "p"});
  for (const ArmsDifference& pair : c.differences) {
    const std::string name = c.arm(pair.first).name + " \u2212 " + c.arm(pair.second).name;
    for (const auto& [metric, d] : pair.scores) {
      const bool dice = std::string_view(metric->key) == "dice";
      if (dice)
        forest.push_back({name, d.mean, d.interval.low, d.interval.high, int(pair.first), {}, "p " + p_text(d.p)});
      t.rows_html.push_back(
          {dice ? escape(name) : "", escape(metric->with_unit()), with_sign(d.mean, metric->decimals),
           with_sign(d.interval.low, metric->decimals) + " \u2026 " + with_sign(d.interval.high, metric->decimals),
           p_text(d.p)});
    }
  }
  if (forest.empty()) return "";
  return "<h2>Differences</h2>\n" + html::interval_plot("Difference in Dice", "Dice", forest, true) +
         "<p class=\"quiet small\">Paired over images, each image's score being its mean over seeds. Lines are 95 % "
         "intervals of the mean by the percentile bootstrap; p is of Wilcoxon's signed-rank test, two-sided, not "
         "corrected "
         "for how many there are. They tell how sure the difference is on other images like these, for these "
         "trainings.</p>\n"
         "<details><summary>All differences</summary>" +
         html::table(t) + "</details>\n";
}

// ---- Robustness -----------------------------------------------------------------------------------------------------

/// Dice against what was done to the gaze that trains, for every recipe of which there are arms with worse gaze.
std::string robustness(const Comparison& c) {
  std::vector<std::string> kinds = {""};  // in the order of the arms; first gaze as it is
  std::vector<std::string> recipes;
  const auto add = [](std::vector<std::string>& list, const std::string& word) {
    if (std::find(list.begin(), list.end(), word) == list.end()) list.push_back(word);
  };
  for (const Arm& arm : c.experiment.arms) {
    if (arm.degradation.empty()) continue;
    add(kinds, arm.degradation);
    add(recipes, arm.config.recipe);
  }
  std::vector<html::IntervalRow> rows;
  for (const std::string& kind : kinds)
    for (size_t r = 0; r < recipes.size(); ++r)
      for (size_t i = 0; i < c.runs.size(); ++i) {
        const Arm& arm = c.arm(i);
        if (arm.degradation != kind || arm.config.recipe != recipes[r] || c.runs[i].empty()) continue;
        const MeanStd dice = c.over_seeds(i, "dice");
        rows.push_back({r > 0          ? ""
                        : kind.empty() ? "gaze as it is"
                                       : kind,
                        dice.mean, dice.mean - dice.std, dice.mean + dice.std, int(r), recipes[r]});
      }
  if (recipes.empty()) return "";
  return "<h2>Worse gaze</h2>\n" + html::interval_plot("Dice when trained on worse gaze", "Dice", rows, false) +
         "<p class=\"quiet small\">Mean \u00b1 standard deviation over seeds. Noise: Gaussian, of each fixation's "
         "place, "
         "standard deviation in x and in y as a share of the image's side. Offset: all fixations moved by this share "
         "in one "
         "direction, as by a calibration error. Half lost: half of each track's fixations, drawn at random. The images "
         "that are predicted are the same, and need no gaze.</p>\n";
}

// ---- Learning curves ------------------------------------------------------------------------------------------------

template <class F>
std::vector<html::Series> over_arms(const Comparison& c, bool marked, F&& curve) {
  std::vector<html::Series> series;
  for (size_t i = 0; i < c.runs.size(); ++i) {
    std::vector<Curve> curves;
    for (const SeedRun& r : c.runs[i]) curves.push_back(curve(r.run));
    const Curve mean = mean_curve(curves);
    series.push_back({c.arm(i).name, mean.x, mean.y, int(i), marked});
  }
  return series;
}

std::string learning_curves(const Comparison& c) {
  const char* x = "iteration";
  const std::string charts =
      html::line_chart("Validation Dice", x, over_arms(c, true, [](const Run& r) { return r.dice; })) +
      html::line_chart("Segmentation loss", x, over_arms(c, false, [](const Run& r) {
                         const LossCurves* term = r.term("segmentation");
                         return term ? term->mean() : Curve();
                       }));
  if (charts.empty()) return "";
  return "<h2>Learning curves</h2>\n<div class=\"charts\">\n" + charts +
         "</div>\n<p class=\"quiet small\">Means over seeds. The segmentation losses of different recipes are against "
         "different targets, and do not compare.</p>\n";
}

// ---- The same cases -------------------------------------------------------------------------------------------------

struct Case {
  size_t image;
  std::string rank;
};

/// Of the arms' scores, those of the images by the first arm's rank, and those on which the arms differ most.
std::vector<Case> choose_cases(const std::vector<std::vector<double>>& dice) {
  constexpr size_t most = 3;
  std::vector<Case> cases;
  for (const auto& [image, rank] : cases_to_show(dice[0], 1)) cases.push_back({image, rank});
  std::vector<std::pair<double, size_t>> spread;
  for (size_t k = 0; k < dice[0].size(); ++k) {
    double lo = 1, hi = 0;
    for (const auto& of_arm : dice) {
      lo = std::min(lo, of_arm[k]);
      hi = std::max(hi, of_arm[k]);
    }
    const bool chosen = std::any_of(cases.begin(), cases.end(), [&](const Case& c) { return c.image == k; });
    if (!chosen && hi > lo) spread.emplace_back(lo - hi, k);
  }
  std::sort(spread.begin(), spread.end());
  for (size_t k = 0; k < std::min(most, spread.size()); ++k) cases.push_back({spread[k].second, "largest difference"});
  return cases;
}

/// A picture of each case: the image, its label, the prediction of each run.
std::vector<Image> draw_cases(const std::vector<Case>& cases, const std::vector<const Run*>& runs,
                              const std::string& split, Device device) {
  std::vector<std::vector<Image>> rows(cases.size());
  for (size_t r = 0; r < runs.size(); ++r) {
    const LoadedModel loaded = load_model(runs[r]->folder, device);
    const Dataset dataset = load_dataset(loaded.config.data, split, {.labels = true});
    for (size_t k = 0; k < cases.size(); ++k) {
      const Sample& sample = dataset.samples[cases[k].image];
      if (r == 0) rows[k] = {image_tile(sample), to_rgb(label_tile(sample))};
      rows[k].push_back(prediction_tile(sample, view(*loaded.model, loaded.config.data, sample.image).mask));
    }
  }
  std::vector<Image> pictures;
  for (const std::vector<Image>& row : rows) pictures.push_back(side_by_side(row, 6));
  return pictures;
}

std::string same_cases(const Comparison& c, const std::string& folder, Device device) {
  std::vector<size_t> arms;
  std::vector<const Run*> runs;
  std::vector<std::vector<double>> dice;  // of those runs
  std::string columns = "<span>image</span><span>label</span>";
  for (size_t i = 0; i < c.runs.size(); ++i) {
    if (c.runs[i].empty() || !c.arm(i).degradation.empty()) continue;
    arms.push_back(i);
    runs.push_back(&c.runs[i][0].run);
    dice.push_back(per_image(*runs.back(), "dice"));
    columns += "<span>" + escape(c.arm(i).name) + "</span>";
  }
  if (runs.empty()) return "";
  const std::vector<Case> cases = choose_cases(dice);
  const std::vector<Image> pictures = draw_cases(cases, runs, c.split, device);
  make_folder(folder + "/cases");
  std::string out;
  for (size_t k = 0; k < cases.size(); ++k) {
    const std::string name = c.images()[cases[k].image], path = folder + "/cases/" + name + ".png";
    write_png(path, pictures[k]);
    std::string numbers;
    for (size_t a = 0; a < arms.size(); ++a)
      numbers +=
          str_cat(a > 0 ? " \u00b7 " : "Dice ", escape(c.arm(arms[a]).name), " ", fixed(dice[a][cases[k].image], 3));
    out += str_cat("<figure><figcaption><span class=\"badge\">", cases[k].rank, "</span> ", escape(name),
                   " <span class=\"scores\">", numbers,
                   "</span></figcaption><div class=\"scroll\"><div class=\"panel\">", "<div class=\"columns\">",
                   columns, "</div>", html::picture(read_file(path), path, name), "</div></div>", "</figure>\n");
  }
  return str_cat("<h2>The same cases by every arm</h2>\n<p class=\"quiet small\">Best, median and worst image of ",
                 escape(c.arm(arms[0]).name), ", then those on which the arms differ most; the first run of each arm. ",
                 "Predictions are tinted and outlined in blue, labels outlined in yellow.</p>\n<div class=\"cases\">\n",
                 out, "</div>\n");
}

// ---- Runs -----------------------------------------------------------------------------------------------------------

std::string runs_table(const Comparison& c, const std::string& folder) {
  html::Table t{{"Run", "Report"}, {}, 2};
  for (const Metric* m : compared_metrics()) t.head_html.push_back(m->with_unit());
  t.head_html.push_back("Best iteration");
  for (size_t i = 0; i < c.runs.size(); ++i)
    for (const SeedRun& r : c.runs[i]) {
      const std::string place = std::filesystem::path(r.run.folder).lexically_relative(folder).string();
      t.rows_html.push_back({arm_label(c, i) + str_cat(", seed ", r.seed),
                             "<a href=\"" + escape(place) + "/report.html\">" + escape(place) + "</a>"});
      for (const Metric* m : compared_metrics())
        t.rows_html.back().push_back(r.run.has(*m) ? fixed(r.run.eval[m->key]["mean"], m->decimals) : dash());
      const auto best = std::max_element(r.run.dice.y.begin(), r.run.dice.y.end());
      t.rows_html.back().push_back(
          best == r.run.dice.y.end() ? dash() : html::whole(r.run.dice.x[size_t(best - r.run.dice.y.begin())]));
    }
  std::string out = "<h2>Runs</h2>\n" + html::table(t);
  for (const auto& [run, why] : c.failures) out += paragraph(run + " failed: " + why);
  std::string commands;
  for (const auto& of_arm : c.runs)
    for (const SeedRun& r : of_arm) commands += escape(r.command) + "\n";
  return out + "<details><summary>Commands</summary><pre>" + escape(c.command) + "\n\n" + commands +
         "</pre></details>\n";
}

}  // namespace

std::string comparison_page(const Comparison& c, const std::string& folder, Device device) {
  std::vector<std::string> simulated;
  size_t arms = 0;
  for (size_t i = 0; i < c.runs.size(); ++i) {
    arms += !c.runs[i].empty();
    if (c.simulated(i)) simulated.push_back(c.arm(i).name);
  }
  const std::string title =
      std::filesystem::path(c.experiment.base.path).stem().string() + str_cat(": ", arms, " arms compared");
  return html::page(document_title(title, !simulated.empty()),
                    heading(title, simulated, simulated.size() == arms) + score_table(c) + differences(c) +
                        robustness(c) + learning_curves(c) + same_cases(c, folder, device) + runs_table(c, folder) +
                        "<footer>GradTrack " GT_VERSION "</footer>\n");
}

}  // namespace gt
