#include "tools/label_options.h"

namespace gt {

void add_label_options(CLI::App& command, LabelOptions& labels, CLI::Option* needed) {
  const auto values = [&](const char* name, std::vector<int64_t>& list, const char* what) {
    auto* option = command.add_option(name, list, what)->type_name("VALUE ...")->check(CLI::Range(0, 0xFFFFFF));
    if (needed) option->needs(needed);
  };
  values("--foreground", labels.foreground, "values of masks that are foreground (default: the greater of two)");
  values("--ignored", labels.ignored, "values that count neither in losses nor in scores");
  values("--background", labels.background, "values that are background (default: 0, if others are given)");
}

}  // namespace gt
