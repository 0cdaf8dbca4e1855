// Drawing on 8-bit images: discs, lines, text, coloured maps, contours, gaze tracks.
// Coordinates are in pixels, x to the right, y down. The centre of pixel (y, x) is at (x + 0.5, y + 0.5). Functions
// that draw on an image expect 3 channels and throw Error for other numbers.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "gaze/fixation.h"
#include "gaze/image.h"

namespace gt {

/// An RGB colour.
struct Colour {
  uint8_t r = 0, g = 0, b = 0;
};

/// The colour of a value in the colour map "viridis": dark violet for 0, green, yellow for 1. Values are clamped to
/// [0,1]; NaN is grey.
Colour colour_of(double value);

/// Converts an image of any number of channels to RGB. An alpha channel is dropped.
Image to_rgb(const Image& image);

/// An RGB image of a map: `values` (h,w) in [0,1] by colour_of().
Image colour_map(const float* values, int64_t h, int64_t w);

/// An image with a map on top: `values` (height,width) in [0,1] by colour_of(). The opacity is `alpha` times the square
/// root of the value.
Image overlay_map(const Image& rgb, const float* values, double alpha);

/// Draws an antialiased disc around (x, y) with opacity `alpha`.
void draw_disc(Image& rgb, double x, double y, double radius, Colour colour, double alpha = 1);
/// Draws an antialiased line with round ends from (x0, y0) to (x1, y1) with opacity `alpha`.
void draw_line(Image& rgb, double x0, double y0, double x1, double y1, double width, Colour colour, double alpha = 1);

/// Draws text with its top left corner at (x, y). A character has 5 x 7 dots of `dot` pixels. The font has letters,
/// shown as capitals, digits and . , : - + = % / ( ) _ characters. Other characters leave a gap.
void draw_text(Image& rgb, int64_t x, int64_t y, const std::string& words, Colour colour, int64_t dot = 2);
/// The width of text that draw_text() draws, pixels.
int64_t text_width(const std::string& words, int64_t dot = 2);
/// The height of text that draw_text() draws, pixels.
int64_t text_height(int64_t dot = 2);

/// Draws the outline of a mask (1 channel, foreground above 127). Throws Error if its size is not that of the image.
void draw_contour(Image& rgb, const Image& mask, Colour colour);

/// Draws a gaze track: numbered discs joined by lines. The area of a disc is proportional to the duration of its
/// fixation. Its colour goes from violet for the first fixation to yellow for the last.
void draw_track(Image& rgb, const Track& track);

/// The image below a strip with `words`. Text that is wider than the image is clipped.
Image add_caption(const Image& rgb, const std::string& words);

/// RGB images in one column with their left sides aligned and `gap` pixels between them.
Image stacked(const std::vector<Image>& images, int gap);

/// RGB images in one row with their tops aligned and `gap` pixels between them.
Image side_by_side(const std::vector<Image>& images, int gap);

}  // namespace gt
