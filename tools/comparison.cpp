#include "tools/comparison.h"

#include <algorithm>
#include <cstdio>

#include "core/check.h"
#include "core/text.h"
#include "models/trainer.h"
#include "tools/text_table.h"

namespace gt {
namespace {

std::vector<std::string> image_names(const Run& run) {
  std::vector<std::string> names;
  for (const Json& image : run.eval["per_image"]) names.push_back(image["name"]);
  return names;
}

Json to_json(const MeanStd& m) { return {{"mean", m.mean}, {"std", m.std}}; }

Json arm_json(const Comparison& c, size_t i) {
  const Arm& arm = c.arm(i);
  Json json = {
      {"name", arm.name}, {"recipe", arm.config.recipe}, {"overrides", arm.overrides}, {"runs", Json::array()}};
  if (const std::vector<std::string> own = c.experiment.own_settings(i); !own.empty()) json["own_settings"] = own;
  if (arm.hours > 0) json["annotation"] = {{"what", arm.annotation}, {"hours", arm.hours}};
  if (const auto p = published_dice(arm))
    json["published_dice"] = {{"data_set", arm.config.data.published}, {"mean", p->mean}, {"std", p->std}};
  if (c.runs[i].empty()) return json;
  json["simulated_gaze"] = c.simulated(i);
  for (const Metric& m : metric_table())
    if (c.has(i, m)) json[m.key] = to_json(c.over_seeds(i, m.key));
  for (const SeedRun& r : c.runs[i]) {
    Json run = {{"seed", r.seed}, {"folder", r.run.folder}, {"command", r.command}};
    for (const Metric& m : metric_table())
      if (r.run.has(m)) run[m.key] = r.run.eval[m.key]["mean"];
    for (const Metric& m : metric_table())
      if (r.run.has(m)) run["per_image"][m.key] = scores_per_image(r.run, m.key);
    json["runs"].push_back(run);
  }
  return json;
}

/// "0.8101 +- 0.0066", or only the mean if the deviation is 0.
std::string mean_and_std(const MeanStd& m, int decimals) {
  char buffer[64];
  if (m.std > 0)
    std::snprintf(buffer, sizeof buffer, "%.*f +- %.*f", decimals, m.mean, decimals, m.std);
  else
    std::snprintf(buffer, sizeof buffer, "%.*f", decimals, m.mean);
  return buffer;
}

void print_scores(const Comparison& c) {
  std::vector<std::vector<std::string>> rows = {{"arm", "seeds"}};
  const bool timed = c.arm(0).hours > 0;
  if (timed) rows[0].push_back("hours");
  bool any_published = false;
  for (const Metric* m : compared_metrics()) rows[0].push_back(m->with_unit());
  for (size_t i = 0; i < c.runs.size(); ++i) any_published |= published_dice(c.arm(i)).has_value();
  if (any_published) rows[0].push_back("published *");
  for (size_t i = 0; i < c.runs.size(); ++i) {
    rows.push_back({c.arm(i).name, str_cat(c.runs[i].size(), " of ", c.seeds)});
    if (timed) rows.back().push_back(number_text(c.arm(i).hours, 2));
    for (const Metric* m : compared_metrics())
      rows.back().push_back(c.has(i, *m) ? mean_and_std(c.over_seeds(i, m->key), m->decimals + 1) : "-");
    if (const auto p = published_dice(c.arm(i))) rows.back().push_back(mean_and_std(*p, 4));
  }
  print_rows(rows);
  std::printf("Each score is a mean over images: mean +- standard deviation over seeds.\n");
  if (any_published)
    std::printf("* Published Dice on %s: test split, recorded gaze, full-size protocol. See docs/comparing.md.\n",
                c.arm(0).config.data.published.c_str());
}

void print_differences(const Comparison& c) {
  std::vector<std::vector<std::string>> rows = {{"difference", "metric", "mean", "", "95 % interval", "p", "seeds"}};
  for (const ArmsDifference& pair : c.differences) {
    std::string name = c.arm(pair.first).name + " - " + c.arm(pair.second).name;
    for (const auto& [metric, d] : pair.scores) {
      const int decimals = metric->decimals + 1;
      char mean[32], interval[64];
      std::snprintf(mean, sizeof mean, "%+.*f", decimals, d.mean);
      std::snprintf(interval, sizeof interval, "%+.*f .. %+.*f", decimals, d.interval.low, decimals, d.interval.high);
      std::string seeds;
      for (const double seed : d.seeds) {
        char text[32];
        std::snprintf(text, sizeof text, "%s%+.*f", seeds.empty() ? "" : " ", decimals, seed);
        seeds += text;
      }
      rows.push_back({std::exchange(name, ""), metric->with_unit(), mean, d.within_seed_spread ? "~" : "", interval,
                      format_p(d.p), seeds});
    }
  }
  if (rows.size() == 1) return;
  std::printf("\n");
  print_rows(rows);
  std::printf(
      "Differences are paired over seeds and images. Intervals and p are of a bootstrap over both, for other "
      "trainings\n"
      "on other images%s. p is not corrected for multiple tests. ~ is less than the deviation over seeds of an arm.\n",
      c.seeds == 1 ? "; with one seed, for other images alone" : "");
}

}  // namespace

std::vector<const Metric*> compared_metrics() {
  std::vector<const Metric*> compared;
  for (const Metric& m : metric_table())
    if (m.compared) compared.push_back(&m);
  return compared;
}

std::vector<double> scores_per_image(const Run& run, const char* metric) {
  std::vector<double> values;
  for (const Json& image : run.eval["per_image"]) values.push_back(image[metric]);
  return values;
}

bool Comparison::has(size_t arm, const Metric& metric) const {
  const auto has_it = [&](const SeedRun& r) { return r.run.has(metric); };
  return !runs[arm].empty() && std::all_of(runs[arm].begin(), runs[arm].end(), has_it);
}

MeanStd Comparison::over_seeds(size_t arm, const char* metric) const {
  std::vector<double> means;
  for (const SeedRun& r : runs[arm]) means.push_back(r.run.eval[metric]["mean"]);
  return mean_std(means);
}

std::vector<int64_t> Comparison::common_seeds(size_t first, size_t second) const {
  std::vector<int64_t> common;
  for (const SeedRun& a : runs[first])
    for (const SeedRun& b : runs[second])
      if (a.seed == b.seed) common.push_back(a.seed);
  return common;
}

SeedScores Comparison::with_seeds(size_t arm, const char* metric, const std::vector<int64_t>& seeds) const {
  SeedScores scores;
  for (const SeedRun& r : runs[arm])
    if (std::find(seeds.begin(), seeds.end(), r.seed) != seeds.end()) scores.push_back(scores_per_image(r.run, metric));
  return scores;
}

std::vector<std::string> Comparison::images() const {
  for (const auto& of_arm : runs)
    if (!of_arm.empty()) return image_names(of_arm[0].run);
  return {};
}

bool Comparison::simulated(size_t arm) const {
  return std::any_of(runs[arm].begin(), runs[arm].end(), [](const SeedRun& r) { return r.run.simulated(); });
}

bool Comparison::simulated() const {
  for (size_t i = 0; i < runs.size(); ++i)
    if (simulated(i)) return true;
  return false;
}

std::vector<ArmsDifference> compute_differences(const Comparison& c) {
  std::vector<ArmsDifference> all;
  for (const auto& [first, second] : c.experiment.pairs) {
    const std::vector<int64_t> seeds = c.common_seeds(first, second);
    if (seeds.empty()) continue;
    all.push_back({first, second, {}});
    for (const Metric* m : compared_metrics())
      if (c.has(first, *m) && c.has(second, *m))
        all.back().scores.push_back(
            {m, paired_difference(c.with_seeds(first, m->key, seeds), c.with_seeds(second, m->key, seeds))});
  }
  return all;
}

std::vector<std::string> settings_notes(const Experiment& experiment) {
  std::vector<std::string> notes;
  for (size_t i = 0; i < experiment.arms.size(); ++i)
    if (const std::vector<std::string> own = experiment.own_settings(i); !own.empty())
      notes.push_back(
          str_cat(experiment.arms[i].name,
                  " also differs from arms of other recipes by defaults of its recipe: ", joined(own, " ")));
  return notes;
}

std::string format_p(double p) {
  char buffer[32];
  std::snprintf(buffer, sizeof buffer, p < 0.001 ? "%.1e" : "%.3f", p);
  return buffer;
}

std::optional<MeanStd> published_dice(const Arm& arm) {
  if (arm.overrides != std::vector<std::string>{"recipe=" + arm.config.recipe}) return std::nullopt;
  const PublishedDice& all = recipe_of(arm.config).published;
  const std::string& data_set = arm.config.data.published;
  const MeanStd dice = data_set == "kvasir-seg" ? all.kvasir_seg : data_set == "nci-isbi" ? all.nci_isbi : MeanStd();
  return dice.mean > 0 ? std::optional(dice) : std::nullopt;
}

void require_same_images(const Comparison& c) {
  const std::vector<std::string> expected = c.images();
  for (const auto& of_arm : c.runs)
    for (const SeedRun& r : of_arm)
      if (image_names(r.run) != expected)
        fail(evaluation_path(r.run.folder, c.split),
             ": expected an evaluation of the images of the other runs, got other images; remove this file "
             "and try again");
}

Json comparison_json(const Comparison& c) {
  Json json = {{"command", c.command},
               {"version", GT_VERSION},
               {"config", c.experiment.base.path},
               {"overrides", c.experiment.base.overrides},
               {"data", c.arm(0).config.data.root},
               {"split", c.split},
               {"seeds", c.seeds},
               {"simulated_gaze", c.simulated()},
               {"images", c.images()},
               {"arms", Json::array()},
               {"differences", Json::array()},
               {"failures", Json::array()},
               {"left_out", Json::array()}};
  for (size_t i = 0; i < c.runs.size(); ++i) json["arms"].push_back(arm_json(c, i));
  for (const ArmsDifference& pair : c.differences) {
    Json both = {{"arm", c.arm(pair.first).name}, {"minus", c.arm(pair.second).name}};
    for (const auto& [metric, d] : pair.scores)
      both[metric->key] = {{"mean", d.mean},
                           {"low", d.interval.low},
                           {"high", d.interval.high},
                           {"p", d.p},
                           {"p_images", d.p_images},
                           {"seeds", d.seeds},
                           {"within_seed_spread", d.within_seed_spread}};
    json["differences"].push_back(both);
  }
  for (const auto& [run, why] : c.failures) json["failures"].push_back({{"run", run}, {"why", why}});
  for (const auto& [run, why] : c.left_out) json["left_out"].push_back({{"run", run}, {"why", why}});
  return json;
}

void print_comparison(const Comparison& c) {
  std::printf("%s on %s (%s), %zu images\n", c.experiment.base.path.c_str(), c.split.c_str(),
              c.arm(0).config.data.root.c_str(), c.images().size());
  std::string names;
  for (size_t i = 0; i < c.runs.size(); ++i)
    if (c.simulated(i)) names += (names.empty() ? "" : ", ") + c.arm(i).name;
  if (!names.empty()) std::printf("trained on SIMULATED gaze: %s\n", names.c_str());
  for (size_t i = 0; i < c.runs.size(); ++i)
    if (c.arm(i).config.train.select == "test") std::printf("%s: %s\n", c.arm(i).name.c_str(), selected_on_test);
  for (const std::string& note : settings_notes(c.experiment)) std::printf("%s\n", note.c_str());
  std::printf("\n");
  print_scores(c);
  print_differences(c);
  for (const auto& [run, why] : c.left_out) std::printf("left out: %s: %s\n", run.c_str(), why.c_str());
}

}  // namespace gt
