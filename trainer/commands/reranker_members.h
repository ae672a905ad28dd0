// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_COMMANDS_RERANKER_MEMBERS_H_
#define LMSERVE_TRAINER_COMMANDS_RERANKER_MEMBERS_H_

#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "lm/v1/reranker.pb.h"
#include "trainer/commands/publish_reranker.h"
#include "trainer/tuning/nbest_lists.h"

namespace lmserve {

// Finds the versions of the members in the store, before anything is computed.
// Fails if the options name no member, or the store lacks one or cannot have a
// version of options.model. Returns no members if there is nothing to publish.
absl::StatusOr<std::vector<lm::v1::RerankerMember>> FindMembers(
    const RerankerOptions& options);

// Loads the members and checks that they are what gave the lists their
// features. INVALID_ARGUMENT, saying what to do, if the lists lack a member's
// feature or have the one of a translation model in the other direction. Prints
// a warning if the lists have another ln P of a candidate than a language model
// gives it, as with another normalization: the weights would be wrong. The
// features of translation models depend on sources and are not computed.
absl::Status CheckMembers(const RerankerOptions& options,
                          absl::Span<const lm::v1::RerankerMember> members,
                          const NbestLists& lists);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_COMMANDS_RERANKER_MEMBERS_H_
