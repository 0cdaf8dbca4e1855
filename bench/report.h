// What the benchmarks tell: a table for people, written as it goes, and a JSON file for machines.
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

/// One line: an op at a size, in one pass, on one device.
struct Row {
  std::string op, size, pass;
  Device device = Device::cpu;
  DType dtype = DType::f32;  ///< of activations
  Unit unit = Unit::f32;     ///< that does its operations
  Timing time{};
  double bytes = 0, flops = 0;  ///< 0: not known
  double composed = 0;          ///< median seconds of the same from other ops; 0: not measured
  double error = 0;             ///< largest difference to the same in double, relative; 0: not measured
  double cpu = 0;               ///< of the same on this machine's CPU; 0: not measured, or this is the CPU
  std::string failed{};         ///< why there are no times
};

struct ReportOptions {
  size_t op_width = 2, size_width = 4;
  std::string json;     ///< file to write; empty for none
  std::string compare;  ///< file of an earlier run; empty for none
  std::string commit;
  bool errors = false;  ///< a column of them
};

class Report {
 public:
  /// Throws Error if the earlier run cannot be read.
  Report(ReportOptions options, Machine machine, std::map<Device, Roof> roofs);
  void add(const Row& row);
  /// Counts, and the comparison in one line. The number of rows that failed.
  size_t finish();

 private:
  void print_head() const;
  void print(const Row& row, double times_as_fast) const;
  void write(bool complete) const;
  double old_seconds(const Row& row) const;

  struct Change {
    std::string what;
    double times_as_fast;
  };

  ReportOptions options_;
  Machine machine_;
  std::map<Device, Roof> roofs_;
  std::map<std::string, double> old_;  // median seconds of the earlier run's rows, by key
  std::string old_facts_;
  std::vector<Change> changes_;
  nlohmann::ordered_json rows_ = nlohmann::ordered_json::array();
  size_t failed_ = 0, unsteady_ = 0;
};

}  // namespace gt
