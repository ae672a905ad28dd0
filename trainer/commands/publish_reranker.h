#ifndef LMSERVE_TRAINER_COMMANDS_PUBLISH_RERANKER_H_
#define LMSERVE_TRAINER_COMMANDS_PUBLISH_RERANKER_H_

#include <CLI/CLI.hpp>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "lm/v1/reranker.pb.h"

namespace lmserve {

// What makes a reranker of tuned weights, as the command line has it.
struct RerankerOptions {
  std::string store;
  std::string model;                 // empty: publish none
  std::vector<std::string> members;  // MODEL or FEATURE=MODEL
  std::vector<std::string> reverse_members;
  std::string normalization = "sum";
  double alpha = 0;
  std::string utility;  // empty: the best score wins
  double scale = 1;
};

void AddRerankerOptions(CLI::App& command, RerankerOptions* options);

// The reranker of these weights, one a feature. Its members are versions that
// are in the store; those whose features all have weight 0 are left out, and
// told of in *left_out. What is not a member's is the candidates' own. Fails
// where the list has no feature of a member, or the store no such version.
absl::StatusOr<lm::v1::Reranker> MakeReranker(
    const RerankerOptions& options, absl::Span<const std::string> feature_names,
    absl::Span<const double> weights, std::vector<std::string>* left_out);

// Publishes it as the next version, whose number it returns; `properties` tell
// of the tuning.
absl::StatusOr<uint64_t> PublishReranker(
    const RerankerOptions& options, const lm::v1::Reranker& reranker,
    std::map<std::string, std::string> properties);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_COMMANDS_PUBLISH_RERANKER_H_
