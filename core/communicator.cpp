#include "core/communicator.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <thread>

#include "core/array_sum.h"
#include "core/cuda.h"
#include "core/elementwise.h"
#include "core/host.h"
#include "core/nccl.h"
#if GT_EMULATE
#include "core/emulation/emulation.h"
#endif

namespace gt {
#if GT_MPI
using namespace mpi;
#endif
namespace {

int environment_number(const char* name) {
  const char* text = std::getenv(name);
  return text == nullptr ? 0 : std::atoi(text);
}

}  // namespace

int launched_processes() {
  // mpirun's own count comes first: it may have been started by a step of Slurm.
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"})
    if (const int count = environment_number(name); count > 0) return count;
  return 1;
}

std::string mpi_version() {
#if GT_MPI
  std::array<char, MPI_MAX_LIBRARY_VERSION_STRING> text{};
  int length = 0;
  MPI_Get_library_version(text.data(), &length);
  const std::string all(text.data(), size_t(length));
  return all.substr(0, all.find_first_of(",\n"));
#else
  return "";
#endif
}

std::string nccl_version() {
#if GT_NCCL
  return NcclGroup::version();
#else
  return "";
#endif
}

Slice slice_of(int64_t count, int rank, int size) { return {count * rank / size, count * (rank + 1) / size}; }

#if GT_MPI

// ---- MPI ------------------------------------------------------------------------------------------------------------

namespace {

/// Broadcasts from `root` in pieces, since MPI counts in int.
void broadcast_bytes(std::string& bytes, int root) {
  constexpr uint64_t piece = uint64_t(1) << 30;
  uint64_t count = bytes.size();
  MPI_Request request;
  check_mpi(MPI_Ibcast(&count, 1, MPI_UINT64_T, root, MPI_COMM_WORLD, &request), "MPI_Ibcast");
  wait(request);
  bytes.resize(count);
  for (uint64_t begin = 0; begin < count; begin += piece) {
    check_mpi(
        MPI_Ibcast(bytes.data() + begin, int(std::min(piece, count - begin)), MPI_BYTE, root, MPI_COMM_WORLD, &request),
        "MPI_Ibcast");
    wait(request);
  }
}

#if GT_CUDA && !GT_EMULATE
/// The rank of this process among those on its host.
int rank_on_host() {
  MPI_Comm host;
  int rank = 0;
  check_mpi(MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, world.rank, MPI_INFO_NULL, &host),
            "MPI_Comm_split_type");
  MPI_Comm_rank(host, &rank);
  MPI_Comm_free(&host);
  return rank;
}
#endif

void sum_on_host(float* values, int64_t count) {
  ArraySum<float> sum(MPI_COMM_WORLD, values, count);
  sum.start();
  sum.finish();
}

}  // namespace

std::string process_label() { return world.size == 1 ? "" : str_cat("rank ", world.rank, " on ", host_name(), ": "); }

void end_processes(const std::function<void()>& report) {
  if (world.size > 1 && world.rank > 0) std::this_thread::sleep_for(std::chrono::seconds(1));
  report();
  if (world.size > 1) MPI_Abort(MPI_COMM_WORLD, 1);
}

struct Communicator::State {
#if GT_NCCL
  mutable std::unique_ptr<NcclGroup> nccl = {};  // made by the first sum of a CUDA tensor
#endif

  /// After an error the other processes still wait in MPI, so that only end_processes() ends them.
  ~State() {
    if (std::uncaught_exceptions() > 0) return;
    MPI_Finalize();
    world = {};
  }
};

Communicator connect_processes() {
  const int launched = launched_processes();
  if (launched == 1) return {};
  int level = 0;
  check_mpi(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &level), "MPI_Init_thread");
  MPI_Comm_size(MPI_COMM_WORLD, &world.size);
  MPI_Comm_rank(MPI_COMM_WORLD, &world.rank);
  if (world.size != launched)
    fail(launched, " processes were started, but MPI connects ", world.size,
         "; with Slurm, try srun --mpi=pmix (srun --mpi=list shows what it has)");
  MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
#if GT_CUDA && !GT_EMULATE
  const int place = rank_on_host();  // asks all processes, those without a device too
  if (cuda_status().state == CudaState::device) use_cuda_device(place);
