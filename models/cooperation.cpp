#include "models/cooperation.h"

#include <algorithm>

#include "core/json.h"
#include "core/random.h"
#include "gaze/image.h"
#include "models/run_log.h"

namespace gt {
namespace {

/// Ends all processes if one has a difference. Rank 0 waits for the others here.
void require_none(const Communicator& processes, const std::string& difference) {
  if (!difference.empty()) fail("this process differs from rank 0: ", difference);
  std::vector<double> none(1, 0);
  processes.sum(none);
}

}  // namespace

void require_same_config(const Communicator& processes, const Config& config) {
  if (processes.size() == 1) return;
  const Config own = result_config(config);
  const std::string version = processes.broadcast(GT_VERSION);
  require_none(processes, version == GT_VERSION ? "" : str_cat("version ", GT_VERSION, " instead of ", version));
  const Config first = parse_run_config(processes.broadcast(write_config(own)), "configuration of rank 0");
  require_none(processes, first_difference(first, own));
}

void require_same_files(const Communicator& processes, const std::string& root, const std::string& files) {
  if (processes.size() == 1) return;
  const std::string difference = first_data_difference(processes.broadcast(files), files, "files of rank 0");
  require_none(processes, difference.empty() ? "" : str_cat(root, ": ", difference));
}

void require_same_start(const Communicator& processes, int64_t iteration, const Parameters& parameters) {
  if (processes.size() == 1) return;
  std::string own = str_cat("after iteration ", iteration, ", parameters");
  uint64_t digest = 0;
  for (const Tensor& p : parameters.tensors()) {
    const Tensor host = p.to(Device::cpu);
    digest = digest * 1099511628211u ^ hash64(std::string_view(static_cast<const char*>(host.raw()), host.bytes()));
  }
  own += str_cat(" with digest ", digest);
  const std::string first = processes.broadcast(own);
  require_none(processes, own == first ? "" : str_cat("it starts ", own, "; rank 0 starts ", first));
}

void exchange_pseudo_masks(const Communicator& processes, Dataset& dataset, size_t count, int64_t side) {
  if (processes.size() == 1) return;
  std::string own;
  for (const Sample& sample : dataset.samples)
    for (const Image& mask : sample.pseudo)
      own.append(reinterpret_cast<const char*>(mask.pixels.data()), mask.pixels.size());
  const std::vector<std::string> all = processes.gather(own);
  std::vector<size_t> at(all.size(), 0);
  for (size_t i = 0; i < dataset.samples.size(); ++i) {
    const size_t rank = i % all.size();
    std::vector<Image> masks(count, Image(side, side, 1));
    for (Image& mask : masks) {
      const size_t bytes = mask.pixels.size();
      GT_CHECK(at[rank] + bytes <= all[rank].size(), "exchange_pseudo_masks: rank ", rank, " sent ", all[rank].size(),
               " bytes, expected more");
      std::copy_n(all[rank].begin() + int64_t(at[rank]), bytes, mask.pixels.begin());
      at[rank] += bytes;
    }
    dataset.samples[i].pseudo = std::move(masks);
    dataset.samples[i].mask = {};  // as add_pseudo_masks() leaves it
  }
}

std::vector<StepLosses> sum_losses(const Communicator& processes, std::vector<StepLosses> losses, bool* stop) {
  std::vector<double> values = {*stop ? 1.0 : 0.0};
  for (const StepLosses& step : losses) {
    values.push_back(step.total);
    values.insert(values.end(), step.terms.begin(), step.terms.end());
  }
  processes.sum(values);
  *stop = values[0] > 0;
  size_t at = 1;
  for (StepLosses& step : losses) {
    step.total = values[at++];
    for (double& term : step.terms) term = values[at++];
  }
  return losses;
}

}  // namespace gt
