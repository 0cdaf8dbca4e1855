// cuDNN's graph API as C++ objects: descriptors, the device to plan for, and the graph of each convolution pass. For
// the other cudnn_*.cpp only; cudnn.h has what the ops call.
#pragma once

#if GT_CUDA && !GT_EMULATE

#include <cudnn.h>

#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

#include "kernels/libraries/cudnn.h"

static_assert(CUDNN_VERSION >= 90800, "cuDNN 9.8 or later is needed: it plans for described devices");

namespace gt::cudnn {

/// An engine cannot compute a graph, which is no error while there are others.
class NotSupported : public Error {
  using Error::Error;
};

/// Throws Error, naming `what` and cuDNN's reason, unless the status is success. It is NotSupported for a status of
/// that category.
void check(cudnnStatus_t status, const char* what);

constexpr cudnnBackendAttributeType_t type_of(int64_t) { return CUDNN_TYPE_INT64; }
constexpr cudnnBackendAttributeType_t type_of(float) { return CUDNN_TYPE_FLOAT; }
constexpr cudnnBackendAttributeType_t type_of(bool) { return CUDNN_TYPE_BOOLEAN; }
constexpr cudnnBackendAttributeType_t type_of(void*) { return CUDNN_TYPE_VOID_PTR; }
constexpr cudnnBackendAttributeType_t type_of(cudnnHandle_t) { return CUDNN_TYPE_HANDLE; }
constexpr cudnnBackendAttributeType_t type_of(cudnnDataType_t) { return CUDNN_TYPE_DATA_TYPE; }
constexpr cudnnBackendAttributeType_t type_of(cudnnConvolutionMode_t) { return CUDNN_TYPE_CONVOLUTION_MODE; }
constexpr cudnnBackendAttributeType_t type_of(cudnnPointwiseMode_t) { return CUDNN_TYPE_POINTWISE_MODE; }
constexpr cudnnBackendAttributeType_t type_of(cudnnBackendHeurMode_t) { return CUDNN_TYPE_HEUR_MODE; }
constexpr cudnnBackendAttributeType_t type_of(cudnnBackendNumericalNote_t) { return CUDNN_TYPE_NUMERICAL_NOTE; }

/// A cuDNN descriptor. Copies are handles of one descriptor, which keeps alive the descriptors that were set in it.
/// Every function throws Error, naming `what`, where cuDNN refuses.
class Descriptor {
 public:
  Descriptor(cudnnBackendDescriptorType_t type, const char* what) : what_(what) {
    cudnnBackendDescriptor_t raw = nullptr;
    check(cudnnBackendCreateDescriptor(type, &raw), what);
    raw_ = std::shared_ptr<void>(raw, cudnnBackendDestroyDescriptor);
  }
  cudnnBackendDescriptor_t raw() const { return raw_.get(); }

  /// Sets an attribute to values, to other descriptors, or to a JSON text.
  template <class T>
  Descriptor& set(cudnnBackendAttributeName_t attribute, std::initializer_list<T> values) {
    put(attribute, type_of(T{}), int64_t(values.size()), values.begin());
    return *this;
  }
  Descriptor& set(cudnnBackendAttributeName_t attribute, std::initializer_list<Descriptor> parts) {
    std::vector<cudnnBackendDescriptor_t> raws;
    for (const Descriptor& part : parts) raws.push_back(part.raw());
    put(attribute, CUDNN_TYPE_BACKEND_DESCRIPTOR, int64_t(raws.size()), raws.data());
    parts_.insert(parts_.end(), parts);
    return *this;
  }
  template <class T>
  Descriptor& set(cudnnBackendAttributeName_t attribute, const std::vector<T>& values) {
    put(attribute, type_of(T{}), int64_t(values.size()), values.data());
    return *this;
  }
  Descriptor& set(cudnnBackendAttributeName_t attribute, const std::string& json) {
    put(attribute, CUDNN_TYPE_CHAR, int64_t(json.size()), json.data());
    return *this;
  }
  /// After the last attribute is set.
  Descriptor& finalize() {
    check(cudnnBackendFinalize(raw()), what_);
    return *this;
  }
  /// The value of an attribute that is one integer.
  int64_t integer(cudnnBackendAttributeName_t attribute) const {
    int64_t count = 0, value = 0;
    check(cudnnBackendGetAttribute(raw(), attribute, CUDNN_TYPE_INT64, 1, &count, &value), what_);
    GT_CHECK(count == 1, "cuDNN: ", what_, ": got ", count, " numbers, expected one");
    return value;
  }

 private:
  void put(cudnnBackendAttributeName_t attribute, cudnnBackendAttributeType_t type, int64_t count, const void* values) {
    check(cudnnBackendSetAttribute(raw(), attribute, type, count, values), what_);
  }
  const char* what_;
  std::shared_ptr<void> raw_;
  std::vector<Descriptor> parts_;
};

/// What a plan is made for: the handle's device, or a described one without a handle.
struct Target {
  cudnnHandle_t handle = nullptr;
  std::shared_ptr<const Descriptor> device;
};

/// The device of this machine. Throws Error if there is none.
Target local_device();

/// The device of a JSON description (see cudnn_devices.h), or this machine's if the description is empty.
Target target_of(const std::string& description);

/// The graph of a convolution pass. Its tensors have the ids 'x', 'w', 'b' (bias) and 'y'; a gradient has the id of
/// what it is the gradient of.
Descriptor graph(const Convolution& c, Pass pass, const Target& target);

}  // namespace gt::cudnn

#endif
