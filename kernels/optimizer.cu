// Optimiser steps in place, over all tensors of a model at once. The tensors are treated as one long array, so that a
// network's hundred small tensors cost no more than their elements. With gradient g, learning rate lr and weight decay
// wd:
//
//   SGD (PyTorch's)                       d = g + wd p                   v <- momentum v + d
//                                         p <- p - lr v, or with Nesterov's momentum p <- p - lr (d + momentum v)
//   AdamW (Loshchilov and Hutter, 2019)   m <- b1 m + (1 - b1) g         v <- b2 v + (1 - b2) g^2
//                                         p <- (1 - lr wd) p - lr m / (1 - b1^t) / (sqrt(v / (1 - b2^t)) + eps)
//   Average of weights (Polyak)           a <- a + (1 - decay) (p - a)
//   Clipping (Pascanu et al., 2013)       n = sqrt(sum of g^2 over all parameters)   g <- min(1, max_norm / n) g
//
// Clipping leaves the gradients as they are: it computes n and the factor, which SGD and AdamW multiply with. Squares
// are summed in double, by chunks whose places depend on the shapes alone.
//
// Steps are not differentiable. With elements of s bytes, SGD moves 5s an element and takes 6 FLOPs (8 with
// Nesterov's momentum), AdamW 7s and 13, the average 3s and 3, the norm s and 2.
//
// CUDA: one launch for every 125 tensors (SGD) or 100 (AdamW; GradTrack has 90), whose addresses are in the kernel's
// argument. The norm takes one for every 250 tensors, and one that adds the partial sums of the blocks.
#include <algorithm>
#include <array>
#include <cmath>
#include <utility>
#include <vector>

#include "core/launch.cuh"
#include "core/parallel.h"
#include "kernels/cpu/reduce.h"
#include "kernels/cuda/reduce.cuh"
#include "kernels/cuda/vector.cuh"
#include "kernels/ops.h"

namespace gt {
namespace {

// ---- Maths ----------------------------------------------------------------------------------------------------------

/// What a step reads from the device: the rates of its kind and, if gradients are clipped, clip_by_norm()'s result.
struct StepInputs {
  const double* rates;
  const double* clip;  // or null
};

/// Multiplies gradients by the factor of clipping. A gradient that is not clipped keeps its bits.
template <class T>
struct Clip {
  T factor;

  explicit GT_HD Clip(const double* clip) : factor(clip == nullptr ? T(1) : T(clip[1])) {}
  GT_HD T operator()(T g) const { return factor == T(1) ? g : factor * g; }
};

template <class T>
struct SgdUpdate {
  Clip<T> clip;
  T lr, momentum, weight_decay;
  bool nesterov;

  explicit GT_HD SgdUpdate(const StepInputs& in)
      : clip(in.clip),
        lr(T(in.rates[0])),
        momentum(T(in.rates[1])),
        weight_decay(T(in.rates[2])),
        nesterov(in.rates[3] != 0) {}

  GT_HD void operator()(T& p, T g, T& v) const {
    const T d = clip(g) + weight_decay * p;
    v = momentum * v + d;
    p -= lr * (nesterov ? d + momentum * v : v);
  }
};

template <class T>
struct AdamWUpdate {
  Clip<T> clip;
  T blend1, blend2;  // 1 - b1, 1 - b2
  T rate;            // lr / (1 - b1^t)
  T scale;           // 1 / sqrt(1 - b2^t)
  T keep;            // 1 - lr wd
  T eps;

  explicit GT_HD AdamWUpdate(const StepInputs& in)
      : clip(in.clip),
        blend1(T(in.rates[0])),
        blend2(T(in.rates[1])),
        rate(T(in.rates[2])),
        scale(T(in.rates[3])),
        keep(T(in.rates[4])),
        eps(T(in.rates[5])) {}

  GT_HD void operator()(T& p, T gradient, T& m, T& v) const {
    const T g = clip(gradient);
    m += blend1 * (g - m);
    v += blend2 * (g * g - v);
    p = keep * p - rate * m / (std::sqrt(v) * scale + eps);
  }
};

template <class T>
struct AverageUpdate {
  T blend;  // 1 - decay

  explicit GT_HD AverageUpdate(const StepInputs& in) : blend(T(in.rates[0])) {}