#endif
  return Communicator(std::make_shared<Communicator::State>());
}

int Communicator::rank() const { return state_ == nullptr ? 0 : world.rank; }
int Communicator::size() const { return state_ == nullptr ? 1 : world.size; }

void Communicator::sum(std::vector<double>& values) const {
  if (state_ == nullptr) return;
  std::vector<double> all(values.size() * size_t(size()));
  const int bytes = int(values.size() * sizeof(double));
  MPI_Request request;
  check_mpi(MPI_Iallgather(values.data(), bytes, MPI_BYTE, all.data(), bytes, MPI_BYTE, MPI_COMM_WORLD, &request),
            "MPI_Iallgather");
  wait(request);
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = all[i];
    for (size_t r = 1; r < size_t(size()); ++r) values[i] += all[r * values.size() + i];
  }
}

std::vector<std::string> Communicator::gather(const std::string& bytes) const {
  std::vector<std::string> all(size_t(size()), bytes);
  if (state_ == nullptr) return all;
  for (int r = 0; r < size(); ++r) broadcast_bytes(all[size_t(r)], r);
  return all;
}

std::string Communicator::broadcast(const std::string& bytes) const {
  std::string all = bytes;
  if (state_ != nullptr) broadcast_bytes(all, 0);
  return all;
}

#else

// ---- Without MPI ----------------------------------------------------------------------------------------------------

std::string process_label() { return ""; }
void end_processes(const std::function<void()>& report) { report(); }

struct Communicator::State {};

Communicator connect_processes() {
  if (const int launched = launched_processes(); launched > 1)
    fail(launched,
         " processes were started together, but this program is built without MPI (see gradtrack info); "
         "start one, or build it with -DGRADTRACK_MPI=ON");
  return {};
}

int Communicator::rank() const { return 0; }
int Communicator::size() const { return 1; }
void Communicator::sum(std::vector<double>&) const {}
std::vector<std::string> Communicator::gather(const std::string& bytes) const { return {bytes}; }
std::string Communicator::broadcast(const std::string& bytes) const { return bytes; }

#endif

int Communicator::processors() const {
  cpu_set_t own;
  CPU_ZERO(&own);
  if (sched_getaffinity(0, sizeof own, &own) != 0) return 1;
  const std::string set = host_name() + std::string(reinterpret_cast<const char*>(&own), sizeof own);
  const std::vector<std::string> all = gather(set);
  return std::max(1, CPU_COUNT(&own) / int(std::count(all.begin(), all.end(), set)));
}

Communicator::Communicator() = default;
Communicator::Communicator(std::shared_ptr<State> state) : state_(std::move(state)) {}

// ---- Sums of tensors ------------------------------------------------------------------------------------------------

#if GT_MPI && GT_NCCL
namespace {
/// NCCL's group of these processes, made at the first call.
NcclGroup& nccl_of(const Communicator& processes, std::unique_ptr<NcclGroup>& group) {
  if (group == nullptr) {
    const std::vector<std::string> gpus = processes.gather(NcclGroup::gpu());
    for (size_t i = 0; i < gpus.size(); ++i)
      if (const size_t first = size_t(std::find(gpus.begin(), gpus.end(), gpus[i]) - gpus.begin()); first < i)
        fail("ranks ", first, " and ", i, " have the same GPU, expected one for each; start fewer processes");
    const std::string id = processes.broadcast(processes.rank() == 0 ? NcclGroup::new_id() : "");
    group = std::make_unique<NcclGroup>(id, processes.rank(), processes.size());
  }
  return *group;
}
}  // namespace
#endif

bool Communicator::sums_on_device() const {
#if GT_NCCL || GT_EMULATE || !GT_MPI
  return true;
#else
  return state_ == nullptr;
#endif
}

void Communicator::sum([[maybe_unused]] const Tensor& x) const {
  if (state_ == nullptr) return;
#if GT_MPI
  GT_CHECK(x.dtype() == DType::f32, "Communicator::sum: expected f32, got ", x.dtype());
  if (x.device() == Device::cpu) return sum_on_host(x.data<float>(), x.size());
#if GT_EMULATE
  emulation::submit([x = x.detach()] { sum_on_host(x.data<float>(), x.size()); });
#elif GT_NCCL
  nccl_of(*this, state_->nccl).sum(x);
#else
  Tensor host = x.to(Device::cpu), on_device = x;
  sum_on_host(host.data<float>(), host.size());
  on_device.copy_from(host);
#endif
#endif
}

