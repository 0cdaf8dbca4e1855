// A training as TensorBoard shows it.
#pragma once

#include <string>

#include "models/trainer.h"

namespace gt {

/// Writes FOLDER/tensorboard/events.out.tfevents.TIME.HOST.PROCESS: loss, loss terms, learning rate and speed under
/// train/, the means of the validations under val/, and three fixed validation cases as images. The file is made when
/// the first entry comes.
class TensorBoardLog {
 public:
  /// `resumed`: the run continues an earlier one, whose later entries readers shall forget.
  TensorBoardLog(std::string folder, bool resumed);
  ~TensorBoardLog();
  TensorBoardLog(const TensorBoardLog&) = delete;
  TensorBoardLog& operator=(const TensorBoardLog&) = delete;

  void add(const TrainReport& report);
  void add(const ValidationReport& report);

 private:
  void open(int64_t next_step);
  void write(const std::string& record);

  std::string folder_, path_;
  bool resumed_;
  int file_ = -1;
};

}  // namespace gt
