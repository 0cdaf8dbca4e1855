// The report of the benchmarks: a table that is printed row by row, and a JSON file.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "bench/gate.h"
#include "bench/machine.h"
#include "bench/measure.h"
#include "bench/roof.h"
#include "core/tensor.h"

namespace gt {

/// A row of the report: one op at one size, in one pass, on one device.
struct Row {
  std::string op, size, pass;
  Device device = Device::cpu;
  DType dtype = DType::f32;  ///< of activations
  Unit unit = Unit::f32;     ///< that does the operations
  Timing time{};
  double bytes = 0, flops = 0;  ///< 0 if unknown
  double composed = 0;          ///< median seconds of the composed twin; 0 if not measured
  double error = 0;             ///< largest relative difference from the op in double; 0 if not measured
  double cpu = 0;               ///< median seconds on this machine's CPU; 0 if not measured or if this row is the CPU's
  std::string failed{};         ///< the error's message if the row has no times
};

struct ReportOptions {
  size_t op_width = 2, size_width = 4;
  std::string json, csv, html;      ///< files to write; empty for none
  std::string compare;              ///< file of an earlier run; empty for none
  std::optional<double> fail_over;  ///< share by which a row may be slower than earlier, see is_slower()
  std::string commit;               ///< named in the file
  bool errors = false;              ///< print a column of rounding errors
};

/// Prints rows as they are added, and keeps the JSON and CSV files up to date.
class Report {
 public:
  /// Prints the head of the table. Throws Error if the earlier run cannot be read.
  Report(ReportOptions options, Machine machine, std::map<Device, Roof> roofs);
  void add(const Row& row);
  /// What went wrong, in numbers of rows.
  struct Outcome {
    size_t failed = 0;  ///< without times
    size_t slower = 0;  ///< than options.fail_over allows
  };
  /// Prints counts and a summary of the comparison, with a line for each row that is too slow. Writes the page.
  Outcome finish();

 private:
  void print_head() const;
  void print(const Row& row, double speedup) const;
  nlohmann::ordered_json json(bool complete) const;
  void write(bool complete) const;
  void print_comparison() const;

  struct Change {
    std::string what;
    double speedup;
  };

  ReportOptions options_;
  Machine machine_;
  std::map<Device, Roof> roofs_;
  std::optional<EarlierRun> earlier_;
  std::vector<Change> changes_;
  std::vector<std::string> too_slow_;  // a line for each row
  nlohmann::ordered_json rows_ = nlohmann::ordered_json::array();
  size_t failed_ = 0, unsteady_ = 0;
};

}  // namespace gt
