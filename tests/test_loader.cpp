#include <algorithm>
#include <cmath>
#include <cstring>
#include <numbers>
#include <set>

#include "gaze/dataset.h"
#include "tests/catch.h"
#include "tests/temp_folder.h"

using namespace gt;

namespace {

constexpr int64_t side = 16;

// Image and mask of sample i have the value i; its track has i + 1 fixations.
Dataset make_dataset(int64_t count, const DataNeeds& needs = {.masks = true, .gaze = true}) {
  Dataset dataset;
  for (int64_t i = 0; i < count; ++i) {
    Sample s;
    s.name = std::to_string(i);
    s.image = Image(side, side, 3, uint8_t(i));
    s.normalisation = normalisation_of(s.image, {});
    if (needs.masks) s.mask = Image(side, side, 1, uint8_t(i));
    for (int64_t k = 0; needs.gaze && k <= i; ++k)
      s.track.fixations.push_back({0.1 + 0.05 * double(k), 0.3, 100, 100.0 * double(k)});
    dataset.samples.push_back(s);
  }
  return dataset;
}

const AugmentOptions all_on = {
    .flip_x = 0.5, .flip_y = 0.5, .rotate = 30, .scale = 0.2, .brightness = 0.1, .contrast = 0.2, .saturation = 0.3};
const AugmentOptions all_off = {.flip_x = 0, .flip_y = 0};

std::vector<Batch> batches(const Dataset& dataset, int64_t count, int64_t batch, const AugmentOptions& augment = all_on,
                           int64_t threads = 2, int64_t first = 0, uint64_t seed = 1, int64_t accumulated = 1) {
  DataOptions data;
  data.size = side;
  data.threads = threads;
  Loader loader(dataset, data, augment, {}, batch, seed, first, {.accumulated = accumulated});
  std::vector<Batch> made;
  for (int64_t i = 0; i < count; ++i) made.push_back(loader.next());
  return made;
}

bool same(const Tensor& a, const Tensor& b) {
  if (!a.defined() || !b.defined()) return a.defined() == b.defined();
  return a.shape() == b.shape() && a.dtype() == b.dtype() && std::memcmp(a.raw(), b.raw(), a.bytes()) == 0;
}

bool same(const Batch& a, const Batch& b) {
  return a.iteration == b.iteration && a.index == b.index && same(a.images, b.images) && same(a.masks, b.masks) &&
         std::equal(a.pseudo.begin(), a.pseudo.end(), b.pseudo.begin(), b.pseudo.end(),
                    [](const Tensor& x, const Tensor& y) { return same(x, y); }) &&
         same(a.geometry, b.geometry) && same(a.colour, b.colour) && same(a.tracks.xy, b.tracks.xy) &&
         same(a.tracks.weight, b.tracks.weight) && same(a.tracks.sigma, b.tracks.sigma) &&
         same(a.tracks.tau, b.tracks.tau) && same(a.tracks.kept, b.tracks.kept) &&
         same(a.tracks.offsets, b.tracks.offsets);
}

}  // namespace

TEST_CASE("loader: accumulated batches hold the samples of one large batch, augmented alike", "[loader]") {
  const Dataset dataset = make_dataset(7);
  const std::vector<Batch> large = batches(dataset, 4, 6, all_on, 2, 1);
  const std::vector<Batch> small = batches(dataset, 12, 2, all_on, 3, 1, 1, 3);
  const auto part = [](const Tensor& whole, const Tensor& of, int64_t place) {
    const size_t bytes = of.bytes();
    return std::memcmp(static_cast<const char*>(whole.raw()) + size_t(place) * bytes, of.raw(), bytes) == 0;
  };
  for (size_t k = 0; k < small.size(); ++k) {
    const Batch &whole = large[k / 3], &b = small[k];
    const auto begin = whole.index.begin() + int64_t(k % 3) * 2;
    CHECK(b.iteration == whole.iteration);
    CHECK(b.index == std::vector<int64_t>(begin, begin + 2));
    CHECK(part(whole.images, b.images, int64_t(k % 3)));
    CHECK(part(whole.geometry, b.geometry, int64_t(k % 3)));
    CHECK(part(whole.colour, b.colour, int64_t(k % 3)));
  }
}

