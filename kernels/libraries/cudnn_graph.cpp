#include "kernels/libraries/cudnn_graph.h"

#if GT_CUDA && !GT_EMULATE

#include "core/cuda.h"

namespace gt::cudnn {

void check(cudnnStatus_t status, const char* what) {
  if (status == CUDNN_STATUS_SUCCESS) return;
  char reason[1024] = {};
  cudnnGetLastErrorString(reason, sizeof reason);
  const std::string message =
      one_line(str_cat("cuDNN: ", what, ": ", cudnnGetErrorString(status), reason[0] == 0 ? "" : ", ", reason));
  if (CUDNN_STATUS_CATEGORY(int(status)) == CUDNN_STATUS_NOT_SUPPORTED) throw NotSupported(message);
  throw Error(message);
}

Target local_device() {
  static const cudnnHandle_t handle = [] {
    require_device(Device::cuda);
    cudnnHandle_t made = nullptr;
    check(cudnnCreate(&made), "handle");
    check(cudnnSetStream(made, cuda_stream()), "stream");
    return made;  // never destroyed: at exit the driver may be gone first
  }();
  return {handle, nullptr};
}

Target target_of(const std::string& description) {
  if (description.empty()) return local_device();
  Descriptor device(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR, "device description");
  device.set(CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, description).finalize();
  return {nullptr, std::make_shared<const Descriptor>(device)};
}

namespace {

cudnnDataType_t data_type(DType dtype) {
  if (dtype == DType::bf16) return CUDNN_DATA_BFLOAT16;
  GT_CHECK(dtype == DType::f32, "cuDNN: expected f32 or bf16, got ", dtype);
  return CUDNN_DATA_FLOAT;
}

/// A tensor (N,C,H,W), in cuDNN's order of dimensions, that is channels-last in memory. A virtual tensor is never in
/// memory.
Descriptor tensor(char id, int64_t n, int64_t c, int64_t h, int64_t w, cudnnDataType_t type, bool is_virtual = false) {
  return Descriptor(CUDNN_BACKEND_TENSOR_DESCRIPTOR, "tensor")
      .set(CUDNN_ATTR_TENSOR_UNIQUE_ID, {int64_t(id)})
      .set(CUDNN_ATTR_TENSOR_DATA_TYPE, {type})
      .set(CUDNN_ATTR_TENSOR_DIMENSIONS, {n, c, h, w})
      .set(CUDNN_ATTR_TENSOR_STRIDES, {c * h * w, int64_t(1), w * c, c})
      .set(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, {int64_t(16)})
      .set(CUDNN_ATTR_TENSOR_IS_VIRTUAL, {is_virtual})
      .finalize();
}

struct OperationNames {
  cudnnBackendDescriptorType_t type;
  cudnnBackendAttributeName_t alpha, beta, convolution, w, x, y;
};

constexpr OperationNames forward_names = {CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR,
                                          CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA,
                                          CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA,
                                          CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
                                          CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
                                          CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X,
                                          CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y};
constexpr OperationNames data_gradient_names = {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR,
                                                CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA,
                                                CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA,
                                                CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
                                                CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
                                                CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX,
                                                CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY};
constexpr OperationNames weight_gradient_names = {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR,
                                                  CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA,
                                                  CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA,
                                                  CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC,
                                                  CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
                                                  CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X,
                                                  CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY};

const OperationNames& names_of(Pass pass) {
  return pass == Pass::data_gradient     ? data_gradient_names
         : pass == Pass::weight_gradient ? weight_gradient_names
                                         : forward_names;
}

Descriptor convolution(const Convolution& c, Pass pass, const Descriptor& x, const Descriptor& w, const Descriptor& y) {
  const Descriptor convolution = Descriptor(CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR, "convolution")
                                     .set(CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, {int64_t(2)})
                                     .set(CUDNN_ATTR_CONVOLUTION_COMP_TYPE, {CUDNN_DATA_FLOAT})
                                     .set(CUDNN_ATTR_CONVOLUTION_CONV_MODE, {CUDNN_CROSS_CORRELATION})
                                     .set(CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, {c.padding, c.padding})
                                     .set(CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, {c.padding, c.padding})
                                     .set(CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, {c.stride, c.stride})
                                     .set(CUDNN_ATTR_CONVOLUTION_DILATIONS, {int64_t(1), int64_t(1)})
                                     .finalize();
  const OperationNames& names = names_of(pass);
  return Descriptor(names.type, name(pass))
      .set(names.alpha, {1.f})
      .set(names.beta, {0.f})
      .set(names.convolution, {convolution})
      .set(names.x, {x})
      .set(names.w, {w})
      .set(names.y, {y})
      .finalize();
}

/// y = sum + bias, in f32.
Descriptor bias_addition(const Descriptor& sum, const Descriptor& bias, const Descriptor& y) {
  const Descriptor add = Descriptor(CUDNN_BACKEND_POINTWISE_DESCRIPTOR, "addition")
                             .set(CUDNN_ATTR_POINTWISE_MODE, {CUDNN_POINTWISE_ADD})
                             .set(CUDNN_ATTR_POINTWISE_MATH_PREC, {CUDNN_DATA_FLOAT})
                             .finalize();
  return Descriptor(CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR, "bias addition")
      .set(CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, {add})
      .set(CUDNN_ATTR_OPERATION_POINTWISE_XDESC, {sum})
      .set(CUDNN_ATTR_OPERATION_POINTWISE_BDESC, {bias})
      .set(CUDNN_ATTR_OPERATION_POINTWISE_YDESC, {y})
      .finalize();
}

}  // namespace

Descriptor graph(const Convolution& c, Pass pass, const Target& target) {
  const cudnnDataType_t type = data_type(c.dtype);
  const Descriptor x = tensor('x', c.images, c.in, c.height, c.width, type);
  const Descriptor w = tensor('w', c.out, c.in, c.kernel, c.kernel, type);
  const Descriptor y = tensor('y', c.images, c.out, c.out_height(), c.out_width(), type);
  Descriptor graph(CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR, "graph");
  if (target.handle != nullptr) graph.set(CUDNN_ATTR_OPERATIONGRAPH_HANDLE, {target.handle});
  if (pass != Pass::forward_with_bias)
    return graph.set(CUDNN_ATTR_OPERATIONGRAPH_OPS, {convolution(c, pass, x, w, y)}).finalize();
  const Descriptor sum = tensor('s', c.images, c.out, c.out_height(), c.out_width(), CUDNN_DATA_FLOAT, true);
  const Descriptor bias = tensor('b', 1, c.out, 1, 1, CUDNN_DATA_FLOAT);
  return graph.set(CUDNN_ATTR_OPERATIONGRAPH_OPS, {convolution(c, pass, x, w, sum), bias_addition(sum, bias, y)})
      .finalize();
}

}  // namespace gt::cudnn

#endif
