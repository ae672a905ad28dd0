// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TESTS_TESTING_SANITIZERS_H_
#define LMSERVE_TESTS_TESTING_SANITIZERS_H_

#include <dlfcn.h>

namespace lmserve {

// Whether the programs are built with AddressSanitizer or ThreadSanitizer. They
// need much memory, free it later, and cannot work without free file
// descriptors.
inline bool IsSanitized() {
  return dlsym(RTLD_DEFAULT, "__asan_init") != nullptr ||
         dlsym(RTLD_DEFAULT, "__tsan_init") != nullptr;
}

}  // namespace lmserve

#endif  // LMSERVE_TESTS_TESTING_SANITIZERS_H_
