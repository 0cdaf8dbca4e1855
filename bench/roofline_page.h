// The results of the benchmarks as one HTML page.
#pragma once

#include <string>

#include "core/json.h"

namespace gt {

/// Reads a file that --json wrote, or one of its form: "rows", each with device, op, size, pass and either failed or
/// ms, and "roofs" with gb_per_s and gflop_per_s of each device. Throws Error, naming the file and the row, for
/// anything else.
Json read_results(const std::string& path);

/// A page without references to other files: for each device a roofline, log-log, with a point for each row whose bytes
/// and operations are known, and its place in the earlier run if there is one; then a table that sorts and filters.
std::string roofline_page(const Json& results);

}  // namespace gt
