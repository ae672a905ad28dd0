#ifndef LMSERVE_MODEL_STORE_RERANKER_H_
#define LMSERVE_MODEL_STORE_RERANKER_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "lm/v1/reranker.pb.h"

namespace lmserve {

// A reranker stands in the store beside the models, under names and versions
// like theirs, and has nothing but reranker.json. All functions are pure.

inline constexpr absl::string_view kRerankerFamily = "reranker";
inline constexpr absl::string_view kRerankerFile = "reranker.json";

// INVALID_ARGUMENT "FIELD: expected ..., found ..." where weights, scale or
// alpha are not finite numbers, or a choice is none of those there are.
absl::Status CheckWeighing(const lm::v1::Reranker& reranker);

// The names of the features that a member gives: its own and, unless it is
// reverse, those that a RerankRequest tells of.
std::vector<std::string> FeaturesOf(const lm::v1::RerankerMember& member);

// Reads reranker.json, 64 KiB at most. DATA_LOSS, naming the field, where that
// fails, or the members are not 1 to 64 models with features of their own.
absl::StatusOr<lm::v1::Reranker> ParseReranker(absl::string_view json);

// The members that are named with their version, as NAME@VERSION.
std::vector<std::pair<std::string, uint64_t>> FixedMembers(
    const lm::v1::Reranker& reranker);

}  // namespace lmserve

#endif  // LMSERVE_MODEL_STORE_RERANKER_H_
