#include "tools/run_folder.h"

#include <algorithm>
#include <filesystem>

#include "core/check.h"
#include "core/io.h"

namespace gt {
namespace {

using Json = Run::Json;

// ---- Reading --------------------------------------------------------------------------------------------------------

/// The item under `key`, whose type `is` checks. Throws Error, beginning with `where`.
const Json& item(const Json& json, const char* key, bool (Json::*is)() const noexcept, const char* kind,
                 const std::string& where) {
  if (!json.is_object() || !json.contains(key) || !(json[key].*is)())
    fail(where, ": expected ", kind, " under '", key, "'");
  return json[key];
}

double number(const Json& json, const char* key, const std::string& where) {
  return item(json, key, &Json::is_number, "a number", where).get<double>();
}

std::string string(const Json& json, const char* key, const std::string& where) {
  return item(json, key, &Json::is_string, "a string", where).get<std::string>();
}

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
    run.facts = item(line, "run", &Json::is_object, "an object", where);
    return;
  }
  const double at = number(line, "iteration", where);
  run.iterations = std::max(run.iterations, at);
  run.seconds = std::max(run.seconds, number(line, "seconds", where));
  if (line.contains("val")) {
    run.dice.add(at, number(item(line, "val", &Json::is_object, "an object", where), "dice", where));
    return;
  }
  run.loss.add(at, number(line, "loss", where));
  run.lr.add(at, number(line, "lr", where));
  run.speed.push_back(number(line, "images_per_s", where));
  if (!line.contains("terms")) {  // a log of version 0.1
    add_term(run, "segmentation", at, number(line, "seg", where));
    const Json& levels = item(line, "track", &Json::is_array, "a list", where);
    for (size_t l = 0; l < levels.size(); ++l) {
      if (!levels[l].is_number()) fail(where, ": expected numbers in 'track'");
      add_term(run, str_cat("track_", l + 1), at, levels[l].get<double>());
    }
    return;
  }
  for (const auto& [name, value] : item(line, "terms", &Json::is_object, "an object", where).items()) {
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
    const Json line = Json::parse(all.begin() + int64_t(begin), all.begin() + int64_t(end), nullptr, false);
    if (line.is_object())
      read_line(run, line, where);
    else if (end < all.size())
      fail(where, ": expected a JSON object");  // a killed run can leave an incomplete last line
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
    const Json& both = item(json, m->key, &Json::is_object, "an object", where);
    number(both, "mean", str_cat(where, ": ", m->key));
    number(both, "std", str_cat(where, ": ", m->key));
  }
}

Json read_eval(const std::string& path) {
  const Json eval = Json::parse(read_file(path), nullptr, false);
  if (!eval.is_object()) fail(path, ": expected a JSON object");
  const std::vector<const Metric*> metrics = metrics_in(eval);
  check_scores(eval, metrics, path);
  string(eval, "split", path);
  number(eval, "images", path);
  if (eval.contains("untrained")) check_scores(eval["untrained"], metrics, path + ": untrained");
  const Json& images = item(eval, "per_image", &Json::is_array, "a list", path);
  for (size_t i = 0; i < images.size(); ++i) {
    const std::string where = str_cat(path, ": per_image ", i + 1);
    string(images[i], "name", where);
    for (const Metric* m : metrics) number(images[i], m->key, where);
    if (images[i].contains("panel")) string(images[i], "panel", where), string(images[i], "rank", where);
    if (!images[i].contains("panel_columns")) continue;
    for (const Json& c : item(images[i], "panel_columns", &Json::is_array, "a list", where))
      if (!c.is_string()) fail(where, ": expected strings in 'panel_columns'");
  }
  return eval;
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

Run read_run(const std::string& folder) {
  const std::filesystem::path root(folder);
  if (!std::filesystem::is_directory(root)) fail(folder, ": expected the folder of a run, found no such folder");
  if (!std::filesystem::exists(root / "config.yaml"))
    fail(folder, ": expected the folder of a run, found no config.yaml in it");
  Run run;
  run.folder = folder;
  run.name = std::filesystem::weakly_canonical(root).filename().string();
  run.config = read_file((root / "config.yaml").string());
  if (std::filesystem::exists(root / "metrics.jsonl")) read_metrics(run, (root / "metrics.jsonl").string());
  if (std::filesystem::exists(root / "eval.json")) run.eval = read_eval((root / "eval.json").string());
  return run;
}

}  // namespace gt
