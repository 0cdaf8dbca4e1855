#include "core/cuda_graph.h"

#include <optional>

#include "core/check.h"
#include "core/cuda.h"
#if GT_EMULATE
#include "core/emulation/emulation.h"
#endif

namespace gt {

#if GT_CUDA && !GT_EMULATE

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

CudaGraph::CudaGraph() : state_(std::make_unique<State>()) {}
CudaGraph::~CudaGraph() = default;
void CudaGraph::clear() { state_ = std::make_unique<State>(); }

}  // namespace gt
