// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_COMMANDS_RERANKER_MEMBERS_H_
#define LMSERVE_TRAINER_COMMANDS_RERANKER_MEMBERS_H_

#include <string>

#include "absl/status/status.h"
#include "lm/v1/reranker.pb.h"
#include "trainer/tuning/nbest_lists.h"

namespace lmserve {

// Loads the members of a reranker, whose weights do not matter, and checks that
// they are what gave the lists their features. INVALID_ARGUMENT, saying what to
// do, if the lists lack a member's feature or have the one of a translation
// model in the other direction. Prints a warning if the lists have another ln P
// of a candidate than a language model gives it, as with another normalization:
// the server would choose otherwise than from the lists. The features of
// translation models depend on sources and are not computed.
absl::Status CheckMembers(const std::string& store,
                          const lm::v1::Reranker& reranker,
                          const NbestLists& lists);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_COMMANDS_RERANKER_MEMBERS_H_