  GT_HD void operator()(T& average, T p) const { average += blend * (p - average); }
};

/// Writes what clip_by_norm() returns.
GT_HD inline void write_clip(double squares, double max_norm, double* clip) {
  const double norm = std::sqrt(squares);
  clip[0] = norm;
  clip[1] = norm > max_norm ? max_norm / norm : 1;
}

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

/// Calls f(data, begin, end) for the parts of the spans' tensors that make up elements [begin, end) of the long array.
template <class T, size_t N, class F>
void visit_spans(const std::vector<Span<T, N>>& spans, int64_t begin, int64_t end, const F& f) {
  auto span = std::partition_point(spans.begin(), spans.end(), [=](const auto& s) { return s.last <= begin; });
  for (; span != spans.end() && span->first < end; ++span)
    f(span->data, std::max(begin, span->first) - span->first, std::min(end, span->last) - span->first);
}

template <class T, size_t N>
int64_t element_count(const std::vector<Span<T, N>>& spans) {
  return spans.empty() ? 0 : spans.back().last;
}

constexpr int64_t chunk = 1 << 14;  // elements of the long array

template <class Update, class T, size_t N>
void multi_tensor_step(const std::vector<Span<T, N>>& spans, const StepInputs& in) {
  const Update update(in);
  parallel_for(element_count(spans), chunk, [&](int64_t begin, int64_t end) {
    visit_spans(spans, begin, end, [&](const std::array<T*, N>& data, int64_t first, int64_t last) {
      update_range(update, data, first, last, std::make_index_sequence<N>{});
    });
  });
}

template <class T>
void clip_by_norm(const std::vector<Span<T, 1>>& spans, double max_norm, double* clip) {
  const int64_t elements = element_count(spans), chunks = (elements + chunk - 1) / chunk;
  std::vector<double> squares(size_t(chunks), 0.0);
  parallel_for(chunks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t k = begin; k < end; ++k)
      visit_spans(spans, k * chunk, std::min(elements, (k + 1) * chunk),
                  [&](const std::array<T*, 1>& data, int64_t first, int64_t last) {
                    squares[size_t(k)] += ordered_sum<double>(
                        last - first, [g = data[0] + first](int64_t i) { return double(g[i]) * double(g[i]); });
                  });
  });
  double sum = 0;
  for (const double of_chunk : squares) sum += of_chunk;
  write_clip(sum, max_norm, clip);
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

/// The span that a slot lies in, and the slot's first element there.
struct SlotPlace {
  int span;
  int64_t begin;
};

template <class T, size_t N>
__device__ SlotPlace place_of(const SpanTable<T, N>& table, int64_t slot) {
  int span = 0;  // the first one whose slots end after this slot
  for (int left = table.count; left > 0;) {
    const int half = left / 2;
    const bool before = table.last[span + half] <= slot;
    span = before ? span + half + 1 : span;
    left = before ? left - half - 1 : half;
  }
  return {span, (slot - (span == 0 ? 0 : table.last[span - 1])) * vector_length<T>};
}

/// Updates one slot.
template <class Update, class T, size_t N, size_t... I>
__device__ void update_slot(const SpanTable<T, N>& table, const StepInputs& in, int64_t slot,
                            std::index_sequence<I...>) {
  constexpr int W = vector_length<T>;
  const auto [span, begin] = place_of(table, slot);
  const int64_t size = table.size[span];
  T* const data[N] = {table.data[span][I]...};
  const Update update(in);
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
__global__ void __launch_bounds__(step_threads) step_kernel(const SpanTable<T, N> table, const StepInputs in) {
  const int64_t slot = int64_t(blockIdx.x) * step_threads + threadIdx.x;
  if (slot < table.last[table.count - 1]) update_slot<Update>(table, in, slot, std::make_index_sequence<N>{});
}

constexpr int squares_slots = 16;  // that a thread of squares_kernel() reads

// A block sums the squares of step_threads x squares_slots slots -> partial (blocks).
template <class T>
__global__ void __launch_bounds__(step_threads) squares_kernel(const SpanTable<T, 1> table, double* partial) {
  constexpr int W = vector_length<T>;
  const int64_t slots = table.last[table.count - 1];
  double sum = 0;
  for (int k = 0; k < squares_slots; ++k) {
    const int64_t slot = (int64_t(blockIdx.x) * squares_slots + k) * step_threads + threadIdx.x;
    if (slot >= slots) break;
    const auto [span, begin] = place_of(table, slot);
    const int64_t size = table.size[span];
    const T* const data = table.data[span][0];
    if (begin + W <= size) {
      const Vector<T, W> elements = load<W>(data + begin);
      for (int w = 0; w < W; ++w) sum += double(elements.v[w]) * double(elements.v[w]);
    } else {
      for (int64_t i = begin; i < size; ++i) sum += double(data[i]) * double(data[i]);
    }
  }
  sum = block_reduce<step_threads>(sum);
  if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

struct StoreClip {
  double max_norm;
  double* clip;

  __device__ void operator()(int64_t, double squares) const { write_clip(squares, max_norm, clip); }
};

namespace cuda {

/// The spans as tables, each for one launch.
template <class T, size_t N>
std::vector<SpanTable<T, N>> tables_of(const std::vector<Span<T, N>>& spans) {
  std::vector<SpanTable<T, N>> tables;
  for (const Span<T, N>& span : spans) {
    if (tables.empty() || tables.back().count == SpanTable<T, N>::capacity) tables.emplace_back();
    tables.back().add(span);
  }
  return tables;
}

template <class Update, class T, size_t N>
void multi_tensor_step(const std::vector<Span<T, N>>& spans, const StepInputs& in) {
  for (const SpanTable<T, N>& table : tables_of(spans))
    launch({blocks_for(table.slots(), step_threads), step_threads}, step_kernel<Update, T, N>, table, in);
}

template <class T>
void clip_by_norm(const std::vector<Span<T, 1>>& spans, double max_norm, double* clip) {
  const std::vector<SpanTable<T, 1>> tables = tables_of(spans);
  const auto blocks_of = [](const SpanTable<T, 1>& table) {
    return blocks_for(table.slots(), step_threads * squares_slots);
  };
  int64_t blocks = 0;
  for (const auto& table : tables) blocks += blocks_of(table);
  const Tensor partial({blocks}, DType::f64, Device::cuda);
  double* at = partial.data<double>();
  for (const auto& table : tables) {
    launch({blocks_of(table), step_threads}, squares_kernel<T>, table, at);
    at += blocks_of(table);
  }
  reduce_rows(1, blocks, partial.data<double>(), StoreClip{max_norm, clip});
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
    if (!(*lists[N > 1 ? 1 : 0])[k].defined()) continue;
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

void check_clip(const char* name, const Tensor& clip, Device device) {
  GT_CHECK(clip.shape() == Shape{2} && clip.dtype() == DType::f64 && clip.device() == device, name, ": clip is ",
           clip.dtype(), clip.shape(), " on ", clip.device(), ", expected f64", Shape{2}, " on ", device);
}

void check_rates(const char* name, const Tensor& rates, int64_t count) {
  GT_CHECK(rates.shape() == Shape{count} && rates.dtype() == DType::f64, name, ": rates are ", rates.dtype(),
           rates.shape(), ", expected f64", Shape{count});
}

/// Takes a step over the lists (what is updated, what it is updated by, its state), with `count` rates.
template <template <class> class Update, size_t N>
void take_step(const char* name, const std::array<const Tensors*, N>& lists, const Tensor& rates, int64_t count,
               const Tensor& clip = {}) {
  check_lists(name, lists);
  check_rates(name, rates, count);
  const Tensors& updated = *lists[0];
  if (updated.empty()) return;
  const Device device = updated[0].device();
  if (clip.defined()) check_clip(name, clip, device);
  const Tensor on_device = rates.to(device);
  visit_float(updated[0].dtype(), [&]<class T>() {
    GT_DISPATCH(device, multi_tensor_step<Update<T>>, spans_of<T>(lists),
                StepInputs{on_device.data<double>(), operand_or_null<double>(clip)});
  });
}

}  // namespace

Tensor sgd_rates(double lr, double momentum, double weight_decay, bool nesterov) {
  return Tensor::of<double>({4}, {lr, momentum, weight_decay, nesterov ? 1.0 : 0.0});
}

void sgd_step(const Tensors& parameters, const Tensors& gradients, const Tensors& velocities, const Tensor& rates,
              const Tensor& clip) {
  take_step<SgdUpdate>("sgd_step", std::array{&parameters, &gradients, &velocities}, rates, 4, clip);
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
                const Tensors& second_moments, const Tensor& rates, const Tensor& clip) {
  take_step<AdamWUpdate>("adamw_step", std::array{&parameters, &gradients, &first_moments, &second_moments}, rates, 6,
                         clip);
}

void clip_by_norm(const Tensors& gradients, double max_norm, const Tensor& clip) {
  GT_CHECK(max_norm > 0, "clip_by_norm: max_norm is ", max_norm, ", expected more than 0");
  const Device device = clip.device();
  check_clip("clip_by_norm", clip, device);
  Tensors defined;
  for (const Tensor& g : gradients)
    if (g.defined()) defined.push_back(g);
  const DType dtype = defined.empty() ? DType::f32 : defined[0].dtype();
  for (const Tensor& g : defined)
    GT_CHECK(g.dtype() == dtype && g.device() == device, "clip_by_norm: a gradient is ", g.dtype(), " on ", g.device(),
             ", expected ", dtype, " on ", device);
  visit_float(dtype, [&]<class T>() {
    GT_DISPATCH(device, clip_by_norm, spans_of<T>(std::array<const Tensors*, 1>{&defined}), max_norm,
                operand<double>(clip));
  });
}

}  // namespace gt
