// gradtrack report
#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "core/check.h"
#include "core/io.h"
#include "tools/commands.h"
#include "tools/html/figures.h"
#include "tools/html/page.h"
#include "tools/outputs.h"
#include "tools/report_parts.h"
#include "tools/shell.h"

namespace gt {
namespace {

using html::escape;
using html::fixed;
using html::whole;

/// The name of a run, with its colour if there are several.
std::string label(const std::vector<Run>& runs, size_t i) {
  return (runs.size() > 1 ? html::swatch(int(i)) : "") + escape(runs[i].name);
}

std::string or_dash(const std::string& s) { return s.empty() ? "\u2013" : escape(s); }

std::string head_of(const std::vector<Run>& runs, const std::string& title) {
  std::vector<std::string> simulated;
  for (const Run& run : runs)
    if (run.simulated()) simulated.push_back(run.name);
  return page_header(title, simulated, simulated.size() == runs.size());
}

std::string results(const std::vector<Run>& runs) {
  std::string out = "<section class=\"results\">\n";
  for (size_t i = 0; i < runs.size(); ++i) {
    const Run& run = runs[i];
    out += str_cat("<div class=\"result\"><div>", label(runs, i), " <span class=\"quiet\">", escape(run.fact("recipe")),
                   "</span></div><div>", gaze_badge(run), "</div>");
    if (!run.evaluated()) {
      out += "<div class=\"value quiet\">\u2013</div>" +
             paragraph("Not evaluated yet. Evaluate with: gradtrack eval " + run.folder);
    } else {
      const Json& dice = run.eval["dice"];
      out += str_cat("<div class=\"value\">Dice ", fixed(dice["mean"], 3), " <small>\u00b1 ", fixed(dice["std"], 3),
                     "</small></div>", "<div class=\"quiet\">", whole(run.eval["images"]), " ",
                     escape(run.eval["split"].get<std::string>()), " images, mean \u00b1 standard deviation");
      if (run.eval.contains("warning")) out += "<br><strong>" + escape(run.fact("warning")) + "</strong>";
      if (run.eval.contains("untrained")) out += "; untrained " + fixed(run.eval["untrained"]["dice"]["mean"], 3);
      out += "</div>";
    }
    out += "</div>\n";
  }
  return out + "</section>\n";
}

/// Whether all runs were evaluated on one split and one number of images, so that the best can be marked.
bool comparable(const std::vector<const Run*>& evaluated) {
  return std::all_of(evaluated.begin(), evaluated.end(), [&](const Run* r) {
    return r->eval["split"] == evaluated[0]->eval["split"] && r->eval["images"] == evaluated[0]->eval["images"];
  });
}

/// Mean and deviation of a metric in an evaluation; a dash if the evaluation lacks the metric.
std::string mean_std(const Json& eval, const Metric& m, bool best) {
  if (!eval.contains(m.key)) return dash();
  return mean_std_html({eval[m.key]["mean"], eval[m.key]["std"]}, m.decimals, best);
}

/// Whether no run has a better mean of this metric.
bool is_best(const Run& run, const Metric& m, const std::vector<const Run*>& runs) {
  if (!run.has(m)) return false;
  const double mine = run.eval[m.key]["mean"];
  return std::all_of(runs.begin(), runs.end(), [&](const Run* r) {
    if (!r->has(m)) return true;
    const double other = r->eval[m.key]["mean"];
    return m.higher_is_better ? mine >= other : mine <= other;
  });
}

/// The metrics of tables: those that comparisons show, and others that one of the runs has.
std::vector<const Metric*> metrics_of_any(const std::vector<const Run*>& runs) {
  std::vector<const Metric*> metrics;
  for (const Metric& m : metric_table())
    if (m.compared || std::any_of(runs.begin(), runs.end(), [&](const Run* run) { return run->has(m); }))
      metrics.push_back(&m);
  return metrics;
}

std::string score_table(const std::vector<Run>& runs) {
  std::vector<const Run*> evaluated;
  for (const Run& run : runs)
    if (run.evaluated()) evaluated.push_back(&run);
  if (evaluated.empty()) return "";
  const bool mark_best = evaluated.size() > 1 && comparable(evaluated);
  html::Table t{{"Run", "Gaze", "Images"}, {}, 3};
  const std::vector<const Metric*> metrics = metrics_of_any(evaluated);
  for (const Metric* m : metrics) t.head_html.push_back(m->with_unit());
  for (size_t i = 0; i < runs.size(); ++i) {
    const Json& eval = runs[i].eval;
    if (!runs[i].evaluated()) continue;
    t.rows_html.push_back({label(runs, i), gaze_badge(runs[i]),
                           str_cat(whole(eval["images"]), " ", escape(eval["split"].get<std::string>()))});
    for (const Metric* m : metrics)
      t.rows_html.back().push_back(mean_std(eval, *m, mark_best && is_best(runs[i], *m, evaluated)));
    if (!eval.contains("untrained")) continue;
    t.rows_html.push_back({"<span class=\"quiet\">untrained</span>", "", ""});
    for (const Metric* m : metrics) t.rows_html.back().push_back(mean_std(eval["untrained"], *m, false));
  }
  return "<h2>Scores</h2>\n" + html::table(t) +
         str_cat("<p class=\"quiet small\">Mean \u00b1 standard deviation over images.", metric_notes(false),
                 mark_best ? " The best mean of each column is bold." : "",
                 evaluated.size() > 1 && !mark_best
                     ? " The best mean is not marked, because the runs were evaluated on different images."
                     : "",
                 "</p>\n");
}

/// One curve of every run, as series of a chart.
template <class F>
std::vector<html::Series> over(const std::vector<Run>& runs, bool marked, F&& curve) {
  std::vector<html::Series> series;
  for (size_t i = 0; i < runs.size(); ++i) {
    const Curve c = curve(runs[i]);
    series.push_back({runs[i].name, c.x, c.y, int(i), marked});
  }
  return series;
}

/// "Segmentation loss" of the term "segmentation".
std::string term_title(std::string name) {
  name[0] = char(std::toupper(uint8_t(name[0])));
  return name + " loss";
}

/// Charts of the loss of one run: the total with the terms that have no levels, then one chart per term with levels.
std::string loss_charts(const Run& run, html::Figures& figures) {
  std::vector<html::Series> losses = {{"total", run.loss.x, run.loss.y, 0}};
  std::string charts_of_levels;
  for (const LossCurves& term : run.terms) {
    if (term.levels.size() == 1) {
      losses.push_back({term.name, term.levels[0].x, term.levels[0].y, int(losses.size())});
      continue;
    }
    std::vector<html::Series> levels;
    for (size_t l = 0; l < term.levels.size(); ++l)
      levels.push_back(
          {str_cat("level ", l + 1, l == 0 ? ", coarsest" : ""), term.levels[l].x, term.levels[l].y, int(l)});
    charts_of_levels += figures(html::line_chart(term_title(term.name), {"iteration", "loss"}, levels));
  }
  return figures(html::line_chart("Training loss", {"iteration", "loss"}, losses)) + charts_of_levels;
}

/// Charts of the losses of several runs: one for the total and one for each term, averaged over its levels.
std::string loss_charts(const std::vector<Run>& runs, html::Figures& figures) {
  const html::AxisNames axes = {"iteration", "loss"};
  std::string charts =
      figures(html::line_chart("Training loss, total", axes, over(runs, false, [](const Run& r) { return r.loss; })));
  std::vector<std::string> names;
  for (const Run& run : runs)
    for (const LossCurves& term : run.terms)
      if (std::find(names.begin(), names.end(), term.name) == names.end()) names.push_back(term.name);
  for (const std::string& name : names)
    charts += figures(html::line_chart(term_title(name), axes, over(runs, false, [&](const Run& r) {
                                         const LossCurves* term = r.term(name);
                                         return term ? term->mean() : Curve();
                                       })));
  return charts;
}

std::string learning_curves(const std::vector<Run>& runs, html::Figures& figures) {
  std::string charts = runs.size() == 1 ? loss_charts(runs[0], figures) : loss_charts(runs, figures);
  charts += figures(html::line_chart("Validation Dice", {"iteration", "Dice"},
                                     over(runs, true, [](const Run& r) { return r.dice; })));
  charts += figures(html::line_chart("Learning rate", {"iteration", "learning rate"},
                                     over(runs, false, [](const Run& r) { return r.lr; })));
  std::string out = "<h2>Learning curves</h2>\n";
  out += charts.empty() ? paragraph("There is no training log (metrics.jsonl) yet.")
                        : "<div class=\"charts\">\n" + charts + "</div>\n";
  for (const Run& run : runs)
    if (!charts.empty() && run.loss.x.empty()) out += paragraph(run.name + " has no training log (metrics.jsonl).");
  return out;
}

std::string dice_plots(const std::vector<Run>& runs, html::Figures& figures) {
  std::string plots;
  for (size_t i = 0; i < runs.size(); ++i) {
    if (!runs[i].evaluated()) continue;
    std::vector<html::Dot> dots;
    for (const Json& image : runs[i].eval["per_image"]) dots.push_back({image["dice"], image["name"]});
    plots += figures(html::dot_plot(runs.size() > 1 ? runs[i].name : "Dice, one dot per image", "Dice", dots, int(i)),
                     runs.size() > 1 ? "dice of images, " + runs[i].name : "dice of images");
  }
  return plots.empty() ? "" : "<h2>Dice of each image</h2>\n<div class=\"cases\">\n" + plots + "</div>\n";
}

std::string scores_of(const Json& image) {
  std::string out;
  for (const Metric& m : metric_table())
    if (image.contains(m.key))
      out += str_cat(out.empty() ? "" : " \u00b7 ", m.name, " ", fixed(image[m.key], m.decimals), *m.unit ? " " : "",
                     m.unit);
  return out;
}

/// The headings of a panel's columns, if the evaluation contains them.
std::string columns(const Json& image) {
  if (!image.contains("panel_columns")) return "";
  std::string out;
  for (const Json& c : image["panel_columns"]) out += "<span>" + escape(c.get<std::string>()) + "</span>";
  return "<div class=\"columns\">" + out + "</div>";
}

std::string cases(const Run& run) {
  std::string out;
  for (const char* rank : {"best", "median", "worst"})
    for (const Json& image : run.eval["per_image"]) {
      if (!image.contains("panel") || image["rank"] != rank) continue;
      const std::string name = image["name"], path = run.folder + "/" + image["panel"].get<std::string>();
      out += str_cat("<figure><figcaption><span class=\"badge\">", rank, "</span> ", escape(name),
                     " <span class=\"scores\">", scores_of(image), "</span></figcaption>");
      if (path_exists(path))
        out += str_cat("<div class=\"scroll\"><div class=\"panel\">", columns(image),
                       html::picture(read_file(path), path, name + ": " + rank), "</div></div>");
      else
        out += paragraph("The picture is missing: " + path);
      out += "</figure>\n";
    }
  return out.empty() ? paragraph("The evaluation wrote no pictures.") : "<div class=\"cases\">\n" + out + "</div>\n";
}

std::string all_images(const Run& run) {
  html::Table t{{"Image"}, {}, 1};
  const std::vector<const Metric*> metrics = metrics_of_any({&run});
  for (const Metric* m : metrics) t.head_html.push_back(m->with_unit());
  std::vector<Json> images = run.eval["per_image"];
  std::stable_sort(images.begin(), images.end(),
                   [](const Json& a, const Json& b) { return a["dice"].get<double>() > b["dice"].get<double>(); });
  for (const Json& image : images) {
    t.rows_html.push_back({escape(image["name"].get<std::string>())});
    for (const Metric* m : metrics)
      t.rows_html.back().push_back(image.contains(m->key) ? fixed(image[m->key], m->decimals) : dash());
  }
  return str_cat("<details><summary>All ", images.size(), " images by Dice</summary>", html::table(t), "</details>\n");
}

std::string case_section(const std::vector<Run>& runs) {
  std::string out;
  for (size_t i = 0; i < runs.size(); ++i) {
    if (!runs[i].evaluated()) continue;
    if (runs.size() > 1) out += "<h3>" + label(runs, i) + " " + gaze_badge(runs[i]) + "</h3>\n";
    out += cases(runs[i]) + all_images(runs[i]);
  }
  if (out.empty()) return "";
  return "<h2>Best, median and worst cases</h2>\n<p class=\"quiet small\">From the left: the image; the gaze track, "
         "with disc areas by duration and colours from the first to the last fixation; its track maps; the network's "
         "attention; the prediction (blue outline) and label (yellow outline); the label. Maps and attention have "
         "four levels, coarse to fine. Columns that a run lacks are omitted. Prediction does not use gaze.</p>\n" +
         out;
}

std::string duration(double seconds) {
  const int64_t minutes = int64_t(seconds / 60 + 0.5);
  if (seconds < 90) return fixed(seconds, 0) + " s";
  return minutes < 90 ? str_cat(minutes, " min") : str_cat(minutes / 60, " h ", minutes % 60, " min");
}

std::string best_validation(const Run& run) {
  const auto best = std::max_element(run.dice.y.begin(), run.dice.y.end());
  if (best == run.dice.y.end()) return "\u2013";
  const double at = run.dice.x[size_t(best - run.dice.y.begin())];
  return str_cat(fixed(*best, 3), " <small>at iteration ", whole(at), "</small>");
}

std::string median_speed(const Run& run) {
  if (run.speed.empty()) return "\u2013";
  std::vector<double> speed = run.speed;
  const auto middle = speed.begin() + int64_t(speed.size() / 2);
  std::nth_element(speed.begin(), middle, speed.end());
  return fixed(*middle, 1);
}

std::string fact_html(const Run& run, const char* key) {
  if (!run.facts.contains(key)) return "\u2013";
  const Json& value = run.facts[key];
  return value.is_number() ? whole(value.get<double>())
                           : escape(value.is_string() ? value.get<std::string>() : value.dump());
}

std::string training_facts(const std::vector<Run>& runs) {
  const std::vector<std::pair<const char*, std::string (*)(const Run&)>> rows = {
      {"Recipe", [](const Run& r) { return or_dash(r.fact("recipe")); }},
      {"Gaze", gaze_badge},
      {"Parameters", [](const Run& r) { return fact_html(r, "parameters"); }},
      {"Training images", [](const Run& r) { return fact_html(r, "train_images"); }},
      {"of them with hand-drawn masks", [](const Run& r) { return fact_html(r, "train_masks"); }},
      {"Validation images", [](const Run& r) { return fact_html(r, "val_images"); }},
      {"Iterations", [](const Run& r) { return whole(r.iterations); }},
      {"Best validation Dice", best_validation},
      {"Time", [](const Run& r) { return duration(r.seconds); }},
      {"Images per second, median", median_speed},
      {"Device", [](const Run& r) { return fact_html(r, "device"); }},
      {"Threads", [](const Run& r) { return fact_html(r, "threads"); }},
      {"Version", [](const Run& r) { return fact_html(r, "version"); }}};
  html::Table t;
  t.left = runs.size() + 1;
  t.head_html = {""};
  for (size_t i = 0; i < runs.size(); ++i) t.head_html.push_back(label(runs, i));
  for (const auto& [name, value] : rows) {
    t.rows_html.push_back({"<span class=\"quiet\">" + escape(name) + "</span>"});
    for (const Run& run : runs) t.rows_html.back().push_back(value(run));
  }
  return "<h2>Training</h2>\n" + html::table(t);
}

std::string configurations(const std::vector<Run>& runs) {
  std::string out = "<h2>Configuration</h2>\n";
  for (size_t i = 0; i < runs.size(); ++i)
    out += str_cat("<details><summary>", label(runs, i), ": every key, resolved</summary><pre>", escape(runs[i].config),
                   "</pre></details>\n");
  return out;
}

std::string report_page(const std::vector<Run>& runs, html::Figures& figures) {
  const bool simulated = std::any_of(runs.begin(), runs.end(), [](const Run& r) { return r.simulated(); });
  const std::string title = runs.size() == 1 ? runs[0].name : str_cat(runs.size(), " runs compared");
  return html::page(document_title(title, simulated),
                    head_of(runs, title) + results(runs) + score_table(runs) + learning_curves(runs, figures) +
                        dice_plots(runs, figures) + case_section(runs) + training_facts(runs) + configurations(runs) +
                        "<footer>GradTrack " GT_VERSION "</footer>\n");
}

void report(const std::vector<std::string>& folders, const std::string& split, std::string out,
            const std::string& figures_folder, bool force) {
  std::vector<Run> runs;
  for (const std::string& folder : folders) {
    runs.push_back(read_run(folder, split));
    if (!split.empty() && !runs.back().evaluated())
      fail(folder, ": expected an evaluation on ", split,
           ", found none; make it with: ", shell_command({"eval", folder, "--split", split}));
  }
  // Runs of one name are called by their folders.
  for (size_t i = 0; i < runs.size(); ++i)
    for (size_t k = 0; k < i; ++k)
      if (runs[k].name == runs[i].name) runs[k].name = runs[k].folder, runs[i].name = runs[i].folder;
  if (out.empty())
    out = runs.size() == 1 ? (std::filesystem::path(folders[0]) / "report.html").string() : "report.html";
  const auto any = [&](const auto& is) { return std::any_of(runs.begin(), runs.end(), is); };
  html::Figures figures(figure_warning(any([](const Run& r) { return r.simulated(); }),
                                       any([](const Run& r) { return r.fact("select") == "test"; })));
  const std::string page = report_page(runs, figures);
  write_page(out, page, force);
  if (!figures_folder.empty()) figures.write(figures_folder, force);
  std::printf("written: %s\n", out.c_str());
  if (!figures_folder.empty()) std::printf("written: %zu figures in %s\n", figures.size(), figures_folder.c_str());
}

}  // namespace

void add_report_command(CLI::App& app) {
  auto* command = app.add_subcommand("report", "Write an HTML page on one run, or one that compares runs");
  auto runs = std::make_shared<std::vector<std::string>>();
  auto split = std::make_shared<std::string>(), out = std::make_shared<std::string>();
  auto figures = std::make_shared<std::string>();
  auto force = std::make_shared<bool>(false);
  command->add_option("runs", *runs, "folders of runs")->required()->type_name("RUN ...");
  command->add_option("--split", *split, "images whose scores are shown (default: test, or the only ones evaluated)");
  command->add_option("--out", *out, "page to write (default RUN/report.html for one run, report.html for several)")
      ->type_name("FILE");
  command->add_option("--figures", *figures, "folder that gets the charts as SVG files too, which stand alone")
      ->type_name("DIR");
  add_force_option(*command, *force);
  command->footer(
      "Shows scores, learning curves, the Dice of each image, example images and configurations. The page is a single\n"
      "file that loads nothing else, and it can be printed.\n\n"
      "Examples:\n  gradtrack report runs/kvasir_small\n  gradtrack report runs/full runs/gradtrack --out "
      "compare.html");
  command->callback([=] { report(*runs, *split, *out, *figures, *force); });
}

}  // namespace gt
