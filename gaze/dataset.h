// Data sets and their batches. A data set is a folder in the layout of Kvasir-SEG:
//   images/NAME.jpg|png|dcm   masks/NAME.jpg|png   train.txt val.txt test.txt (one NAME a line)   gaze.csv
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/communicator.h"
#include "core/config.h"
#include "gaze/degrade.h"
#include "gaze/file_digests.h"
#include "gaze/fixation.h"
#include "gaze/image.h"
#include "gaze/maps.h"
#include "gaze/mask.h"

namespace gt {

struct DataOptions {
  std::string root;                                  // folder of the data set
  std::string lists;                                 // folder of the lists, relative to root; empty: root
  std::string group;                                 // regular expression: what images of one patient share
  std::string gaze = "gaze.csv";                     // fixation table, relative to root unless absolute
  std::string published = "none";                    // data set whose published scores compare shows too
  std::string missing_gaze = "refuse";               // images without gaze: refuse, or skip them
  int64_t images = 0;                                // number of images of train.txt that are used; 0 for all
  std::string masks;                                 // which of them have hand-drawn masks: a number, or a list
  LabelOptions labels;                               // what the values of masks mean
  DegradeOptions degrade;                            // degradation of the gaze
  int64_t size = 224;                                // side of the square that images are resized to, pixels
  int64_t channels = 3;                              // 3 RGB, 1 grey
  std::string resize = "average";                    // of images that shrink: see Shrink in gaze/image.h
  std::string stretch = "auto";                      // of values of more than 8 bits: see Stretch in gaze/picture.h
  int64_t max_pixels = 100'000'000;                  // larger pictures are refused
  std::string normalize = "fixed";                   // by `mean` and `std`, or per_image: by each image's own
  std::vector<double> mean = {0.485, 0.456, 0.406};  // per channel, of values in [0,1]; ImageNet's
  std::vector<double> std = {0.229, 0.224, 0.225};
  std::string cache = "auto";  // folder of packed data sets, see models/data_cache.h
  int64_t threads = 2;         // that prepare batches

  /// How images become smaller.
  Shrink shrinking() const { return resize == "sample" ? Shrink::sample : Shrink::average; }

