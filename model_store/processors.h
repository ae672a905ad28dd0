// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODEL_STORE_PROCESSORS_H_
#define LMSERVE_MODEL_STORE_PROCESSORS_H_

#include <string>

namespace lmserve {

// Returns how many processors this process may use, at least 1: those of its
// affinity mask, or fewer if the CPU quota of one of its cgroups (version 1 or
// 2) is lower. A quota of 1.5 processors counts as 2. Reads the files below
// ROOT/proc/self and ROOT/sys/fs/cgroup; tests pass a directory of their own.
int AvailableProcessors(const std::string& root = "");

}  // namespace lmserve

#endif  // LMSERVE_MODEL_STORE_PROCESSORS_H_
