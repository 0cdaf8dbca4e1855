// The defaults that recipes have of their own, in configurations, runs and experiments.
#include "core/io.h"
#include "core/text.h"
#include "models/experiment.h"
#include "models/recipes.h"
#include "tests/catch.h"
#include "tests/small_run.h"

using namespace gt;

namespace {

using Words = std::vector<std::string>;

const std::string kvasir = GT_SOURCE_DIR "/configs/kvasir.yaml";

bool has_published_protocol(const Config& c) {
  return c.loss.dice == 0 && c.loss.bce == 1 && c.optimizer.schedule == "epoch" && c.optimizer.momentum == 0.99 &&
         c.optimizer.nesterov;
}

bool has_this_projects(const Config& c) {
  const Config d;
  return c.loss.dice == d.loss.dice && c.loss.bce == d.loss.bce && c.optimizer.schedule == d.optimizer.schedule &&
         c.optimizer.momentum == d.optimizer.momentum && c.optimizer.nesterov == d.optimizer.nesterov;
}

}  // namespace

TEST_CASE("recipes: gazemedseg is trained as its authors do, unless a key is set", "[recipes]") {
  const TempFolder tmp;
  write(tmp / "plain.yaml", "recipe: gazemedseg\n");
  write(tmp / "other.yaml", "base: plain.yaml\nrecipe: full\n");
  write(tmp / "set.yaml", "recipe: gazemedseg\noptimizer: {momentum: 0.95}\n");
  write(tmp / "child.yaml", "base: set.yaml\n");
  ConfigNotes notes;
  const Config plain = load_config(tmp / "plain.yaml", {}, &notes);
  CHECK(has_published_protocol(plain));
  CHECK(notes.origin("optimizer.momentum") == "default of recipe gazemedseg");
  CHECK(notes.origin("optimizer.lr") == "default");
  CHECK(used_defaults(plain, notes) == Words{"loss.dice=0", "loss.bce=1", "optimizer.schedule=epoch",
                                             "optimizer.momentum=0.99", "optimizer.nesterov=true"});
  CHECK(has_published_protocol(load_config(tmp / "plain.yaml", {"optimizer={}"})));
  CHECK(has_published_protocol(load_config(kvasir, {"recipe=gazemedseg"})));
  CHECK(has_published_protocol(load_config(GT_SOURCE_DIR "/configs/gazemedseg.yaml")));
  for (const char* recipe : {"gradtrack", "full"})
    CHECK(has_this_projects(load_config(kvasir, {str_cat("recipe=", recipe)})));
  CHECK(has_this_projects(load_config(tmp / "other.yaml")));
  CHECK(load_config(tmp / "child.yaml").optimizer.momentum == 0.95);
  CHECK(load_config(tmp / "child.yaml").optimizer.nesterov);
  ConfigNotes changed;
  const Config c = load_config(tmp / "plain.yaml", {"loss.bce=0.5", "optimizer.nesterov=false"}, &changed);
  CHECK(c.loss.bce == 0.5);
  CHECK_FALSE(c.optimizer.nesterov);
  CHECK(used_defaults(c, changed) == Words{"loss.dice=0", "optimizer.schedule=epoch", "optimizer.momentum=0.99"});
}

TEST_CASE("recipes: the table's defaults are of keys that exist, in the form that files have", "[recipes]") {
  for (const Recipe& recipe : recipe_table())
    for (const auto& [key, value] : recipe.defaults) {
      INFO(recipe.name << ": " << key);
      const Config c = load_config(kvasir, {str_cat("recipe=", recipe.name)});
      Words values;
      for (const config::KeyInfo& info : list_keys(c))
        if (info.path == key) values.push_back(info.value);
      CHECK(values == Words{value});
      for (const config::KeyInfo& info : list_keys<Config>())
        if (info.path == key) CHECK(default_text(info) == str_cat(info.value, ", ", recipe.name, ": ", value));
    }
}

