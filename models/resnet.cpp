#include "models/resnet.h"

#include <cmath>

#include "core/safetensors.h"

namespace gt {
namespace {

constexpr double batch_norm_eps = 1e-5;  // torchvision's

Tensor relu(const Tensor& x) { return leaky_relu(x, 0); }

std::vector<BasicBlock> layer(const Scope& scope, int64_t in, int64_t out, int64_t stride, int64_t blocks) {
  std::vector<BasicBlock> made;
  for (int64_t k = 0; k < blocks; ++k)
    made.emplace_back(scope / str_cat(k), k == 0 ? in : out, out, k == 0 ? stride : 1);
  return made;
}

/// The values of a tensor of the file, in double.
class Weights {
 public:
  explicit Weights(const std::string& path) : path_(path), file_(read_safetensors(path)) {}

  std::vector<double> values(const std::string& name, const Shape& shape) const {
    const Tensor* found = file_.find(name);
    if (found == nullptr) fail(path_, ": tensor '", name, "' is missing, expected the names of torchvision's ResNet");
    if (found->shape() != shape) fail(path_, ": tensor '", name, "' has shape ", found->shape(), ", expected ", shape);
    if (found->dtype() == DType::u8 || found->dtype() == DType::i32)
      fail(path_, ": tensor '", name, "' holds ", found->dtype(), ", expected f32");
    const std::vector<double> v = found->cast(DType::f64).values<double>();
    for (const double value : v)
      if (!std::isfinite(value)) fail(path_, ": tensor '", name, "' holds NaN or infinity, expected finite numbers");
    return v;
  }

  /// Weight (K,..) and bias (K) of the convolution `convolution`, followed by the batch normalisation `norm`.
  Tensors folded(const std::string& convolution, const std::string& norm, const Shape& shape) const {
    const Shape per_channel = {shape[0]};
    std::vector<double> weight = values(convolution + ".weight", shape);
    const std::vector<double> gamma = values(norm + ".weight", per_channel), beta = values(norm + ".bias", per_channel);
    const std::vector<double> mean = values(norm + ".running_mean", per_channel);
    const std::vector<double> variance = values(norm + ".running_var", per_channel);
    std::vector<double> bias(gamma.size());
    const size_t filter = weight.size() / gamma.size();
    for (size_t k = 0; k < gamma.size(); ++k) {
      if (variance[k] < 0)
        fail(path_, ": tensor '", norm, ".running_var' holds ", variance[k], ", expected no negative variance");
      const double factor = gamma[k] / std::sqrt(variance[k] + batch_norm_eps);
      for (size_t i = 0; i < filter; ++i) weight[k * filter + i] *= factor;
      bias[k] = beta[k] - mean[k] * factor;
    }
    return {Tensor::of(shape, weight), Tensor::of(per_channel, bias)};
  }

 private:
  std::string path_;
  SafeTensors file_;
};

/// The batch normalisation that follows a convolution in torchvision: bn1 after conv1, downsample.1 after downsample.0.
std::string norm_after(const std::string& convolution) {
  const size_t at = convolution.rfind('.') + 1;  // 0 without a dot
  const std::string parent = convolution.substr(0, at), name = convolution.substr(at);
  return parent + (name == "0" ? "1" : "bn" + name.substr(std::string("conv").size()));
}

}  // namespace

BasicBlock::BasicBlock(const Scope& scope, int64_t in, int64_t out, int64_t stride)
    : conv1(scope / "conv1", in, out, 3, stride), conv2(scope / "conv2", out, out, 3) {
  if (stride != 1 || in != out) downsample.emplace(scope / "downsample" / "0", in, out, 1, stride);
}

Tensor BasicBlock::operator()(const Tensor& x) const {
  const Tensor y = conv2(relu(conv1(x)));
  return relu(add(y, downsample ? (*downsample)(x) : x));
}

ResNet::ResNet(const Scope& scope, int64_t in, const std::string& kind)
    : conv1(scope / "conv1", in, channels[0], 7, 2) {
  const bool deep = kind == "resnet34";
  const int64_t blocks[] = {deep ? 3 : 2, deep ? 4 : 2, deep ? 6 : 2, deep ? 3 : 2};
  for (size_t l = 0; l < 4; ++l)
    layers.push_back(layer(scope / str_cat("layer", l + 1), channels[l], channels[l + 1], l == 0 ? 1 : 2, blocks[l]));
}

Tensors ResNet::operator()(const Tensor& x) const {
  Tensors features = {relu(conv1(x))};
  Tensor y = max_pool3x3(features[0]);
  for (const std::vector<BasicBlock>& blocks : layers) {
    for (const BasicBlock& block : blocks) y = block(y);
    features.push_back(y);
  }
  return features;
}

void load_torchvision_weights(Parameters& parameters, const std::string& path) {
  const Weights file(path);
  const std::string stem = str_cat(ResNet::scope_name, "."), end = ".weight";
  std::vector<std::pair<Tensor, Tensor>> found;  // parameter, value
  const NamedTensors& named = parameters.named();
  for (size_t i = 0; i + 1 < named.size(); ++i) {
    const auto& [name, weight] = named[i];
    const size_t at = name.find(stem);
    if (at == name.npos || (at > 0 && name[at - 1] != '.') || !name.ends_with(end)) continue;
    const std::string convolution = name.substr(at + stem.size(), name.size() - at - stem.size() - end.size());
    const Tensors folded = file.folded(convolution, norm_after(convolution), weight.shape());
    found.emplace_back(weight, folded[0]);
    found.emplace_back(named[i + 1].second, folded[1]);  // the bias
  }
  if (found.empty()) fail(path, ": expected a network with the encoder resnet18 or resnet34 to load it into");
  for (auto& [parameter, value] : found) parameter.copy_from(value.cast(parameter.dtype()));
}

}  // namespace gt
