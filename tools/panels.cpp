#include "tools/panels.h"

#include <algorithm>
#include <numeric>

#include "core/autograd.h"
#include "gaze/maps.h"
#include "models/gradtrack.h"

namespace gt {
namespace {

constexpr int64_t tile = 256;  // side of a tile, pixels
constexpr Colour predicted_colour{64, 224, 255};
constexpr Colour label_colour{255, 214, 64};

/// A map (h,w) in colour, resized bilinearly.
Image map_picture(const Tensor& map, int64_t height, int64_t width) {
  const Tensor large = resize_bilinear(map.view({1, map.dim(-2), map.dim(-1), 1}), height, width);
  return colour_map(large.data<float>(), height, width);
}

/// Four pictures of one size in two rows.
Image two_by_two(const std::vector<Image>& pictures) {
  const Image& first = pictures[0];
  Image all(2 * first.height, 2 * first.width, 3);
  for (size_t k = 0; k < 4; ++k)
    for (int64_t y = 0; y < first.height; ++y)
      std::copy_n(pictures[k].at(y, 0), first.width * 3,
                  all.at(y + int64_t(k / 2) * first.height, int64_t(k % 2) * first.width));
  return all;
}

}  // namespace

std::vector<std::pair<size_t, const char*>> cases_to_show(const std::vector<double>& dice, size_t count) {
  std::vector<size_t> order(dice.size());
  std::iota(order.begin(), order.end(), size_t(0));
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return dice[a] > dice[b]; });
  const size_t n = order.size(), each = std::min(count, n / 3);
  std::vector<std::pair<size_t, const char*>> cases;
  for (size_t i = 0; i < each; ++i) cases.emplace_back(order[i], "best");
  for (size_t i = 0; i < each; ++i) cases.emplace_back(order[(n - each) / 2 + i], "median");
  for (size_t i = 0; i < each; ++i) cases.emplace_back(order[n - each + i], "worst");
  return cases;
}

PredictedView predict_view(const Model& model, const DataOptions& data, const Image& image) {
  const NoGrad no_grad;
  const Prediction p = model.predict(network_input(image, data, model.device()));
  PredictedView v;
  const Tensor logits = p.logits.to(Device::cpu).view({p.logits.dim(1), p.logits.dim(2)});
  v.mask = predicted_mask(logits, image.height, image.width);
  const Tensor probability = foreground_probability(logits, image.height, image.width);
  v.probability.assign(probability.data<float>(), probability.data<float>() + probability.size());
  for (const Tensor& a : p.attention) v.attention.push_back(map_picture(a.to(Device::cpu), image.height, image.width));
  return v;
}

Image overlay_mask(const Image& rgb, const Image& prediction, const Image* label) {
  Image picture = rgb;
  constexpr double alpha = 0.3;
  const uint8_t tint[] = {predicted_colour.r, predicted_colour.g, predicted_colour.b};
  for (size_t i = 0; i < prediction.pixels.size(); ++i) {
    if (!is_foreground(prediction.pixels[i])) continue;
    for (size_t c = 0; c < 3; ++c) {
      uint8_t& v = picture.pixels[3 * i + c];
      v = uint8_t(v + alpha * (tint[c] - v));
    }
  }
  draw_contour(picture, prediction, predicted_colour);
  if (label != nullptr) draw_contour(picture, *label, label_colour);
  return picture;
}

Image image_tile(const Sample& sample) { return resize_image(to_rgb(sample.image), tile, tile); }

Image label_tile(const Sample& sample) { return resize_image(sample.label, tile, tile); }

Image prediction_tile(const Sample& sample, const Image& predicted) {
  const Image label = label_tile(sample);
  return overlay_mask(image_tile(sample), resize_image(predicted, tile, tile), &label);
}

Panel case_panel(const Model& model, const Config& config, const Sample& sample) {
  const PredictedView v = predict_view(model, config.data, sample.image);
  const Image rgb = image_tile(sample);
  std::vector<Image> row = {rgb};
  std::vector<std::string> columns = {"image"};
  if (!sample.track.fixations.empty()) {
    Image track = rgb;
    draw_track(track, sample.track);
    row.push_back(track);
    const Tensors maps = track_maps(pack_tracks({&sample.track}, config.maps), config.maps,
                                    track_map_sizes(config.data.size, config.data.size));
    std::vector<Image> pictures;
    for (size_t l = 0; l < size_t(map_levels); ++l) pictures.push_back(map_picture(maps[l], tile / 2, tile / 2));
    row.push_back(two_by_two(pictures));
    columns.insert(columns.end(), {"gaze track", "track maps"});
  }
  if (!v.attention.empty()) {
    std::vector<Image> pictures;
    for (const Image& a : v.attention) pictures.push_back(resize_image(a, tile / 2, tile / 2));
    row.push_back(two_by_two(pictures));
    columns.push_back("attention");
  }
  columns.insert(columns.end(), {"prediction", "label"});
  row.push_back(prediction_tile(sample, v.mask));
  row.push_back(to_rgb(label_tile(sample)));
  return {columns, side_by_side(row, 6)};
}

}  // namespace gt