TEST_CASE("loader: a batch holds its samples' images, masks and tracks", "[loader]") {
  const Dataset dataset = make_dataset(5);
  for (const Batch& b : batches(dataset, 6, 3)) {
    CHECK(b.images.shape() == Shape{3, side, side, 3});
    CHECK(b.masks.shape() == Shape{3, side, side});
    CHECK(b.geometry.shape() == Shape{3, 2, 3});
    CHECK(b.colour.shape() == Shape{3, 3, 4});
    for (int64_t i = 0; i < 3; ++i) {
      const int64_t sample = b.index[size_t(i)];
      CHECK(b.images.data<uint8_t>()[(i + 1) * side * side * 3 - 1] == sample);
      CHECK(b.masks.data<uint8_t>()[i * side * side] == sample);
      const int32_t* offsets = b.tracks.offsets.data<int32_t>();
      CHECK(offsets[i + 1] - offsets[i] == sample + 1);
    }
  }
}

TEST_CASE("loader: pixels that do not count leave the masks of a batch", "[loader]") {
  Dataset dataset = make_dataset(2);
  for (Sample& s : dataset.samples) s.mask.pixels[0] = ignored_pixel, s.mask.pixels[1] = 255;
  CHECK(!batches(dataset, 1, 2, all_off)[0].ignored.defined());
  dataset.ignores_pixels = true;
  const Batch b = batches(dataset, 1, 2, all_off)[0];
  CHECK(b.ignored.shape() == b.masks.shape());
  CHECK((b.ignored.data<uint8_t>()[0] == 255 && b.masks.data<uint8_t>()[0] == 0));
  CHECK((b.ignored.data<uint8_t>()[1] == 0 && b.masks.data<uint8_t>()[1] == 255));
}

TEST_CASE("loader: tensors of masks and gaze are undefined without them", "[loader]") {
  const Dataset dataset = make_dataset(3, {});
  const Batch b = batches(dataset, 1, 2)[0];
  CHECK(!b.masks.defined());
  CHECK(!b.tracks.xy.defined());
  CHECK(b.images.defined());
}

TEST_CASE("loader: batches do not depend on the threads or the first iteration", "[loader]") {
  const Dataset dataset = make_dataset(7);
  const std::vector<Batch> one = batches(dataset, 20, 3, all_on, 1);
  for (const int64_t threads : {2, 4})
    for (const int64_t first : {0, 1, 13}) {
      const std::vector<Batch> other = batches(dataset, 20 - first, 3, all_on, threads, first);
      for (size_t i = 0; i < other.size(); ++i) CHECK(same(other[i], one[i + size_t(first)]));
    }
  CHECK(!same(one[0], batches(dataset, 1, 3, all_on, 1, 0, 2)[0]));
}

TEST_CASE("loader: every epoch visits each sample once, in another order", "[loader]") {
  for (const int64_t batch : {1, 3, 7, 16}) {
    const Dataset dataset = make_dataset(7);
    std::vector<int64_t> visited;
    for (const Batch& b : batches(dataset, (42 + batch - 1) / batch, batch))
      visited.insert(visited.end(), b.index.begin(), b.index.end());
    std::set<std::vector<int64_t>> orders;
    for (size_t at = 0; at + 7 <= visited.size() && at < 42; at += 7) {
      std::vector<int64_t> epoch(visited.begin() + int64_t(at), visited.begin() + int64_t(at) + 7);
      orders.insert(epoch);
      std::sort(epoch.begin(), epoch.end());
      CHECK(epoch == std::vector<int64_t>{0, 1, 2, 3, 4, 5, 6});
    }
    CHECK(orders.size() == 6);
  }
}

