// gradtrack choose
#include <algorithm>
#include <cstdio>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <set>

#include "core/autograd.h"
#include "core/io.h"
#include "core/json.h"
#include "core/parallel.h"
#include "gaze/edge_contrast.h"
#include "gaze/image_folder.h"
#include "gaze/metrics.h"
#include "gaze/pseudo.h"
#include "models/recipes.h"
#include "models/statistics.h"
#include "tools/commands.h"
#include "tools/experiment.h"
#include "tools/html/page.h"
#include "tools/outputs.h"
#include "tools/progress.h"
#include "tools/run_config.h"
#include "tools/text_table.h"

namespace gt {
namespace {

struct Options {
  BaseConfig base;
  VariantOptions variants;
  std::string split = "train", json;
  int64_t images = 200, threads = 0, seed = 1;
  bool tracks = false, force = false;
};

/// What `--tracks` changes, one arm each.
constexpr const char* track_arms[] = {
    "first-3-s: data.degrade.seconds=3",
    "first-5-s: data.degrade.seconds=5",
    "no-first-quarter: data.degrade.skip=0.25",
    "order-shuffled: data.degrade.order=shuffled",
    "order-reversed: data.degrade.order=reversed",
    "durations-equal: data.degrade.durations=equal",
    "durations-permuted: data.degrade.durations=permuted",
    "merged: data.degrade.merge=0.05",
    "half-lost: data.degrade.drop=0.5",
    "offset-5-percent: data.degrade.offset=0.05",
};

/// Scores of the pseudo masks of an arm. Each vector has one value per image.
struct ArmScores {
  std::vector<double> contrast, agreement, share;  // edge_contrast(), Dice of the gaze's halves, share of the image
  std::vector<double> dice;                        // with the hand-drawn mask; empty without masks