  template <class V>
  void visit(V& v) {
    v("root", root, Help{"folder with images/ masks/ train.txt val.txt test.txt"});
    v("lists", lists, Help{"folder of train.txt, val.txt and test.txt, relative to data.root; empty for data.root"});
    v("group", group, Help{"regular expression for the patient in an image's name, who may be in one list only"});
    v("gaze", gaze, Help{"fixation table, relative to data.root"});
    v("published", published, OneOf{"none", "kvasir-seg", "nci-isbi"},
      Help{"data set whose published scores compare shows too"});
    v("missing_gaze", missing_gaze, OneOf{"refuse", "skip"}, Help{"what to do about images without gaze"});
    v("images", images, Range{0, 1e9}, Help{"training images that are used, chosen by their names; 0 for all"});
    v("masks", masks, Help{"gradtrack: images whose hand-drawn masks replace pseudo masks: a number, or a list"});
    v("labels", labels, Help{"what the values of masks mean"});
    v("degrade", degrade, Help{"makes the gaze worse, to measure what a recipe tolerates"});
    v("size", size, Range{16, 4096}, Help{"side of the square that images are stretched to", "pixels"});
    v("channels", channels, Range{1, 3}, Help{"3 RGB, 1 grey"});
    v("resize", resize, OneOf{"average", "sample"},
      Help{"images that shrink: mean of the pixels that a new one covers, or bilinear at its centre"});
    v("stretch", stretch, OneOf{"auto", "full", "percentile"}, Help{"of values of more than 8 bits to 8"});
    v("max_pixels", max_pixels, Range{1, 1e10}, Help{"images and masks with more are refused"});
    v("normalize", normalize, OneOf{"fixed", "per_image"}, Help{"by mean and std below, or by those of each image"});
    if (normalize == "per_image") mean.assign(size_t(channels), 0), std.assign(size_t(channels), 1);  // unused
    v("mean", mean, Length{channels, {}}, Help{"subtracted from values in [0,1], per channel"});
    v("std", std, Length{channels, {1e-6, 1e6}}, Help{"values are then divided by it, per channel"});
    v("cache", cache, Help{"folder where prepared images and pseudo masks are kept; auto: the user's cache; off"});
    v("threads", threads, Range{1, 64}, Help{"that prepare batches ahead"});
  }
};

struct AugmentOptions {
  double flip_x = 0.5, flip_y = 0.5;                    // probabilities
  double rotate = 0;                                    // maximum angle, degrees
  double scale = 0;                                     // maximum relative change of size; 0.2 gives 0.8 to 1.2
  double brightness = 0, contrast = 0, saturation = 0;  // maximum relative changes

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

/// An image is normalised by subtracting the mean from its values in [0,1] and dividing by std, per channel.
struct Normalisation {
  std::vector<double> mean, std;
};

/// How the images of a data set are read.
ReadOptions read_options(const DataOptions& options);

/// An image with a variance of its values in [0,1] of at most this is taken to have one value.
inline constexpr double least_variance = 1e-12;

/// The normalisation of an image: options.mean and options.std or, for `per_image`, its own mean and standard deviation
/// over all values. GazeMedSeg does the latter for NCI-ISBI (MONAI's NormalizeIntensity). An image of one value gets
/// the standard deviation 1.
Normalisation normalisation_of(const Image& image, const DataOptions& options);

struct Sample {
  std::string name;
  Image image;                  // (size,size,channels), resized
  Normalisation normalisation;  // of `image`
  Image mask;                   // (size,size,1), as Mask::image, resized; empty unless masks are needed
  Image label;                  // (own height, own width, 1), as Mask::image; empty unless labels are needed
  Track track;                  // degraded as options.degrade says; empty unless gaze is needed
  std::vector<Image> pseudo;    // masks (size,size,1), 0 or 255, made from gaze: see gaze/pseudo.h
};

/// The parts of a split that are needed. The others may be missing on disk.
struct DataNeeds {
  bool masks = false;          // for training on masks
  bool some_masks = false;     // masks of the images that options.masks names
  bool labels = false;         // for evaluation, at the label's own size
  bool gaze = false;           // a track for every image
  bool optional_gaze = false;  // tracks of the images that have one, if there is a fixation table: for pictures
  bool training = false;       // refuse a split whose masks are all empty or all full, instead of a warning
  bool pseudo = false;         // masks made from gaze: by a hook of load_dataset(), see gaze/pseudo.h
  uint64_t seed = 0;           // of the random numbers that degrade the gaze: the run's
};

/// Which of these names are chosen if only `count` are: those whose hashes are smallest. Of two counts, the larger one
/// chooses all that the smaller one does. All for a count of 0.
std::vector<bool> chosen_names(const std::vector<std::string>& names, int64_t count);

/// The path of a split's list. Throws Error if there is no folder options.root.
std::string list_path(const DataOptions& options, const std::string& split);

/// The path of the data set's fixation table.
std::string gaze_path(const DataOptions& options);

/// What is known of a data set besides its samples.
struct DatasetFacts {
  bool simulated_gaze = false;
  std::string gaze_assumed;     // how its positions and times were understood, see Gaze::assumed; "" without gaze
  bool ignores_pixels = false;  // a mask has pixels that do not count
  MaskValues mask_values;       // of the masks that were read
  int64_t masks = 0;            // number of them
  /// The files that the samples come from, below the root, each with the size and the CRC-32 of its bytes: the list,
  /// the gaze, then images and masks in the order of the samples.
  FileDigests files;
};

/// A data set whose samples are read by place: in memory, or packed in a file (gaze/pack.h). Several threads may read.
class SampleSource {
 public:
  virtual ~SampleSource() = default;
  virtual const DatasetFacts& facts() const = 0;
  virtual int64_t size() const = 0;
  virtual Sample sample(int64_t index) const = 0;
  virtual std::string name(int64_t index) const = 0;
  /// The number of fixations of a sample's track.
  virtual int64_t fixations(int64_t index) const = 0;
};

/// A data set in memory.
struct Dataset : DatasetFacts, SampleSource {
  std::vector<Sample> samples;

