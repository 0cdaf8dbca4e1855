// gradtrack_bench: times every op of the op table at the sizes of a training step, forward, and forward with backward.
// It compares the times with the device's lower bound, with the op's composed twin, and CUDA with the CPU. An op is
// timed only if it agrees with its twin and between devices at the row's last small size. Exit status: 0 done, 1 a row
// failed or another error, 2 wrong usage, 3 a row is slower than --fail-over allows.
#include <CLI/CLI.hpp>
#include <cstdlib>
#include <iostream>

#include "bench/dry_rows.h"
#include "bench/kernel_table.h"
#include "bench/loader.h"
#include "bench/once.h"
#include "bench/passes.h"
#include "bench/report.h"
#include "bench/roofline_page.h"
#include "bench/step_cases.h"
#include "core/config.h"
#include "core/io.h"
#include "core/parallel.h"
#include "kernels/cases/check_op.h"
#include "tools/shell.h"

namespace gt {
namespace {

struct Options {
  std::string device = "all";
  std::vector<std::string> ops;
  ReportOptions report;
  int threads = 0;
  bool quick = false;
  bool predict = false;               // counts bytes, operations and launches in dry runs instead
  bool kernels = false;               // lists the kernels instead
  std::string ptxas, arch = "sm_90";  // nvcc build whose report has the kernels' registers; the device if empty
  std::string loader;                 // folder of a data set whose loading is timed instead
  std::vector<std::string> sizes;     // replace those of the rows
  bool once = false, range = false;   // call each row once instead, in a range for profilers
  std::string render;                 // file of results to make the page of, instead of measuring
  std::string fail_over;              // text of report.fail_over
  std::string command;                // the command line

  double budget() const { return quick ? 0.03 : 0.2; }  // seconds per measurement
};

using Op = std::function<Tensors(const Tensors&)>;

Tensors on_device(const Tensors& tensors, Device device) {
  Tensors moved = tensors;
  for (Tensor& x : moved)
    if (x.defined() && x.device() != device) x = x.to(device).set_requires_grad(x.requires_grad());
  return moved;
}

// ---- Verification ---------------------------------------------------------------------------------------------------

void require_close(const Tensors& a, const Tensors& b, double tolerance, const std::string& what) {
  if (a.size() != b.size()) fail(what, ": ", a.size(), " results, expected ", b.size());
  for (size_t i = 0; i < a.size(); ++i)
    if (const double off = relative_difference(a[i], b[i], min_scale(b)); !(off <= tolerance))
      fail(what, ": result ", i, " ", a[i].shape(), " is off by ", off, ", allowed ", tolerance);
}

/// Throws Error unless the row's values and gradients agree with its composed twin's, and between devices.
void verify(const OpCase& c, const std::vector<Device>& devices) {
  const auto results = [&](const Op& op, Device device) {  // makes new inputs, as some ops work in place
    return run_with_gradients(op, inputs_of(c, c.sizes.back(), DType::f32, device), Random(5));
  };
  const Tensors cpu = results(c.op, Device::cpu);
  if (c.composed)
    require_close(cpu, results(c.composed, Device::cpu), c.f32_tolerance, "compared with its composed twin");
  for (const Device device : devices)
    if (device != Device::cpu) require_close(results(c.op, device), cpu, c.f32_tolerance, "compared with the CPU");
}

/// The largest differences of f32 results from those in double, relative to each tensor's largest value: "forward" of
/// the values, "both" of the values and gradients.
std::map<std::string, double> rounding_errors(const OpCase& c, const Tensors& inputs) {
  Tensors exact = inputs;
  for (Tensor& x : exact)
    if (x.defined() && x.dtype() == DType::f32) x = x.cast(DType::f64).set_requires_grad(x.requires_grad());
  const Tensors results = run_with_gradients(c.op, inputs, Random(5)),
                expected = run_with_gradients(c.op, exact, Random(5));
  const size_t values = [&] {
    const NoGrad no_grad;
    const Tensors outputs = c.op(inputs);
    return size_t(std::count_if(outputs.begin(), outputs.end(), [](const Tensor& y) { return y.defined(); }));
  }();
  std::map<std::string, double> worst;
  for (size_t i = 0; i < results.size(); ++i) {
    const double off = relative_difference(results[i], expected[i]);
    if (i < values) worst["forward"] = std::max(worst["forward"], off);
    worst["both"] = std::max(worst["both"], off);
  }
  return worst;
}

// ---- Timing ---------------------------------------------------------------------------------------------------------

/// Times rows and adds them to a report.
class Bench {
 public:
  Bench(const Options& options, std::vector<Device> devices, Report& report)
      : options_(options), devices_(std::move(devices)), report_(report) {}

