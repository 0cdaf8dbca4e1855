// gradtrack gradcheck
#include <cstdio>

#include "kernels/cases/check_op.h"
#include "models/recipes.h"
#include "tools/commands.h"

namespace gt {
namespace {

constexpr double limit = 1e-6;

/// Every parameter of a tiny GradTrack through its whole loss, with maps from a track.
GradCheck check_network(Device device) {
  Config config;
  config.data.size = 32;
  config.model = {.features = {4, 4, 8, 8, 8, 4}, .groups = 2, .slope = 0.1};
  config.loss.lambda = {1, 1, 1, 1};
  const std::unique_ptr<Model> model = make_model(config, DType::f64, device);
  Random random(3);
  Track track{"tiny", {}, 0, 0};
  for (int i = 0; i < 6; ++i)
    track.fixations.push_back({random.uniform(0.2, 0.8), random.uniform(0.2, 0.8), random.uniform(100, 400), 0});
  Maker maker{DType::f64, random};
  Supervised batch;
  batch.images = maker.normal({2, 32, 32, 3}).to(device);
  batch.tracks = to_device(pack_tracks({&track, &track}, config.maps, DType::f64), device);
  const auto loss = [&](const Tensors&) { return Tensors{model->losses(batch).total()}; };
  const int64_t most = device == Device::cpu ? 6 : 2;
  return check_gradients(loss, model->parameters().tensors(), Random(4), most, {1e-4, 3e-5, 1e-5, 3e-6, 1e-6});
}

void gradcheck(const std::string& wanted, Device device) {
  const auto cases = op_cases();
  const int64_t most = device == Device::cpu ? 200 : 10;  // elements of an input: the CPU's check is the thorough one
  size_t shown = 0, failed = 0;
  std::vector<std::string> names;
  const auto row = [&](const std::string& name, size_t sizes, const GradCheck& worst) {
    const bool ok = worst.worst < limit;
    ++shown;
    failed += !ok;
    std::printf("%-28s %6zu   %9.2e   %s\n", name.c_str(), sizes, worst.worst,
                ok ? "ok" : ("FAILED at " + worst.where).c_str());
    std::fflush(stdout);
  };
  std::printf("%-28s %6s   %9s   limit %.0e, in double, on %s\n", "op", "sizes", "worst", limit, to_string(device));
  for (const OpCase& c : cases) {
    names.push_back(c.name);
    if (!wanted.empty() && c.name.find(wanted) == std::string::npos) continue;
    GradCheck worst;
    for (const Sizes& sizes : c.sizes)
      if (const GradCheck result = check_gradients(c, sizes, device, most); !(result.worst <= worst.worst))
        worst = result;
    row(c.name, c.sizes.size(), worst);
  }
  names.push_back("network");
  if (wanted.empty() || wanted == "network") row("network (whole GradTrack loss)", 1, check_network(device));
  if (shown == 0) {
    const std::string near = nearest(wanted, names);
    fail("--op ", wanted, ": no such op", near.empty() ? "" : ", did you mean '" + near + "'?");
  }
  std::printf("%zu checked, %zu failed\n", shown, failed);
  if (failed > 0) fail(failed, " of ", shown, " gradients are wrong");
}

}  // namespace

void add_gradcheck_command(CLI::App& app) {
  auto* command = app.add_subcommand("gradcheck", "Check every op's gradient against finite differences");
  auto op = std::make_shared<std::string>();
  command->add_option("--op", *op, "only the ops whose name contains this; 'network' is the whole loss")
      ->type_name("NAME");
  command->footer("Example:\n  gradtrack gradcheck --op splat");
  auto device = std::make_shared<std::string>("cpu");
  command->add_option("--device", *device, "auto, cpu or cuda")->capture_default_str();
  command->callback([=] { gradcheck(*op, choose_device(*device)); });
}

}  // namespace gt
