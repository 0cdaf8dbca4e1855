#include "gaze/mask.h"

#include <algorithm>
#include <array>
#include <map>
#include <new>
#include <optional>
#include <type_traits>
#include <utility>
#include <variant>

#include "core/check.h"
#include "core/io.h"
#include "gaze/dicom.h"

namespace gt {
namespace {

constexpr int64_t near_end = 32;         // JPEG: distance of a value from 0 or 255 that compression explains
constexpr double share_near_ends = 0.9;  // JPEG: of pixels that lie so near

/// What a user can do about values that may mean several things.
constexpr const char* how_to_label =
    "data.labels (prepare: --foreground, --ignored, --background) that says what each value is";

/// The pixels of a mask file as whole numbers.
struct Values {
  int64_t height = 0, width = 0;
  std::variant<std::vector<uint8_t>, std::vector<int32_t>> pixels;  // (height,width); of 8 bits, of more
  std::map<int32_t, size_t> counts;                                 // of each value
  int64_t largest = 255;                                            // that pixels can have
  std::vector<std::array<uint8_t, 4>> palette;
  bool jpeg = false;
  int orientation = 1;
  PixelSpacing spacing;
};

template <class T>
void check_alpha(const std::string& path, const std::vector<T>& stored, size_t channels) {
  const T first = stored[channels - 1];
  for (size_t i = channels - 1; i < stored.size(); i += channels)
    if (stored[i] != first)
      fail(path, ": has an alpha channel that is not constant, expected a mask by values without transparency");
  if (first == 0) fail(path, ": is transparent throughout, expected a mask by values without transparency");
}

/// One channel of the stored values.
template <class To, class From>
std::vector<To> channel_of(const std::vector<From>& stored, size_t channels, size_t channel) {
  std::vector<To> values(stored.size() / channels);
  for (size_t i = 0; i < values.size(); ++i) values[i] = stored[i * channels + channel];
  return values;
}

/// The pixels of a picture: grey values or palette indices, or 65536 R + 256 G + B.
template <class T>
void set_pixels(const std::string& path, std::vector<T> stored, const StoredImage& picture, Values& v) {
  constexpr bool narrow = sizeof(T) == 1;
  using Grey = std::conditional_t<narrow, uint8_t, int32_t>;
  const size_t n = size_t(picture.channels);
  if (picture.has_alpha()) check_alpha(path, stored, n);
  unsigned differences = 0;
  for (size_t i = 0; i < stored.size() && n >= 3; i += n)
    differences |= unsigned(stored[i] ^ stored[i + 1]) | unsigned(stored[i] ^ stored[i + 2]);
  const bool grey = differences == 0;
  if (!grey && !narrow) fail(path, ": has colours of ", picture.bits, " bits, expected a mask of grey values");
  if constexpr (narrow)
    if (n == 1) return void(v.pixels = std::move(stored));
  if (grey) return void(v.pixels = channel_of<Grey>(stored, n, 0));
  std::vector<int32_t> colours(stored.size() / n);
  for (size_t i = 0; i < colours.size(); ++i)
    colours[i] = stored[i * n] << 16 | stored[i * n + 1] << 8 | stored[i * n + 2];
  v.pixels = std::move(colours), v.largest = 0xFFFFFF;
}

Values values_of(const std::string& path, StoredImage stored) {
  Values v{stored.height,
           stored.width,
           {},
           {},
           (int64_t(1) << stored.bits) - 1,
           stored.palette,
           stored.kind == StoredImage::Kind::jpeg,
           stored.orientation,
           {}};
  std::visit([&](auto& values) { set_pixels(path, std::move(values), stored, v); }, stored.values);
  return v;
}

Values values_of(const std::string& path, DicomSlice slice) {
  if (!slice.is_padding.empty() || slice.inverted)
    fail(path, ": has padding or inverted values (MONOCHROME1), expected a mask of plain values");
  const int32_t greatest = slice.values.empty() ? 0 : *std::max_element(slice.values.begin(), slice.values.end());
  return {slice.height, slice.width, std::move(slice.values), {}, greatest > 255 ? 65535 : 255, {}, false, 1,
          slice.spacing};
}

std::map<int32_t, size_t> counts_of(const std::vector<uint8_t>& pixels) {
  // Several counters of a value: adding to one waits for the addition before, and neighbouring pixels are alike.
  std::array<std::array<size_t, 256>, 8> histograms = {};
  for (size_t i = 0; i < pixels.size(); ++i) ++histograms[i % 8][pixels[i]];
  std::map<int32_t, size_t> counts;
  for (size_t value = 0; value < 256; ++value) {
    size_t count = 0;
    for (const auto& histogram : histograms) count += histogram[value];
    if (count > 0) counts[int32_t(value)] = count;
  }
  return counts;
}

std::map<int32_t, size_t> counts_of(const std::vector<int32_t>& pixels) {
  std::map<int32_t, size_t> counts;
  for (size_t i = 0; i < pixels.size();) {  // by runs, as masks have long ones
    size_t end = i + 1;
    while (end < pixels.size() && pixels[end] == pixels[i]) ++end;
    counts[pixels[i]] += end - i;
    i = end;
  }
  return counts;
}

/// Throws Error if some of the colours that pixels have are transparent and others are not.
void check_palette(const std::string& path, const Values& v) {
  if (v.palette.empty()) return;
  std::optional<uint8_t> first;
  for (const auto& [index, count] : v.counts) {
    const uint8_t alpha = v.palette.at(size_t(index))[3];
    if (first.value_or(alpha) != alpha)
      fail(path, ": has a palette of which some colours are transparent, expected a mask without transparency");
    first = alpha;
  }
}

Values read_values(const std::string& path, ReadOptions options) {
  options.luminance = true;
  const std::string bytes = read_file(path);
  if (bytes.empty()) fail(path, ": is empty, expected a JPEG, PNG or DICOM image");
  if (!is_dicom(bytes) && !is_picture(bytes)) fail(path, ": is neither a JPEG nor a PNG nor a DICOM image");
  Values v = is_dicom(bytes) ? values_of(path, read_dicom(path, options))
                             : values_of(path, decode_stored(path, bytes, options));
  std::visit([&v](const auto& pixels) { v.counts = counts_of(pixels); }, v.pixels);
  check_palette(path, v);
  return v;
}

/// "values 0 3 255"
std::string shown(const Values& v) {
  constexpr size_t most = 8;
  std::string text = v.counts.size() == 1 ? "value" : "values";
  size_t count = 0;
  for (const auto& [value, pixels] : v.counts)
    if (count++ < most) text += str_cat(" ", value);
  if (count > most) text += str_cat(" and ", count - most, " more");
  return text;
}

/// Whether the values are 0 and 255 with what JPEG adds.
bool is_compressed_mask(const Values& v) {
  if (!v.jpeg || v.largest != 255) return false;
  size_t low = 0, high = 0;
  for (const auto& [value, count] : v.counts) {
    if (value <= near_end) low += count;
    if (value >= 255 - near_end) high += count;
  }
  return low > 0 && high > 0 && double(low + high) >= share_near_ends * double(v.height * v.width);
}

int brightness(const std::array<uint8_t, 4>& colour) { return 299 * colour[0] + 587 * colour[1] + 114 * colour[2]; }

/// The meaning of each value: 255, 0 or ignored_pixel.
using Meaning = std::map<int32_t, uint8_t>;

std::vector<uint8_t> meant(std::vector<uint8_t> pixels, const Meaning& meaning) {
  const auto is_same = [](const auto& entry) { return entry.first == entry.second; };
  if (std::all_of(meaning.begin(), meaning.end(), is_same)) return pixels;
  std::array<uint8_t, 256> means = {};
  for (const auto& [value, of_value] : meaning) means[size_t(value)] = of_value;
  for (uint8_t& pixel : pixels) pixel = means[pixel];
  return pixels;
}

std::vector<uint8_t> meant(const std::vector<int32_t>& pixels, const Meaning& meaning) {
  std::vector<uint8_t> mask(pixels.size());
  int32_t last = pixels[0];
  uint8_t last_means = meaning.at(last);
  for (size_t i = 0; i < pixels.size(); ++i) {
    if (pixels[i] != last) last = pixels[i], last_means = meaning.at(last);
    mask[i] = last_means;
  }
  return mask;
}

Meaning by_rule(const std::string& path, const Values& v, Mask& mask) {
  const int32_t least = v.counts.begin()->first, greatest = v.counts.rbegin()->first;
  Meaning meaning;
  if (is_compressed_mask(v)) {
    mask.background = 0, mask.foreground = 255;
    for (const auto& [value, count] : v.counts) meaning[value] = value > 127 ? 255 : 0;
    return meaning;
  }
  const bool full = least == greatest && greatest == v.largest && v.palette.empty();
  if (v.counts.size() > 2 || least < 0 || (v.counts.size() == 1 && least != 0 && !full))
    fail(path, ": ", shown(v), ": expected two values, or ", how_to_label);
  if (v.largest == 0xFFFFFF && least != 0)
    fail(path, ": ", shown(v), ": has two colours and neither is black, expected ", how_to_label);
  if (v.counts.size() == 2 && !v.palette.empty() &&
      brightness(v.palette.at(size_t(greatest))) < brightness(v.palette.at(size_t(least))))
    fail(path, ": palette indices ", least, " and ", greatest,
         ", the second darker: expected the foreground to be the brighter, or ", how_to_label);
  if (!full) meaning[least] = 0, mask.background = least;
  if (full || v.counts.size() == 2) meaning[greatest] = 255, mask.foreground = greatest;
  return meaning;
}

Meaning by_labels(const std::string& path, const Values& v, const LabelOptions& labels) {
  const auto lists = [](const std::vector<int64_t>& list, int64_t value) {
    return std::find(list.begin(), list.end(), value) != list.end();
  };
  Meaning meaning;
  for (const auto& [value, count] : v.counts) {
    const bool foreground = lists(labels.foreground, value), ignored = lists(labels.ignored, value);
    const bool background =
        lists(labels.background, value) || (labels.background.empty() && value == 0 && !foreground && !ignored);
    if (foreground + ignored + background != 1)
      fail(path, ": ", shown(v), ": data.labels names ", value,
           foreground + ignored + background == 0 ? " nowhere" : " twice",
           ", expected each value once, as foreground, ignored or background");
    meaning[value] = foreground ? 255 : ignored ? ignored_pixel : 0;
  }
  return meaning;
}

}  // namespace

Mask read_mask(const std::string& path, const LabelOptions& labels, const ReadOptions& options) try {
  Values v = read_values(path, options);
  Mask mask;
  mask.image.height = v.height, mask.image.width = v.width, mask.image.channels = 1;
  mask.image.spacing = v.spacing;
  mask.largest = v.largest, mask.orientation = v.orientation;
  const Meaning meaning = labels.given() ? by_labels(path, v, labels) : by_rule(path, v, mask);
  for (const auto& [value, means] : meaning) {
    if (means == 255) mask.foreground_pixels += v.counts.at(value);
    if (means == ignored_pixel) mask.ignored_pixels += v.counts.at(value);
  }
  std::visit([&](auto& pixels) { mask.image.pixels = meant(std::move(pixels), meaning); }, v.pixels);
  return mask;
} catch (const std::bad_alloc&) {
  fail(path, ": expected memory for the mask, there is too little");
}

Image resize_mask(const Image& mask, int64_t height, int64_t width) {
  const bool ignores = std::find(mask.pixels.begin(), mask.pixels.end(), ignored_pixel) != mask.pixels.end();
  const auto plane = [&](uint8_t value) {
    Image chosen(mask.height, mask.width, 1);
    for (size_t i = 0; i < mask.pixels.size(); ++i) chosen.pixels[i] = mask.pixels[i] == value ? 255 : 0;
    return resize_image(chosen, height, width);
  };
  Image resized = ignores ? plane(255) : resize_image(mask, height, width);
  for (uint8_t& pixel : resized.pixels) pixel = is_foreground(pixel) ? 255 : 0;
  if (!ignores) return resized;
  const Image ignored = plane(ignored_pixel);
  for (size_t i = 0; i < resized.pixels.size(); ++i)
    if (is_foreground(ignored.pixels[i])) resized.pixels[i] = ignored_pixel;
  return resized;
}

void MaskValues::join(Value& mine, const Value& other, const char* what) {
  if (other.value < 0) return;
  if (mine.value < 0)
    mine = other;
  else if (mine.value != other.value && !(mine.largest && other.largest))
    fail(other.path, ": ", what, " is ", other.value, ", but ", mine.value, " in ", mine.path,
         ": expected one meaning of values in a data set, or ", how_to_label);
}

void MaskValues::add(const Mask& mask, const std::string& path) {
  join(foreground_, {mask.foreground, mask.foreground == mask.largest, path}, "foreground");
  join(background_, {mask.background, false, path}, "background");
}

void MaskValues::add(const MaskValues& others) {
  join(foreground_, others.foreground_, "foreground");
  join(background_, others.background_, "background");
}

}  // namespace gt
