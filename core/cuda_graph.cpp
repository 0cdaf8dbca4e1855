#include "core/cuda_graph.h"

#include <array>
#include <cstring>
#include <optional>

#include "core/cuda.h"
#include "core/dry_run.h"
#if GT_EMULATE
#include "core/emulation/emulation.h"
#endif

namespace gt {

#if GT_CUDA && !GT_EMULATE

// ---- CudaGraph ------------------------------------------------------------------------------------------------------

struct CudaGraph::State {
  cudaGraphExec_t executable = nullptr;

  ~State() {
    if (executable != nullptr) cudaGraphExecDestroy(executable);
  }
};

void CudaGraph::record(const std::function<void()>& work) {
  GT_CHECK(!recorded(), "CudaGraph::record: expected no recording, got a second one");
  trim_memory_pool();  // the graph gets its own memory
  check_cuda(cudaStreamBeginCapture(cuda_stream(), cudaStreamCaptureModeThreadLocal), "cudaStreamBeginCapture");
  cudaGraph_t graph = nullptr;
  try {
    work();
  } catch (...) {
    cudaStreamEndCapture(cuda_stream(), &graph);
    if (graph != nullptr) cudaGraphDestroy(graph);
    throw;
  }
  check_cuda(cudaStreamEndCapture(cuda_stream(), &graph), "cudaStreamEndCapture");
  const cudaError_t status = cudaGraphInstantiate(&state_->executable, graph, 0);
  cudaGraphDestroy(graph);
  check_cuda(status, "cudaGraphInstantiate");
}

bool CudaGraph::recorded() const { return state_->executable != nullptr; }

void CudaGraph::replay() {
  GT_CHECK(recorded(), "CudaGraph::replay: nothing is recorded");
  check_cuda(cudaGraphLaunch(state_->executable, cuda_stream()), "cudaGraphLaunch");
}

// ---- Upload ---------------------------------------------------------------------------------------------------------

namespace {

/// Pinned memory that a copy reads, and the event after that copy.
struct Slot {
  std::optional<Buffer> memory;
  cudaEvent_t free = nullptr;

  ~Slot() {
    if (free != nullptr) cudaEventDestroy(free);
  }
};

}  // namespace

struct Upload::State {
  std::array<Slot, 2> slots;
  size_t next = 0;
};

void Upload::operator()(const Tensor& from) {
  if (to_.device() == Device::cpu || dry_run()) return to_.copy_from(from);
  GT_CHECK(from.shape() == to_.shape() && from.dtype() == to_.dtype(), "Upload: expected ", to_.dtype(), to_.shape(),
           ", got ", from.dtype(), from.shape());
  Slot& slot = state_->slots[state_->next++ % state_->slots.size()];
  if (!slot.memory) {
    slot.memory.emplace(to_.bytes(), Device::cpu, true);
    check_cuda(cudaEventCreateWithFlags(&slot.free, cudaEventDisableTiming), "cudaEventCreate");
  } else {
    check_cuda(cudaEventSynchronize(slot.free), "cudaEventSynchronize");
  }
  std::memcpy(slot.memory->data(), from.raw(), to_.bytes());
  if (current_profile != nullptr) profiling::count_device_call(profiling::DeviceCall::copy);
  check_cuda(cudaMemcpyAsync(to_.raw(), slot.memory->data(), to_.bytes(), cudaMemcpyHostToDevice, cuda_stream()),
             "cudaMemcpyAsync");
  check_cuda(cudaEventRecord(slot.free, cuda_stream()), "cudaEventRecord");
}

#elif GT_EMULATE

struct CudaGraph::State {
  std::optional<emulation::Graph> graph;
};

void CudaGraph::record(const std::function<void()>& work) {
  GT_CHECK(!recorded(), "CudaGraph::record: expected no recording, got a second one");
  emulation::Graph graph;
  {
    const emulation::Recording recording(graph);
    work();
  }
  state_->graph = std::move(graph);
}

bool CudaGraph::recorded() const { return state_->graph.has_value(); }

void CudaGraph::replay() {
  GT_CHECK(recorded(), "CudaGraph::replay: nothing is recorded");
  for (const std::function<void()>& work : state_->graph->work) work();
}

#else

struct CudaGraph::State {
  std::function<void()> work;
};

void CudaGraph::record(const std::function<void()>& work) {
  GT_CHECK(!recorded(), "CudaGraph::record: expected no recording, got a second one");
  state_->work = work;
}
bool CudaGraph::recorded() const { return state_->work != nullptr; }
void CudaGraph::replay() {
  GT_CHECK(recorded(), "CudaGraph::replay: nothing is recorded");
  state_->work();
}

#endif

#if !GT_CUDA || GT_EMULATE

struct Upload::State {};

void Upload::operator()(const Tensor& from) { to_.copy_from(from); }

#endif

CudaGraph::CudaGraph() : state_(std::make_unique<State>()) {}
CudaGraph::~CudaGraph() = default;
void CudaGraph::clear() { state_ = std::make_unique<State>(); }

Upload::Upload(const Tensor& to) : to_(to), state_(std::make_unique<State>()) {}
Upload::~Upload() = default;
Upload::Upload(Upload&&) noexcept = default;

}  // namespace gt
