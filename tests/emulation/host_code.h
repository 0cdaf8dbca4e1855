// What kernel files hold beside kernels: host code, here run by several threads at once.
#pragma once

namespace gt {

/// A sum over OpenMP threads through the standard library's containers, shared pointers, functions and atomics.
long sum_in_host_code(int n);

/// How many emulated threads run if each of `threads` host threads launches so many blocks of 40, while another one
/// runs sum_in_host_code.
long launches_of_host_threads(int threads, int launches);

/// Misuse, for its errors.
void launch_in_a_kernel();
void barrier_outside_of_a_kernel();
void throw_in_a_kernel();
void shuffle_of_odd_width();
void argument_out_of_range(long long value);

/// The order in which the threads of two blocks of `threads` begin.
void begin_order(int threads, int* order);

}  // namespace gt
