#include "tools/run_folder.h"

#include <algorithm>
#include <filesystem>
#include <set>

#include "core/io.h"

namespace gt {
namespace {

// ---- Reading --------------------------------------------------------------------------------------------------------

/// Adds a value to the term NAME or to a level of it, NAME_<level>.
void add_term(Run& run, const std::string& name, double at, double value) {
  const size_t bar = name.rfind('_');
  size_t level = 1;
  std::string stem = name;
  if (bar != name.npos && bar + 2 == name.size() && name[bar + 1] >= '1' && name[bar + 1] <= '9') {
    level = size_t(name[bar + 1] - '0');
    stem = name.substr(0, bar);
  }
  auto term = std::find_if(run.terms.begin(), run.terms.end(), [&](const LossCurves& t) { return t.name == stem; });
  if (term == run.terms.end()) term = run.terms.insert(term, {stem, {}});
  if (term->levels.size() < level) term->levels.resize(level);
  term->levels[level - 1].add(at, value);
}

void read_line(Run& run, const Json& line, const std::string& where) {
  if (line.contains("run")) {
    run.facts = json_object(line, "run", where);
    return;
  }
  const double at = json_number(line, "iteration", where);
  run.iterations = std::max(run.iterations, at);
  run.seconds = std::max(run.seconds, json_number(line, "seconds", where));
  if (line.contains("val")) {
    run.dice.add(at, json_number(json_object(line, "val", where), "dice", where));
    return;
  }
  run.loss.add(at, json_number(line, "loss", where));
  run.lr.add(at, json_number(line, "lr", where));
  run.speed.push_back(json_number(line, "images_per_s", where));
  if (!line.contains("terms")) {  // a log of version 0.1
    add_term(run, "segmentation", at, json_number(line, "seg", where));
    const Json& levels = json_list(line, "track", where);
    for (size_t l = 0; l < levels.size(); ++l) {
      if (!levels[l].is_number()) fail(where, ": expected numbers in 'track'");
      add_term(run, str_cat("track_", l + 1), at, levels[l].get<double>());
    }
    return;
  }
  for (const auto& [name, value] : json_object(line, "terms", where).items()) {
    if (!value.is_number()) fail(where, ": expected a number for the loss term '", name, "'");
    add_term(run, name, at, value.get<double>());
  }
}

void read_metrics(Run& run, const std::string& path) {
  const std::string all = read_file(path);
  size_t count = 0;
  for (size_t begin = 0, end; begin < all.size(); begin = end + 1) {
    end = std::min(all.find('\n', begin), all.size());
    const std::string where = str_cat(path, ":", ++count);
    try {
      read_line(run, parse_json(std::string_view(all).substr(begin, end - begin), where), where);
    } catch (const Error&) {
      if (end < all.size()) throw;  // a killed run can leave an incomplete last line
    }
  }
}

/// The metrics in an evaluation, and Dice, which must be in it.
std::vector<const Metric*> metrics_in(const Json& eval) {
  std::vector<const Metric*> metrics;
  for (const Metric& m : metric_table())
    if (eval.contains(m.key) || std::string_view(m.key) == "dice") metrics.push_back(&m);
  return metrics;
}

void check_scores(const Json& json, const std::vector<const Metric*>& metrics, const std::string& where) {
  for (const Metric* m : metrics) {
    const Json& both = json_object(json, m->key, where);
    json_number(both, "mean", str_cat(where, ": ", m->key));
    json_number(both, "std", str_cat(where, ": ", m->key));
  }
}

Json read_eval(const std::string& path) {
  const Json eval = parse_json(read_file(path), path);
  const std::vector<const Metric*> metrics = metrics_in(eval);
  check_scores(eval, metrics, path);
  const std::string split = json_string(eval, "split", path);
  const std::string name = std::filesystem::path(path).filename().string();
  if (name != "eval.json" && name != evaluation_name(split))
    fail(path, ": expected the split that its name says, got '", split, "'");
  json_number(eval, "images", path);
  if (eval.contains("untrained")) check_scores(eval["untrained"], metrics, path + ": untrained");
  const Json& images = json_list(eval, "per_image", path);
  for (size_t i = 0; i < images.size(); ++i) {
    const std::string where = str_cat(path, ": per_image ", i + 1);
    json_string(images[i], "name", where);
    for (const Metric* m : metrics) json_number(images[i], m->key, where);
    if (images[i].contains("panel")) json_string(images[i], "panel", where), json_string(images[i], "rank", where);
    if (!images[i].contains("panel_columns")) continue;
    for (const Json& c : json_list(images[i], "panel_columns", where))
      if (!c.is_string()) fail(where, ": expected strings in 'panel_columns'");
  }
  return eval;
}

/// The split that reports show: see read_run().
std::string main_split(const std::string& folder) {
  const std::vector<std::string> splits = evaluated_splits(folder);
  if (splits.empty() || std::find(splits.begin(), splits.end(), "test") != splits.end()) return "test";
  if (splits.size() == 1) return splits[0];
  std::string all;
  for (const std::string& split : splits) all += (all.empty() ? "" : ", ") + split;
  fail(folder, ": is evaluated on the splits ", all, ": choose one with --split");
}

}  // namespace

Curve LossCurves::mean() const { return mean_curve(levels); }

const LossCurves* Run::term(const std::string& name) const {
  const auto at = std::find_if(terms.begin(), terms.end(), [&](const LossCurves& t) { return t.name == name; });
  return at == terms.end() ? nullptr : &*at;
}

Curve mean_curve(const std::vector<Curve>& curves) {
  Curve mean;
  if (curves.empty()) return mean;
  mean = curves[0];
  for (size_t i = 0; i < mean.y.size(); ++i) {
    double sum = 0, count = 0;
    for (const Curve& curve : curves) {
      if (i >= curve.y.size()) continue;
      sum += curve.y[i];
      ++count;
    }
    mean.y[i] = sum / count;
  }
  return mean;
}

std::string Run::fact(const char* key) const {
  for (const Json* j : {&eval, &facts})
    if (j->contains(key) && (*j)[key].is_string()) return (*j)[key].get<std::string>();
  return "";
}

bool Run::simulated() const {
  for (const Json* j : {&eval, &facts})
    if (j->contains("gaze") && (*j)["gaze"] == "simulated") return true;
  return false;
}

std::vector<std::string> evaluated_splits(const std::string& folder) {
  std::set<std::string> splits;
  std::error_code none;
  for (const auto& entry : std::filesystem::directory_iterator(folder, none)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("eval_") && name.ends_with(".json")) splits.insert(name.substr(5, name.size() - 10));
  }
  const std::string old = folder + "/eval.json";
  if (path_exists(old)) splits.insert(json_string(parse_json(read_file(old), old), "split", old));
  return {splits.begin(), splits.end()};
}

std::string evaluation_path(const std::string& folder, const std::string& split) {
  const std::string path = folder + "/" + evaluation_name(split), old = folder + "/eval.json";
  if (path_exists(path)) return path;
  const bool has_old = path_exists(old) && json_string(parse_json(read_file(old), old), "split", old) == split;
  return has_old ? old : "";
}

Run read_run(const std::string& folder, const std::string& split) {
  const std::filesystem::path root(folder);
  if (!is_folder(root.string())) fail(folder, ": expected the folder of a run, found no such folder");
  if (!path_exists((root / "config.yaml").string()))
    fail(folder, ": expected the folder of a run, found no config.yaml in it");
  Run run;
  run.folder = folder;
  std::error_code error;
  run.name = std::filesystem::weakly_canonical(root, error).filename().string();
  run.config = read_file((root / "config.yaml").string());
  if (path_exists((root / "metrics.jsonl").string())) read_metrics(run, (root / "metrics.jsonl").string());
  const std::string eval = evaluation_path(folder, split.empty() ? main_split(folder) : split);
  if (!eval.empty()) run.eval = read_eval(eval);
  return run;
}

}  // namespace gt