TEST_CASE("loader: images of one size are stacked, others are refused", "[loader]") {
  const Image one(2, 3, 1, 7), two(2, 3, 1, 9), other(3, 2, 1);
  const Tensor stacked = stack_images({&one, &two});
  CHECK(stacked.shape() == Shape{2, 2, 3, 1});
  CHECK(stacked.values<uint8_t>() == std::vector<uint8_t>{7, 7, 7, 7, 7, 7, 9, 9, 9, 9, 9, 9});
  CHECK_THROWS_AS(stack_images({&one, &other}), Error);
  CHECK_THROWS_AS(stack_images({}), Error);
}

TEST_CASE("loader: without augmentation, geometry is the identity and colour the normalisation", "[loader]") {
  DataOptions data;
  const Normalisation fixed = normalisation_of(Image(4, 4, 3, 9), data);
  const auto [geometry, colour] = no_augmentation({&fixed, &fixed});
  for (int64_t b = 0; b < 2; ++b) {
    const float* g = geometry.data<float>() + b * 6;
    CHECK((g[0] == 1 && g[1] == 0 && g[2] == 0 && g[3] == 0 && g[4] == 1 && g[5] == 0));
    for (size_t i = 0; i < 3; ++i)
      for (size_t j = 0; j < 4; ++j) {
        const double expected = j == 3 ? -data.mean[i] / data.std[i] : i == j ? 1 / data.std[i] : 0;
        CHECK(colour.data<float>()[size_t(b) * 12 + i * 4 + j] == float(expected));
      }
  }
  const Dataset dataset = make_dataset(4);
  for (const Batch& batch : batches(dataset, 3, 2, all_off)) {
    CHECK(same(batch.geometry, geometry));
    CHECK(same(batch.colour, colour));
  }
  data.channels = 1;
  data.mean = {0.5};
  data.std = {0.25};
  const Normalisation grey = normalisation_of(Image(2, 2, 1, 9), data);
  CHECK(no_augmentation({&grey}).second.values<float>() == std::vector<float>{4, -2});
}

TEST_CASE("loader: per_image normalises each image by its own mean and standard deviation", "[loader]") {
  DataOptions data;
  data.channels = 1;
  data.normalize = "per_image";
  Image grey(1, 4, 1);
  grey.pixels = {51, 51, 102, 204};  // 0.2, 0.2, 0.4, 0.8: mean 0.4, variance 0.06
  const Image flat(1, 4, 1, 51);
  const Normalisation of_grey = normalisation_of(grey, data), of_flat = normalisation_of(flat, data);
  CHECK(of_grey.mean[0] == Approx(0.4));
  CHECK(of_grey.std[0] == Approx(std::sqrt(0.06)));
  CHECK(of_flat.mean[0] == Approx(0.2));
  CHECK(of_flat.std[0] == 1);  // its own is 0
  const std::vector<float> colour = no_augmentation({&of_grey, &of_flat}).second.values<float>();
  REQUIRE(colour.size() == 4);
  CHECK(colour[0] == Approx(1 / std::sqrt(0.06)));
  CHECK(colour[1] == Approx(-0.4 / std::sqrt(0.06)));
  CHECK(colour[2] == 1);
  CHECK(colour[3] == Approx(-0.2));

  data.channels = 3;  // over all channels together
  Image rgb(1, 1, 3);
  rgb.pixels = {51, 102, 153};
  const Normalisation of_rgb = normalisation_of(rgb, data);
  const std::vector<float> m = no_augmentation({&of_rgb}).second.values<float>();
  for (size_t i = 0; i < 3; ++i) {
    CHECK(m[i * 4 + i] == Approx(5 / std::sqrt(2 / 3.)));
    CHECK(m[i * 4 + 3] == Approx(-2 / std::sqrt(2 / 3.)));
  }

  // The network's input has mean 0 and standard deviation 1 per image in training too.
  DataOptions options;
  options.size = side;
  options.normalize = "per_image";
  Dataset dataset = make_dataset(4);
  for (Sample& sample : dataset.samples) {
    for (size_t k = 0; k < sample.image.pixels.size(); ++k) sample.image.pixels[k] = uint8_t(k * k % 251);
    sample.normalisation = normalisation_of(sample.image, options);
  }
  Loader loader(dataset, options, all_off, MapOptions(), 4, 1, 0);
  const Batch b = loader.next();
  const Tensor x = augment(b.images, b.geometry, b.colour);
  const size_t each = size_t(x.size() / 4);
  for (size_t i = 0; i < 4; ++i) {
    double sum = 0, squares = 0;
    for (size_t k = 0; k < each; ++k) {
      const double v = x.data<float>()[i * each + k];
      sum += v / double(each), squares += v * v / double(each);
    }
    CHECK(sum == Approx(0).margin(1e-4));
    CHECK(squares == Approx(1).margin(1e-3));
  }
}

