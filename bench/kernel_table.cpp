#include "bench/kernel_table.h"

#include <algorithm>
#include <cstdio>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include "bench/dry_rows.h"
#include "bench/ptxas_report.h"
#include "core/io.h"

namespace gt {
namespace {

/// What is known of a launch.
struct Figures {
  int registers;  // of a thread
  int64_t static_shared;
  int blocks;        // of a multiprocessor, at once
  double occupancy;  // the share of its warps
  std::string limited_by;

  auto operator<=>(const Figures&) const = default;
};

using FindFigures = std::function<std::optional<Figures>(const KernelLaunch&)>;

Occupancy occupancy_of(const KernelLaunch& launch, const KernelResources& kernel, const MultiprocessorLimits& limits) {
  return occupancy({launch.threads, kernel.registers, kernel.static_shared + int64_t(launch.shared_bytes)}, limits);
}

std::optional<Figures> figures_on_device(const KernelLaunch& launch) {
  static const MultiprocessorLimits limits = device_limits();
  const auto [kernel, blocks] = kernel_on_device(launch);
  const Occupancy o = occupancy_of(launch, kernel, limits);
  return Figures{kernel.registers, kernel.static_shared, blocks, blocks * o.warps_of_block,
                 blocks == o.blocks() ? o.limited_by() : "-"};
}

FindFigures figures_of_report(const std::string& ptxas, const std::string& arch) {
  return [report = PtxasReport(ptxas, arch),
          limits = multiprocessor_limits(arch)](const KernelLaunch& launch) -> std::optional<Figures> {
    const auto kernel = report.find(kernel_name(launch.kernel));
    if (!kernel) return {};
    const Occupancy o = occupancy_of(launch, *kernel, limits);
    return Figures{kernel->registers, kernel->static_shared, o.blocks(), o.share(), o.limited_by()};
  };
}

/// A row of the table.
struct Row {
  std::string kernel;
  int threads;
  size_t dynamic_shared;
  std::optional<Figures> figures;

  auto operator<=>(const Row&) const = default;
};

/// A kernel's name without its result, its parameters and this project's namespaces.
std::string short_name(std::string name) {
  name = without_parameters(std::move(name));
  for (const std::string part : {"(anonymous namespace)::", "gt::", "gpu::", "cuda::"})
    for (size_t at = 0; (at = name.find(part, at)) != std::string::npos;)
      if (at == 0 || std::string_view("<( ,:&*").find(name[at - 1]) != std::string_view::npos)
        name.erase(at, part.size());
      else
        ++at;
  return name;
}

std::map<Row, std::vector<std::string>> launched_by(const std::vector<OpCase>& cases, const FindFigures& find) {
  std::map<Row, std::vector<std::string>> rows;  // with the names of their ops
  for (const OpCase& c : cases) {
    const char* const pass = is_differentiable(c) ? "both" : "forward";
    for (const Sizes& sizes : c.large)
      for (const DType dtype : types_of(c, Device::cuda))
        for (const auto& [launch, times] : work_on_cuda(c, sizes, dtype, pass).launches) {
          auto& ops = rows[{short_name(kernel_name(launch.kernel)), launch.threads, launch.shared_bytes, find(launch)}];
          if (ops.empty() || ops.back() != c.name) ops.push_back(c.name);
        }
  }
  return rows;
}

void print(const Row& row, const std::string& ops, size_t kernel_width) {
  const auto text = [&](const auto& field) { return row.figures ? str_cat(field(*row.figures)) : std::string("-"); };
  std::printf("%-*s %7d %9s %6s %7zu %6s %9s  %-27s  %s\n", int(kernel_width), row.kernel.c_str(), row.threads,
              text([](const Figures& f) { return f.registers; }).c_str(),
              text([](const Figures& f) { return f.static_shared; }).c_str(), row.dynamic_shared,
              text([](const Figures& f) { return f.blocks; }).c_str(),
              text([](const Figures& f) { return str_cat(std::lround(100 * f.occupancy), " %"); }).c_str(),
              text([](const Figures& f) { return f.limited_by; }).c_str(), ops.c_str());
}

nlohmann::ordered_json as_json(const Row& row, const std::vector<std::string>& ops) {
  nlohmann::ordered_json j = {{"kernel", row.kernel},
                              {"ops", ops},
                              {"threads", row.threads},
                              {"registers", nullptr},
                              {"static_shared_bytes", nullptr},
                              {"dynamic_shared_bytes", row.dynamic_shared},
                              {"blocks", nullptr},
                              {"occupancy", nullptr},
                              {"limited_by", nullptr}};
  if (const auto& f = row.figures) {
    j["registers"] = f->registers;
    j["static_shared_bytes"] = f->static_shared;
    j["blocks"] = f->blocks;
    j["occupancy"] = f->occupancy;
    if (f->limited_by != "-") j["limited_by"] = f->limited_by;
  }
  return j;
}

}  // namespace

void print_kernels(const std::vector<OpCase>& cases, const std::string& ptxas, const std::string& arch,
                   const std::string& json) {
  FindFigures find = [](const KernelLaunch&) { return std::nullopt; };
  std::string source = "unknown: there is no GPU, and no --ptxas";
  if (!ptxas.empty())
    find = figures_of_report(ptxas, arch), source = str_cat("nvcc's report in ", ptxas, " for ", arch);
  else if (cuda_status().state == CudaState::device && !GT_EMULATE)
    find = figures_on_device, source = cuda_status().reason;
  const auto rows = launched_by(cases, find);
  std::printf("registers and shared memory: %s\n", source.c_str());
  size_t kernel_width = 6;
  for (const auto& [row, ops] : rows) kernel_width = std::max(kernel_width, row.kernel.size());
  std::printf("%-*s %7s %9s %6s %7s %6s %9s  %-27s  %s\n", int(kernel_width), "kernel", "threads", "registers",
              "static", "dynamic", "blocks", "occupancy", "limited by", "ops");
  size_t known = 0;
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const auto& [row, ops] : rows) {
    std::string names;
    for (const std::string& op : ops) names += (names.empty() ? "" : ", ") + op;
    print(row, names, kernel_width);
    list.push_back(as_json(row, ops));
    known += row.figures.has_value();
  }
  std::printf("%zu rows, %zu without figures\n", rows.size(), rows.size() - known);
  if (!json.empty()) write_file(json, nlohmann::ordered_json{{"figures", source}, {"kernels", list}}.dump(1) + "\n");
}

}  // namespace gt
