// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_ADMISSION_MEMORY_SHARES_H_
#define LMSERVE_SERVER_ADMISSION_MEMORY_SHARES_H_

#include <cstdint>

#include "server/call/limits.h"

namespace lmserve {

// Sets the budgets of memory that are 0 to shares of `available` bytes: a
// sixteenth for requests and for answers, but enough for one message, and a
// quarter for states. Reduces decode_bytes to the budget of states.
void ShareMemory(uint64_t available, Limits* limits);

}  // namespace lmserve

#endif  // LMSERVE_SERVER_ADMISSION_MEMORY_SHARES_H_
