// Splits of data sets as a training reads them: in memory, or packed (gaze/pack.h) in the folder of data.cache.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "gaze/pack.h"
#include "models/config.h"

namespace gt {

/// A split that a training reads, and the parts of it that it needs.
struct RunSplit {
  std::string name;
  DataNeeds needs;
};

/// The splits that a training reads: the training images, then those of its validations. There are none of these for
/// train.select=last if there are no masks to validate on.
std::vector<RunSplit> splits_of_run(const Config& config);

/// The splits of one run.
class DataCache {
 public:
  /// Functions that the loading calls. Each may be empty.
  struct Hooks {
    std::function<void(const std::string& line)> message = nullptr;  // where the samples come from
    std::function<void(const std::string& line)> warn = nullptr;     // see LoadHooks::warn
    std::function<void(int64_t done, int64_t all)> pseudo_masks = nullptr;
    std::function<void()> check = nullptr;  // called often, by several threads; what it throws ends the loading
  };

  DataCache(const Config& config, Hooks hooks);

  /// Whether packed splits are kept: data.cache is not off, and there is a place for them.
  bool keeps() const { return !folder_.empty(); }
  /// The file of a packed split. One configuration has one, whatever its seed, model and training.
  std::string path(const RunSplit& split) const;

  /// The samples, packed or, if data.cache is off or auto and they cannot be packed, in memory. Throws Error as
  /// read_samples() does, and if data.cache names a folder that cannot be written.
  std::unique_ptr<SampleSource> open(const RunSplit& split) const;
  /// The packed samples, made now, or by another process at work on them, unless they are there. Throws CannotPack if
  /// they cannot be written, and Error as read_samples() does.
  std::unique_ptr<SampleSource> pack(const RunSplit& split) const;
  /// The packed samples; null, with the reason, if they are not there.
  PackAttempt open_packed(const RunSplit& split) const;
  /// The samples in memory. `makes`, if given, says which of them get their pseudo masks.
  std::unique_ptr<Dataset> load(const RunSplit& split, const std::function<bool(size_t index)>& makes = nullptr) const;

 private:
  PackSources sources(const RunSplit& split) const;
  LoadHooks load_hooks(const RunSplit& split, const std::function<bool(size_t)>& makes) const;
  std::string identity(const RunSplit& split) const;
  bool automatic() const { return config_.data.cache == "auto"; }

  Config config_;
  Hooks hooks_;
  std::string folder_;
};

/// What the packed splits of data.cache=auto may take; the longest unused ones are removed. One may take half of it.
inline constexpr int64_t user_cache_bytes = int64_t(16) << 30;

}  // namespace gt
