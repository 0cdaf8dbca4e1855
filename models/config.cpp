#include "models/config.h"

#include "core/check.h"
#include "core/text.h"
#include "gaze/folds.h"
#include "models/recipes.h"

namespace gt {
namespace {

/// Checks relations between keys. Error messages name the place where each key was set.
Config checked(Config c, const std::string& name, const ConfigNotes& notes) {
  const auto where = [&](const std::string& key) {
    const auto at = notes.origins.find(key);
    return at == notes.origins.end() ? name : at->second;
  };
  const auto require = [&](bool ok, const std::string& key, const auto&... parts) {
    if (!ok) fail(where(key), ": key '", key, "': ", parts...);
  };
  const auto other = [&](const std::string& key, const auto& value) {
    return str_cat(key, ", ", value, " (", notes.origin(key), ")");
  };
  const bool resnet = c.model.encoder != "basic";
  const int64_t multiple = resnet ? 32 : 16;
  require(c.data.size % multiple == 0, "data.size", "expected a multiple of ", multiple,
          resnet ? str_cat(" with ", other("model.encoder", c.model.encoder)) : "", ", got ", c.data.size);
  require(!resnet || c.precision != "bf16", "precision", "expected f32 or tf32 with ",
          other("model.encoder", c.model.encoder), ", got bf16");
  require(c.data.channels != 2, "data.channels", "expected 1 or 3, got 2");
  for (const auto& [key, list] : {std::pair("data.mean", &c.data.mean), std::pair("data.std", &c.data.std)})
    require(int64_t(list->size()) == c.data.channels, key, "expected one number per channel, ",
            other("data.channels", c.data.channels), ", got ", list->size());
  if (!c.model.weights.empty()) {
    const std::string weights = other("model.weights", c.model.weights);
    const DataOptions torchvision;  // the defaults are torchvision's normalisation
    require(resnet, "model.weights", "expected model.encoder resnet18 or resnet34, got ",
            other("model.encoder", c.model.encoder));
    require(c.data.channels == 3, "data.channels", "expected 3 with ", weights, ", got ", c.data.channels);
    require(c.data.normalize == "fixed", "data.normalize", "expected fixed, as torchvision normalises, with ", weights,
            ", got ", c.data.normalize);
    require(c.data.mean == torchvision.mean, "data.mean", "expected ", config::format(torchvision.mean),
            ", as torchvision normalises, with ", weights, ", got ", config::format(c.data.mean));
    require(c.data.std == torchvision.std, "data.std", "expected ", config::format(torchvision.std),
            ", as torchvision normalises, with ", weights, ", got ", config::format(c.data.std));
    require(c.train.init.empty(), "train.init", "expected none with ", weights, ", got ", c.train.init);
  }
  const std::string cache = lower(c.data.cache);
  const bool refused = cache.starts_with("~") || cache == "none" || cache == "no" || cache == "false" ||
                       cache == "true" || cache == "yes" || cache == "on" || cache.empty();
  require(!refused && (cache == c.data.cache || (cache != "off" && cache != "auto")), "data.cache",
          "expected auto, off or a folder, got '", c.data.cache, "'");
  try {
    Grouping{c.data.group};
  } catch (const Error& error) {
    require(false, "data.group", error.what());
  }
  for (const int64_t f : c.model.features)
    require(f % c.model.groups == 0, "model.features", "expected multiples of ", other("model.groups", c.model.groups),
            ", got ", f);
  require(c.model.features[4] % 2 == 0 && c.model.features[3] % 2 == 0 && c.model.features[2] % 2 == 0,
          "model.features", "expected even numbers at places 3 to 5, because the decoder halves them");
  require(c.attention.begin <= c.attention.end, "attention.begin", "expected at most ",
          other("attention.end", c.attention.end), ", got ", c.attention.begin);
  for (size_t i = 1; i < c.model.features.size(); ++i)
    require((i == 4) || c.model.features[i] % c.attention.groups == 0, "attention.groups", "expected a divisor of ",
            other("model.features", config::format(c.model.features)), " but the fifth, got ", c.attention.groups);
  require(!resnet || c.attention.use != "skip" || ResNet::channels[0] % c.attention.groups == 0, "attention.groups",
          "expected a divisor of ", ResNet::channels[0], ", the channels of ", other("model.encoder", c.model.encoder),
          ", got ", c.attention.groups);
  require(c.pseudo.background <= c.pseudo.foreground, "pseudo.background", "expected at most ",
          other("pseudo.foreground", c.pseudo.foreground), ", got ", c.pseudo.background);
  require(c.pseudo.between == "ignored" || c.train.ema > 0, "pseudo.between", "average needs train.ema above 0, got ",
          other("train.ema", c.train.ema));
  require(c.pseudo.teacher.empty() || c.recipe != "gradtrack" || c.pseudo.refine == "crf", "pseudo.teacher",
          "a teacher needs pseudo.refine=crf, got ", other("pseudo.refine", c.pseudo.refine));
  require(c.data.masks.empty() || c.recipe != "gradtrack" || c.pseudo.refine == "crf", "data.masks",
          "masks need pseudo.refine=crf, got ", other("pseudo.refine", c.pseudo.refine));
  for (const auto& [key, value] :
       {std::pair("train.val_every", c.train.val_every), std::pair("train.checkpoint_every", c.train.checkpoint_every)})
    require(value % c.train.log_every == 0, key, "expected a multiple of ", other("train.log_every", c.train.log_every),
            ", got ", value);
  return c;
}

}  // namespace

std::vector<RenamedKey> Config::renamed_keys() {
  return {{"maps.follow", "maps.spread_exponent"},
          {"pseudo.say", "pseudo.teacher_weight"},
          {"loss.pseudo", "pseudo.refine", {{"track", "none"}}},
          {"loss.foreground", "pseudo.foreground"},
          {"loss.background", "pseudo.background"}};
}

std::vector<std::string> Config::recipe_names() {
  std::vector<std::string> names;
  for (const Recipe& recipe : recipe_table()) names.push_back(recipe.name);
  return names;
}

Config load_config(const std::string& path, const std::vector<std::string>& overrides, ConfigNotes* notes) {
  ConfigNotes own;
  ConfigNotes& n = notes ? *notes : own;
  const Recipe& recipe = recipe_of(read_config<Config>(path, overrides));
  return checked(read_config<Config>(path, overrides, &n, own_defaults(recipe)), path, n);
}

std::string open_config(const Config& config) {
  std::map<std::string, std::string> own, open;
  for (const auto& [key, value] : recipe_of(config).defaults) own[key] = value;
  const std::vector<config::KeyInfo> defaults = list_keys<Config>(), values = list_keys(config);
  for (const Recipe& recipe : recipe_table())
    for (const auto& [key, value] : recipe.defaults)
      for (size_t i = 0; i < values.size(); ++i)
        if (values[i].path == key && values[i].value == (own.contains(key) ? own[key] : defaults[i].value))
          open[key] = "default: " + default_text(defaults[i]);
  config::Writer writer(true, open);
  Config c = config;
  c.visit(writer);
  return writer.yaml();
}

Config parse_run_config(const std::string& yaml, const std::string& name) {
  ConfigNotes notes;
  return checked(parse_config<Config>(yaml, name, &notes), name, notes);
}

Config result_config(Config c) {
  reset_keys(c, {"threads", "waiting_blocks", "data.threads", "data.cache", "data.max_pixels", "data.published",
                 "data.group", "train.checkpoint_every", "train.tensorboard", "train.recompute"});
  const DataNeeds needs = data_needs(c);
  if (!needs.gaze) reset_keys(c, {"data.gaze", "data.degrade"});
  if (!needs.some_masks) reset_keys(c, {"data.masks"});
  if (!needs.pseudo) reset_keys(c, {"pseudo.sigma", "pseudo.thresholds", "pseudo.crf", "pseudo.teacher"});
  reset_keys(c, recipe_of(c).ignored_keys(c));
  if (c.pseudo.between == "ignored") reset_keys(c, {"pseudo.sure"});
  if (c.pseudo.teacher.empty()) reset_keys(c, {"pseudo.teacher_weight"});
  return c;
}

}  // namespace gt