  void run(const OpCase& c) {
    try {
      verify(c, devices_);
      for (const Sizes& sizes : c.large) run(c, sizes);
    } catch (const std::exception& e) {
      Row row{c.name, size_label(c.sizes.back()), "check", devices_.back()};
      row.failed = e.what();
      report_.add(row);
    }
  }

 private:
  void run(const OpCase& c, const Sizes& sizes) {
    const Tensors made = inputs_of(c, sizes, DType::f32);
    std::map<std::string, double> cpu, error;  // seconds, and rounding error, of each pass
    if (options_.report.errors) error = rounding_errors(c, made);
    for (const Device device : devices_)
      for (const DType dtype : types_of(c, device)) {
        const Tensors inputs = dtype == DType::f32 ? on_device(made, device) : inputs_of(c, sizes, dtype, device);
        for (const char* pass : {"forward", "both"}) {
          if (pass == std::string("both") && !has_gradients(inputs)) continue;
          Row row{c.name, size_label(sizes), pass, device, dtype};
          if (device == Device::cpu) {
            const Cost work = cost(c, sizes, pass);
            row.bytes = work.bytes, row.flops = work.flops;
          } else {
            const Profile::Total work = work_on_cuda(c, sizes, dtype, pass).total;
            row.bytes = work.bytes, row.flops = work.flops;
            row.unit = work.library_calls > 0 && dtype == DType::bf16 ? Unit::bf16_products : Unit::f32;
          }
          row.time = time(row, c.op, inputs);
          // The twins are made of ops that cannot mix bf16 activations with f32 parameters.
          if (c.fuses && dtype == DType::f32) row.composed = time(row, c.composed, inputs).median;
          if (device == Device::cpu) {
            cpu[pass] = row.time.median;
            row.error = error[pass];
          } else
            row.cpu = cpu[pass];
          report_.add(row);
        }
      }
  }

  Timing time(const Row& row, const Op& op, const Tensors& inputs) const {
    const auto work = row.pass == "forward" ? forward_pass(op, inputs) : both_passes(op, inputs);
    const Timing timing = measure(row.op, row.device, work, options_.budget());
    for (Tensor x : inputs)
      if (x.defined()) x.clear_grad();
    return timing;
  }