#if GT_MPI

/// On the CPU: a sum by MPI. On CUDA: by NCCL on its own stream, or else by MPI on the host.
struct TensorSum::State {
  Communicator processes;
  Tensor x, host, sent;               // sent is x in the type that NCCL sends
  MPI_Comm messages = MPI_COMM_NULL;  // of this sum alone, because several are under way at once
  std::unique_ptr<ArraySum<float>> as_f32 = {};
  std::unique_ptr<ArraySum<bf16>> as_bf16 = {};

  State(const Communicator& all, const Tensor& tensor, DType transfer) : processes(all), x(tensor.detach()) {
    GT_CHECK(x.dtype() == DType::f32 && (transfer == DType::f32 || transfer == DType::bf16), "TensorSum: ", x.dtype(),
             " sent as ", transfer, ", expected f32 sent as f32 or bf16");
    if (by_nccl()) {
      sent = transfer == DType::f32 ? x : Tensor(x.shape(), transfer, x.device());
      return;
    }
    host = x.device() == Device::cpu || GT_EMULATE ? x : Tensor(x.shape());
    check_mpi(MPI_Comm_dup(MPI_COMM_WORLD, &messages), "MPI_Comm_dup");
    float* const values = static_cast<float*>(host.raw());
    if (transfer == DType::f32)
      as_f32 = std::make_unique<ArraySum<float>>(messages, values, x.size());
    else
      as_bf16 = std::make_unique<ArraySum<bf16>>(messages, values, x.size());
  }
  ~State() {
    if (messages != MPI_COMM_NULL && std::uncaught_exceptions() == 0) MPI_Comm_free(&messages);
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  bool by_nccl() const { return GT_NCCL && !GT_EMULATE && x.device() == Device::cuda; }
  bool emulated() const { return GT_EMULATE && x.device() == Device::cuda; }
  void start_on_host() { as_f32 ? as_f32->start() : as_bf16->start(); }
  bool advance_on_host() { return as_f32 ? as_f32->advance() : as_bf16->advance(); }
  void finish_on_host() { as_f32 ? as_f32->finish() : as_bf16->finish(); }
};

void TensorSum::start() {
  State& s = *state_;
#if GT_NCCL && !GT_EMULATE
  if (s.by_nccl()) {
    if (!s.sent.same_buffer(s.x)) convert_elements(s.x, s.sent);
    return nccl_of(s.processes, s.processes.state_->nccl).start_sum(s.sent);
  }
#endif
#if GT_EMULATE
  if (s.emulated())
    return emulation::submit([&s] {
      s.start_on_host();
      s.finish_on_host();
    });
#endif
  if (!s.host.same_buffer(s.x)) s.host.copy_from(s.x);
  s.start_on_host();
}

bool TensorSum::advance() {
  State& s = *state_;
  return s.by_nccl() || s.emulated() || s.advance_on_host();
}

void TensorSum::finish() {
  State& s = *state_;
  if (s.emulated()) return;
#if GT_NCCL && !GT_EMULATE
  if (s.by_nccl()) {
    nccl_of(s.processes, s.processes.state_->nccl).finish_sums();
    if (!s.sent.same_buffer(s.x)) convert_elements(s.sent, s.x);
    return;
  }
#endif
  s.finish_on_host();
  if (!s.host.same_buffer(s.x)) s.x.copy_from(s.host);
}

TensorSum::TensorSum(const Communicator& processes, const Tensor& x, DType transfer)
    : state_(std::make_unique<State>(processes, x, transfer)) {}

#else

struct TensorSum::State {};
TensorSum::TensorSum(const Communicator&, const Tensor&, DType) {}
void TensorSum::start() {}
bool TensorSum::advance() { return true; }
void TensorSum::finish() {}

#endif

TensorSum::~TensorSum() = default;
TensorSum::TensorSum(TensorSum&&) noexcept = default;

}  // namespace gt
