// How models own their parameters. A module is a plain struct. Its constructor asks a Scope for parameters, which names
// them, draws their initial values and lists them in order. Its operator() applies the ops.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "core/safetensors.h"
#include "core/tensor.h"
#include "kernels/common/numerics.h"

namespace gt {

using NamedTensors = std::vector<std::pair<std::string, Tensor>>;

/// The parameters of a model, in the order in which its modules asked for them. Modules hold handles of them.
class Parameters {
 public:
  explicit Parameters(uint64_t seed, DType dtype = DType::f32, Device device = Device::cpu, Numerics numerics = {})
      : seed_(seed), dtype_(dtype), device_(device), numerics_(numerics) {}

  /// A new parameter with values uniform in [-bound, bound]. They come from a random stream keyed by (seed, stream), so
  /// that other parameters do not change them. `stream` is the name unless given. Throws Error if the name is taken.
  Tensor uniform(const std::string& name, const Shape& shape, double bound, const std::string& stream = "");
  /// A new parameter with equal values. Throws Error if the name is taken.
  Tensor constant(const std::string& name, const Shape& shape, double value);

  DType dtype() const { return dtype_; }
  Device device() const { return device_; }
  /// How the modules of these parameters compute.
  const Numerics& numerics() const { return numerics_; }
  const NamedTensors& named() const { return named_; }
  Tensors tensors() const;
  int64_t count() const;  ///< elements of all parameters

  /// Overwrites every parameter with the tensor of its name in `file`. Throws Error, naming `source` and the parameter,
  /// if a tensor is missing or has another shape; then nothing is overwritten.
  void load(const SafeTensors& file, const std::string& source);

 private:
  Tensor add(const std::string& name, Tensor value);
  uint64_t seed_;
  DType dtype_;
  Device device_;
  Numerics numerics_;
  NamedTensors named_;
};

/// A prefix of parameter names: Scope(p) / "down_1" / "convs" names its parameters down_1.convs.<name>.
class Scope {
 public:
  Scope(Parameters& parameters) : parameters_(parameters) {}
  Scope operator/(const std::string& name) const { return child(name, name); }
  /// A child whose initial values come from the random streams of the name `stream`.
  Scope child(const std::string& name, const std::string& stream) const {
    return Scope(parameters_, prefix_ + name + ".", stream_ + stream + ".");
  }
  Tensor uniform(const std::string& name, const Shape& shape, double bound) const {
    return parameters_.uniform(prefix_ + name, shape, bound, stream_ + name);
  }
  Tensor constant(const std::string& name, const Shape& shape, double value) const {
    return parameters_.constant(prefix_ + name, shape, value);
  }
  const Numerics& numerics() const { return parameters_.numerics(); }

 private:
  Scope(Parameters& parameters, std::string prefix, std::string stream)
      : parameters_(parameters), prefix_(std::move(prefix)), stream_(std::move(stream)) {}
  Parameters& parameters_;
  std::string prefix_, stream_;
};

}  // namespace gt