  const Options& options_;
  const std::vector<Device> devices_;
  Report& report_;
};

/// Calls each pass of each row once after some calls to warm up.
void call_each_once(const std::vector<OpCase>& cases, const std::vector<Device>& devices, const Options& options) {
  for (const OpCase& c : cases)
    for (const Sizes& sizes : c.large)
      for (const Device device : devices)
        for (const DType dtype : types_of(c, device)) {
          const Tensors inputs = inputs_of(c, sizes, dtype, device);
          const std::string name = str_cat(c.name, " ", size_label(sizes), " ", dtype, " ", to_string(device));
          call_once(name + " forward", device, forward_pass(c.op, inputs), options.range);
          if (has_gradients(inputs)) call_once(name + " both", device, both_passes(c.op, inputs), options.range);
        }
  if (options.range) print_profiler_commands(options.command);
}

// ---- The command ----------------------------------------------------------------------------------------------------

std::vector<Device> devices_of(const std::string& word) {
  const CudaStatus& cuda = cuda_status();
  const bool real = cuda.state == CudaState::device && !GT_EMULATE;
  if (word == "cpu") return {Device::cpu};
  if (word == "cuda" && !real)
    fail("--device cuda: ", cuda.reason, GT_EMULATE ? "; an emulated device is not timed" : "");
  if (word == "cuda") return {Device::cuda};
  if (word != "all") fail("--device ", word, ": expected cpu, cuda or all");
  if (real) return {Device::cpu, Device::cuda};
  std::printf("no times on cuda: %s\n", cuda.reason.c_str());
  return {Device::cpu};
}

/// The rows with sizes to time whose name contains one of the words, or all if there are no words.
std::vector<OpCase> chosen(const std::vector<std::string>& words) {
  std::vector<OpCase> cases;
  std::vector<std::string> names;
  std::vector<bool> found(words.size());
  std::vector<OpCase> all = op_cases();
  for (const OpCase& c : step_cases()) all.push_back(c);
  for (const OpCase& c : all) {
    if (c.large.empty()) continue;
    names.push_back(c.name);
    bool matches = words.empty();
    for (size_t i = 0; i < words.size(); ++i)
      if (c.name.find(words[i]) != std::string::npos) matches = found[i] = true;
    if (matches) cases.push_back(c);
  }
  for (size_t i = 0; i < words.size(); ++i) {
    if (found[i]) continue;
    std::string known;
    for (const std::string& name : names) known += "\n  " + name;
    const std::string near = nearest_word(words[i], names);
    fail("--op ", words[i], ": no such op", near.empty() ? "; there are:" + known : ", did you mean '" + near + "'?");
  }
  return cases;
}

/// Replaces the sizes to time of each row.
void set_sizes(std::vector<OpCase>& cases, const std::vector<std::string>& sizes) {
  for (OpCase& c : cases) {
    const Sizes like = c.large.front();
    c.large.clear();
    for (const std::string& text : sizes) c.large.push_back(read_sizes(text, like, c.name));
  }
}

int status_of(const Report::Outcome& outcome) { return outcome.failed > 0 ? 1 : outcome.slower > 0 ? 3 : 0; }

/// Returns the exit status.
int bench(Options options) {
  if (!options.render.empty()) {
    write_file(options.report.html, roofline_page(read_results(options.render)));
    return 0;
  }
  if (!options.fail_over.empty()) options.report.fail_over = read_share(options.fail_over);
  if (!options.loader.empty()) {
    const int threads = options.threads > 0 ? options.threads : num_threads();
    return time_loader(options.loader, 224, threads, 10 * options.budget(), options.report.json), 0;
  }
  std::vector<OpCase> cases = chosen(options.ops);
  if (!options.sizes.empty()) set_sizes(cases, options.sizes);
  for (const OpCase& c : cases) {
    options.report.op_width = std::max(options.report.op_width, c.name.size());
    for (const Sizes& sizes : c.large)
      options.report.size_width = std::max(options.report.size_width, size_label(sizes).size());
  }
  if (options.predict) return predict(cases, options.report), 0;
  if (options.kernels) return print_kernels(cases, options.ptxas, options.arch, options.report.json), 0;
  const std::vector<Device> devices = devices_of(options.device);
  if (options.threads > 0) set_num_threads(options.threads);
  if (options.once) return call_each_once(cases, devices, options), 0;
  std::map<Device, Roof> roofs;
  for (const Device device : devices) roofs[device] = measure_roof(device);
  Report report(options.report, this_machine(devices.back() == Device::cuda), roofs);
  Bench rows(options, devices, report);
  for (const OpCase& c : cases) rows.run(c);
  return status_of(report.finish());
}

void add_options(CLI::App& app, Options& o) {
  app.add_option("--device", o.device, "cpu, cuda, or all: the CPU and the CUDA device if there is one")
      ->capture_default_str();
  auto* op = app.add_option("--op", o.ops, "only ops whose name contains NAME; may be repeated")->type_name("NAME");
  app.add_option("--threads", o.threads, "threads of the CPU; all processors by default")->check(CLI::Range(1, 4096));
  app.add_flag("--quick", o.quick, "fewer repetitions, for a first impression");
  auto* predict =
      app.add_flag("--predict", o.predict,
                   "count bytes, operations and launches of each row on cuda instead of timing; needs no GPU");
  auto* kernels = app.add_flag("--kernels", o.kernels,
                               "list the kernels that the rows launch on cuda: registers, shared memory and occupancy "
                               "of each block size; without a GPU these need --ptxas")
                      ->excludes(predict);
  auto* ptxas = app.add_option("--ptxas", o.ptxas,
                               "take registers and static shared memory from this build of nvcc, made by "
                               "`make cuda-check`, instead of the device")
                    ->needs(kernels)
                    ->type_name("BUILD");
  app.add_option("--arch", o.arch, "architecture of --ptxas")
      ->capture_default_str()
      ->needs(ptxas)
      ->check(CLI::IsMember({"sm_80", "sm_90"}));
  app.add_option("--loader", o.loader, "time the loading of this data set instead, images per second at 224 pixels")
      ->type_name("DIR");
  app.add_flag("--errors", o.report.errors, "add a column: largest relative difference of f32 from double, on the CPU");
  app.add_option("--json", o.report.json, "file to write the results to")->type_name("FILE");
  app.add_option("--csv", o.report.csv, "file to write the results to, as a table")->type_name("FILE");
  auto* html = app.add_option("--html", o.report.html, "file to write a page to: the roofline and a table that sorts")
                   ->type_name("FILE");
  app.add_option("--render", o.render, "measure nothing, make the page of --html from a file of --json")
      ->needs(html)
      ->type_name("FILE");
  auto* compare =
      app.add_option("--compare", o.report.compare, "a file of --json from an earlier run: adds a column and a summary")
          ->type_name("FILE");
  app.add_option("--fail-over", o.fail_over,
                 "exit with status 3 if a row is slower than earlier by more than this share, such as 5%, and the 95 % "
                 "intervals of both medians do not overlap")
      ->needs(compare)
      ->check([](const std::string& text) {
        try {
          return read_share(text), std::string();
        } catch (const Error& error) {
          return std::string(error.what());
        }
      })
      ->type_name("SHARE");
  app.add_option("--sizes", o.sizes, "sizes to time instead of the rows' own, separated by commas; needs --op")
      ->delimiter(',')
      ->needs(op)
      ->type_name("SIZES");
  auto* once = app.add_flag("--once", o.once, "call each row once, after some calls to warm up, instead of timing it");
  app.add_flag("--range", o.range,
               "make that call an NVTX range between cudaProfilerStart and cudaProfilerStop, and print the command "
               "lines of ncu and nsys")
      ->needs(once);
  app.add_option("--commit", o.report.commit, "commit to name in the results file")->envname("GRADTRACK_COMMIT");
  app.footer(
      "Example, before and after a change to the convolution:\n"
      "  gradtrack_bench --op conv2d --json before.json\n"
      "  gradtrack_bench --op conv2d --compare before.json --fail-over 5%\n"
      "Other sizes, a profiler, and the page of a file of results:\n"
      "  gradtrack_bench --op 'conv2d 3x3' --sizes 8x112x112x64x64x1,8x56x56x128x128x1 --csv sizes.csv\n"
      "  gradtrack_bench --op splat --once --range\n"
      "  gradtrack_bench --render before.json --html roofline.html\n"
      "Registers and occupancy of the kernels of an op, from the report of `make cuda-check`:\n"
      "  gradtrack_bench --kernels --op splat --ptxas build/cuda --arch sm_90\n\n"
      "The pass 'both' is forward and backward to every input with a gradient. On cuda, events measure the time on "
      "the\n"
      "device, and the L2 cache is overwritten before each call.");
}

}  // namespace
}  // namespace gt

int main(int argc, char** argv) {
  CLI::App app("Times every op of the op table at the sizes of a training step.", "gradtrack_bench");
  gt::Options options;
  gt::add_options(app, options);
  try {
    app.parse(argc, argv);
    options.command = gt::shell_words({argv, argv + argc});
    return gt::bench(options);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : 2;
  } catch (const std::exception& e) {
    std::cerr << "gradtrack_bench: " << e.what() << std::endl;
    return 1;
  }
}
