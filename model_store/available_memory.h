// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODEL_STORE_AVAILABLE_MEMORY_H_
#define LMSERVE_MODEL_STORE_AVAILABLE_MEMORY_H_

#include <cstdint>
#include <string>

namespace lmserve {

// Returns about how many more bytes this process can use before the kernel
// would have to end a process: what the machine has available, or less if the
// control group of the process (of version 2, or of the memory controller of
// version 1), or a group above it, has a limit.
// Returns the largest number if the kernel does not say. Thread-safe.
uint64_t AvailableMemory();

// The same, with the files of the kernel below other directories: `proc`
// instead of /proc, and `groups` instead of /sys/fs/cgroup. For tests.
uint64_t AvailableMemory(const std::string& proc, const std::string& groups);

}  // namespace lmserve

#endif  // LMSERVE_MODEL_STORE_AVAILABLE_MEMORY_H_
