// The page of an experiment: report.html of `gradtrack compare` and `gradtrack ablate`.
#include <algorithm>
#include <filesystem>

#include "core/check.h"
#include "core/io.h"
#include "models/checkpoint.h"
#include "models/trainer.h"
#include "tools/comparison.h"
#include "tools/html/figures.h"
#include "tools/html/page.h"
#include "tools/panels.h"
#include "tools/report_parts.h"

namespace gt {
namespace {

using html::escape;
using html::fixed;

std::string arm_label(const Comparison& c, size_t i) { return html::swatch(int(i)) + escape(c.arm(i).name); }

/// A number with its sign, for differences.
std::string with_sign(double value, int decimals) { return str_cat(value > 0 ? "+" : "", fixed(value, decimals)); }

// ---- Scores ---------------------------------------------------------------------------------------------------------

/// Mean and deviation, or only the mean if the deviation is 0: with one seed, or if none was published.
std::string cell(const MeanStd& m, int decimals) {
  return m.std > 0 ? mean_std_html(m, decimals) : fixed(m.mean, decimals);
}

std::string score_table(const Comparison& c) {
  bool any_published = false;
  for (const Arm& arm : c.experiment.arms) any_published |= published_dice(arm).has_value();
  html::Table t{{"Arm", "Gaze", "Seeds"}, {}, 3};
  for (const Metric* m : compared_metrics()) t.head_html.push_back(m->with_unit());
  if (any_published) t.head_html.push_back("Published Dice *");
  for (size_t i = 0; i < c.runs.size(); ++i) {
    const bool has_runs = !c.runs[i].empty();
    t.rows_html.push_back({arm_label(c, i), has_runs ? gaze_badge(c.runs[i][0].run) : dash(),
                           str_cat(c.runs[i].size(), " of ", c.seeds)});
    std::vector<std::string>& row = t.rows_html.back();
    for (const Metric* m : compared_metrics())
      row.push_back(c.has(i, *m) ? cell(c.over_seeds(i, m->key), m->decimals) : dash());
    if (!any_published) continue;
    const auto p = published_dice(c.arm(i));
    row.push_back(p ? cell(*p, 3) : "");
  }
  std::string out =
      str_cat("<h2>Scores</h2>\n", html::table(t), "<p class=\"quiet small\">", c.images().size(), " images of ",
              escape(c.split), ". Each score is a mean over images: mean \u00b1 standard deviation over seeds.",
              metric_notes(true));
  for (const Arm& arm : c.experiment.arms)
    if (arm.config.train.select == "test") out += " " + escape(arm.name) + ": " + selected_on_test + ".";
  if (any_published)
    out += " * Published Dice on the test split of " + escape(c.arm(0).config.data.published) +
           ", trained on recorded gaze with the full-size protocol. Only runs with this protocol are comparable.";
  for (const std::string& note : settings_notes(c.experiment)) out += " " + escape(note) + ".";
  return out + "</p>\n";
}

// ---- Differences ----------------------------------------------------------------------------------------------------

std::string differences(const Comparison& c, html::Figures& figures) {
  std::vector<html::IntervalRow> forest;
  html::Table t{{"Difference", "Metric"}, {}, 2};
  t.head_html.insert(t.head_html.end(), {"Mean", "95 % interval", "p", "Each seed"});
  for (const ArmsDifference& pair : c.differences) {
    const std::string name = c.arm(pair.first).name + " \u2212 " + c.arm(pair.second).name;
    for (const auto& [metric, d] : pair.scores) {
      const bool dice = std::string_view(metric->key) == "dice";
      if (dice)
        forest.push_back({name, d.mean, d.interval.low, d.interval.high, int(pair.first), {}, "p " + format_p(d.p)});
      std::string seeds;
      for (const double seed : d.seeds) seeds += (seeds.empty() ? "" : ", ") + with_sign(seed, metric->decimals);
      t.rows_html.push_back(
          {dice ? escape(name) : "", escape(metric->with_unit()),
           with_sign(d.mean, metric->decimals) + (d.within_seed_spread ? " ~" : ""),
           with_sign(d.interval.low, metric->decimals) + " \u2026 " + with_sign(d.interval.high, metric->decimals),
           format_p(d.p), seeds});
    }
  }
  if (forest.empty()) return "";
  return "<h2>Differences</h2>\n" +
         figures(html::interval_plot("Difference in Dice", "difference in Dice", forest, true)) +
         "<p class=\"quiet small\">Differences are paired over seeds and images. Lines are 95 % intervals of the mean "
         "by a bootstrap over seeds and images, with one seed over images alone. p is from the same bootstrap, "
         "two-sided, not corrected for multiple tests. ~ is less than the deviation over seeds of an arm.</p>\n"
         "<details><summary>All differences</summary>" +
         html::table(t) + "</details>\n";
}

// ---- Robustness -----------------------------------------------------------------------------------------------------

/// A plot of Dice by degradation of the training gaze, for each recipe that has arms with degraded gaze.
std::string robustness(const Comparison& c, html::Figures& figures) {
  std::vector<std::string> kinds = {""};  // degradations in the order of the arms; "" is undegraded gaze
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
                        : kind.empty() ? "original gaze"
                                       : kind,
                        dice.mean, dice.mean - dice.std, dice.mean + dice.std, int(r), recipes[r]});
      }
  if (recipes.empty()) return "";
  return "<h2>Degraded gaze</h2>\n" +
         figures(html::interval_plot("Dice after training on degraded gaze", "Dice", rows, false)) +
         "<p class=\"quiet small\">Mean \u00b1 standard deviation over seeds. Noise: Gaussian noise on the position "
         "of each fixation; its standard deviation in x and y is given as a share of the image's side. Offset: all "
         "fixations are moved by this share in one direction, as by a calibration error. Half lost: a random half of "
         "each track's fixations is removed. All arms are evaluated on one list of images, and prediction needs no "
         "gaze.</p>\n";
}

