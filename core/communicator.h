// The processes of one training, started together by mpirun or srun. Each has a rank, counted from 0.
//
// Every function of a Communicator, and of a TensorSum, must be called by all processes in one order and by their main
// threads. Sums are added in the order of the ranks on the CPU, so equal numbers of processes give equal bits. NCCL,
// which sums on GPUs, gives equal bits for equal machines.
//
// Processes wait without occupying their core for long. A process that dies does not answer. mpirun, and srun with
// --kill-on-bad-exit, then end the others.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/tensor.h"

namespace gt {

/// A handle of them. Copies refer to the same processes, which are connected until the last one is destroyed.
class Communicator {
 public:
  /// This process alone: a rank of 0 and a size of 1. Nothing is sent.
  Communicator();

  int rank() const;
  int size() const;

  /// The number of processors that this process may use, divided among the processes that may use the same ones; at
  /// least 1.
  int processors() const;

  /// Whether sums of CUDA tensors need no host, so that a CUDA graph can hold them.
  bool sums_on_device() const;

  /// Replaces each value by its sum over the processes. All must have one number of values.
  void sum(std::vector<double>& values) const;
  /// Replaces the elements of x (f32) by their sums over the processes, in stream order on CUDA.
  void sum(const Tensor& x) const;
  /// The bytes of each process, by rank.
  std::vector<std::string> gather(const std::string& bytes) const;
  /// The bytes of rank 0.
  std::string broadcast(const std::string& bytes) const;

 private:
  friend Communicator connect_processes();
  friend class TensorSum;
  struct State;
  explicit Communicator(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;  // null: alone
};

/// The processes that were started together with this one; this process alone if there are none. To be called once,
/// before other threads start. On CUDA each process of a host takes another device. Throws Error if this program
/// is built without MPI, or if MPI does not connect as many processes as were started.
Communicator connect_processes();

/// The number of processes that mpirun or srun started, as their environment variables say; 1 for a process alone.
int launched_processes();

/// The versions of the libraries that this program is built with; "" without.
std::string mpi_version();
std::string nccl_version();

/// "rank 2 on node-7: " in a process among several, for its messages; "" in a process alone.
std::string process_label();

/// Ends all connected processes, with status 1, after an error that report() prints. Processes other than rank 0 wait a
/// second before, since rank 0 reports an error that all have. Returns after report() if this process is alone.
void end_processes(const std::function<void()>& report);

/// Items begin .. end - 1.
struct Slice {
  int64_t begin = 0, end = 0;
  int64_t size() const { return end - begin; }
};

/// The part of `count` items that process `rank` of `size` has. Parts follow each other, and differ by one at most.
Slice slice_of(int64_t count, int rank, int size);

/// The sum of a tensor over the processes, computed during other work.
class TensorSum {
 public:
  /// x is f32, and is sent as `transfer`: f32 or bf16. On the CPU sums are in f32 all the same.
  TensorSum(const Communicator& processes, const Tensor& x, DType transfer);
  ~TensorSum();
  TensorSum(TensorSum&&) noexcept;

  /// Sends the present elements of x, which must then be left alone until finish().
  void start();
  /// Lets a sum that was started continue. Returns whether it is complete, or continues without the host.
  bool advance();
  /// Waits: the elements of x are then the sums.
  void finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace gt
