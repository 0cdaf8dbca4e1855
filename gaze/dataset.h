// Data set folders in the Kvasir-SEG layout:
//   root/images/NAME.jpg|png|dcm   root/masks/NAME.jpg|png   root/{train,val,test}.txt (one NAME a line) root/gaze.csv
// and the batches made from them.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/config.h"
#include "gaze/degrade.h"
#include "gaze/fixation.h"
#include "gaze/image.h"
#include "gaze/maps.h"

namespace gt {

struct DataOptions {
  std::string root;                                  // folder of the data set
  std::string gaze = "gaze.csv";                     // fixation table, relative to root unless absolute
  DegradeOptions degrade;                            // what training does to the gaze
  int64_t size = 224;                                // side of the square that images are resized to, pixels
  int64_t channels = 3;                              // 3 RGB, 1 grey
  std::string normalize = "fixed";                   // by the mean and std below, or by each image's own: per_image
  std::vector<double> mean = {0.485, 0.456, 0.406};  // of ImageNet, subtracted from values in [0,1]
  std::vector<double> std = {0.229, 0.224, 0.225};
  int64_t threads = 2;  // that prepare batches ahead

  template <class V>
  void visit(V& v) {
    v("root", root, Help{"folder with images/ masks/ train.txt val.txt test.txt"});
    v("gaze", gaze, Help{"fixation table, relative to data.root"});
    v("degrade", degrade, Help{"makes the gaze worse, to see what a recipe tolerates"});
    v("size", size, Range{16, 4096}, Help{"side of the square that images are stretched to", "pixels"});
    v("channels", channels, Range{1, 3}, Help{"3 RGB, 1 grey"});
    v("normalize", normalize, OneOf{"fixed", "per_image"}, Help{"by mean and std below, or by those of each image"});
    if (normalize == "per_image") mean.assign(size_t(channels), 0), std.assign(size_t(channels), 1);  // not used
    v("mean", mean, Length{channels, {}}, Help{"subtracted from values in [0,1], per channel"});
    v("std", std, Length{channels, {1e-6, 1e6}}, Help{"values are then divided by it, per channel"});
    v("threads", threads, Range{1, 64}, Help{"that prepare batches ahead"});
  }
};

struct AugmentOptions {
  double flip_x = 0.5, flip_y = 0.5;                    // probabilities
  double rotate = 0;                                    // largest angle, degrees
  double scale = 0;                                     // largest relative change of size, e.g. 0.2 for 0.8 .. 1.2
  double brightness = 0, contrast = 0, saturation = 0;  // largest relative changes

  template <class V>
  void visit(V& v) {
    v("flip_x", flip_x, Range{0, 1}, Help{"probability of a left-right flip"});
    v("flip_y", flip_y, Range{0, 1}, Help{"probability of an up-down flip"});
    v("rotate", rotate, Range{0, 180}, Help{"largest angle", "degrees"});
    v("scale", scale, Range{0, 0.9}, Help{"largest relative change of size"});
    v("brightness", brightness, Range{0, 1}, Help{"largest relative change"});
    v("contrast", contrast, Range{0, 1}, Help{"largest relative change"});
    v("saturation", saturation, Range{0, 1}, Help{"largest relative change"});
  }
};

/// What is subtracted from an image's values in [0,1], and what they are then divided by; one number per channel.
struct Normalisation {
  std::vector<double> mean, std;
};

/// options.mean and options.std or, for `per_image`, the image's own mean and standard deviation over all its values,
/// as MONAI's NormalizeIntensity (GazeMedSeg's for NCI-ISBI). An image of one value gets the standard deviation 1.
Normalisation normalisation_of(const Image& image, const DataOptions& options);

struct Sample {
  std::string name;
  Image image;                  // (size,size,channels), resized
  Normalisation normalisation;  // of `image`
  Image mask;                   // (size,size,1), 0 or 255, resized; empty unless masks are needed
  Image label;                  // (own height, own width, 1), 0 or 255; empty unless labels are needed
  Track track;                  // degraded as options.degrade says; empty unless gaze is needed
  std::vector<Image> pseudo;    // masks (size,size,1), 0 or 255, made from gaze: see gaze/pseudo.h
};

/// What a split is loaded for. What is not needed may be missing on disk.
struct DataNeeds {
  bool masks = false;          // for training on masks
  bool labels = false;         // for evaluation, at the label's own size
  bool gaze = false;           // a track for every image
  bool optional_gaze = false;  // tracks of the images that have one, if there is a fixation table: for pictures
  bool pseudo = false;         // masks made from gaze: by a hook of load_dataset(), see gaze/pseudo.h
  uint64_t seed = 0;           // of the random numbers that degrade the gaze: the run's
};

/// The data set's fixation table.
std::string gaze_path(const DataOptions& options);

struct Dataset {
  std::vector<Sample> samples;
  bool simulated_gaze = false;
};

/// What is called while a split is loaded; each may be empty.
struct LoadHooks {
  /// For each sample once it is loaded, with its image at its own size. Several threads call it, in no order; it may
  /// change dataset.samples[index] alone.
  std::function<void(Dataset& dataset, size_t index, const Image& image)> sample;
  /// Now and then, by the thread that loads.
  std::function<void(int64_t done, int64_t count)> progress;
};

/// The names that a split lists. Throws Error, naming file and line, for a missing or empty list or a duplicate name.
std::vector<std::string> split_names(const DataOptions& options, const std::string& split);

/// Loads a split, decoding in parallel. Throws Error, naming the file (and line), for: a missing folder or list, an
/// empty list, a duplicate name, a missing, ambiguous (NAME.jpg beside NAME.png) or undecodable image or mask, a mask
/// of another size than its image, an image without gaze, and gaze for an image that root/images does not have.
Dataset load_dataset(const DataOptions& options, const std::string& split, const DataNeeds& needs,
                     const LoadHooks& hooks = {});

/// What one iteration trains on. Images and masks are as loaded; geometry and colour say what kernels/augment.cu is to
/// do with them (colour includes the normalisation); fixations have been moved already.
struct Batch {
  int64_t iteration = 0;
  std::vector<int64_t> index;  // of the samples in the data set
  Tensor images;               // (B,S,S,C) u8
  Tensor masks;                // (B,S,S) u8, undefined without masks
  Tensors pseudo;              // (B,S,S) u8 each, as many as the samples have pseudo masks
  Tensor geometry;             // (B,2,3)
  Tensor colour;               // (B,C,C+1)
  PackedTracks tracks;         // undefined tensors without gaze
};

/// Images of one size, stacked: (B,H,W,C) u8.
Tensor stack_images(const std::vector<const Image*>& images);

/// geometry (B,2,3) and colour (B,C,C+1) that normalise B images of C channels and change nothing else: for evaluation.
std::pair<Tensor, Tensor> no_augmentation(const std::vector<const Normalisation*>& normalisations);

/// Batches of iterations first, first+1, ... prepared ahead by options.threads threads. Batch k depends on (seed, k)
/// and the data alone: epoch e visits the samples in an order drawn from (seed, e), and what is left at an epoch's end
/// starts the next batch. The data set must outlive the loader.
class Loader {
 public:
  Loader(const Dataset& dataset, const DataOptions& data, const AugmentOptions& augment, const MapOptions& maps,
         int64_t batch, uint64_t seed, int64_t first);
  ~Loader();
  Batch next();  ///< throws what a preparing thread threw

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace gt
