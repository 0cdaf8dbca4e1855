// The program `gradtrack`. Exit status: 0 for success, 1 for an error (one line on stderr), 2 for wrong usage.
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <iostream>

#include "core/check.h"
#include "tools/commands.h"
#include "tools/signals.h"

namespace {

/// Ends the output. A closed pipe, as `| head` leaves it, is no error. Throws Error if results are lost otherwise.
void flush_output() {
  errno = 0;
  const bool written = std::fflush(stdout) == 0 && std::ferror(stdout) == 0;
  if (!written && errno != EPIPE && errno != 0) gt::fail("standard output: cannot write: ", std::strerror(errno));
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
  gt::add_compare_command(app);
  gt::add_ablate_command(app);
  gt::add_report_command(app);
  gt::add_maps_command(app);
  gt::add_synth_command(app);
  gt::add_simulate_command(app);
  gt::add_fixations_command(app);
  gt::add_prepare_command(app);
  gt::add_pseudo_command(app);
  gt::add_gradcheck_command(app);
  gt::add_plans_command(app);
  gt::add_info_command(app);
  gt::add_help_command(app);
  try {
    app.parse(argc, argv);
    flush_output();
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : 2;
  } catch (const std::exception& e) {
    std::cerr << "gradtrack: " << e.what() << std::endl;
    return 1;
  }
  return 0;
}
