// gradtrack split
#include <cstdio>

#include "core/io.h"
#include "gaze/folds.h"
#include "tools/commands.h"
#include "tools/outputs.h"

namespace gt {
namespace {

struct Options {
  std::string data, list, out;
  FoldOptions folds;
  bool force = false;
};

std::string lines_of(const std::vector<std::string>& names) {
  std::string lines;
  for (const std::string& name : names) lines += name + "\n";
  return lines;
}

std::vector<ListEntry> images_to_split(const Options& o) {
  const ImageFolder images(o.data + "/images");
  if (o.list.empty()) return images.entries();
  std::vector<ListEntry> entries = read_list(o.list);
  for (const ListEntry& entry : entries) images.find(entry);
  return entries;
}

void split(const Options& o) {
  const std::string folder = o.out.empty() ? o.data + "/folds" : o.out;
  const std::vector<Fold> folds = make_folds(images_to_split(o), o.folds);
  Outputs outputs(o.force);
  if (!o.list.empty()) outputs.reads(o.list);
  std::vector<std::pair<std::string, std::string>> files;  // path, lines
  for (size_t f = 0; f < folds.size(); ++f)
    for (const auto& [name, names] : {std::pair("train.txt", &folds[f].train), std::pair("val.txt", &folds[f].val),
                                      std::pair("test.txt", &folds[f].test)}) {
      files.emplace_back(str_cat(folder, "/", f + 1, "/", name), lines_of(*names));
      outputs.writes(files.back().first);
    }
  outputs.check();
  if (const std::string other = str_cat(folder, "/", folds.size() + 1); path_exists(other))
    fail(other, ": is a fold of another division, expected a folder without more than ", folds.size(), " folds");
  for (size_t f = 0; f < folds.size(); ++f) make_folder(str_cat(folder, "/", f + 1));
  for (const auto& [path, lines] : files) write_file(path, lines);
  std::printf("fold  train    val   test\n");
  for (size_t f = 0; f < folds.size(); ++f)
    std::printf("%4zu %6zu %6zu %6zu\n", f + 1, folds[f].train.size(), folds[f].val.size(), folds[f].test.size());
  std::printf("written: %s/1 to %s/%zu\n", folder.c_str(), folder.c_str(), folds.size());
}

}  // namespace

void add_split_command(CLI::App& app) {
  auto* command = app.add_subcommand("split", "Divide a data set for cross-validation, by patient");
  auto o = std::make_shared<Options>();
  command->add_option("data", o->data, "folder of the data set, with images/")->required()->type_name("ROOT");
  command->add_option("--folds", o->folds.folds, "number of folds")->check(CLI::Range(2, 1000))->capture_default_str();
  command
      ->add_option_function<std::string>(
          "--group",
          [o](const std::string& expression) {
            try {
              Grouping{expression};
            } catch (const Error& error) {
              throw CLI::ValidationError("--group", error.what());
            }
            o->folds.group = expression;
          },
          "regular expression whose first parentheses match the patient in an image's name (default: each image is "
          "one)")
      ->type_name("REGEX");
  command->add_option("--val", o->folds.val, "share of a fold's other images that is held out for validation")
      ->check(CLI::Range(0.01, 0.5))
      ->capture_default_str();
  command->add_option("--seed", o->folds.seed, "seed of the division")->capture_default_str();
  command->add_option("--list", o->list, "file with the names to divide, one a line (default: all of ROOT/images)")
      ->type_name("FILE");
  command->add_option("--out", o->out, "folder for the lists (default: ROOT/folds)")->type_name("DIR");
  add_force_option(*command, o->force);
  command->footer(
      "Writes DIR/K/train.txt, val.txt and test.txt for each fold K. Each image is in the test list of one fold,\n"
      "and no patient is in two lists of a fold. Train on a fold with data.lists=folds/K. With data.group=REGEX,\n"
      "train refuses lists that share a patient.\n\n"
      "Examples:\n"
      "  gradtrack split runs/demo-data --folds 5 --out runs/demo-data/folds\n"
      "  gradtrack split data/nci-isbi --folds 5 --group '^(.+)_[0-9]+$'");
  command->callback([o] { split(*o); });
}

}  // namespace gt
