// Optimiser steps in place, over all tensors of a model at once. The tensors are treated as one long array, so that a
// network's hundred small tensors cost no more than their elements. With gradient g, learning rate lr and weight decay
// wd:
//
//   SGD (PyTorch's)                       d = g + wd p                   v <- momentum v + d
//                                         p <- p - lr v, or with Nesterov's momentum p <- p - lr (d + momentum v)
//   AdamW (Loshchilov and Hutter, 2019)   m <- b1 m + (1 - b1) g         v <- b2 v + (1 - b2) g^2
//                                         p <- (1 - lr wd) p - lr m / (1 - b1^t) / (sqrt(v / (1 - b2^t)) + eps)
//   Average of weights (Polyak)           a <- a + (1 - decay) (p - a)
//
// Steps are not differentiable. With elements of s bytes, SGD moves 5s an element and takes 6 FLOPs (8 with
// Nesterov's momentum), AdamW 7s and 13, the average 3s and 3.
//
// CUDA: one launch for every 125 tensors (SGD) or 100 (AdamW; GradTrack has 90), whose addresses are in the kernel's
// argument.
#include <algorithm>
#include <array>
#include <cmath>
#include <utility>
#include <vector>

#include "core/launch.cuh"
#include "core/parallel.h"
#include "kernels/cuda/vector.cuh"
#include "kernels/ops.h"

namespace gt {
namespace {

// ---- Maths ----------------------------------------------------------------------------------------------------------

template <class T>
struct SgdUpdate {
  T lr, momentum, weight_decay;
  bool nesterov;

  explicit GT_HD SgdUpdate(const double* rates)
      : lr(T(rates[0])), momentum(T(rates[1])), weight_decay(T(rates[2])), nesterov(rates[3] != 0) {}

  GT_HD void operator()(T& p, T g, T& v) const {
    const T d = g + weight_decay * p;
    v = momentum * v + d;
    p -= lr * (nesterov ? d + momentum * v : v);
  }
};

template <class T>
struct AdamWUpdate {
  T blend1, blend2;  // 1 - b1, 1 - b2
  T rate;            // lr / (1 - b1^t)
  T scale;           // 1 / sqrt(1 - b2^t)
  T keep;            // 1 - lr wd
  T eps;

  explicit GT_HD AdamWUpdate(const double* rates)
      : blend1(T(rates[0])),
        blend2(T(rates[1])),
        rate(T(rates[2])),
        scale(T(rates[3])),
        keep(T(rates[4])),
        eps(T(rates[5])) {}

  GT_HD void operator()(T& p, T g, T& m, T& v) const {
    m += blend1 * (g - m);
    v += blend2 * (g * g - v);
    p = keep * p - rate * m / (std::sqrt(v) * scale + eps);
  }
};

template <class T>
struct AverageUpdate {
  T blend;  // 1 - decay

  explicit GT_HD AverageUpdate(const double* rates) : blend(T(rates[0])) {}

  GT_HD void operator()(T& average, T p) const { average += blend * (p - average); }
};

/// The N tensors of one parameter, each with last - first elements: what is updated, what it is updated by, its state.
template <class T, size_t N>
struct Span {
  std::array<T*, N> data;
  int64_t first, last;  // its elements [first, last) of the long array
};

// ---- CPU ------------------------------------------------------------------------------------------------------------

namespace cpu {

template <class T, class Update, size_t... I>
void update_range(const Update& update, const std::array<T*, sizeof...(I)>& data, int64_t begin, int64_t end,
                  std::index_sequence<I...>) {
#pragma omp simd
  for (int64_t i = begin; i < end; ++i) update(data[I][i]...);
}

template <class Update, class T, size_t N>
void multi_tensor_step(const std::vector<Span<T, N>>& spans, const double* rates) {
  const Update update(rates);
  parallel_for(spans.empty() ? 0 : spans.back().last, 1 << 14, [&](int64_t begin, int64_t end) {
    auto span = std::partition_point(spans.begin(), spans.end(), [=](const auto& s) { return s.last <= begin; });
    for (; span != spans.end() && span->first < end; ++span)
      update_range(update, span->data, std::max(begin, span->first) - span->first,
                   std::min(end, span->last) - span->first, std::make_index_sequence<N>{});
  });
}

}  // namespace cpu

// ---- CUDA -----------------------------------------------------------------------------------------------------------

#if GT_CUDA
using namespace gpu;

constexpr int step_threads = 256;

/// As many spans as fit into a kernel's argument. A span is a number of slots of 16 bytes, of which the last may be
/// partly used.
template <class T, size_t N>
struct SpanTable {
  static constexpr int capacity = 4000 / ((N + 1) * sizeof(int64_t));
  T* data[capacity][N];
  uint32_t size[capacity];  // elements
  uint32_t last[capacity];  // the slot after the span's last one
  int count = 0;

