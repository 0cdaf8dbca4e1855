#include "tools/draw.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>

#include "core/check.h"

namespace gt {

namespace {

constexpr int64_t glyph_width = 5, glyph_height = 7;

/// A character as 7 rows of 5 dots. The top left dot is the highest of 35 bits.
struct Glyph {
  char letter;
  uint64_t dots;
};

constexpr Glyph font[] = {
    {'A', 0x3A31FC631}, {'B', 0x7A31F463E}, {'C', 0x3E108420F}, {'D', 0x7A318C63E}, {'E', 0x7E10F421F},
    {'F', 0x7E10F4210}, {'G', 0x3E109C62F}, {'H', 0x4631FC631}, {'I', 0x38842108E}, {'J', 0x1C210862E},
    {'K', 0x4654C5251}, {'L', 0x42108421F}, {'M', 0x4775AC631}, {'N', 0x4739ACE71}, {'O', 0x3A318C62E},
    {'P', 0x7A31F4210}, {'Q', 0x3A318D64D}, {'R', 0x7A31F5251}, {'S', 0x3E107043E}, {'T', 0x7C8421084},
    {'U', 0x46318C62E}, {'V', 0x46318A944}, {'W', 0x4631AD771}, {'X', 0x454421151}, {'Y', 0x462A21084},
    {'Z', 0x7C222221F}, {'0', 0x3A33AE62E}, {'1', 0x11842108E}, {'2', 0x3A213221F}, {'3', 0x78217043E},
    {'4', 0x08CA97C42}, {'5', 0x7E1E0862E}, {'6', 0x3A10F462E}, {'7', 0x7C2221108}, {'8', 0x3A317462E},
    {'9', 0x3A317842E}, {'.', 0x00000018C}, {',', 0x000003088}, {':', 0x018C03180}, {'-', 0x0000F8000},
    {'+', 0x0084F9080}, {'=', 0x001F07C00}, {'%', 0x672222273}, {'/', 0x042222210}, {'(', 0x088842082},
    {')', 0x208210888}, {'_', 0x00000001F},
};

uint64_t glyph(char c) {
  const char letter = char(std::toupper(uint8_t(c)));
  for (const Glyph& g : font)
    if (g.letter == letter) return g.dots;
  return 0;
}

void blend(uint8_t* pixel, Colour colour, double alpha) {
  const uint8_t target[3] = {colour.r, colour.g, colour.b};
  for (int c = 0; c < 3; ++c) pixel[c] = uint8_t(std::lround(pixel[c] + alpha * (target[c] - pixel[c])));
}

void check_rgb(const Image& image) {
  GT_CHECK(image.channels == 3, "drawing: expected an RGB image, got ", image.channels, " channels");
}

}  // namespace

Colour colour_of(double value) {
  // Ten evenly spaced colours of "viridis" (van der Walt and Smith, matplotlib).
  static constexpr std::array<Colour, 10> table = {{{68, 1, 84},
                                                    {72, 40, 120},
                                                    {62, 74, 137},
                                                    {49, 104, 142},
                                                    {38, 130, 142},
                                                    {31, 158, 137},
                                                    {53, 183, 121},
                                                    {109, 205, 89},
                                                    {180, 222, 44},
                                                    {253, 231, 37}}};
  if (std::isnan(value)) return {128, 128, 128};
  const double place = std::clamp(value, 0.0, 1.0) * double(table.size() - 1);
  const size_t i = std::min(size_t(place), table.size() - 2);
  const double t = place - double(i);
  const auto between = [t](uint8_t a, uint8_t b) { return uint8_t(std::lround(a + t * (b - a))); };
  const Colour &a = table[i], &b = table[i + 1];
  return {between(a.r, b.r), between(a.g, b.g), between(a.b, b.b)};
}

Image to_rgb(const Image& image) {
  Image rgb(image.height, image.width, 3);
  for (int64_t y = 0; y < image.height; ++y)
    for (int64_t x = 0; x < image.width; ++x) {
      const uint8_t* from = image.at(y, x);
      for (int c = 0; c < 3; ++c) rgb.at(y, x)[c] = from[image.channels < 3 ? 0 : c];
    }
  return rgb;
}

Image colour_map(const float* values, int64_t h, int64_t w) {
  Image rgb(h, w, 3);
  for (int64_t i = 0; i < h * w; ++i) blend(rgb.pixels.data() + 3 * i, colour_of(values[i]), 1);
  return rgb;
}

Image overlay_map(const Image& rgb, const float* values, double alpha) {
  check_rgb(rgb);
  Image out = rgb;
  for (int64_t i = 0; i < rgb.height * rgb.width; ++i)
    blend(out.pixels.data() + 3 * i, colour_of(values[i]), alpha * std::sqrt(std::clamp(double(values[i]), 0.0, 1.0)));
  return out;
}

void draw_disc(Image& rgb, double x, double y, double radius, Colour colour, double alpha) {
  draw_line(rgb, x, y, x, y, 2 * radius, colour, alpha);
}

void draw_line(Image& rgb, double x0, double y0, double x1, double y1, double width, Colour colour, double alpha) {
  check_rgb(rgb);
  const double reach = width / 2 + 0.5;  // the coverage of a pixel falls from 1 to 0 over 1 pixel across the edge
  const auto first = [&](double a, double b) {
    return std::max<int64_t>(0, int64_t(std::floor(std::min(a, b) - reach)));
  };
  const auto end = [&](double a, double b, int64_t size) {
    return std::min(size, int64_t(std::ceil(std::max(a, b) + reach)));
  };
  const double dx = x1 - x0, dy = y1 - y0, length2 = dx * dx + dy * dy;
  for (int64_t row = first(y0, y1); row < end(y0, y1, rgb.height); ++row)
    for (int64_t column = first(x0, x1); column < end(x0, x1, rgb.width); ++column) {
      const double px = double(column) + 0.5 - x0, py = double(row) + 0.5 - y0;
      const double t = length2 > 0 ? std::clamp((px * dx + py * dy) / length2, 0.0, 1.0) : 0;
      const double coverage = std::clamp(reach - std::hypot(px - t * dx, py - t * dy), 0.0, 1.0);
      if (coverage > 0) blend(rgb.at(row, column), colour, alpha * coverage);
    }
}

void draw_text(Image& rgb, int64_t x, int64_t y, const std::string& words, Colour colour, int64_t dot) {
  check_rgb(rgb);
  const int64_t height = glyph_height * dot, width = text_width(words, dot);
  for (int64_t row = std::max<int64_t>(0, -y); row < std::min(height, rgb.height - y); ++row)
    for (int64_t column = std::max<int64_t>(0, -x); column < std::min(width, rgb.width - x); ++column) {
      const int64_t place = column / dot, in_glyph = place % (glyph_width + 1);
      if (in_glyph == glyph_width) continue;
      const int64_t bit = glyph_width * glyph_height - 1 - (row / dot * glyph_width + in_glyph);
      if (glyph(words[size_t(place / (glyph_width + 1))]) >> bit & 1) blend(rgb.at(y + row, x + column), colour, 1);
    }
}

int64_t text_width(const std::string& words, int64_t dot) {
  return std::max<int64_t>(0, int64_t(words.size()) * (glyph_width + 1) - 1) * dot;
}

int64_t text_height(int64_t dot) { return glyph_height * dot; }

void draw_contour(Image& rgb, const Image& mask, Colour colour) {
  check_rgb(rgb);
  GT_CHECK(mask.channels == 1 && mask.height == rgb.height && mask.width == rgb.width,
           "draw_contour: expected a mask of ", rgb.height, "x", rgb.width, "x1, got ", mask.height, "x", mask.width,
           "x", mask.channels);
  const auto outside = [&](int64_t y, int64_t x) {
    return y < 0 || x < 0 || y >= mask.height || x >= mask.width || !is_foreground(*mask.at(y, x));
  };
  const double thickness = std::max(1.0, double(std::max(rgb.height, rgb.width)) / 256);
  for (int64_t y = 0; y < mask.height; ++y)
    for (int64_t x = 0; x < mask.width; ++x)
      if (!outside(y, x) && (outside(y - 1, x) || outside(y + 1, x) || outside(y, x - 1) || outside(y, x + 1)))
        draw_disc(rgb, double(x) + 0.5, double(y) + 0.5, thickness / 2, colour);
}

void draw_track(Image& rgb, const Track& track) {
  constexpr Colour white{255, 255, 255}, black{0, 0, 0};
  constexpr double usual_duration = 300, usual_radius = 0.018;  // ms; share of the picture's longer side
  const std::vector<Fixation>& f = track.fixations;
  const double width = double(rgb.width), height = double(rgb.height), side = std::max(width, height);
  const auto colour = [&](size_t i) { return colour_of(f.size() > 1 ? double(i) / double(f.size() - 1) : 0); };
  for (size_t i = 1; i < f.size(); ++i)
    draw_line(rgb, f[i - 1].x * width, f[i - 1].y * height, f[i].x * width, f[i].y * height, side / 300, colour(i),
              0.9);
  for (size_t i = 0; i < f.size(); ++i) {
    const double x = f[i].x * width, y = f[i].y * height;
    const double radius = side * usual_radius * std::sqrt(f[i].duration / usual_duration);
    draw_disc(rgb, x, y, radius + side / 600, white, 0.9);
    draw_disc(rgb, x, y, radius, colour(i), 0.85);
    const std::string number = std::to_string(i + 1);
    const int64_t dot = std::max<int64_t>(1, int64_t(side / 500));
    draw_text(rgb, int64_t(x) - text_width(number, dot) / 2, int64_t(y) - text_height(dot) / 2, number,
              2 * i < f.size() ? white : black, dot);
  }
}

Image add_caption(const Image& rgb, const std::string& words) {
  check_rgb(rgb);
  const int64_t dot = std::max<int64_t>(1, rgb.width / 256), strip = text_height(dot) + 4 * dot;
  Image out(rgb.height + strip, rgb.width, 3, 24);
  draw_text(out, 2 * dot, 2 * dot, words, {240, 240, 240}, dot);
  std::copy(rgb.pixels.begin(), rgb.pixels.end(), out.at(strip, 0));
  return out;
}

Image stacked(const std::vector<Image>& images, int gap) {
  int64_t height = 0, width = 0;
  for (const Image& image : images) {
    check_rgb(image);
    height += image.height + (height > 0 ? gap : 0);
    width = std::max(width, image.width);
  }
  Image out(height, width, 3, 24);
  int64_t top = 0;
  for (const Image& image : images) {
    for (int64_t y = 0; y < image.height; ++y) std::copy_n(image.at(y, 0), 3 * image.width, out.at(top + y, 0));
    top += image.height + gap;
  }
  return out;
}

Image side_by_side(const std::vector<Image>& images, int gap) {
  int64_t height = 0, width = 0;
  for (const Image& image : images) {
    check_rgb(image);
    height = std::max(height, image.height);
    width += image.width + (width > 0 ? gap : 0);
  }
  Image out(height, width, 3, 24);
  int64_t left = 0;
  for (const Image& image : images) {
    for (int64_t y = 0; y < image.height; ++y) std::copy_n(image.at(y, 0), 3 * image.width, out.at(y, left));
    left += image.width + gap;
  }
  return out;
}

}  // namespace gt
