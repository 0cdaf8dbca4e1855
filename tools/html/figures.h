// The charts of a page, which are also written as files.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "tools/html/charts.h"

namespace gt::html {

class Figures {
 public:
  /// `warning` stands in each file (see svg_file()).
  explicit Figures(std::string warning = "") : warning_(std::move(warning)) {}

  /// Keeps the chart for write(), and returns it as a part of the page. An empty one is "" there and no file. Files are
  /// called after the charts' titles, or `name` if it is given: "Validation Dice" is validation_dice.svg. A name that
  /// another chart has gets a number.
  std::string operator()(const Chart& chart, const std::string& name = "");

  /// Writes the charts to a folder, and makes it if there is none. Figures of these names are replaced. Throws Error if
  /// another file has such a name, unless `force`.
  void write(const std::string& folder, bool force) const;

  size_t size() const { return files_.size(); }

 private:
  std::string warning_;
  std::vector<std::pair<std::string, std::string>> files_;  // names and contents
};

}  // namespace gt::html
