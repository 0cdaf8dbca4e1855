// Trainings of a second, for tests.
#pragma once

#include <string>

#include "gaze/synth.h"
#include "models/trainer.h"
#include "tests/temp_folder.h"

namespace gt {

/// A data set of tiny synthetic images, made once.
inline const std::string& small_data() {
  static const TempFolder folder;
  static const std::string root = [] {
    write_synthetic_dataset(folder / "data", 20, 48, 1);
    return folder / "data";
  }();
  return root;
}

/// A configuration whose run takes a second.
inline Config small_run(const std::string& recipe = "gradtrack") {
  Config c;
  c.recipe = recipe;
  c.data.root = small_data();
  c.data.size = 32;
  c.model.features = {4, 4, 8, 8, 16, 4};
  c.augment.rotate = 20;
  c.augment.scale = 0.2;
  c.augment.brightness = 0.2;
  c.train = {.batch = 3, .iterations = 24, .log_every = 2, .val_every = 8, .checkpoint_every = 4};
  return c;
}

/// Trains in a folder, at most `stop_after` iterations if it is not negative. Returns whether the run is finished.
inline bool train(const Config& c, const std::string& folder, bool resume = false, int64_t stop_after = -1) {
  int64_t now = 0;
  TrainingObserver observer;
  observer.iteration = [&](const TrainReport& r) { now = r.iteration; };
  observer.stop = [&] { return stop_after >= 0 && now >= stop_after; };
  return Trainer(c, observer).run(folder, resume);
}

}  // namespace gt
