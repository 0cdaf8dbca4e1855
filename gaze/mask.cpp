#include "gaze/mask.h"

#include <algorithm>
#include <array>
#include <map>
#include <new>
#include <optional>

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
  std::vector<int32_t> pixels;       // (height,width)
  std::map<int32_t, size_t> counts;  // of each value
  int64_t largest = 255;             // that pixels can have
  std::vector<std::array<uint8_t, 4>> palette;
  bool jpeg = false;
  int orientation = 1;
};

void check_alpha(const std::string& path, const StoredImage& stored) {
  if (!stored.has_alpha()) return;
  const size_t n = size_t(stored.channels);
  const uint16_t first = stored.values[n - 1];
  for (size_t i = n - 1; i < stored.values.size(); i += n)
    if (stored.values[i] != first)
      fail(path, ": has an alpha channel that is not constant, expected a mask by values without transparency");
  if (first == 0) fail(path, ": is transparent throughout, expected a mask by values without transparency");
}

Values values_of(const std::string& path, const StoredImage& stored) {
  check_alpha(path, stored);
  Values v{stored.height,
           stored.width,
           {},
           {},
           (int64_t(1) << stored.bits) - 1,
           stored.palette,
           stored.kind == StoredImage::Kind::jpeg,
           stored.orientation};
  const size_t n = size_t(stored.channels), count = size_t(v.height * v.width);
  const auto channel = [&](size_t i, size_t c) { return int32_t(stored.values[i * n + c]); };
  v.pixels.resize(count);
  bool grey = true;
  for (size_t i = 0; i < count && n >= 3; ++i)
    grey = grey && channel(i, 0) == channel(i, 1) && channel(i, 0) == channel(i, 2);
  if (!grey && stored.bits > 8) fail(path, ": has colours of ", stored.bits, " bits, expected a mask of grey values");
  for (size_t i = 0; i < count; ++i)
    v.pixels[i] = grey ? channel(i, 0) : channel(i, 0) << 16 | channel(i, 1) << 8 | channel(i, 2);
  if (!grey) v.largest = 0xFFFFFF;
  return v;
}

Values values_of(const std::string& path, DicomSlice slice) {
  if (!slice.is_padding.empty() || slice.inverted)
    fail(path, ": has padding or inverted values (MONOCHROME1), expected a mask of plain values");
  const int32_t greatest = slice.values.empty() ? 0 : *std::max_element(slice.values.begin(), slice.values.end());
  return {slice.height, slice.width, std::move(slice.values), {}, greatest > 255 ? 65535 : 255, {}, false, 1};
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
  for (size_t i = 0; i < v.pixels.size();) {  // by runs, as masks have long ones
    size_t end = i + 1;
    while (end < v.pixels.size() && v.pixels[end] == v.pixels[i]) ++end;
    v.counts[v.pixels[i]] += end - i;
    i = end;
  }
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
  return low > 0 && high > 0 && double(low + high) >= share_near_ends * double(v.pixels.size());
}

int brightness(const std::array<uint8_t, 4>& colour) { return 299 * colour[0] + 587 * colour[1] + 114 * colour[2]; }

/// The meaning of each value: 255, 0 or ignored_pixel.
using Meaning = std::map<int32_t, uint8_t>;

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
  const Values v = read_values(path, options);
  Mask mask;
  mask.image = Image(v.height, v.width, 1);
  mask.largest = v.largest, mask.orientation = v.orientation;
  const Meaning meaning = labels.given() ? by_labels(path, v, labels) : by_rule(path, v, mask);
  for (const auto& [value, means] : meaning) {
    if (means == 255) mask.foreground_pixels += v.counts.at(value);
    if (means == ignored_pixel) mask.ignored_pixels += v.counts.at(value);
  }
  if (v.largest == 255 && meaning.begin()->first >= 0) {  // a table is faster than a search
    std::array<uint8_t, 256> means = {};
    for (const auto& [value, of_value] : meaning) means[size_t(value)] = of_value;
    for (size_t i = 0; i < v.pixels.size(); ++i) mask.image.pixels[i] = means[size_t(v.pixels[i])];
    return mask;
  }
  int32_t last = v.pixels[0];
  uint8_t last_means = meaning.at(last);
  for (size_t i = 0; i < v.pixels.size(); ++i) {
    if (v.pixels[i] != last) last = v.pixels[i], last_means = meaning.at(last);
    mask.image.pixels[i] = last_means;
  }
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