  const DatasetFacts& facts() const override { return *this; }
  int64_t size() const override { return int64_t(samples.size()); }
  Sample sample(int64_t index) const override { return samples[size_t(index)]; }
  std::string name(int64_t index) const override { return samples[size_t(index)].name; }
  int64_t fixations(int64_t index) const override { return int64_t(samples[size_t(index)].track.fixations.size()); }
};

/// Warns if pictures of `dataset` are in train.txt under another name, if there is that list.
void warn_of_training_pictures(const DataOptions& options, const DatasetFacts& dataset,
                               const std::function<void(const std::string&)>& warn);

/// What values mean in the masks of a list, from the first ones that have foreground and background. Nothing if the
/// list or the masks are missing.
MaskValues first_mask_values(const DataOptions& options, const std::string& split);

/// Functions that load_dataset() calls. Each may be empty.
struct LoadHooks {
  /// Called once per sample, with its place in the list and its image at its own size. Several threads call it, in any
  /// order. `facts` has what the gaze says.
  std::function<void(Sample& sample, size_t index, const Image& image, const DatasetFacts& facts)> sample;
  /// Called from time to time by the calling thread.
  std::function<void(int64_t done, int64_t count)> progress;
  /// Called with one line about data that is used but looks wrong.
  std::function<void(const std::string& line)> warn;
};

/// The names that a split lists. Throws Error, naming file and line, for a missing or empty list or a duplicate name.
std::vector<std::string> split_names(const DataOptions& options, const std::string& split);

/// Throws Error, naming both files and lines, if a name, or a group of options.group, is in two of the lists train.txt,
/// val.txt and test.txt that exist.
void check_splits(const DataOptions& options);

/// Warns of pictures that are the same, to the byte, in two splits.
void warn_of_same_pictures(const DatasetFacts& a, const DatasetFacts& b,
                           const std::function<void(const std::string&)>& warn);

/// Loads a split, decoding in parallel. Throws Error, naming the file and line, for: a missing folder or list, an empty
/// list, a duplicate name, a missing, ambiguous (NAME.jpg and NAME.png) or undecodable image or mask, a mask of another
/// size than its image or whose values are not understood (gaze/mask.h), images without gaze unless missing_gaze is
/// skip, gaze on an image that root/images lacks, and gaze on an image of another shape. Warns of pictures that are the
/// same, of images that are skipped, and of masks that are all empty or all full.
Dataset load_dataset(const DataOptions& options, const std::string& split, const DataNeeds& needs,
                     const LoadHooks& hooks = {});

/// As load_dataset(), but each sample goes to `take`, in the order of the list, and few are held at a time.
DatasetFacts read_samples(const DataOptions& options, const std::string& split, const DataNeeds& needs,
                          const LoadHooks& hooks, const std::function<void(Sample&& sample)>& take);

/// The samples of one iteration. Images and masks are as loaded; kernels/augment.cu transforms them by `geometry` and
/// `colour`, which includes the normalisation. The fixations are already transformed.
struct Batch {
  int64_t iteration = 0;
  std::vector<int64_t> index;  // of the samples in the data set
  Tensor images;               // (B,S,S,C) u8
  Tensor masks;                // (B,S,S) u8, 255 where foreground; undefined without masks
  Tensor ignored;              // (B,S,S) u8, 255 where pixels do not count; undefined if all pixels of the data set do
  Tensors pseudo;              // (B,S,S) u8, one per pseudo mask of a sample
  Tensor geometry;             // (B,2,3) output position to input position, image sides
  Tensor colour;               // (B,C,C+1) affine map of a pixel's channels
  PackedTracks tracks;         // undefined tensors without gaze
};

/// Stacks images of one size: (B,H,W,C) u8. Throws Error for none, and for different sizes.
Tensor stack_images(const std::vector<const Image*>& images);

/// geometry (B,2,3) and colour (B,C,C+1) that only normalise B images of C channels, for evaluation.
std::pair<Tensor, Tensor> no_augmentation(const std::vector<const Normalisation*>& normalisations);

/// What a loader prepares of an iteration's images.
struct BatchParts {
  std::optional<Slice> slice = {};  // only these items of each batch, for a training by several processes
  int64_t accumulated = 1;          // batches of an iteration; together they are one batch of as many images
};

/// Prepares the batches of iterations first, first + 1, ... in options.threads threads. Batch k depends only on the
/// data and (seed, k). Epoch e visits the samples in an order drawn from (seed, e); the samples left at its end start
/// the next batch. The data set must outlive the loader.
class Loader {
 public:
  Loader(const SampleSource& dataset, const DataOptions& data, const AugmentOptions& augment, const MapOptions& maps,
         int64_t batch, uint64_t seed, int64_t first, const BatchParts& parts = {});
  ~Loader();
  /// The next batch. Rethrows what the thread that prepared it threw: an Error if its samples differ in their parts, or
  /// are not of the options' sizes.
  Batch next();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace gt
