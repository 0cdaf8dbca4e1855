#include "tools/gradcheck_report.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "core/io.h"
#include "core/safetensors.h"
#include "tools/html/page.h"
#include "tools/text_table.h"

namespace gt {
namespace {

constexpr const char* gradient_file = "/gradients.safetensors";

std::string scientific(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2e", value);
  return text;
}

/// A gradient in two folders.
struct GradientPair {
  std::string name;
  double largest_a = 0, largest_b = 0;
  double difference = 0;  // the largest, relative to the larger of the two; infinite where only one is finite
};

GradientPair compare(const std::string& name, const Tensor& a, const Tensor& b) {
  const std::vector<double> x = a.cast(DType::f64).values<double>(), y = b.cast(DType::f64).values<double>();
  GradientPair pair{name, largest(a), largest(b), 0};
  double worst = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const bool equal = x[i] == y[i] || (std::isnan(x[i]) && std::isnan(y[i]));
    const double difference = std::fabs(x[i] - y[i]);
    if (!equal) worst = std::max(worst, std::isfinite(difference) ? difference : INFINITY);
  }
  if (worst > 0) pair.difference = worst / std::max({pair.largest_a, pair.largest_b, 1e-300});
  return pair;
}

}  // namespace

const char* RowResult::verdict() const {
  if (!check.differing.empty()) return "DIFFERS";
  return wrong == 0 ? "ok" : wrong < runs ? "FLAKY" : "FAILED";
}

std::string RowResult::message() const {
  std::string text;
  if (!check.differing.empty()) text = check.differing + " has other bits in a second run";
  if (wrong == 0) return text;
  if (!text.empty()) text += "; ";
  if (runs > 1) text += str_cat(wrong, " of ", runs, " seeds, ");
  return text + check.where;
}

Json gradcheck_json(const GradCheckRun& run, const std::vector<RowResult>& rows) {
  Json json = {
      {"device", run.device}, {"limit", run.limit}, {"seed", run.seed}, {"repeat", run.repeat}, {"fast", run.fast}};
  if (!run.steps.empty()) json["steps"] = run.steps;
  json["checked"] = rows.size();
  json["failed"] = std::count_if(rows.begin(), rows.end(), [](const RowResult& row) { return !row.message().empty(); });
  Json& list = json["rows"] = Json::array();
  for (const RowResult& row : rows) {
    // JSON has no infinity.
    const Json worst = std::isfinite(row.check.worst) ? Json(row.check.worst) : Json("infinity");
    list.push_back({{"name", row.name},
                    {"verdict", row.verdict()},
                    {"worst", worst},
                    {"sizes", row.sizes},
                    {"elements", row.check.elements},
                    {"runs", row.runs},
                    {"wrong", row.wrong},
                    {"flake_rate", double(row.wrong) / double(row.runs)},
                    {"seconds", row.seconds}});
    if (row.check.kink > 0) list.back()["kink_within"] = row.check.kink;
    if (!row.message().empty()) list.back()["message"] = row.message();
  }
  return json;
}

std::string gradcheck_junit(const std::vector<RowResult>& rows) {
  size_t failures = 0;
  double seconds = 0;
  std::string cases;
  for (const RowResult& row : rows) {
    seconds += row.seconds;
    cases +=
        str_cat("  <testcase classname=\"gradcheck\" name=\"", html::escape(row.name), "\" time=\"", row.seconds, "\"");
    if (row.message().empty()) {
      cases += "/>\n";
      continue;
    }
    ++failures;
    cases += str_cat(">\n    <failure type=\"", row.verdict(), "\" message=\"", html::escape(row.message()),
                     "\"/>\n  </testcase>\n");
  }
  return str_cat("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"gradcheck\" tests=\"", rows.size(),
                 "\" failures=\"", failures, "\" errors=\"0\" skipped=\"0\" time=\"", seconds, "\">\n", cases,
                 "</testsuite>\n");
}

void write_gradients(const std::string& folder, const NamedTensors& gradients) {
  make_folder(folder);
  SafeTensors file;
  file.tensors = gradients;
  write_safetensors(folder + gradient_file, file);
}

int64_t print_gradient_differences(const std::string& a, const std::string& b, double limit) {
  const std::string path_a = a + gradient_file, path_b = b + gradient_file;
  const SafeTensors first = read_safetensors(path_a), second = read_safetensors(path_b);
  for (const auto& [name, tensor] : second.tensors)
    if (!first.find(name)) fail(path_a, ": expected the gradient '", name, "', which ", path_b, " has");
  std::vector<GradientPair> pairs;
  for (const auto& [name, tensor] : first.tensors) {
    const Tensor* other = second.find(name);
    if (!other) fail(path_b, ": expected the gradient '", name, "', which ", path_a, " has");
    if (other->shape() != tensor.shape())
      fail(path_b, ": gradient '", name, "' has the shape ", other->shape(), ", expected ", tensor.shape(), " as in ",
           path_a);
    pairs.push_back(compare(name, tensor, *other));
  }
  std::stable_sort(pairs.begin(), pairs.end(),
                   [](const GradientPair& x, const GradientPair& y) { return x.difference > y.difference; });
  std::vector<std::vector<std::string>> rows = {{"difference", "largest in A", "largest in B", "gradient"}};
  int64_t above = 0;
  for (const GradientPair& pair : pairs) {
    above += !(pair.difference <= limit);
    rows.push_back({scientific(pair.difference), scientific(pair.largest_a), scientific(pair.largest_b), pair.name});
  }
  print_rows(rows);
  std::printf("%zu gradients, %lld differ by more than %g of their largest element\n", pairs.size(),
              static_cast<long long>(above), limit);
  return above;
}

}  // namespace gt
