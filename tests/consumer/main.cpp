// A tiny segmentation network of ops: trained on one synthetic image, by gradients and SGD.
#include <cstdio>

#include "kernels/ops.h"

int main() {
  using gt::Tensor;
  const int64_t side = 16, channels = 4;
  Tensor image = Tensor::zeros({1, side, side, 1}), mask = Tensor::zeros({1, side, side});
  for (int64_t y = 0; y < side; ++y)
    for (int64_t x = 0; x < side; ++x) {
      const bool inside = (x - 8) * (x - 8) + (y - 8) * (y - 8) < 16;
      image.data<float>()[y * side + x] = inside ? 1 : -1;
      mask.data<float>()[y * side + x] = inside ? 1 : 0;
    }
  gt::Tensors parameters = {Tensor::full({channels, 1, 3, 3}, 0.1), Tensor::zeros({channels}),
                            Tensor::full({1, channels, 1, 1}, 0.2), Tensor::zeros({1})};
  gt::Tensors velocities;
  for (Tensor& p : parameters) {
    p.set_requires_grad();
    velocities.push_back(Tensor::zeros(p.shape()));
  }
  double first = 0, last = 0;
  for (int step = 0; step < 50; ++step) {
    const Tensor features = gt::leaky_relu(gt::conv2d(image, parameters[0], parameters[1]), 0.1);
    const Tensor logits = gt::conv2d(features, parameters[2], parameters[3]);
    const Tensor loss = gt::bce_with_logits(gt::reshape(logits, mask.shape()), mask);
    gt::backward(loss);
    gt::Tensors gradients;
    for (Tensor& p : parameters) gradients.push_back(p.grad()), p.clear_grad();
    gt::sgd_step(parameters, gradients, velocities, gt::sgd_rates(0.5, 0.9, 0));
    (step == 0 ? first : last) = loss.item();
  }
  std::printf("loss %.3f -> %.3f\n", first, last);
  return last < 0.1 * first ? 0 : 1;
}
