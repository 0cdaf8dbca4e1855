#include "layers/module.h"

#include "core/random.h"

namespace gt {

Tensor Parameters::add(const std::string& name, Tensor value) {
  for (const auto& [other, tensor] : named_)
    GT_CHECK(other != name, "parameter '", name, "' exists already, expected a new name");
  Tensor parameter = value.cast(dtype_).to(device_);
  parameter.set_requires_grad();
  named_.emplace_back(name, parameter);
  return parameter;
}

Tensor Parameters::uniform(const std::string& name, const Shape& shape, double bound, const std::string& stream) {
  Random random(seed_, hash64(stream.empty() ? name : stream));
  Tensor t(shape, DType::f64);
  for (int64_t i = 0; i < t.size(); ++i) t.data<double>()[i] = random.uniform(-bound, bound);
  return add(name, t);
}

Tensor Parameters::constant(const std::string& name, const Shape& shape, double value) {
  return add(name, Tensor::full(shape, value, DType::f64));
}

Tensors Parameters::tensors() const {
  Tensors all;
  for (const auto& [name, tensor] : named_) all.push_back(tensor);
  return all;
}

int64_t Parameters::count() const {
  int64_t n = 0;
  for (const auto& [name, tensor] : named_) n += tensor.size();
  return n;
}

void Parameters::load(const SafeTensors& file, const std::string& source) {
  Tensors found;
  for (const auto& [name, parameter] : named_) {
    const Tensor* value = file.find(name);
    if (value == nullptr) fail(source, ": parameter '", name, "' is not in the file");
    if (value->shape() != parameter.shape())
      fail(source, ": parameter '", name, "' has shape ", value->shape(), ", expected ", parameter.shape());
    found.push_back(value->cast(dtype_));
  }
  for (size_t i = 0; i < named_.size(); ++i) named_[i].second.copy_from(found[i]);
}

}  // namespace gt
