// The report of the benchmarks: a table that is printed row by row, and a JSON file.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

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
  std::string json;     ///< file to write; empty for none
  std::string compare;  ///< file of an earlier run; empty for none
  std::string commit;   ///< named in the file
  bool errors = false;  ///< print a column of rounding errors
};

/// Prints rows as they are added, and keeps the JSON file up to date.
class Report {
 public:
  /// Prints the head of the table. Throws Error if the earlier run cannot be read.
  Report(ReportOptions options, Machine machine, std::map<Device, Roof> roofs);
  void add(const Row& row);
  /// Prints counts and a summary of the comparison. Returns the number of rows that failed.
  size_t finish();

 private:
  void print_head() const;
  void print(const Row& row, double speedup) const;
  void write(bool complete) const;
  double earlier_seconds(const Row& row) const;

  struct Change {
    std::string what;
    double speedup;
  };

  ReportOptions options_;
  Machine machine_;
  std::map<Device, Roof> roofs_;
  std::map<std::string, double> earlier_;  // median seconds of the earlier run's rows, by key
  std::string earlier_facts_;
  std::vector<Change> changes_;
  nlohmann::ordered_json rows_ = nlohmann::ordered_json::array();
  size_t failed_ = 0, unsteady_ = 0;
};

}  // namespace gt
