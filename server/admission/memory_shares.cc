// SPDX-License-Identifier: Apache-2.0
#include "server/admission/memory_shares.h"

#include <algorithm>

namespace lmserve {
namespace {

constexpr uint64_t kMessageShare = 16;
constexpr uint64_t kStateShare = 4;

// Where the kernel does not say how much memory is available.
constexpr uint64_t kMostAvailable = uint64_t{1} << 40;

}  // namespace

void ShareMemory(uint64_t available, Limits* limits) {
  available = std::min(available, kMostAvailable);
  const uint64_t messages = std::max<uint64_t>(
      available / kMessageShare, uint64_t{2} * limits->message_bytes);
  for (uint64_t* budget :
       {&limits->all_request_bytes, &limits->all_answer_bytes}) {
    if (*budget == 0) *budget = messages;
  }
  if (limits->all_state_bytes == 0) {
    limits->all_state_bytes = available / kStateShare;
  }
  limits->decode_bytes =
      std::min(limits->decode_bytes, limits->all_state_bytes);
}

}  // namespace lmserve
