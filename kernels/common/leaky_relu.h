// The leaky ReLU, alone or behind a normalisation: y = x leak(x), dy/dx = leak(x).
#pragma once

#include "core/device.h"

namespace gt {

/// 1 where x > 0, else slope.
template <class T>
GT_HD inline T leak(T x, T slope) {
  return x > 0 ? T(1) : slope;
}

}  // namespace gt
