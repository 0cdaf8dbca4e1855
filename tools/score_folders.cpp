#include "tools/score_folders.h"

#include <cstdio>

#include "core/folder_lock.h"
#include "core/io.h"
#include "core/parallel.h"
#include "gaze/image_folder.h"
#include "tools/progress.h"
#include "tools/run_folder.h"
#include "tools/scores.h"

namespace gt {
namespace {

std::vector<ListEntry> entries_to_score(const FolderScoring& scoring, const ImageFolder& masks) {
  if (!scoring.list.empty()) return read_list(scoring.list);
  std::vector<ListEntry> entries = masks.entries();
  if (entries.empty()) fail(masks.path(), ": expected masks NAME.jpg, .png or .dcm, found none");
  return entries;
}

/// The prediction NAME or, as `gradtrack predict` calls it, NAME_mask.
std::string find_prediction(const ImageFolder& predictions, const ListEntry& entry) {
  const ListEntry with_suffix{entry.name + "_mask", entry.list, entry.line};
  const bool named = predictions.has(entry.name), named_mask = predictions.has(with_suffix.name);
  const std::string stem = predictions.path() + "/" + entry.name;
  if (named && named_mask) fail(entry.where(), ": expected one prediction, there are ", stem, " and ", stem, "_mask");
  if (!named && !named_mask)
    fail(entry.where(), ": expected a prediction ", stem, " or ", stem, "_mask, there is none");
  return predictions.find(named_mask ? with_suffix : entry);
}

struct Pair {
  std::string mask_path, prediction_path;
  Mask mask, prediction;  // without their images
  ImageScores scores;
};

Pair score_pair(const FolderScoring& scoring, const PixelSpacing& spacing, const ImageFolder& masks,
                const ImageFolder& predictions, const ListEntry& entry) {
  Pair pair;
  pair.mask_path = masks.find(entry);
  pair.prediction_path = find_prediction(predictions, entry);
  pair.mask = read_mask(pair.mask_path, scoring.labels);
  pair.prediction = read_mask(pair.prediction_path, scoring.labels);
  Image label = std::move(pair.mask.image);
  const Image predicted = std::move(pair.prediction.image);
  if (predicted.height != label.height || predicted.width != label.width)
    fail(pair.prediction_path, ": is ", predicted.height, "x", predicted.width, ", expected ", label.height, "x",
         label.width, " as its mask ", pair.mask_path);
  if (spacing.known()) label.spacing = spacing;
  pair.scores = {entry.name, score_masks(predicted, label)};
  return pair;
}

}  // namespace

void score_folders(const FolderScoring& scoring, const PixelSpacing& spacing, const std::string& out) {
  const ImageFolder masks(scoring.masks), predictions(scoring.predictions);
  const std::vector<ListEntry> entries = entries_to_score(scoring, masks);
  std::vector<Pair> pairs(entries.size());
  {
    ProgressBar bar("eval", int64_t(entries.size()));
    parallel_for_each(
        int64_t(entries.size()),
        [&](int64_t i) { pairs[size_t(i)] = score_pair(scoring, spacing, masks, predictions, entries[size_t(i)]); },
        [&bar](int64_t done) { bar.update(done, "images"); });
  }
  MaskValues of_masks, of_predictions;
  std::vector<ImageScores> scores;
  for (Pair& pair : pairs) {
    of_masks.add(pair.mask, pair.mask_path);
    of_predictions.add(pair.prediction, pair.prediction_path);
    scores.push_back(std::move(pair.scores));
  }

  Json result = {{"masks", scoring.masks},
                 {"predictions", scoring.predictions},
                 {"split", "predictions"},
                 {"images", scores.size()}};
  const Json means = summary_json(scores);
  result.update(means);
  result["per_image"] = per_image_json(scores);
  const std::string folder = out.empty() ? scoring.predictions : out;
  make_folder(folder);
  const FolderLock lock(folder, "gradtrack eval");
  std::printf("%s, %zu images\n", scoring.predictions.c_str(), scores.size());
  print_summary("metric", means);
  write_evaluation(folder + "/" + evaluation_name("predictions"), result, scores);
}

}  // namespace gt
