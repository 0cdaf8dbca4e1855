// Sums of arrays over processes by MPI, in the order of the ranks. For core/communicator.cpp. GT_MPI is 1 in builds
// that have MPI.
#pragma once

#if GT_MPI

#define OMPI_SKIP_MPICXX 1
#include <mpi.h>

#include <array>
#include <chrono>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

#include "core/check.h"
#include "core/communicator.h"

namespace gt::mpi {

/// The connected processes of this program; a size of 1 before connect_processes().
struct World {
  int rank = 0, size = 1;
};
inline World world;

/// Throws Error with `what` and MPI's message unless the status is MPI_SUCCESS.
inline void check_mpi(int status, const char* what) {
  if (status == MPI_SUCCESS) return;
  std::array<char, MPI_MAX_ERROR_STRING> text{};
  int length = 0;
  MPI_Error_string(status, text.data(), &length);
  fail(what, ": ", std::string(text.data(), size_t(length)));
}

/// Whether a request is complete. If not, it continues.
inline bool complete(MPI_Request& request) {
  int done = 0;
  check_mpi(MPI_Test(&request, &done, MPI_STATUS_IGNORE), "MPI_Test");
  return done != 0;
}

/// Waits without occupying the core, which the awaited process may need.
template <class F>
void wait_until(F&& done) {
  for (int polls = 0; !done(); ++polls) {
    if (polls < 1000)
      std::this_thread::yield();
    else
      std::this_thread::sleep_for(std::chrono::microseconds(50));
  }
}

inline void wait(MPI_Request request) {
  wait_until([&] { return complete(request); });
}

/// The sum of an array of floats over the processes. Each process receives its slice from all, adds in the order of
/// the ranks, and sends the sums to all: 2 (n - 1) / n times the array's bytes, as the best algorithms do.
template <class Sent>
class ArraySum {
 public:
  /// Other calls of `messages` must not be under way at the same time: MPI matches calls by their order.
  ArraySum(MPI_Comm messages, float* values, int64_t count) : messages_(messages), values_(values), count_(count) {
    GT_CHECK(count * int64_t(sizeof(Sent)) < (int64_t(1) << 31), "a sum of ", count, " elements: expected below 2 GiB");
    for (int r = 0; r < world.size; ++r) {
      const Slice slice = slice_of(count, r, world.size);
      begins_.push_back(int(slice.begin * int64_t(sizeof(Sent))));
      sizes_.push_back(int(slice.size() * int64_t(sizeof(Sent))));
    }
    own_ = slice_of(count, world.rank, world.size);
    const int bytes = int(own_.size() * int64_t(sizeof(Sent)));
    for (int r = 0; r < world.size; ++r) own_begins_.push_back(r * bytes);
    own_sizes_.assign(size_t(world.size), bytes);
    received_.resize(size_t(own_.size() * world.size));
    if constexpr (!in_place) converted_.resize(size_t(count));
  }

  void start() {
    if constexpr (!in_place)
      for (int64_t i = 0; i < count_; ++i) sent()[i] = Sent(values_[i]);
    check_mpi(MPI_Ialltoallv(sent(), sizes_.data(), begins_.data(), MPI_BYTE, received_.data(), own_sizes_.data(),
                             own_begins_.data(), MPI_BYTE, messages_, &request_),
              "MPI_Ialltoallv");
    stage_ = Stage::exchange;
  }

  bool advance() {
    if (stage_ == Stage::exchange && complete(request_)) {
      add();
      check_mpi(MPI_Iallgatherv(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, sent(), sizes_.data(), begins_.data(), MPI_BYTE,
                                messages_, &request_),
                "MPI_Iallgatherv");
      stage_ = Stage::collect;
    }
    if (stage_ == Stage::collect && complete(request_)) {
      if constexpr (!in_place)
        for (int64_t i = 0; i < count_; ++i) values_[i] = float(sent()[i]);
      stage_ = Stage::none;
    }
    return stage_ == Stage::none;
  }

  void finish() {
    wait_until([this] { return advance(); });
  }

 private:
  enum class Stage { none, exchange, collect };
  static constexpr bool in_place = std::is_same_v<Sent, float>;

  /// The array as it is sent: the values themselves, or a copy in another number format.
  Sent* sent() {
    if constexpr (in_place)
      return values_;
    else
      return converted_.data();
  }

  void add() {
    const size_t count = size_t(own_.size());
    for (size_t i = 0; i < count; ++i) {
      float sum = float(received_[i]);
      for (size_t r = 1; r < size_t(world.size); ++r) sum += float(received_[r * count + i]);
      sent()[size_t(own_.begin) + i] = Sent(sum);
    }
  }

  MPI_Comm messages_;
  float* values_;
  int64_t count_;
  std::vector<Sent> converted_, received_;
  std::vector<int> begins_, sizes_, own_begins_, own_sizes_;  // bytes
  Slice own_;
  Stage stage_ = Stage::none;
  MPI_Request request_ = MPI_REQUEST_NULL;
};

}  // namespace gt::mpi

#endif