  int64_t slots() const { return count == 0 ? 0 : last[count - 1]; }

  void add(const Span<T, N>& span) {
    for (size_t n = 0; n < N; ++n) data[count][n] = span.data[n];
    const int64_t elements = span.last - span.first;
    const int64_t end = slots() + (elements + vector_length<T> - 1) / vector_length<T>;
    GT_CHECK(std::max(elements, end) < int64_t(1) << 32, "an optimiser step on CUDA has ", std::max(elements, end),
             " elements, expected less than 2^32");
    size[count] = uint32_t(elements);
    last[count] = uint32_t(end);
    ++count;
  }
};

/// Updates one slot.
template <class Update, class T, size_t N, size_t... I>
__device__ void update_slot(const SpanTable<T, N>& table, const double* rates, int64_t slot,
                            std::index_sequence<I...>) {
  constexpr int W = vector_length<T>;
  int span = 0;  // the first one whose slots end after this slot
  for (int left = table.count; left > 0;) {
    const int half = left / 2;
    const bool before = table.last[span + half] <= slot;
    span = before ? span + half + 1 : span;
    left = before ? left - half - 1 : half;
  }
  const int64_t begin = (slot - (span == 0 ? 0 : table.last[span - 1])) * W, size = table.size[span];
  T* const data[N] = {table.data[span][I]...};
  const Update update(rates);
  if (begin + W <= size) {
    Vector<T, W> elements[N] = {load<W>(data[I] + begin)...};
    for (int w = 0; w < W; ++w) update(elements[I].v[w]...);
    for (size_t n = 0; n < N; ++n)
      if (n != 1) store(data[n] + begin, elements[n]);  // 1 is the gradient, or the parameter of an average
  } else {
    for (int64_t i = begin; i < begin + W && i < size; ++i) update(data[I][i]...);
  }
}

template <class Update, class T, size_t N>
__global__ void __launch_bounds__(step_threads) step_kernel(const SpanTable<T, N> table, const double* rates) {
  const int64_t slot = int64_t(blockIdx.x) * step_threads + threadIdx.x;
  if (slot < table.last[table.count - 1]) update_slot<Update>(table, rates, slot, std::make_index_sequence<N>{});
}

namespace cuda {

template <class Update, class T, size_t N>
void multi_tensor_step(const std::vector<Span<T, N>>& spans, const double* rates) {
  for (size_t k = 0; k < spans.size();) {
    SpanTable<T, N> table;
    while (k < spans.size() && table.count < table.capacity) table.add(spans[k++]);
    launch({blocks_for(table.slots(), step_threads), step_threads}, step_kernel<Update, T, N>, table, rates);
  }
}

}  // namespace cuda
#endif

// ---- The ops --------------------------------------------------------------------------------------------------------

/// The lists (parameters, gradients, state, ..) as spans, without parameters whose gradient is undefined.
template <class T, size_t N>
std::vector<Span<T, N>> spans_of(const std::array<const Tensors*, N>& lists) {
  std::vector<Span<T, N>> spans;
  int64_t first = 0;
  for (size_t k = 0; k < lists[0]->size(); ++k) {
    if (!(*lists[1])[k].defined()) continue;
    Span<T, N> span{{}, first, first + (*lists[0])[k].size()};
    for (size_t n = 0; n < N; ++n) span.data[n] = operand<T>((*lists[n])[k]);
    first = span.last;
    spans.push_back(span);
  }
  return spans;
}

template <size_t N>
void check_lists(const char* name, const std::array<const Tensors*, N>& lists) {
  const Tensors& parameters = *lists[0];
  for (const Tensors* list : lists)
    GT_CHECK(list->size() == parameters.size(), name, ": ", parameters.size(),
             " parameters, expected as many gradients and states, got ", list->size());
  for (size_t k = 0; k < parameters.size(); ++k)
    for (const Tensors* list : lists) {
      const Tensor &p = parameters[k], &t = (*list)[k];
      if (list == lists[1] && !t.defined()) continue;
      GT_CHECK(t.shape() == p.shape() && t.dtype() == parameters[0].dtype() && t.device() == parameters[0].device(),
               name, ": parameter ", k, " is ", p.dtype(), p.shape(), " on ", p.device(), ", its gradient or state ",
               t.dtype(), t.shape(), " on ", t.device(), ", expected one shape, dtype and device");
    }
}

void check_rates(const char* name, const Tensor& rates, int64_t count) {
  GT_CHECK(rates.shape() == Shape{count} && rates.dtype() == DType::f64, name, ": rates are ", rates.dtype(),
           rates.shape(), ", expected f64", Shape{count});
}

/// Takes a step over the lists (what is updated, what it is updated by, its state), with `count` rates.
template <template <class> class Update, size_t N>
void take_step(const char* name, const std::array<const Tensors*, N>& lists, const Tensor& rates, int64_t count) {
  check_lists(name, lists);
  check_rates(name, rates, count);
  const Tensors& updated = *lists[0];
  if (updated.empty()) return;
  const Device device = updated[0].device();
  visit_float(updated[0].dtype(), [&]<class T>() {
    GT_DISPATCH(device, multi_tensor_step<Update<T>>, spans_of<T>(lists), rates.to(device).data<double>());
  });
}

}  // namespace

Tensor sgd_rates(double lr, double momentum, double weight_decay, bool nesterov) {
  return Tensor::of<double>({4}, {lr, momentum, weight_decay, nesterov ? 1.0 : 0.0});
}

void sgd_step(const Tensors& parameters, const Tensors& gradients, const Tensors& velocities, const Tensor& rates) {
  take_step<SgdUpdate>("sgd_step", std::array{&parameters, &gradients, &velocities}, rates, 4);
}

Tensor average_rates(double decay) {
  GT_CHECK(decay >= 0 && decay <= 1, "average_rates: decay ", decay, ", expected a number in [0, 1]");
  return Tensor::of<double>({1}, {1 - decay});
}

void average_step(const Tensors& averages, const Tensors& parameters, const Tensor& rates) {
  take_step<AverageUpdate>("average_step", std::array{&averages, &parameters}, rates, 1);
}

Tensor adamw_rates(int64_t step, double lr, double weight_decay, const AdamW& options) {
  GT_CHECK(step >= 1, "adamw_rates: step ", step, ", expected at least 1");
  const double correction1 = 1 - std::pow(options.beta1, double(step));
  const double correction2 = 1 - std::pow(options.beta2, double(step));
  return Tensor::of<double>({6}, {1 - options.beta1, 1 - options.beta2, lr / correction1, 1 / std::sqrt(correction2),
                                  1 - lr * weight_decay, options.eps});
}

void adamw_step(const Tensors& parameters, const Tensors& gradients, const Tensors& first_moments,
                const Tensors& second_moments, const Tensor& rates) {
  take_step<AdamWUpdate>("adamw_step", std::array{&parameters, &gradients, &first_moments, &second_moments}, rates, 6);
}

}  // namespace gt