  bool operator==(const ArmScores&) const = default;
  /// f(values) for each of the vectors.
  template <class F>
  void each(const F& f) {
    for (std::vector<double>* values : {&contrast, &agreement, &share, &dice}) f(*values);
  }
};

/// An arm and how its masks are made. Arms that differ in nothing but thresholds share their maps.
struct Maker {
  const Arm* arm;
  PseudoMasks how;
  std::string map_key;
};

Maker make_maker(const Arm& arm) {
  const Recipe& recipe = recipe_of(arm.config);
  if (recipe.pseudo_masks == nullptr || recipe.pseudo_thresholds(arm.config).empty())
    fail("arm '", arm.name, "': recipe ", arm.config.recipe, " with these keys makes no pseudo masks before training, ",
         "expected gradtrack with pseudo.refine=crf, or gazemedseg");
  Config other_thresholds;
  other_thresholds.recipe = arm.config.recipe;
  other_thresholds.maps = arm.config.maps;
  other_thresholds.data.degrade = arm.config.data.degrade;
  other_thresholds.pseudo = arm.config.pseudo;
  other_thresholds.pseudo.foreground = other_thresholds.pseudo.background = 0.5;
  other_thresholds.pseudo.thresholds = {0.5};
  return {&arm, recipe.pseudo_masks(arm.config), write_config(other_thresholds)};
}

/// The fixations with an even or an odd index; all if that leaves none.
Track half_of(const Track& track, size_t odd) {
  if (track.fixations.size() < 2) return track;
  Track half = track;
  half.fixations.clear();
  for (size_t i = odd; i < track.fixations.size(); i += 2) half.fixations.push_back(track.fixations[i]);
  return half;
}

/// The refined maps of all of a track and of its two halves.
struct RefinedMaps {
  Tensor all, halves[2];
};

RefinedMaps refined_maps(const Maker& maker, Track track, const Image& image, uint64_t seed) {
  degrade(track, maker.arm->config.data.degrade, seed);
  const auto refined = [&](const Track& t) { return refined_map(maker.how, maker.how.map(t, image), image); };
  return {refined(track), {refined(half_of(track, 0)), refined(half_of(track, 1))}};
}

/// Dice of two masks; 1 if both are empty.
double dice_of(const Image& a, const Image& b) { return score_masks(a, b).at("dice"); }

/// Scores of image `index` for every arm. `seed` is that of what the arms change at random.
void score_image(const std::vector<Maker>& makers, const Sample& sample, const Image& image, uint64_t seed,
                 size_t index, std::vector<ArmScores>& scores) {
  const NoGrad no_grad;
  std::map<std::string, RefinedMaps> maps;
  for (size_t a = 0; a < makers.size(); ++a) {
    const auto [at, added] = maps.try_emplace(makers[a].map_key);
    if (added) at->second = refined_maps(makers[a], sample.track, image, seed);
    const double threshold = makers[a].how.thresholds[0];
    const Image mask = mask_of(at->second.all, threshold);
    ArmScores& s = scores[a];
    s.contrast[index] = edge_contrast(image, mask);
    s.agreement[index] = dice_of(mask_of(at->second.halves[0], threshold), mask_of(at->second.halves[1], threshold));
    s.share[index] =
        double(std::count_if(mask.pixels.begin(), mask.pixels.end(), is_foreground)) / double(mask.pixels.size());
    if (!sample.label.pixels.empty()) s.dice[index] = dice_of(mask, sample.label);
  }
}

double mean_of(const std::vector<double>& values) { return mean_std(values).mean; }

/// The arm with the highest mean of a score.
size_t highest(const std::vector<ArmScores>& scores, std::vector<double> ArmScores::*score) {
  size_t best = 0;
  for (size_t a = 1; a < scores.size(); ++a)
    if (mean_of(scores[a].*score) > mean_of(scores[best].*score)) best = a;
  return best;
}

/// The arm whose masks are chosen without hand-drawn ones.
size_t chosen_arm(const std::vector<ArmScores>& scores) { return highest(scores, &ArmScores::contrast); }

std::string with_sign(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%+.4f", value);
  return text;
}

void print_table(const std::vector<Maker>& makers, const std::vector<ArmScores>& scores) {
  const bool labels = !scores[0].dice.empty();
  std::vector<std::vector<std::string>> rows = {{"arm", "edge contrast", "halves agree", "share"}};
  if (labels) rows[0].insert(rows[0].end(), {"Dice", "minus base", "95 % interval"});
  const size_t chosen = chosen_arm(scores);
  for (size_t a = 0; a < makers.size(); ++a) {
    const ArmScores& s = scores[a];
    rows.push_back({makers[a].arm->name + (a == chosen ? " *" : ""), html::fixed(mean_of(s.contrast), 3),
                    html::fixed(mean_of(s.agreement), 3), html::fixed(mean_of(s.share), 3)});
    if (!labels) continue;
    rows.back().push_back(html::fixed(mean_of(s.dice), 4));
    if (a == 0) continue;
    const PairedDifference d = paired_difference({s.dice}, {scores[0].dice});
    rows.back().push_back(with_sign(d.mean));
    rows.back().push_back(with_sign(d.interval.low) + " .. " + with_sign(d.interval.high));
  }
  print_rows(rows);
  std::string same;
  for (size_t a = 1; a < makers.size(); ++a)
    if (scores[a] == scores[0]) same += (same.empty() ? "" : ", ") + makers[a].arm->name;
  if (!same.empty()) std::printf("the same masks as those of base: %s\n", same.c_str());
  if (scores.size() < 2) return;
  std::printf("* highest edge contrast, which needs no hand-drawn mask: %s\n", makers[chosen].arm->name.c_str());
  if (!labels) return;
  const size_t best = highest(scores, &ArmScores::dice);
  std::printf("highest Dice, which needs them: %s. Choosing without masks costs %.4f\n", makers[best].arm->name.c_str(),
              mean_of(scores[best].dice) - mean_of(scores[chosen].dice));
}

Json to_json(const std::vector<Maker>& makers, const std::vector<ArmScores>& scores,
             const std::vector<std::string>& names, const Options& o, bool simulated) {
  Json arms = Json::array();
  for (size_t a = 0; a < makers.size(); ++a) {
    arms.push_back({{"name", makers[a].arm->name},
                    {"overrides", makers[a].arm->overrides},
                    {"edge_contrast", scores[a].contrast},
                    {"agreement", scores[a].agreement},
                    {"share", scores[a].share}});
    if (!scores[a].dice.empty()) arms.back()["dice"] = scores[a].dice;
  }
  return {{"config", o.base.path},
          {"overrides", o.base.overrides},
          {"split", o.split},
          {"seed", o.seed},
          {"gaze", simulated ? "simulated" : "recorded"},
          {"images", names},
          {"chosen", makers[chosen_arm(scores)].arm->name},
          {"arms", arms}};
}

Experiment arms_of(const Options& o) {
  VariantOptions variants = o.variants;
  if (o.tracks) variants.arms.insert(variants.arms.begin(), std::begin(track_arms), std::end(track_arms));
  for (const std::string& word : o.base.overrides)
    if (word.starts_with("seed=")) fail("command line '", word, "': expected --seed N instead");
  load_config_with_warnings(o.base.path, o.base.overrides);  // for its warnings
  return experiment_of(o.base, variants);
}

/// The base's data, which are loaded once for all arms. Throws Error if an arm changes more of them than the gaze.
DataOptions common_data(const Experiment& experiment) {
  const Config& base = experiment.arms[0].config;
  for (const Arm& arm : experiment.arms) {
    Config other = base;
    other.data = arm.config.data;
    other.data.degrade = base.data.degrade;
    if (const std::string difference = first_difference(base, other); !difference.empty())
      fail("arm '", arm.name, "': ", difference, ": expected the base's data, of which arms change data.degrade alone");
  }
  DataOptions data = base.data;
  data.degrade = {};  // arms degrade their gaze themselves
  data.size = 16;     // masks are scored at the images' own size
  data.channels = 3;
  return data;
}

/// Whether every image of a list has a hand-drawn mask. Warns if only some have one.
bool has_masks(const DataOptions& data, const std::set<std::string>& names) {
  const std::string folder = data.root + "/masks";
  if (!is_folder(folder)) return false;
  const ImageFolder masks(folder);
  const auto missing = std::count_if(names.begin(), names.end(), [&](const auto& name) { return !masks.has(name); });
  if (missing > 0 && size_t(missing) < names.size())
    std::fprintf(stderr, "warning: %s has no mask of %lld of %zu images, so there is no Dice\n", folder.c_str(),
                 (long long)missing, names.size());
  return missing == 0;
}

void choose(const Options& o) {
  const Experiment experiment = arms_of(o);
  std::vector<Maker> makers;
  for (const Arm& arm : experiment.arms) makers.push_back(make_maker(arm));
  DataOptions data = common_data(experiment);
  Outputs outputs(o.force);
  if (!o.json.empty()) outputs.writes(o.json);
  outputs.check();
  make_parent_folder(o.json);
  set_num_threads(int(o.threads));

  // Of the training images data.images chooses, of others this command.
  const std::vector<std::string> names = split_names(data, o.split);
  int64_t count = std::min(o.images, int64_t(names.size()));
  const bool training = o.split == "train";
  if (training && data.images > 0) count = std::min(count, data.images);
  if (training) data.images = count;
  const std::vector<bool> chosen = chosen_names(names, count);
  std::set<std::string> to_score;
  for (size_t i = 0; i < names.size(); ++i)
    if (chosen[i]) to_score.insert(names[i]);

  const bool labels = has_masks(data, to_score);
  std::vector<ArmScores> scores(makers.size());
  for (ArmScores& s : scores) s.each([&](auto& values) { values.resize(names.size()); });
  std::optional<ProgressBar> bar(std::in_place, "choose", training ? count : int64_t(names.size()));
  LoadHooks hooks;
  hooks.sample = [&](Sample& sample, size_t i, const Image& image, const DatasetFacts&) {
    if (to_score.count(sample.name)) score_image(makers, sample, image, uint64_t(o.seed), i, scores);
  };
  hooks.progress = [&](int64_t done, int64_t) { bar->update(done, "images"); };
  const Dataset dataset = load_dataset(data, o.split, {.labels = labels, .gaze = true}, hooks);
  bar.reset();

  std::vector<std::string> scored;
  for (size_t i = 0; i < dataset.samples.size(); ++i) {
    if (!to_score.count(dataset.samples[i].name)) continue;
    for (ArmScores& s : scores) s.each([&](auto& values) { values[scored.size()] = values[i]; });
    scored.push_back(dataset.samples[i].name);
  }
  for (ArmScores& s : scores) {
    s.each([&](auto& values) { values.resize(scored.size()); });
    if (!labels) s.dice.clear();
  }
  std::printf("pseudo masks of %zu images of %s.txt%s\n", scored.size(), o.split.c_str(),
              dataset.simulated_gaze ? ", SIMULATED gaze" : "");
  print_table(makers, scores);
  if (o.json.empty()) return;
  write_file(o.json, to_json(makers, scores, scored, o, dataset.simulated_gaze).dump(1) + "\n");
  std::printf("written: %s\n", o.json.c_str());
}

}  // namespace

void add_choose_command(CLI::App& app) {
  auto* command = app.add_subcommand("choose", "Compare variants of a configuration by their pseudo masks, untrained");
  auto o = std::make_shared<Options>();
  command->add_option("config", o->base.path, "YAML configuration, see configs/")->required()->type_name("CONFIG.yaml");
  command->add_option("overrides", o->base.overrides, "keys that override the file")->type_name("key=value ...");
  add_variant_options(*command, o->variants, false);
  command->add_flag("--tracks", o->tracks, "what is in a track: arms without its order, durations or beginning");
  command->add_option("--split", o->split, "images, listed in data.root/SPLIT.txt")->capture_default_str();
  command->add_option("--images", o->images, "how many of them, chosen by their names")
      ->check(CLI::Range(1, 1'000'000'000))
      ->capture_default_str();
  command->add_option("--json", o->json, "file for the scores of each image")->type_name("FILE");
  command->add_option("--seed", o->seed, "seed of what data.degrade changes at random")
      ->check(CLI::Range(int64_t(0), int64_t(1) << 48))
      ->capture_default_str();
  command->add_option("--threads", o->threads, "compute threads; 0 uses all processors")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
  add_force_option(*command, o->force);
  command->footer(
      "Makes the pseudo masks of the unchanged configuration, called base, and of each variant, without any\n"
      "training. Two columns need no hand-drawn masks: how strong the images' edges are along the masks, as a\n"
      "multiple of their mean, and the Dice of masks from every other fixation with those from the rest. If\n"
      "there are hand-drawn masks, their Dice and its difference from the base follow. A choice by that column\n"
      "is supervision by masks.\n\n"
      "Examples:\n"
      "  gradtrack choose configs/kvasir_small.yaml data.root=kvasir --grid --axis maps.spread_exponent=0.2,0.4,0.6 "
      "--axis pseudo.crf.bilateral=1,3\n"
      "  gradtrack choose configs/kvasir_small.yaml data.root=kvasir --tracks --images 810");
  command->callback([o] { choose(*o); });
}

}  // namespace gt
