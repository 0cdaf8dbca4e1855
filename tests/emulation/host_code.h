// Host code in a kernel file, which several host threads run at once.
#pragma once

namespace gt {

/// A sum over several threads that uses containers, shared pointers, functions and atomics of the standard library.
long sum_in_host_code(int n);

/// Starts `threads` host threads that make `launches` launches of one block of 40 each, and a thread that runs
/// sum_in_host_code(). Returns the number of emulated threads that ran.
long launches_of_host_threads(int threads, int launches);

/// Sets *to on the device.
void store_in_a_kernel(int value, int* to);

// Misuse, which must throw Error.
void launch_in_a_kernel();
void barrier_outside_of_a_kernel();
/// Thread 5 of each block throws.
void throw_in_a_kernel();
void shuffle_of_odd_width();
void argument_out_of_range(long long value);

/// Writes the indices of the threads of two blocks of `threads`, in the order in which they begin.
void begin_order(int threads, int* order);

}  // namespace gt
