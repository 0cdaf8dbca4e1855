#include "bench/loader.h"

#include <chrono>
#include <cstdio>
#include <functional>
#include <nlohmann/json.hpp>

#include "core/io.h"
#include "core/parallel.h"
#include "gaze/dataset.h"

namespace gt {
namespace {

constexpr int64_t batch = 8;

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// Calls `work`, which returns the number of images it handled, until `budget` seconds have passed.
double images_per_second(double budget, const std::function<int64_t()>& work) {
  const double start = seconds_now();
  int64_t images = 0;
  double taken = 0;
  while (taken < budget) {
    images += work();
    taken = seconds_now() - start;
  }
  return double(images) / taken;
}

}  // namespace

void time_loader(const std::string& folder, int64_t size, int threads, double budget, const std::string& json) {
  DataOptions options;
  options.root = folder;
  options.size = size;
  const DataNeeds needs{.gaze = true};
  nlohmann::ordered_json rows = nlohmann::ordered_json::array();
  std::printf("%s, %lld pixels, batch %lld\n%7s %16s %16s\n", folder.c_str(), (long long)size, (long long)batch,
              "threads", "loaded images/s", "batched images/s");
  for (int n = 1;; n = std::min(2 * n, threads)) {
    set_num_threads(n);
    options.threads = n;
    Dataset dataset;
    const double loaded = images_per_second(budget, [&] {
      dataset = load_dataset(options, "train", needs);
      return int64_t(dataset.samples.size());
    });
    Loader loader(dataset, options, AugmentOptions(), MapOptions(), batch, 1, 0);
    for (int i = 0; i < 4 * n; ++i) loader.next();  // batches that were prepared before the clock starts
    const double batched = images_per_second(budget, [&] {
      loader.next();
      return batch;
    });
    std::printf("%7d %16.1f %16.1f\n", n, loaded, batched);
    std::fflush(stdout);
    rows.push_back({{"threads", n}, {"size", size}, {"loaded_per_s", loaded}, {"batched_per_s", batched}});
    if (n >= threads) break;
  }
  if (!json.empty()) write_file(json, rows.dump(1) + "\n");
}

}  // namespace gt
