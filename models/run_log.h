// What a run records besides parameters: its log, metrics.jsonl, and the counters in its last checkpoint.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "core/json.h"
#include "core/safetensors.h"
#include "models/config.h"
#include "models/training_step.h"

namespace gt {

/// Sums of the losses, and of the norms of gradients, since the last line of the log.
struct LossSums {
  int64_t count = 0;  // steps
  StepLosses sum;

  void add(const StepLosses& losses);
  StepLosses mean() const;
};

/// Where a training stands.
struct RunCounters {
  int64_t iteration = 0;       // iterations done
  bool validation_due = true;  // the validation after `iteration` is to be done first
  double best_dice = -1;       // of the validations so far
  LossSums losses;

  /// Whether work on `at`, a validation or its best checkpoint, is repeated when a run resumes from here.
  bool repeats(int64_t at) const { return at > iteration || (at == iteration && validation_due); }
  bool finished(const TrainOptions& train) const { return iteration == train.iterations && !validation_due; }
};

/// The metadata entry "counters" of a checkpoint. Training time is in the log alone, so that equal trainings give equal
/// checkpoints, byte for byte; readers of version 2 find 0.
std::string counters_text(const RunCounters& counters);

/// Reads the counters of the checkpoint `path`. Throws Error if one is missing or is out of its range.
RunCounters read_counters(const SafeTensors& checkpoint, const std::string& path, const TrainOptions& train);

/// The metadata entry "data" of a checkpoint: the files, or only their number and a digest if they are over 10,000.
std::string files_text(const FileDigests& files);

/// "images/a.png is new ...": the first difference of two such texts; "" if there is none. Throws Error, beginning with
/// `where`, if `then` is malformed.
std::string first_data_difference(const std::string& then, const std::string& now, const std::string& where);

/// Appends lines to metrics.jsonl. Each is passed to the system at once, so a killed run loses none.
class MetricsLog {
 public:
  /// Starts an empty log.
  explicit MetricsLog(const std::string& path);
  /// Continues the log of a run that resumes from `counters`: removes what will be logged again. Throws Error, naming
  /// the line, if one is damaged, and if lines up to the checkpoint are missing.
  MetricsLog(const std::string& path, const RunCounters& counters, const TrainOptions& train);
  ~MetricsLog();
  MetricsLog(const MetricsLog&) = delete;
  MetricsLog& operator=(const MetricsLog&) = delete;

  /// The training time of the lines that were there, in seconds.
  double seconds_before() const { return seconds_before_; }

  void add(const Json& entry);
  /// Waits until the disk has the lines.
  void sync();

 private:
  void open();
  std::string path_;
  int file_ = -1;
  double seconds_before_ = 0;
};

/// A log as a table: a row for each line with losses or a validation, a column for each number, such as loss,
/// terms.track_1 or val.dice. A field that the line does not have is empty. An incomplete last line is passed over.
/// Throws Error, naming the line, if another one is damaged.
std::string metrics_csv(const std::string& path);

/// The largest iteration in a log; 0 if there is no log. An incomplete last line, which a killed run can leave, is
/// passed over. Throws Error, naming the line, if another one is damaged.
int64_t logged_iterations(const std::string& path);

}  // namespace gt
