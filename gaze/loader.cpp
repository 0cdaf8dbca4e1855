// Batches: the choice of samples, their augmentation, and the threads that prepare them.
#include <algorithm>
#include <array>
#include <cmath>
#include <condition_variable>
#include <exception>
#include <memory>
#include <mutex>
#include <numbers>
#include <numeric>
#include <stop_token>
#include <thread>
#include <utility>

#include "core/random.h"
#include "gaze/dataset.h"

namespace gt {
namespace {

// ---- Augmentation ---------------------------------------------------------------------------------------------------

/// The augmentation of one image. The defaults change nothing.
struct Augmentation {
  bool flip_x = false, flip_y = false;
  double angle = 0;                                     // radians, from the x axis towards the y axis
  double size = 1;                                      // factor of the image's content
  double brightness = 1, contrast = 1, saturation = 1;  // factors
};

/// Draws the augmentation of sample `place` of an iteration. The count of random numbers does not depend on the
/// options, so changing one option leaves the others' numbers.
Augmentation draw(const AugmentOptions& options, uint64_t seed, int64_t iteration, int64_t place) {
  Random random(seed ^ hash64("augmentation"), uint64_t(iteration), uint32_t(place));
  const auto within = [&](double max) { return random.uniform(-max, max); };
  Augmentation a;
  a.flip_x = random.chance(options.flip_x);
  a.flip_y = random.chance(options.flip_y);
  a.angle = within(options.rotate) * std::numbers::pi / 180;
  a.size = 1 + within(options.scale);
  a.brightness = 1 + within(options.brightness);
  a.contrast = 1 + within(options.contrast);
  a.saturation = 1 + within(options.saturation);
  return a;
}

/// Writes the (2,3) map from output to input position, image sides. The image is flipped, rotated and scaled about its
/// centre c: out = c + size R(angle) F (in - c). The map is the inverse.
void write_geometry(const Augmentation& a, float* out) {
  const double cos = std::cos(a.angle) / a.size, sin = std::sin(a.angle) / a.size;
  const double fx = a.flip_x ? -1 : 1, fy = a.flip_y ? -1 : 1;
  const double m[2][2] = {{fx * cos, fx * sin}, {-fy * sin, fy * cos}};
  for (int i = 0; i < 2; ++i) {
    out[3 * i] = float(m[i][0]);
    out[3 * i + 1] = float(m[i][1]);
    out[3 * i + 2] = float(0.5 - 0.5 * (m[i][0] + m[i][1]));
  }
}

/// Writes the (C,C+1) map of brightness b, contrast k about 0.5, saturation s about the luma (ITU-R BT.601), then
/// normalisation. Saturation does not change grey, so the first three give b k (s c + (1 - s) luma(c)) + 0.5 (1 - k).
void write_colour(const Augmentation& a, const Normalisation& n, float* out) {
  const int64_t channels = int64_t(n.mean.size());
  const std::array<double, 3> luma = {0.299, 0.587, 0.114};
  const double s = channels == 3 ? a.saturation : 1;
  for (int64_t i = 0; i < channels; ++i) {
    const double mean = n.mean[size_t(i)], std = n.std[size_t(i)];
    for (int64_t j = 0; j < channels; ++j) {
      const double mixed = (i == j ? s : 0) + (1 - s) * luma[size_t(j)];
      *out++ = float(a.brightness * a.contrast * mixed / std);
    }
    *out++ = float((0.5 * (1 - a.contrast) - mean) / std);
  }
}

// ---- Choice of samples ----------------------------------------------------------------------------------------------

/// A random permutation of the samples (Fisher and Yates).
std::vector<int64_t> epoch_order(int64_t count, uint64_t seed, int64_t epoch) {
  std::vector<int64_t> order(static_cast<size_t>(count));
  std::iota(order.begin(), order.end(), 0);
  Random random(seed ^ hash64("order of an epoch"), uint64_t(epoch));
  for (int64_t i = count - 1; i > 0; --i) std::swap(order[size_t(i)], order[size_t(random.below(i + 1))]);
  return order;
}

/// The samples of batches: `batch` items from item number * batch of the epochs' concatenated orders. Several threads
/// may ask.
class Order {
 public:
  Order(int64_t count, uint64_t seed) : count_(count), seed_(seed) {}

  /// The samples of a slice of a batch.
  std::vector<int64_t> samples_of(int64_t number, int64_t batch, const Slice& slice) {
    std::vector<int64_t> index;
    for (int64_t at = number * batch + slice.begin; at < number * batch + slice.end; ++at)
      index.push_back((*of_epoch(at / count_))[size_t(at % count_)]);
    return index;
  }

