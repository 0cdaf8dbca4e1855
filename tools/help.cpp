// gradtrack help
#include <algorithm>
#include <cstdio>

#include "models/recipes.h"
#include "tools/commands.h"

namespace gt {
namespace {

/// The names of the recipes that ignore a key with default values of the other keys; "" if none does.
std::string ignored_by(const std::string& key) {
  std::string names;
  for (const Recipe& recipe : recipe_table()) {
    Config config;
    config.recipe = recipe.name;
    for (const std::string& path : recipe.ignored_keys(config))
      if (key == path || key.starts_with(path + ".")) names += (names.empty() ? "" : ", ") + std::string(recipe.name);
  }
  return names;
}

void print_key(const config::KeyInfo& key) {
  std::printf("%s\n", key.path.c_str());
  const auto row = [](const char* name, const std::string& value) {
    if (!value.empty()) std::printf("  %-12s %s\n", name, value.c_str());
  };
  row("meaning", key.text);
  row("unit", key.unit);
  row("expected", key.expected);
  row("default", default_text(key));
  row("ignored by", ignored_by(key.path));
  for (const RenamedKey& renamed : Config::renamed_keys())
    if (renamed.to == key.path) row("older name", renamed.from);
}

void help_config(const std::string& argument) {
  const std::vector<config::KeyInfo> keys = list_keys<Config>();
  if (argument.empty()) {
    for (const config::KeyInfo& key : keys) {
      const std::string unit = key.unit.empty() ? "" : " [" + key.unit + "]";
      std::printf("%-30s %s%s\n", key.path.c_str(), key.text.c_str(), unit.c_str());
    }
    std::printf("\nRange, default and recipes of one key: gradtrack help config KEY\n");
    return;
  }
  std::string key = argument;
  for (const RenamedKey& renamed : Config::renamed_keys())
    if (renamed.from == argument) key = renamed.to;
  std::vector<std::string> names;
  bool found = false;
  for (const config::KeyInfo& info : keys) {
    names.push_back(info.path);
    if (info.path != key && !info.path.starts_with(key + ".")) continue;
    if (found) std::printf("\n");
    print_key(info);
    found = true;
  }
  if (found) return;
  for (const std::string& name : names)
    if (name.ends_with("." + key)) return help_config(name);
  const std::string near = nearest_word(key, names);
  fail("help config: expected a key of a configuration, got '", argument, "'",
       near.empty() ? "" : ", did you mean '" + near + "'?");
}

}  // namespace

void add_help_command(CLI::App& app) {
  auto* help = app.add_subcommand("help", "Explain the keys of a configuration file");
  help->require_subcommand(1);
  help->footer("Example:\n  gradtrack help config maps.sigma_x");
  auto* command = help->add_subcommand("config", "List the keys with their meaning, or explain one key");
  auto key = std::make_shared<std::string>();
  command->add_option("key", *key, "a key, or a mapping for all keys below it")->type_name("KEY");
  command->footer(
      "Prints meaning, unit, permitted values and default of a key, and the recipes that ignore it. Without KEY,\n"
      "lists all keys.\n\n"
      "Examples:\n  gradtrack help config\n  gradtrack help config maps.sigma_x\n  gradtrack help config loss");
  command->callback([key] { help_config(*key); });
}

}  // namespace gt
