// The program `gradtrack`. Exit status: 0 for success, 1 for an error (one line on stderr), 2 for wrong usage.
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <iostream>
#include <string>
#include <vector>

#include "core/check.h"
#include "core/communicator.h"
#include "core/config.h"
#include "tools/commands.h"
#include "tools/signals.h"

namespace {

/// Ends the output. A closed pipe, as `| head` leaves it, is no error. Throws Error if results are lost otherwise.
void flush_output() {
  errno = 0;
  const bool written = std::fflush(stdout) == 0 && std::ferror(stdout) == 0;
  if (!written && errno != EPIPE && errno != 0) gt::fail("standard output: cannot write: ", std::strerror(errno));
}

/// What wrong arguments look like: ", did you mean ...?" or "".
std::string suggestion(const CLI::App& app, const std::vector<std::string>& arguments) {
  if (arguments.empty()) return "";
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands(nullptr)) names.push_back(command->get_name());
  if (!arguments[0].starts_with("-") && std::find(names.begin(), names.end(), arguments[0]) == names.end()) {
    const std::string near = gt::nearest_word(arguments[0], names);
    return near.empty() ? "" : "did you mean: gradtrack " + near;
  }
  for (const std::string& argument : arguments) {
    const size_t equals = argument.find('=');
    if (argument.starts_with("--") && argument.substr(0, equals).find('.') != argument.npos)
      return "keys have no dashes, did you mean: " + argument.substr(2);
  }
  return "";
}

/// Throws Error if several processes were started together for a subcommand that each of them would run alone.
void require_alone(const std::vector<std::string>& arguments) {
  const int processes = gt::launched_processes();
  if (processes == 1 || arguments.empty() || arguments[0].starts_with("-")) return;
  for (const char* shared : {"train", "eval", "info", "help"})
    if (arguments[0] == shared) return;
  for (const std::string& argument : arguments)
    if (argument == "--help" || argument == "-h") return;
  gt::fail("gradtrack ", arguments[0], " runs in one process, but ", processes,
           " were started together; mpirun and srun are for train and eval");
}

}  // namespace

int main(int argc, char** argv) {
  gt::secure_streams();
  CLI::App app("Medical image segmentation trained from physicians' eye movements (GradTrack).", "gradtrack");
  app.set_version_flag("--version", GT_VERSION);
  app.require_subcommand(1);
  app.footer(
      "gradtrack SUBCOMMAND --help describes a subcommand and shows an example. Start with: gradtrack train --help\n"
      "gradtrack help config lists the keys of a configuration.");
  gt::add_train_command(app);
  gt::add_eval_command(app);
  gt::add_predict_command(app);
  gt::add_export_command(app);
  gt::add_export_nnunet_command(app);
  gt::add_compare_command(app);
  gt::add_ablate_command(app);
  gt::add_report_command(app);
  gt::add_maps_command(app);
  gt::add_synth_command(app);
  gt::add_simulate_command(app);
  gt::add_fixations_command(app);
  gt::add_prepare_command(app);
  gt::add_split_command(app);
  gt::add_pack_command(app);
  gt::add_pseudo_command(app);
  gt::add_choose_command(app);
  gt::add_register_command(app);
  gt::add_gradcheck_command(app);
  gt::add_plans_command(app);
  gt::add_info_command(app);
  gt::add_help_command(app);
  try {
    require_alone({argv + 1, argv + argc});
    app.parse(argc, argv);
    flush_output();
  } catch (const CLI::ParseError& e) {
    if (app.exit(e) == 0) return 0;
    if (const std::string hint = suggestion(app, {argv + 1, argv + argc}); !hint.empty())
      std::cerr << hint << std::endl;
    return 2;
  } catch (const std::exception& e) {
    const std::string line = "gradtrack: " + gt::process_label() + e.what() + "\n";
    gt::end_processes([&] { std::cerr << line << std::flush; });
    return 1;
  }
  return 0;
}