 private:
  using Permutation = std::shared_ptr<const std::vector<int64_t>>;

  /// An epoch's order. The last two are kept: batches are prepared ahead, and one may lie in two epochs.
  Permutation of_epoch(int64_t epoch) {
    const std::lock_guard lock(mutex_);
    auto& [known, order] = kept_[size_t(epoch % 2)];
    if (order == nullptr || known != epoch) {
      known = epoch;
      order = std::make_shared<const std::vector<int64_t>>(epoch_order(count_, seed_, epoch));
    }
    return order;
  }

  const int64_t count_;
  const uint64_t seed_;
  std::mutex mutex_;
  std::array<std::pair<int64_t, Permutation>, 2> kept_;
};

// ---- Masks ----------------------------------------------------------------------------------------------------------

/// Moves the pixels that do not count from the masks of a batch to `ignored`.
void take_ignored(Batch& b) {
  b.ignored = Tensor(b.masks.shape(), DType::u8);
  uint8_t *mask = b.masks.data<uint8_t>(), *ignored = b.ignored.data<uint8_t>();
  for (int64_t i = 0; i < b.masks.size(); ++i) {
    ignored[i] = mask[i] == ignored_pixel ? 255 : 0;
    if (ignored[i] != 0) mask[i] = 0;
  }
}

}  // namespace

Tensor stack_images(const std::vector<const Image*>& images) {
  GT_CHECK(!images.empty(), "stack_images: no images");
  const Image& one = *images[0];
  Tensor stacked({int64_t(images.size()), one.height, one.width, one.channels}, DType::u8);
  uint8_t* out = stacked.data<uint8_t>();
  for (const Image* image : images) {
    GT_CHECK(image->height == one.height && image->width == one.width && image->channels == one.channels,
             "stack_images: an image is ", image->height, "x", image->width, "x", image->channels, ", the first is ",
             one.height, "x", one.width, "x", one.channels);
    out = std::copy(image->pixels.begin(), image->pixels.end(), out);
  }
  return stacked;
}

std::pair<Tensor, Tensor> no_augmentation(const std::vector<const Normalisation*>& normalisations) {
  GT_CHECK(!normalisations.empty(), "no_augmentation: no images");
  const int64_t batch = int64_t(normalisations.size()), channels = int64_t(normalisations[0]->mean.size());
  Tensor geometry({batch, 2, 3}), colour({batch, channels, channels + 1});
  for (int64_t b = 0; b < batch; ++b) {
    write_geometry({}, geometry.data<float>() + b * 6);
    write_colour({}, *normalisations[size_t(b)], colour.data<float>() + b * channels * (channels + 1));
  }
  return {geometry, colour};
}

// ---- The loader -----------------------------------------------------------------------------------------------------

struct Loader::State {
  const SampleSource& dataset;
  const DataOptions data;
  const AugmentOptions augment;
  const MapOptions maps;
  const int64_t batch;
  const Slice slice;  // of the batch
  const int64_t accumulated;
  const uint64_t seed;
  int64_t next_made, next_given;  // the numbers of the next batch to prepare and of the next to return
  mutable Order order = Order(dataset.size(), seed);

  // Batch number k stays in slot k % slots.size() from its preparation until it is returned.
  struct Slot {
    bool ready = false;
    Batch batch;
    std::exception_ptr error;
  };
  std::vector<Slot> slots = std::vector<Slot>(size_t(data.threads + accumulated) + 1);
  std::mutex mutex = {};  // of next_made, next_given and slots
  std::condition_variable_any slot_free = {}, slot_ready = {};
  std::vector<std::jthread> threads = {};  // last, so they end before the members that they use