TEST_CASE("loader: a flip moves fixations as it moves pixels", "[loader]") {
  const Dataset dataset = make_dataset(1);
  const Batch x = batches(dataset, 1, 1, {.flip_x = 1, .flip_y = 0})[0];
  CHECK(x.geometry.values<float>() == std::vector<float>{-1, 0, 1, 0, 1, 0});
  CHECK(x.tracks.xy.data<float>()[0] == Approx(0.9));
  CHECK(x.tracks.xy.data<float>()[1] == Approx(0.3));
  const Batch y = batches(dataset, 1, 1, {.flip_x = 0, .flip_y = 1})[0];
  CHECK(y.geometry.values<float>() == std::vector<float>{1, 0, 0, 0, -1, 1});
  CHECK(y.tracks.xy.data<float>()[0] == Approx(0.1));
  CHECK(y.tracks.xy.data<float>()[1] == Approx(0.7));
}

TEST_CASE("loader: rotation and scale keep the centre and cover their ranges", "[loader]") {
  const Dataset dataset = make_dataset(2);
  double min_angle = 99, max_angle = -99, min_size = 99, max_size = 0;
  for (const Batch& b : batches(dataset, 100, 4, {.flip_x = 0, .flip_y = 0, .rotate = 30, .scale = 0.2}))
    for (int64_t i = 0; i < 4; ++i) {
      const float* g = b.geometry.data<float>() + i * 6;
      for (int64_t row = 0; row < 2; ++row)
        CHECK(0.5 * (g[3 * row] + g[3 * row + 1]) + g[3 * row + 2] == Approx(0.5).epsilon(1e-6));
      CHECK(g[0] == g[4]);
      CHECK(g[1] == -g[3]);
      const double size = 1 / std::hypot(g[0], g[1]), angle = std::atan2(g[1], g[0]) * 180 / std::numbers::pi;
      min_angle = std::min(min_angle, angle), max_angle = std::max(max_angle, angle);
      min_size = std::min(min_size, size), max_size = std::max(max_size, size);
    }
  CHECK((min_angle >= -30 && min_angle < -28 && max_angle > 28 && max_angle <= 30));
  CHECK((min_size >= 0.8 - 1e-6 && min_size < 0.81 && max_size > 1.19 && max_size <= 1.2 + 1e-6));
}

TEST_CASE("loader: brightness, contrast and saturation are applied in this order", "[loader]") {
  const Dataset dataset = make_dataset(2);
  const double mean[3] = {0.485, 0.456, 0.406}, std[3] = {0.229, 0.224, 0.225}, luma[3] = {0.299, 0.587, 0.114};
  for (const Batch& b : batches(dataset, 50, 4))
    for (int64_t i = 0; i < 4; ++i) {
      const float* m = b.colour.data<float>() + i * 12;
      const auto apply = [&](double red, double green, double blue, int c) {
        const float* row = m + 4 * c;
        return (row[0] * red + row[1] * green + row[2] * blue + row[3]) * std[c] + mean[c];
      };
      const double contrast = 1 - 2 * apply(0, 0, 0, 0),
                   brightness = (apply(1, 1, 1, 0) - apply(0, 0, 0, 0)) / contrast;
      const double saturation = (apply(1, 0, 0, 0) - apply(1, 0, 0, 1)) / (brightness * contrast);
      CHECK(std::abs(contrast - 1) <= 0.2 + 1e-6);
      CHECK(std::abs(brightness - 1) <= 0.1 + 1e-6);
      CHECK(std::abs(saturation - 1) <= 0.3 + 1e-6);
      const double colour[3] = {0.7, 0.2, 0.4}, grey = 0.7 * luma[0] + 0.2 * luma[1] + 0.4 * luma[2];
      for (int c = 0; c < 3; ++c) {
        const double bright = brightness * colour[c], bright_grey = brightness * grey;
        const double contrasted = 0.5 + contrast * (bright - 0.5),
                     contrasted_grey = 0.5 + contrast * (bright_grey - 0.5);
        CHECK(apply(0.7, 0.2, 0.4, c) ==
              Approx(contrasted_grey + saturation * (contrasted - contrasted_grey)).margin(1e-5));
      }
    }
}

