// CSV files (RFC 4180).
#pragma once

#include <string>
#include <vector>

namespace gt {

/// A line of a CSV file, with its line break. Fields with commas, quotes or line breaks are quoted.
std::string csv_row(const std::vector<std::string>& fields);

/// The shortest text that reads as this number; "" for NaN and infinity.
std::string csv_number(double value);

}  // namespace gt
