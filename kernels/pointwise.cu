// Pointwise ops: y_i = f(x_i), or y_i = f(a_i, b_i) for a and b of one shape. An op is one functor, with its value, its
// derivatives, and what these are a function of. The latter is saved for backward, as a handle and not a copy.
//
// With elements of s bytes, a unary op moves 2s an element forward and 2s to 3s backward. A binary op moves 3s and 2s
// to 5s. FLOPs are those of the functor. On CUDA each direction is one launch; a thread takes 16 bytes of each tensor.
#include <cmath>

#include "core/launch.cuh"
#include "core/parallel.h"
#include "kernels/common/math.h"
#include "kernels/common/op_helpers.h"
#include "kernels/cpu/nontemporal.h"
#include "kernels/cuda/vector.cuh"
#include "kernels/ops.h"

namespace gt {
namespace {

// ---- Maths ----------------------------------------------------------------------------------------------------------

/// What a unary op's derivative df() is a function of.
enum class Of { nothing, input, output };

struct Scale {
  double factor, offset;
  static constexpr Of saved = Of::nothing;
  template <class T>
  GT_HD T f(T x) const {
    return T(factor) * x + T(offset);
  }
  template <class T>
  GT_HD T df(T) const {
    return T(factor);
  }
};

struct Exp {
  static constexpr Of saved = Of::output;
  template <class T>
  GT_HD T f(T x) const {
    return math::exp(x);
  }
  template <class T>
  GT_HD T df(T y) const {
    return y;
  }
};

struct Square {
  static constexpr Of saved = Of::input;
  template <class T>
  GT_HD T f(T x) const {
    return x * x;
  }
  template <class T>
  GT_HD T df(T x) const {
    return 2 * x;
  }
};

struct Reciprocal {
  static constexpr Of saved = Of::output;
  template <class T>
  GT_HD T f(T x) const {
    return x == 0 ? T(0) : 1 / x;
  }
  template <class T>
  GT_HD T df(T y) const {
    return -y * y;
  }
};

struct Sigmoid {
  static constexpr Of saved = Of::output;
  template <class T>
  GT_HD T f(T x) const {
    return math::sigmoid(x);
  }
  template <class T>
  GT_HD T df(T y) const {
    return y * (1 - y);
  }
};

struct Softplus {
  static constexpr Of saved = Of::input;
  template <class T>
  GT_HD T f(T x) const {
    return math::softplus(x);
  }
  template <class T>
  GT_HD T df(T x) const {
    return math::sigmoid(x);
  }
};

struct LeakyRelu {
  double slope;  // at least 0, so that the output has the input's sign
  static constexpr Of saved = Of::output;
  template <class T>
  GT_HD T f(T x) const {
    return x * math::leak(x, T(slope));
  }
  template <class T>
  GT_HD T df(T y) const {
    return math::leak(y, T(slope));
  }
};

struct Gaussian {
  double steepness;  // 1 / (2 sigma^2)
  static constexpr Of saved = Of::input;
  template <class T>
  GT_HD T f(T d) const {
    return math::gaussian(d, T(steepness));
  }
  template <class T>
  GT_HD T df(T d) const {
    const T y = f(d);
    return y > 0 ? -2 * T(steepness) * d * y : T(0);  // d may be infinite
  }
};

struct Greater {
  double threshold;
  template <class T>
  GT_HD T f(T x) const {
    return x > T(threshold) ? T(1) : T(0);
  }
};

struct Less {
  double threshold;
  template <class T>
  GT_HD T f(T x) const {
    return x < T(threshold) ? T(1) : T(0);
  }
};

// A binary op is linear if its derivatives do not depend on a and b.
struct Add {
  static constexpr bool linear = true;
  template <class T>
  GT_HD T f(T a, T b) const {
    return a + b;
  }
  template <class T>
  GT_HD T df_da(T, T) const {
    return T(1);
  }
  template <class T>
  GT_HD T df_db(T, T) const {
    return T(1);
  }
};

struct Sub {
  static constexpr bool linear = true;
  template <class T>
  GT_HD T f(T a, T b) const {
    return a - b;
  }
  template <class T>
  GT_HD T df_da(T, T) const {
    return T(1);
  }
  template <class T>
  GT_HD T df_db(T, T) const {
    return T(-1);
  }
};

struct Mul {
  static constexpr bool linear = false;
  template <class T>
  GT_HD T f(T a, T b) const {
    return a * b;
  }
  template <class T>
  GT_HD T df_da(T, T b) const {
    return b;
  }
  template <class T>
  GT_HD T df_db(T a, T) const {
    return a;
  }
};

// ---- CPU ------------------------------------------------------------------------------------------------------------

namespace cpu {

constexpr int64_t block = 1 << 14;  // elements

/// y[i] = f(i) for n elements, over the threads. f reads element i of `sources`.
template <class T, class F, class... Sources>
void fill(int64_t n, T* y, const F& f, const Sources*... sources) {
  parallel_for(n, block, [&](int64_t begin, int64_t end) {
    map_elements(
        end - begin, exceeds_caches<T>(n), y + begin, [=](int64_t i) { return f(begin + i); }, (sources + begin)...);
  });
}

template <class Op, class T>
void unary_forward(const Op& op, int64_t n, const T* x, T* y) {
  fill(
      n, y, [=](int64_t i) { return op.f(x[i]); }, x);
}

/// `saved` is null if the derivative is a function of nothing.
template <class Op, class T>
void unary_backward(const Op& op, int64_t n, const T* saved, const T* dy, T* dx) {
  const T* const at = Op::saved == Of::nothing ? dy : saved;
  fill(
      n, dx, [=](int64_t i) { return dy[i] * op.df(at[i]); }, dy, at);
}

template <class Op, class T>
void binary_forward(const Op& op, int64_t n, const T* a, const T* b, T* y) {
  fill(
      n, y, [=](int64_t i) { return op.f(a[i], b[i]); }, a, b);
}

/// a and b are null if the op is linear. da and db may be null.
template <class Op, class T>
void binary_backward(const Op& op, int64_t n, const T* a, const T* b, const T* dy, T* da, T* db) {
  if (Op::linear) a = b = dy;
  if (da != nullptr)
    fill(
        n, da, [=](int64_t i) { return dy[i] * op.df_da(a[i], b[i]); }, dy, a, b);
  if (db != nullptr)
    fill(
        n, db, [=](int64_t i) { return dy[i] * op.df_db(a[i], b[i]); }, dy, a, b);
}

}  // namespace cpu

// ---- CUDA -----------------------------------------------------------------------------------------------------------

#if GT_CUDA
using namespace gpu;

template <class T, int In, int Out>
struct Operands {
  const T* x[In];
  T* y[Out];
};

/// N elements from the i-th on. f(x, y) computes one element of all outputs y from that of all inputs x.
template <int N, class T, int In, int Out, class F>
__device__ void map_vectors(int64_t i, const Operands<T, In, Out>& s, const F& f) {
  Vector<T, N> x[In], y[Out];
  for (int k = 0; k < In; ++k) x[k] = load<N>(s.x[k] + i);
  for (int j = 0; j < N; ++j) {
    T from[In], to[Out];
    for (int k = 0; k < In; ++k) from[k] = x[k].v[j];
    f(from, to);
    for (int k = 0; k < Out; ++k) y[k].v[j] = to[k];
  }
  for (int k = 0; k < Out; ++k) store(s.y[k] + i, y[k]);
}

template <class T, int In, int Out, class F>
__global__ void __launch_bounds__(256) map_kernel(int64_t n, Operands<T, In, Out> s, F f) {
  constexpr int N = vector_length<T>;
  const int64_t i = (int64_t(blockIdx.x) * 256 + threadIdx.x) * N;
  if (i + N <= n)
    map_vectors<N>(i, s, f);
  else
#pragma unroll 1  // unrolling would only take registers
    for (int64_t tail = i; tail < n; ++tail) map_vectors<1>(tail, s, f);
}

template <class Op>
struct UnaryValue {
  Op op;
  template <class T>
  __device__ void operator()(const T* x, T* y) const {
    y[0] = op.f(x[0]);
  }
};

/// x is dy and, if there is one, the saved tensor.
template <class Op>
struct UnaryGradient {
  Op op;
  template <class T>
  __device__ void operator()(const T* x, T* dx) const {
    dx[0] = x[0] * op.df(Op::saved == Of::nothing ? T(0) : x[Op::saved != Of::nothing]);
  }
};

template <class Op>
struct BinaryValue {
  Op op;
  template <class T>
  __device__ void operator()(const T* x, T* y) const {
    y[0] = op.f(x[0], x[1]);
  }
};

/// x is dy and, unless the op is linear, a and b. What the requested derivatives do not depend on is not read.
template <class Op, bool da, bool db>
struct BinaryGradient {
  Op op;
  template <class T>
  __device__ void operator()(const T* x, T* y) const {
    const T a = Op::linear ? T(0) : x[1 - Op::linear], b = Op::linear ? T(0) : x[2 - 2 * Op::linear];
    if (da) y[0] = x[0] * op.df_da(a, b);
    if (db) y[da] = x[0] * op.df_db(a, b);
  }
};

namespace cuda {

template <class T, int In, int Out, class F>
void map(int64_t n, const Operands<T, In, Out>& s, const F& f) {
  launch({blocks_for(n, 256 * vector_length<T>), 256}, map_kernel<T, In, Out, F>, n, s, f);
}

template <class Op, class T>
void unary_forward(const Op& op, int64_t n, const T* x, T* y) {
  map(n, Operands<T, 1, 1>{{x}, {y}}, UnaryValue<Op>{op});
}

template <class Op, class T>
void unary_backward(const Op& op, int64_t n, const T* saved, const T* dy, T* dx) {
  if constexpr (Op::saved == Of::nothing)
    map(n, Operands<T, 1, 1>{{dy}, {dx}}, UnaryGradient<Op>{op});
  else
    map(n, Operands<T, 2, 1>{{dy, saved}, {dx}}, UnaryGradient<Op>{op});
}

template <class Op, class T>
void binary_forward(const Op& op, int64_t n, const T* a, const T* b, T* y) {
  map(n, Operands<T, 2, 1>{{a, b}, {y}}, BinaryValue<Op>{op});
}

template <class Op, class T>
void binary_backward(const Op& op, int64_t n, const T* a, const T* b, const T* dy, T* da, T* db) {
  constexpr int In = Op::linear ? 1 : 3;
  Operands<T, In, 1> one{{dy}, {da != nullptr ? da : db}};
  Operands<T, In, 2> both{{dy}, {da, db}};
  if constexpr (!Op::linear) one.x[1] = both.x[1] = a, one.x[2] = both.x[2] = b;
  if (da != nullptr && db != nullptr)
    map(n, both, BinaryGradient<Op, true, true>{op});
  else if (da != nullptr)
    map(n, one, BinaryGradient<Op, true, false>{op});
  else if (db != nullptr)
    map(n, one, BinaryGradient<Op, false, true>{op});
}

}  // namespace cuda
#endif

// ---- The ops --------------------------------------------------------------------------------------------------------

template <class Op>
Tensor apply(const Op& op, const Tensor& x) {
  Tensor y(x.shape(), x.dtype(), x.device());
  visit_float(x.dtype(),
              [&]<class T>() { GT_DISPATCH(x.device(), unary_forward, op, x.size(), operand<T>(x), operand<T>(y)); });
  return y;
}

template <class Op>
Tensor unary(const OpCall& call, const Op& op, const Tensor& x) {
  const Tensor y = apply(op, x);
  const Tensor saved = Op::saved == Of::input ? x.detach() : Op::saved == Of::output ? y.detach() : Tensor{};
  return record(call, y, {x}, [op, saved](const Tensor& dy) -> Tensors {
    Tensor dx(dy.shape(), dy.dtype(), dy.device());
    visit_float(dy.dtype(), [&]<class T>() {
      GT_DISPATCH(dy.device(), unary_backward, op, dy.size(), operand_or_null<T>(saved), operand<T>(dy),
                  operand<T>(dx));
    });
    return {dx};
  });
}

template <class Op>
Tensor binary(const char* name, const Op& op, const Tensor& a, const Tensor& b) {
  GT_CHECK(a.shape() == b.shape() && a.dtype() == b.dtype() && a.device() == b.device(), name,
           ": expected two tensors of one shape, dtype and device, got ", a.dtype(), a.shape(), " on ", a.device(),
           " and ", b.dtype(), b.shape(), " on ", b.device());
  Tensor y(a.shape(), a.dtype(), a.device());
  visit_float(a.dtype(), [&]<class T>() {
    GT_DISPATCH(a.device(), binary_forward, op, a.size(), operand<T>(a), operand<T>(b), operand<T>(y));
  });
  const Tensor saved_a = Op::linear ? Tensor{} : a.detach(), saved_b = Op::linear ? Tensor{} : b.detach();
  const bool a_needs = a.requires_grad(), b_needs = b.requires_grad();
  return record(name, y, {a, b}, [=](const Tensor& dy) -> Tensors {
    Tensor da = empty_gradient(dy, a_needs), db = empty_gradient(dy, b_needs);
    visit_float(dy.dtype(), [&]<class T>() {
      GT_DISPATCH(dy.device(), binary_backward, op, dy.size(), operand_or_null<T>(saved_a), operand_or_null<T>(saved_b),
                  operand<T>(dy), operand_or_null<T>(da), operand_or_null<T>(db));
    });
    return {da, db};
  });
}

}  // namespace

Tensor add(const Tensor& a, const Tensor& b) { return binary("add", Add{}, a, b); }
Tensor sub(const Tensor& a, const Tensor& b) { return binary("sub", Sub{}, a, b); }
Tensor mul(const Tensor& a, const Tensor& b) { return binary("mul", Mul{}, a, b); }

Tensor scale(const Tensor& x, double factor, double offset) {
  return unary({"scale", {{"factor", factor}, {"offset", offset}}}, Scale{factor, offset}, x);
}
Tensor exp(const Tensor& x) { return unary("exp", Exp{}, x); }
Tensor square(const Tensor& x) { return unary("square", Square{}, x); }
Tensor reciprocal(const Tensor& x) { return unary("reciprocal", Reciprocal{}, x); }
Tensor sigmoid(const Tensor& x) { return unary("sigmoid", Sigmoid{}, x); }
Tensor softplus(const Tensor& x) { return unary("softplus", Softplus{}, x); }

Tensor leaky_relu(const Tensor& x, double slope) {
  GT_CHECK(slope >= 0, "leaky_relu: expected a slope of at least 0, got ", slope);
  return unary({"leaky_relu", {{"slope", slope}}}, LeakyRelu{slope}, x);
}

Tensor gaussian(const Tensor& d, double sigma) {
  GT_CHECK(sigma > 0, "gaussian: expected a sigma above 0, got ", sigma);
  return unary({"gaussian", {{"sigma", sigma}}}, Gaussian{1 / (2 * sigma * sigma)}, d);
}

Tensor cast(const Tensor& x, DType dtype) {
  for (const DType type : {x.dtype(), dtype})
    GT_CHECK(type == DType::f32 || type == DType::f64 || type == DType::bf16, "cast: expected f32, f64 or bf16, got ",
             type);
  if (x.dtype() == dtype) return x;
  return record("cast", x.cast(dtype), {x},
                [from = x.dtype()](const Tensor& dy) -> Tensors { return {dy.cast(from)}; });
}

Tensor greater(const Tensor& x, double threshold) { return apply(Greater{threshold}, x); }
Tensor less(const Tensor& x, double threshold) { return apply(Less{threshold}, x); }

}  // namespace gt