TEST_CASE("loader: an option does not change the numbers of the others", "[loader]") {
  const Dataset dataset = make_dataset(3);
  AugmentOptions turned = all_on;
  turned.rotate = 5;
  const std::vector<Batch> a = batches(dataset, 5, 2), b = batches(dataset, 5, 2, turned);
  for (size_t i = 0; i < a.size(); ++i) {
    CHECK(same(a[i].colour, b[i].colour));
    CHECK(!same(a[i].geometry, b[i].geometry));
  }
}

TEST_CASE("loader: next() rethrows what a preparing thread threw", "[loader]") {
  const Dataset dataset = make_dataset(3);
  AugmentOptions shrunk_to_nothing;
  shrunk_to_nothing.scale = 1e60;  // its geometry cannot be inverted for the fixations
  for (const int64_t threads : {1, 3}) {
    CHECK_THROWS_AS(batches(dataset, 1, 2, shrunk_to_nothing, threads), Error);
  }
}

TEST_CASE("loader: a loader can be destroyed at any moment", "[loader]") {
  const Dataset dataset = make_dataset(3);
  const int64_t before = live_bytes();
  for (int64_t count = 0; count < 40; ++count)
    CHECK(batches(dataset, count % 8, 2, all_on, 1 + count % 4).size() == size_t(count % 8));
  CHECK(live_bytes() == before);  // batches that nobody took are freed
}

TEST_CASE("loader: samples that do not match the options are refused", "[loader]") {
  DataOptions data;
  data.size = side;
  const AugmentOptions augment;
  const auto make = [&](const Dataset& dataset, int64_t batch) {
    Loader(dataset, data, augment, {}, batch, 1, 0).next();
  };
  CHECK_THROWS_AS(make(Dataset{}, 2), Error);
  CHECK_THROWS_AS(make(make_dataset(2), 0), Error);
  Dataset one_without_gaze = make_dataset(3);
  one_without_gaze.samples[1].track = {};
  CHECK(error_of([&] { make(one_without_gaze, 3); }).find(" was not loaded like the others") != std::string::npos);
  Dataset one_unnormalised = make_dataset(3);
  one_unnormalised.samples[2].normalisation = {};
  CHECK(error_of([&] { make(one_unnormalised, 3); }).find("sample '2'") != std::string::npos);
}

TEST_CASE("loader: a batch has one tensor per pseudo mask", "[loader]") {
  Dataset dataset = make_dataset(5);
  for (size_t i = 0; i < 5; ++i)
    dataset.samples[i].pseudo = {Image(side, side, 1, uint8_t(10 + i)), Image(side, side, 1, uint8_t(20 + i))};
  for (const Batch& b : batches(dataset, 4, 3)) {
    REQUIRE(b.pseudo.size() == 2);
    CHECK(str_cat(b.pseudo[1].shape()) == "(3,16,16)");
    for (int64_t i = 0; i < 3; ++i)
      for (int64_t k = 0; k < 2; ++k)
        CHECK(b.pseudo[size_t(k)].data<uint8_t>()[i * side * side] == 10 * (k + 1) + b.index[size_t(i)]);
  }
  dataset.samples[3].pseudo.pop_back();
  CHECK_THROWS_AS(batches(dataset, 1, 3), Error);
}
