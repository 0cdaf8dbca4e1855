// The shape of a tensor that is seen as images of pixels.
#pragma once

#include <cstdint>

namespace gt {

/// (B,P,C): `images` images of `pixels` pixels of `channels` channels, at least one channel.
struct ImageShape {
  int64_t images, pixels, channels;

  int64_t size() const { return images * pixels * channels; }
};

}  // namespace gt
