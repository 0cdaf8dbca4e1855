// Times every op of the op table at the sizes of a real training step: forward, and forward with backward. Floors come
// from the row's own count of bytes and FLOPs; each op is compared with its composed twin, at the row's last small
// size, before it is timed.
#include <benchmark/benchmark.h>

#include "tests/check_op.h"

namespace gt {
namespace {

std::string label(const Sizes& sizes) {
  std::string all;
  for (const int64_t s : sizes) all += (all.empty() ? "" : "x") + std::to_string(s);
  return all;
}

void count(benchmark::State& state, const Cost& cost) {
  const auto rate = [&](double amount) {
    return benchmark::Counter(amount * 1e-9, benchmark::Counter::kIsIterationInvariantRate);
  };
  if (cost.bytes > 0) state.counters["GB"] = rate(cost.bytes);
  if (cost.flops > 0) state.counters["GFLOP"] = rate(cost.flops);
}

Tensors inputs_of(const OpCase& c, const Sizes& sizes) {
  Maker maker{DType::f32, Random(7, hash64(c.name))};
  return c.inputs(sizes, maker);
}

void verify(benchmark::State& state, const OpCase& c) {
  if (!c.composed) return;
  const Tensors inputs = inputs_of(c, c.sizes.back());
  const Tensors fused = run_with_gradients(c.op, inputs, Random(5));
  const Tensors composed = run_with_gradients(c.composed, inputs, Random(5));
  for (size_t i = 0; i < fused.size(); ++i)
    if (relative_difference(fused[i], composed[i]) > c.f32_tolerance)
      state.SkipWithError("differs from its composed twin");
}

void forward(benchmark::State& state, const OpCase& c, const Sizes& sizes) {
  verify(state, c);
  const Tensors inputs = inputs_of(c, sizes);
  const NoGrad no_grad;
  for (auto _ : state) benchmark::DoNotOptimize(c.op(inputs));
  if (c.cost) count(state, c.cost(sizes));
}

void both(benchmark::State& state, const OpCase& c, const Sizes& sizes) {
  const Tensors inputs = inputs_of(c, sizes);
  Tensors seeds;
  for (const Tensor& y : c.op(inputs)) seeds.push_back(y.defined() ? Tensor::full(y.shape(), 1, y.dtype()) : Tensor());
  for (auto _ : state) {
    for (const Tensor& x : inputs) x.clear_grad();
    const Tensors y = c.op(inputs);
    for (size_t k = 0; k < y.size(); ++k)
      if (y[k].requires_grad()) {
        backward(y[k], seeds[k]);
        break;  // the graph is used up
      }
  }
}

}  // namespace
}  // namespace gt

int main(int argc, char** argv) {
  static const std::vector<gt::OpCase> cases = gt::op_cases();
  for (const gt::OpCase& c : cases)
    for (const gt::Sizes& sizes : c.large) {
      const std::string name = c.name + "/" + gt::label(sizes);
      benchmark::RegisterBenchmark((name + "/forward").c_str(), gt::forward, c, sizes)
          ->Unit(benchmark::kMillisecond)
          ->UseRealTime();
      benchmark::RegisterBenchmark((name + "/both").c_str(), gt::both, c, sizes)
          ->Unit(benchmark::kMillisecond)
          ->UseRealTime();
    }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
}
