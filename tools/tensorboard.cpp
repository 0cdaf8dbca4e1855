#include "tools/tensorboard.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <set>

#include "core/event_file.h"
#include "core/host.h"
#include "core/io.h"
#include "tools/panels.h"

namespace gt {
namespace {

double wall_time() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

/// The first, the middle and the last image.
std::set<int64_t> cases_of(const SampleSource& images) {
  const int64_t count = images.size();
  return {0, count / 2, count - 1};
}

}  // namespace

TensorBoardLog::TensorBoardLog(std::string folder, bool resumed)
    : folder_(std::move(folder) + "/tensorboard"), resumed_(resumed) {}

TensorBoardLog::~TensorBoardLog() {
  if (file_ >= 0) ::close(file_);
}

void TensorBoardLog::open(int64_t next_step) {
  if (file_ >= 0) return;
  make_folder(folder_);
  path_ = str_cat(folder_, "/events.out.tfevents.", int64_t(wall_time()), ".", host_name(), ".", ::getpid());
  file_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (file_ < 0) fail(path_, ": cannot write: ", std::strerror(errno));
  write(event_header(wall_time()));
  if (resumed_) write(event_restart(wall_time(), next_step));
}

void TensorBoardLog::write(const std::string& record) { write_all(file_, record, path_); }

void TensorBoardLog::add(const TrainReport& report) {
  open(report.iteration);
  EventScalars scalars = {{"train/loss", report.total}};
  if (report.terms.size() > 1)
    for (const auto& [name, value] : report.terms) scalars.emplace_back("train/" + name, value);
  if (report.gradient_norm > 0) scalars.emplace_back("train/gradient_norm", report.gradient_norm);
  scalars.emplace_back("train/lr", report.lr);
  scalars.emplace_back("train/images_per_s", report.images_per_second);
  write(event_scalars(wall_time(), report.iteration, scalars));
}

void TensorBoardLog::add(const ValidationReport& report) {
  open(report.iteration + 1);  // the losses at this iteration stay
  EventScalars scalars;
  for (const auto& [metric, mean] : report.means) scalars.emplace_back("val/" + metric, mean);
  write(event_scalars(wall_time(), report.iteration, scalars));
  for (const int64_t i : cases_of(*report.images)) {
    const Sample sample = report.images->sample(i);
    const Image tile = prediction_tile(sample, predict_view(*report.model, *report.data, sample.image).mask);
    write(event_image(wall_time(), report.iteration,
                      {"val/" + sample.name, tile.height, tile.width, tile.channels, encode_png(tile)}));
  }
}

}  // namespace gt
