#include "kernels/libraries/cublas.h"

#if GT_CUDA && !GT_EMULATE

#include <cublasLt.h>

#include <map>
#include <memory>
#include <mutex>
#include <type_traits>

#include "core/cuda.h"
#include "core/dry_run.h"

namespace gt::cublas {
namespace {

constexpr size_t workspace_limit = 32 << 20;  // bytes; NVIDIA's advice for Hopper

void check(cublasStatus_t status, const char* what) {
  if (status != CUBLAS_STATUS_SUCCESS)
    fail("cuBLASLt: ", what, ": ", cublasLtGetStatusString(status), " (", cublasLtGetStatusName(status), ")");
}

// ---- Handles --------------------------------------------------------------------------------------------------------

template <class Handle, cublasStatus_t (*destroy)(Handle)>
struct Destroy {
  void operator()(Handle handle) const { destroy(handle); }
};
template <class Handle, cublasStatus_t (*destroy)(Handle)>
using Owned = std::unique_ptr<std::remove_pointer_t<Handle>, Destroy<Handle, destroy>>;
using Layout = Owned<cublasLtMatrixLayout_t, cublasLtMatrixLayoutDestroy>;
using Operation = Owned<cublasLtMatmulDesc_t, cublasLtMatmulDescDestroy>;
using Preference = Owned<cublasLtMatmulPreference_t, cublasLtMatmulPreferenceDestroy>;

cublasLtHandle_t library() {
  static const cublasLtHandle_t handle = [] {
    require_device(Device::cuda);
    cublasLtHandle_t made = nullptr;
    check(cublasLtCreate(&made), "handle");
    return made;  // never destroyed: at exit the driver may be gone first
  }();
  return handle;
}

/// A row-major matrix. cuBLASLt takes it as its transpose.
Layout layout(cudaDataType_t type, int64_t rows, int64_t columns) {
  cublasLtMatrixLayout_t made = nullptr;
  check(cublasLtMatrixLayoutCreate(&made, type, uint64_t(columns), uint64_t(rows), columns), "matrix layout");
  return Layout(made);
}

// ---- Plans ----------------------------------------------------------------------------------------------------------

/// How a product is executed. cuBLASLt's matrices are column-major, so it computes y^T = op(b)^T op(a)^T.
struct Plan {
  Operation operation;
  Layout a, b, y;
  cublasLtMatmulAlgo_t algorithm;
  size_t workspace;
};

cudaDataType_t data_type(DType dtype) {
  if (dtype == DType::bf16) return CUDA_R_16BF;
  return dtype == DType::f64 ? CUDA_R_64F : CUDA_R_32F;
}

Operation operation_of(const Product& p) {
  const cublasComputeType_t compute = p.dtype == DType::f64             ? CUBLAS_COMPUTE_64F
                                      : p.dtype == DType::f32 && p.tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32
                                                                        : CUBLAS_COMPUTE_32F;
  cublasLtMatmulDesc_t made = nullptr;
  check(cublasLtMatmulDescCreate(&made, compute, p.dtype == DType::f64 ? CUDA_R_64F : CUDA_R_32F), "operation");
  Operation operation(made);
  const cublasOperation_t first = p.transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N;
  const cublasOperation_t second = p.transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N;
  check(cublasLtMatmulDescSetAttribute(made, CUBLASLT_MATMUL_DESC_TRANSA, &first, sizeof first), "transpose");
  check(cublasLtMatmulDescSetAttribute(made, CUBLASLT_MATMUL_DESC_TRANSB, &second, sizeof second), "transpose");
  return operation;
}

/// Limits the workspace. If cuBLASLt splits k, it must not add the parts in the output's dtype or in place.
Preference preference() {
  cublasLtMatmulPreference_t made = nullptr;
  check(cublasLtMatmulPreferenceCreate(&made), "preference");
  Preference preference(made);
  const uint32_t reductions = CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE;
  check(cublasLtMatmulPreferenceSetAttribute(made, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace_limit,
                                             sizeof workspace_limit),
        "preference");
  check(cublasLtMatmulPreferenceSetAttribute(made, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &reductions,
                                             sizeof reductions),
        "preference");
  return preference;
}

Plan make_plan(const Product& p) {
  const cudaDataType_t type = data_type(p.dtype);
  Plan plan{operation_of(p),
            layout(type, p.transpose_a ? p.k : p.m, p.transpose_a ? p.m : p.k),
            layout(type, p.transpose_b ? p.n : p.k, p.transpose_b ? p.k : p.n),
            layout(type, p.m, p.n),
            {},
            0};
  cublasLtMatmulHeuristicResult_t best{};
  int count = 0;
  const cublasStatus_t status =
      cublasLtMatmulAlgoGetHeuristic(library(), plan.operation.get(), plan.b.get(), plan.a.get(), plan.y.get(),
                                     plan.y.get(), preference().get(), 1, &best, &count);
  if (status != CUBLAS_STATUS_SUCCESS || count == 0 || best.state != CUBLAS_STATUS_SUCCESS)
    fail("cuBLASLt has no algorithm for (", p.m, ",", p.k, ") times (", p.k, ",", p.n, ") of ", p.dtype, ": ",
         cublasLtGetStatusString(status != CUBLAS_STATUS_SUCCESS ? status : best.state));
  plan.algorithm = best.algo;
  plan.workspace = best.workspaceSize;
  return plan;
}

}  // namespace

void multiply(const Product& p, const void* a, const void* b, void* y) {
  if (p.m == 0 || p.n == 0) return;
  if (current_profile != nullptr) profiling::count_device_call(profiling::DeviceCall::library_call);
  if (dry_run()) return;  // without the workspace: cuBLASLt only plans for this machine's GPU
  if (p.k == 0) {
    check_cuda(cudaMemsetAsync(y, 0, size_t(p.m * p.n) * size_of(p.dtype), cuda_stream()),
               "matrix product of empty matrices");
    return;
  }
  static std::mutex mutex;
  static auto& plans = *new std::map<Product, Plan>;  // never freed, like the handle
  const std::lock_guard lock(mutex);
  auto found = plans.find(p);
  if (found == plans.end()) found = plans.emplace(p, make_plan(p)).first;
  const Plan& plan = found->second;
  Tensor workspace({int64_t(plan.workspace)}, DType::u8, Device::cuda);
  const float one = 1, zero = 0;
  const double one64 = 1, zero64 = 0;
  const bool f64 = p.dtype == DType::f64;
  check(cublasLtMatmul(library(), plan.operation.get(), f64 ? static_cast<const void*>(&one64) : &one, b, plan.b.get(),
                       a, plan.a.get(), f64 ? static_cast<const void*>(&zero64) : &zero, y, plan.y.get(), y,
                       plan.y.get(), &plan.algorithm, workspace.raw(), plan.workspace, cuda_stream()),
        "matrix product");
}

}  // namespace gt::cublas

#endif
