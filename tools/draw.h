// Drawing on 8-bit images: discs, lines, text, maps in colour, contours, tracks.
// Coordinates are in pixels, x to the right, y down; the centre of pixel (y, x) is at (x + 0.5, y + 0.5).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "gaze/fixation.h"
#include "gaze/image.h"

namespace gt {

struct Colour {
  uint8_t r = 0, g = 0, b = 0;
};

/// The colour of a value in [0,1] (clamped; NaN is grey): dark violet over green to yellow, lightness even in the
/// value.
Colour colour_of(double value);

/// Grey or RGB (alpha is left out) -> RGB.
Image to_rgb(const Image& image);

/// A map in [0,1], `values` (h,w), in colour.
Image colour_map(const float* values, int64_t h, int64_t w);

/// A picture with a map of its size, `values` (height,width), laid over it: opacity rises with the value up to `alpha`.
Image overlay_map(const Image& rgb, const float* values, double alpha);

/// Antialiased shapes, blended with opacity `alpha`.
void draw_disc(Image& rgb, double x, double y, double radius, Colour colour, double alpha = 1);
void draw_line(Image& rgb, double x0, double y0, double x1, double y1, double width, Colour colour, double alpha = 1);

/// Letters (shown as capitals), digits and . , : - + = % / ( ) _ of 5 x 7 dots, each `dot` pixels wide; (x, y) is the
/// top left corner. Other characters leave a gap.
void draw_text(Image& rgb, int64_t x, int64_t y, const std::string& words, Colour colour, int64_t dot = 2);
int64_t text_width(const std::string& words, int64_t dot = 2);
int64_t text_height(int64_t dot = 2);

/// The outline of a mask (1 channel, foreground above 127) of the picture's size.
void draw_contour(Image& rgb, const Image& mask, Colour colour);

/// The track over its picture: discs numbered in temporal order, area by duration, colour from first (violet) to last
/// (yellow), joined by lines.
void draw_track(Image& rgb, const Track& track);

/// The picture under a strip with `words`, cut to the picture's width.
Image captioned(const Image& rgb, const std::string& words);

/// RGB pictures in a row, tops aligned, `gap` pixels apart.
Image side_by_side(const std::vector<Image>& images, int gap);

}  // namespace gt
