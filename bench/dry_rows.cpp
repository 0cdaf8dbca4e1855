#include "bench/dry_rows.h"

#include <algorithm>
#include <cstdio>

#include "bench/passes.h"
#include "core/dry_run.h"
#include "core/io.h"
#include "kernels/cases/check_op.h"

namespace gt {

Cost cost(const OpCase& c, const Sizes& sizes, const std::string& pass) {
  if (!c.cost || (pass == "both" && !c.backward)) return {};
  Cost all = c.cost(sizes);
  if (pass == "both") {
    const Cost more = c.backward(sizes);
    all.bytes += more.bytes;
    all.flops += more.flops;
  }
  return all;
}

std::vector<DType> types_of(const OpCase& c, Device device) {
  if (device == Device::cuda && c.bf16_activations) return {DType::f32, DType::bf16};
  return {DType::f32};
}

DryWork work_on_cuda(const OpCase& c, const Sizes& sizes, DType dtype, const std::string& pass) {
  const DryRun dry;
  const Tensors inputs = inputs_of(c, sizes, dtype, Device::cuda);
  const auto call = pass == "forward" ? forward_pass(c.op, inputs) : both_passes(c.op, inputs);
  Profile profile(Device::cuda);
  {
    const NamedRange range("row");
    call();
  }
  profile.end();
  DryWork work{.total = {}, .launches = profile.launches()};
  Profile::Total& all = work.total;
  for (const Profile::Total& t : profile.totals(false)) all += t;
  const Cost known = cost(c, sizes, pass);
  if (known.flops > 0) all.flops = known.flops;
  if (dtype == DType::f32) all.bytes = std::max(all.bytes, known.bytes);
  return work;
}

bool is_differentiable(const OpCase& c) { return has_gradients(inputs_of(c, c.sizes.back(), DType::f32)); }

void predict(const std::vector<OpCase>& cases, const ReportOptions& options) {
  nlohmann::ordered_json rows = nlohmann::ordered_json::array();
  std::printf("%-*s %-*s %-5s %-8s %11s %9s %8s %6s %6s\n", int(options.op_width), "op", int(options.size_width),
              "size", "type", "pass", "MB", "GFLOP", "kernels", "calls", "copies");
  const auto row = [&](const OpCase& c, const Sizes& sizes, DType dtype, const char* pass, const Profile::Total& t) {
    std::printf("%-*s %-*s %-5s %-8s %11.3f %9.3f %8lld %6lld %6lld\n", int(options.op_width), c.name.c_str(),
                int(options.size_width), size_label(sizes).c_str(), to_string(dtype), pass, 1e-6 * t.bytes,
                1e-9 * t.flops, (long long)t.kernels, (long long)t.library_calls, (long long)t.copies);
    std::fflush(stdout);
    rows.push_back({{"op", c.name},
                    {"size", size_label(sizes)},
                    {"type", to_string(dtype)},
                    {"pass", pass},
                    {"bytes", t.bytes},
                    {"flops", t.flops},
                    {"kernels", t.kernels},
                    {"library_calls", t.library_calls},
                    {"copies", t.copies}});
  };
  for (const OpCase& c : cases)
    for (const Sizes& sizes : c.large) {
      const bool differentiable = is_differentiable(c);
      for (const DType dtype : types_of(c, Device::cuda))
        for (const char* pass : {"forward", "both"})
          if (pass == std::string("forward") || differentiable)
            row(c, sizes, dtype, pass, work_on_cuda(c, sizes, dtype, pass).total);
    }
  if (!options.json.empty()) write_file(options.json, rows.dump(1) + "\n");
}

}  // namespace gt
