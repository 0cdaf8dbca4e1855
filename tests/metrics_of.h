// The log of a run, for comparing runs.
#pragma once

#include <nlohmann/json.hpp>
#include <sstream>
#include <string>

#include "core/io.h"

namespace gt {

/// metrics.jsonl of a run, without times and speeds.
inline std::string metrics_of(const std::string& folder) {
  std::istringstream lines(read_file(folder + "/metrics.jsonl"));
  std::string all;
  for (std::string line; std::getline(lines, line);) {
    auto entry = nlohmann::ordered_json::parse(line);
    entry.erase("seconds");
    entry.erase("images_per_s");
    all += entry.dump() + "\n";
  }
  GT_CHECK(!all.empty(), folder, "/metrics.jsonl is empty");
  return all;
}

}  // namespace gt
