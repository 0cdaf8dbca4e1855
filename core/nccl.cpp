#include "core/nccl.h"

#if GT_NCCL

#include <nccl.h>

#include <cstring>

#include "core/cuda.h"

namespace gt {
namespace {

void check_nccl(ncclResult_t status, const char* what) {
  if (status != ncclSuccess) fail(what, ": ", ncclGetErrorString(status));
}

ncclDataType_t nccl_type(DType dtype) {
  GT_CHECK(dtype == DType::f32 || dtype == DType::bf16, "NcclGroup: expected f32 or bf16, got ", dtype);
  return dtype == DType::f32 ? ncclFloat32 : ncclBfloat16;
}

}  // namespace

struct NcclGroup::State {
  ncclComm_t group = nullptr;
  cudaStream_t stream = nullptr;
  cudaEvent_t ready = nullptr, done = nullptr;

  ~State() {
    if (group != nullptr) ncclCommAbort(group);  // does not wait for processes that have ended
    if (ready != nullptr) cudaEventDestroy(ready);
    if (done != nullptr) cudaEventDestroy(done);
    if (stream != nullptr) cudaStreamDestroy(stream);
  }

  void sum_on(cudaStream_t on, const Tensor& x) const {
    check_nccl(ncclAllReduce(x.raw(), x.raw(), size_t(x.size()), nccl_type(x.dtype()), ncclSum, group, on),
               "ncclAllReduce");
  }
};

std::string NcclGroup::version() {
  int version = 0;
  check_nccl(ncclGetVersion(&version), "ncclGetVersion");
  return str_cat(version / 10000, ".", version / 100 % 100, ".", version % 100);
}

std::string NcclGroup::gpu() {
  int device = 0;
  cudaDeviceProp properties;
  check_cuda(cudaGetDevice(&device), "cudaGetDevice");
  check_cuda(cudaGetDeviceProperties(&properties, device), "cudaGetDeviceProperties");
  return {properties.uuid.bytes, sizeof properties.uuid.bytes};
}

std::string NcclGroup::new_id() {
  ncclUniqueId id;
  check_nccl(ncclGetUniqueId(&id), "ncclGetUniqueId");
  return {id.internal, sizeof id.internal};
}

NcclGroup::NcclGroup(const std::string& id, int rank, int size) : state_(std::make_unique<State>()) {
  ncclUniqueId unique;
  GT_CHECK(id.size() == sizeof unique.internal, "NcclGroup: an id of ", id.size(), " bytes, expected ",
           sizeof unique.internal);
  std::memcpy(unique.internal, id.data(), id.size());
  check_nccl(ncclCommInitRank(&state_->group, size, unique, rank), "ncclCommInitRank");
  check_cuda(cudaStreamCreateWithFlags(&state_->stream, cudaStreamNonBlocking), "cudaStreamCreateWithFlags");
  check_cuda(cudaEventCreateWithFlags(&state_->ready, cudaEventDisableTiming), "cudaEventCreate");
  check_cuda(cudaEventCreateWithFlags(&state_->done, cudaEventDisableTiming), "cudaEventCreate");
}

NcclGroup::~NcclGroup() = default;

void NcclGroup::sum(const Tensor& x) { state_->sum_on(cuda_stream(), x); }

void NcclGroup::start_sum(const Tensor& x) {
  check_cuda(cudaEventRecord(state_->ready, cuda_stream()), "cudaEventRecord");
  check_cuda(cudaStreamWaitEvent(state_->stream, state_->ready, 0), "cudaStreamWaitEvent");
  state_->sum_on(state_->stream, x);
}

void NcclGroup::finish_sums() {
  check_cuda(cudaEventRecord(state_->done, state_->stream), "cudaEventRecord");
  check_cuda(cudaStreamWaitEvent(cuda_stream(), state_->done, 0), "cudaStreamWaitEvent");
}

}  // namespace gt

#endif
