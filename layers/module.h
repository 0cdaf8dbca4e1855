// How models own their parameters. A module is a plain struct: its constructor asks a Scope for parameters, which names
// them, draws their first values and lists them in order; operator() applies the ops. Nothing else needs to be
// declared.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "core/io.h"
#include "core/tensor.h"

namespace gt {

using NamedTensors = std::vector<std::pair<std::string, Tensor>>;

/// The parameters of a model, in the order in which its modules asked for them.
class Parameters {
 public:
  explicit Parameters(uint64_t seed, DType dtype = DType::f32, Device device = Device::cpu)
      : seed_(seed), dtype_(dtype), device_(device) {}

  /// Uniform in [-bound, bound], drawn from a random stream that is keyed by (seed, stream); no other parameter changes
  /// it. `stream` is the name unless given.
  Tensor uniform(const std::string& name, const Shape& shape, double bound, const std::string& stream = "");
  Tensor constant(const std::string& name, const Shape& shape, double value);

  DType dtype() const { return dtype_; }
  Device device() const { return device_; }
  const NamedTensors& named() const { return named_; }
  Tensors tensors() const;
  int64_t count() const;  ///< numbers in all of them

  /// Overwrites every parameter by the tensor of its name in `file`. Throws Error, naming `source` and the parameter,
  /// where one is missing or of another shape; nothing is overwritten then.
  void assign(const SafeTensors& file, const std::string& source);

 private:
  Tensor add(const std::string& name, Tensor value);
  uint64_t seed_;
  DType dtype_;
  Device device_;
  NamedTensors named_;
};

/// A place in the tree of names: Scope(p) / "down_1" / "convs" names its parameters down_1.convs.<name>.
class Scope {
 public:
  Scope(Parameters& parameters) : parameters_(parameters) {}
  Scope operator/(const std::string& name) const { return child(name, name); }
  /// A child whose first values are drawn from the streams of another name.
  Scope child(const std::string& name, const std::string& stream) const {
    return Scope(parameters_, prefix_ + name + ".", stream_ + stream + ".");
  }
  Tensor uniform(const std::string& name, const Shape& shape, double bound) const {
    return parameters_.uniform(prefix_ + name, shape, bound, stream_ + name);
  }
  Tensor constant(const std::string& name, const Shape& shape, double value) const {
    return parameters_.constant(prefix_ + name, shape, value);
  }

 private:
  Scope(Parameters& parameters, std::string prefix, std::string stream)
      : parameters_(parameters), prefix_(std::move(prefix)), stream_(std::move(stream)) {}
  Parameters& parameters_;
  std::string prefix_, stream_;
};

}  // namespace gt