TEST_CASE("recipes: a printed configuration leaves a recipe its own defaults, and holds all other values",
          "[recipes]") {
  const TempFolder tmp;
  write(tmp / "c.yaml", open_config(load_config(kvasir, {"data.size=64"})));
  CHECK(read_file(tmp / "c.yaml").find("\n  # momentum: 0.9 ") != std::string::npos);
  CHECK(read_file(tmp / "c.yaml").find("; default: 0.9, gazemedseg: 0.99\n") != std::string::npos);
  CHECK(has_published_protocol(load_config(tmp / "c.yaml", {"recipe=gazemedseg"})));
  CHECK(has_this_projects(load_config(tmp / "c.yaml")));
  write(tmp / "d.yaml", open_config(load_config(kvasir, {"recipe=gazemedseg", "optimizer.momentum=0.9"})));
  CHECK(read_file(tmp / "d.yaml").find("\n  momentum: 0.9 ") != std::string::npos);
  CHECK(read_file(tmp / "d.yaml").find("\n  # nesterov: true ") != std::string::npos);
  const Config d = load_config(tmp / "d.yaml");
  CHECK(d.optimizer.momentum == 0.9);
  CHECK(d.loss.bce == 1);
  CHECK(load_config(tmp / "d.yaml", {"recipe=full"}).optimizer.momentum == 0.9);  // set, so it stays
  CHECK(load_config(tmp / "d.yaml", {"recipe=full"}).loss.bce == 0.5);
}

TEST_CASE("recipes: a run holds the values that it was trained with, and one of before is continued by setting them",
          "[recipes]") {
  const TempFolder tmp;
  CHECK(has_this_projects(parse_run_config("recipe: gazemedseg\n", "checkpoint")));
  Config before = small_run("gazemedseg");
  train(before, tmp / "run", false, 10);
  Config now = before;
  now.loss.dice = 0, now.loss.bce = 1;
  now.optimizer.schedule = "epoch", now.optimizer.momentum = 0.99, now.optimizer.nesterov = true;
  const std::string error = error_of([&] { train(now, tmp / "run", true); });
  CHECK(
      error.ends_with("holds a run of another configuration: loss.dice: 0.5 there, 0 here; to continue it, set "
                      "loss.dice=0.5 loss.bce=0.5 optimizer.schedule=iteration optimizer.momentum=0.9 "
                      "optimizer.nesterov=false"));
  CHECK(train(before, tmp / "run", true));
  now = before;
  now.seed = 2;
  CHECK(error_of([&] { train(now, tmp / "run", true); }).ends_with("another configuration: seed: 1 there, 2 here"));
}

TEST_CASE("recipes: a comparison says what an arm's recipe sets besides, or gives all arms the same", "[recipes]") {
  const BaseConfig demo{GT_SOURCE_DIR "/configs/demo.yaml", {"data.root=d"}};
  const Words recipes = {"gradtrack", "gazemedseg", "full"};
  const Experiment plain = compare_recipes(demo, recipes);
  CHECK(plain.own_settings(0).empty());
  CHECK(plain.own_settings(2).empty());
  CHECK(joined(plain.own_settings(1), " ") ==
        "loss.dice=0 loss.bce=1 optimizer.schedule=epoch optimizer.momentum=0.99 optimizer.nesterov=true");
  CHECK(has_published_protocol(plain.arms[1].config));

  const Experiment same = compare_recipes(demo, recipes, true, true);
  for (size_t i = 0; i < same.arms.size(); ++i) {
    CHECK(same.own_settings(i).empty());
    CHECK(has_this_projects(same.arms[i].config));
  }
  const BaseConfig set{demo.path, {"optimizer.momentum=0.95", "loss.dice=0", "loss.bce=1"}};
  const Experiment some = compare_recipes(set, recipes);
  CHECK(some.own_settings(1) == Words{"optimizer.schedule=epoch", "optimizer.nesterov=true"});

  // Arms of one recipe differ only in what they set.
  const BaseConfig theirs{demo.path, {"recipe=gazemedseg"}};
  const Experiment ablation = compare_variants(theirs, {{"optimizer.momentum", {"0.9"}}});
  CHECK(ablation.own_settings(0).empty());
  CHECK(ablation.own_settings(1).empty());
  const Experiment variants = compare_variants(demo, {}, false, {parse_variant("gaze: recipe=gazemedseg")});
  CHECK(variants.own_settings(1).size() == 5);
}
