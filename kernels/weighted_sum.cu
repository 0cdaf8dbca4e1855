// The weighted sum of a few scalars, in one launch: total = sum over i of w_i x_i, added in order; d_i = w_i dtotal.
//
// It also writes the total and the scalars to one vector, which a training logs. With n scalars of s bytes, forward
// reads ns bytes, writes (n + 2) s and takes 2n FLOPs; backward writes ns.
#include "core/autograd.h"
#include "core/launch.cuh"
#include "kernels/common/op_helpers.h"
#include "kernels/ops.h"

namespace gt {
namespace {

constexpr int max_terms = 16;

/// n scalars, at any addresses, and their weights. A null address stands for a scalar that is not needed.
template <class Scalar>
struct Terms {
  Scalar* at[max_terms] = {};
  double weights[max_terms] = {};
  int n = 0;

  void add(Scalar* address, double weight) {
    at[n] = address;
    weights[n++] = weight;
  }
};

/// Writes the total to total () and, with the scalars, to all (n + 1).
template <class T>
GT_HD void sum_terms(const Terms<const T>& terms, T* total, T* all) {
  T sum = 0;
  for (int i = 0; i < terms.n; ++i) {
    const T x = *terms.at[i];
    sum += T(terms.weights[i]) * x;
    all[1 + i] = x;
  }
  *total = all[0] = sum;
}

template <class T>
GT_HD void write_gradient(const Terms<T>& gradients, int i, T d_total) {
  if (gradients.at[i] != nullptr) *gradients.at[i] = T(gradients.weights[i]) * d_total;
}

namespace cpu {

template <class T>
void weighted_sum_forward(const Terms<const T>& terms, T* total, T* all) {
  sum_terms(terms, total, all);
}

template <class T>
void weighted_sum_backward(const Terms<T>& gradients, const T* d_total) {
  for (int i = 0; i < gradients.n; ++i) write_gradient(gradients, i, *d_total);
}

}  // namespace cpu

#if GT_CUDA
template <class T>
__global__ void __launch_bounds__(1) weighted_sum_forward_kernel(Terms<const T> terms, T* total, T* all) {
  sum_terms(terms, total, all);
}

template <class T>
__global__ void __launch_bounds__(max_terms) weighted_sum_backward_kernel(Terms<T> gradients, const T* d_total) {
  write_gradient(gradients, int(threadIdx.x), *d_total);
}

namespace cuda {

template <class T>
void weighted_sum_forward(const Terms<const T>& terms, T* total, T* all) {
  launch({1, 1}, weighted_sum_forward_kernel<T>, terms, total, all);
}

template <class T>
void weighted_sum_backward(const Terms<T>& gradients, const T* d_total) {
  launch({1, unsigned(gradients.n)}, weighted_sum_backward_kernel<T>, gradients, d_total);
}

}  // namespace cuda
#endif

}  // namespace

WeightedSum weighted_sum(const Tensors& terms, const std::vector<double>& weights) {
  GT_CHECK(!terms.empty() && int(terms.size()) <= max_terms && terms.size() == weights.size(),
           "weighted_sum: ", terms.size(), " terms and ", weights.size(), " weights, expected 1 to ", max_terms,
           " of each");
  const Tensor& first = terms[0];
  std::vector<bool> needs;
  for (const Tensor& t : terms) {
    GT_CHECK(t.shape() == Shape{} && t.dtype() == first.dtype() && t.device() == first.device(),
             "weighted_sum: expected scalars of one dtype and device, got ", t.dtype(), t.shape(), " on ", t.device(),
             " and ", first.dtype(), " on ", first.device());
    needs.push_back(t.requires_grad());
  }
  Tensor total({}, first.dtype(), first.device()), all({int64_t(terms.size()) + 1}, first.dtype(), first.device());
  visit_float(first.dtype(), [&]<class T>() {
    Terms<const T> operands;
    for (size_t i = 0; i < terms.size(); ++i) operands.add(operand<T>(terms[i]), weights[i]);
    GT_DISPATCH(first.device(), weighted_sum_forward, operands, operand<T>(total), operand<T>(all));
  });
  total = record("weighted_sum", total, terms, [weights, needs](const Tensor& d_total) -> Tensors {
    Tensors gradients;
    for (const bool need : needs) gradients.push_back(empty_gradient(d_total, need));
    visit_float(d_total.dtype(), [&]<class T>() {
      Terms<T> operands;
      for (size_t i = 0; i < weights.size(); ++i) operands.add(operand_or_null<T>(gradients[i]), weights[i]);
      GT_DISPATCH(d_total.device(), weighted_sum_backward, operands, operand<T>(d_total));
    });
    return gradients;
  });
  return {total, all};
}

}  // namespace gt