// ---- Hours of annotation
// ---------------------------------------------------------------------------------------------

/// Dice by the hours that the annotations of each arm take; "" if that is not the question.
std::string annotation_curve(const Comparison& c, html::Figures& figures) {
  std::vector<html::Series> series;
  std::vector<size_t> arms(c.runs.size());
  for (size_t i = 0; i < arms.size(); ++i) arms[i] = i;
  std::stable_sort(arms.begin(), arms.end(), [&](size_t a, size_t b) { return c.arm(a).hours < c.arm(b).hours; });
  html::Table t{{"Arm", "Annotation", "Hours", "Dice"}, {}, 2};
  for (const size_t i : arms) {
    const Arm& arm = c.arm(i);
    if (arm.hours == 0 || c.runs[i].empty()) continue;
    auto at = std::find_if(series.begin(), series.end(), [&](const auto& s) { return s.name == arm.annotation; });
    if (at == series.end()) at = series.insert(at, {arm.annotation, {}, {}, int(series.size()), true});
    at->x.push_back(arm.hours);
    at->y.push_back(c.over_seeds(i, "dice").mean);
    t.rows_html.push_back(
        {arm_label(c, i), escape(arm.annotation), fixed(arm.hours, 2), cell(c.over_seeds(i, "dice"), 3)});
  }
  if (series.empty()) return "";
  return "<h2>What a physician's time is worth</h2>\n" +
         figures(html::line_chart("Dice by hours of annotation", {"hours", "Dice"}, series)) + html::table(t) +
         "<p class=\"quiet small\">Hours are those of looking and drawing, from the times of one image. Gaze cut to "
         "its "
         "first seconds is counted with these seconds.</p>\n";
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

std::string learning_curves(const Comparison& c, html::Figures& figures) {
  const auto dice = over_arms(c, true, [](const Run& r) { return r.dice; });
  const auto loss = over_arms(c, false, [](const Run& r) {
    const LossCurves* term = r.term("segmentation");
    return term ? term->mean() : Curve();
  });
  const std::string charts = figures(html::line_chart("Validation Dice", {"iteration", "Dice"}, dice)) +
                             figures(html::line_chart("Segmentation loss", {"iteration", "loss"}, loss));
  if (charts.empty()) return "";
  return "<h2>Learning curves</h2>\n<div class=\"charts\">\n" + charts +
         "</div>\n<p class=\"quiet small\">Means over seeds. Segmentation losses of different recipes have different "
         "targets and are not comparable.</p>\n";
}

// ---- Example images -------------------------------------------------------------------------------------------------

/// An image that is shown, and why.
struct Case {
  size_t image;
  std::string rank;
};

/// Chooses images by the Dice of each arm: the best, median and worst of the first arm, then at most 3 on which the
/// arms differ most.
std::vector<Case> choose_cases(const std::vector<std::vector<double>>& dice) {
  constexpr size_t max_different = 3;
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
  for (size_t k = 0; k < std::min(max_different, spread.size()); ++k)
    cases.push_back({spread[k].second, "largest difference"});
  return cases;
}

/// One picture per case, with the image, its label and the prediction of each run side by side.
std::vector<Image> draw_cases(const std::vector<Case>& cases, const std::vector<const Run*>& runs,
                              const std::string& split, Device device) {
  std::vector<std::vector<Image>> rows(cases.size());
  for (size_t r = 0; r < runs.size(); ++r) {
    const LoadedModel loaded = load_model(runs[r]->folder, device);
    const Dataset dataset = load_dataset(loaded.config.data, split, {.labels = true});
    for (size_t k = 0; k < cases.size(); ++k) {
      const Sample& sample = dataset.samples[cases[k].image];
      if (r == 0) rows[k] = {image_tile(sample), to_rgb(label_tile(sample))};
      rows[k].push_back(prediction_tile(sample, predict_view(*loaded.model, loaded.config.data, sample.image).mask));
    }
  }
  std::vector<Image> pictures;
  for (const std::vector<Image>& row : rows) pictures.push_back(side_by_side(row, 6));
  return pictures;
}

std::string example_images(const Comparison& c, const std::string& folder, Device device) {
  std::vector<size_t> arms;
  std::vector<const Run*> runs;
  std::vector<std::vector<double>> dice;  // of these runs
  std::string columns = "<span>image</span><span>label</span>";
  for (size_t i = 0; i < c.runs.size(); ++i) {
    if (c.runs[i].empty() || !c.arm(i).degradation.empty()) continue;
    arms.push_back(i);
    runs.push_back(&c.runs[i][0].run);
    dice.push_back(scores_per_image(*runs.back(), "dice"));
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
  return str_cat(
      "<h2>Predictions of every arm</h2>\n<p class=\"quiet small\">The best, median and worst image of ",
      escape(c.arm(arms[0]).name),
      ", then the images on which the arms differ most. The first run of each arm predicts. ",
      "Predictions are tinted and outlined in blue, labels are outlined in yellow.</p>\n<div class=\"cases\">\n", out,
      "</div>\n");
}

// ---- Runs -----------------------------------------------------------------------------------------------------------

std::string runs_table(const Comparison& c, const std::string& folder) {
  html::Table t{{"Run", "Report"}, {}, 2};
  for (const Metric* m : compared_metrics()) t.head_html.push_back(m->with_unit());
  t.head_html.push_back("Best iteration");
  for (size_t i = 0; i < c.runs.size(); ++i)
    for (const SeedRun& r : c.runs[i]) {
      const std::string link = std::filesystem::path(r.run.folder).lexically_relative(folder).string();
      t.rows_html.push_back({arm_label(c, i) + str_cat(", seed ", r.seed),
                             "<a href=\"" + escape(link) + "/report.html\">" + escape(link) + "</a>"});
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
  const bool on_test = std::any_of(c.experiment.arms.begin(), c.experiment.arms.end(),
                                   [](const Arm& arm) { return arm.config.train.select == "test"; });
  html::Figures figures(figure_warning(!simulated.empty(), on_test));
  const std::string body = page_header(title, simulated, simulated.size() == arms) + score_table(c) +
                           differences(c, figures) + annotation_curve(c, figures) + robustness(c, figures) +
                           learning_curves(c, figures) + example_images(c, folder, device) + runs_table(c, folder) +
                           "<footer>GradTrack " GT_VERSION "</footer>\n";
  if (figures.size() > 0) figures.write(folder + "/figures", false);
  return html::page(document_title(title, !simulated.empty()), body);
}

}  // namespace gt