  void check(const std::vector<Sample>& samples) const;
  Batch make(int64_t number) const;
  void work(std::stop_token stop);
};

/// Throws Error unless the samples of a batch have the options' sizes and the same parts.
void Loader::State::check(const std::vector<Sample>& samples) const {
  const Sample& one = samples[0];
  for (const Sample& sample : samples)
    GT_CHECK(sample.image.height == data.size && sample.image.width == data.size &&
                 sample.image.channels == data.channels && int64_t(sample.normalisation.mean.size()) == data.channels &&
                 int64_t(sample.normalisation.std.size()) == data.channels &&
                 sample.mask.pixels.size() == one.mask.pixels.size() &&
                 sample.track.fixations.empty() == one.track.fixations.empty() &&
                 sample.pseudo.size() == one.pseudo.size(),
             "Loader: sample '", sample.name, "' was not loaded like the others and with these options");
}

Batch Loader::State::make(int64_t number) const {
  Batch b;
  b.iteration = number / accumulated;
  b.index = order.samples_of(number, batch, slice);
  const int64_t count = slice.size();
  std::vector<Sample> samples;
  for (const int64_t i : b.index) samples.push_back(dataset.sample(i));
  check(samples);
  std::vector<const Image*> images, masks;
  std::vector<const Track*> tracks;
  for (const Sample& sample : samples) {
    images.push_back(&sample.image);
    if (!sample.mask.pixels.empty()) masks.push_back(&sample.mask);
    if (!sample.track.fixations.empty()) tracks.push_back(&sample.track);
  }
  b.images = stack_images(images);
  if (!masks.empty()) b.masks = stack_images(masks).view({count, data.size, data.size});
  if (!masks.empty() && dataset.facts().ignores_pixels) take_ignored(b);
  for (size_t k = 0; k < samples[0].pseudo.size(); ++k) {
    std::vector<const Image*> pseudo;
    for (const Sample& sample : samples) pseudo.push_back(&sample.pseudo[k]);
    b.pseudo.push_back(stack_images(pseudo).view({count, data.size, data.size}));
  }

  b.geometry = Tensor({count, 2, 3});
  b.colour = Tensor({count, data.channels, data.channels + 1});
  const int64_t first = number % accumulated * batch + slice.begin;  // its place among the iteration's images
  for (int64_t i = 0; i < count; ++i) {
    const Augmentation a = draw(augment, seed, b.iteration, first + i);
    write_geometry(a, b.geometry.data<float>() + i * 6);
    write_colour(a, samples[size_t(i)].normalisation, b.colour.data<float>() + i * data.channels * (data.channels + 1));
  }
  if (!tracks.empty()) {
    b.tracks = pack_tracks(tracks, maps);
    b.tracks.xy = augment_fixations(b.tracks.xy, b.tracks.offsets, b.geometry);
  }
  return b;
}

void Loader::State::work(std::stop_token stop) {
  for (;;) {
    std::unique_lock lock(mutex);
    slot_free.wait(lock, stop, [&] { return next_made < next_given + int64_t(slots.size()); });
    if (stop.stop_requested()) return;
    const int64_t number = next_made++;
    lock.unlock();
    Slot made;
    try {
      made.batch = make(number);
    } catch (...) {
      made.error = std::current_exception();
    }
    made.ready = true;
    lock.lock();
    slots[size_t(number) % slots.size()] = std::move(made);
    slot_ready.notify_one();
  }
}

Loader::Loader(const SampleSource& dataset, const DataOptions& data, const AugmentOptions& augment,
               const MapOptions& maps, int64_t batch, uint64_t seed, int64_t first, const BatchParts& parts) {
  const Slice part = parts.slice.value_or(Slice{0, batch});
  GT_CHECK(0 <= part.begin && part.begin < part.end && part.end <= batch, "Loader: items ", part.begin, " .. ",
           part.end, " of a batch of ", batch);
  GT_CHECK(dataset.size() > 0 && batch > 0 && first >= 0 && data.threads > 0 && parts.accumulated > 0,
           "Loader: ", dataset.size(), " samples, batch ", batch, ", first ", first, ", threads ", data.threads,
           ", accumulated ", parts.accumulated);
  const int64_t number = first * parts.accumulated;
  state_.reset(new State{dataset, data, augment, maps, batch, part, parts.accumulated, seed, number, number});
  for (int64_t t = 0; t < data.threads; ++t)
    state_->threads.emplace_back([state = state_.get()](std::stop_token stop) { state->work(stop); });
}

Loader::~Loader() {
  for (std::jthread& thread : state_->threads) thread.request_stop();  // of all, before the first is joined
}

Batch Loader::next() {
  State& s = *state_;
  std::unique_lock lock(s.mutex);
  State::Slot& slot = s.slots[size_t(s.next_given) % s.slots.size()];
  s.slot_ready.wait(lock, [&] { return slot.ready; });
  State::Slot given = std::exchange(slot, {});
  ++s.next_given;
  s.slot_free.notify_one();
  lock.unlock();
  if (given.error) std::rethrow_exception(given.error);
  return std::move(given.batch);
}

}  // namespace gt
