// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_COMMANDS_MEMBER_WEIGHTS_H_
#define LMSERVE_TRAINER_COMMANDS_MEMBER_WEIGHTS_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "command_line/cli.h"
#include "models/vocabulary.h"
#include "trainer/evaluation/evaluate.h"
#include "trainer/evaluation/mixture_weights.h"

namespace lmserve {

// The members of a mixture and how it gets its weights: --members, --weights
// and --iterations.
struct MemberOptions {
  std::vector<std::string> members;
  std::vector<double> weights;  // empty: fit them
  FitOptions fit;
};

// `form` says what a member is, as in "NAME or NAME@VERSION".
void AddMemberOptions(cli::App& command, absl::string_view form,
                      MemberOptions* options);

// Throws a cli::ValidationError if there are too few members, or weights that
// do not match them.
void CheckMembers(const MemberOptions& options);

// Returns the weights of --weights, scaled to the sum 1.
// REQUIRES: there are some.
std::vector<double> GivenWeights(const MemberOptions& options);

// A text and ln P of each of its words under each member.
struct ScoredText {
  std::vector<WordId> words;
  std::vector<std::vector<float>> log_probs;  // (member, word)
};

struct MixtureResult {
  std::vector<std::string> names;   // of the members
  std::vector<Evaluation> members;  // of each member alone
  MixtureFit fit;
  Evaluation mixture;
};

// Finds the weights, fitted to the text unless they are given, and evaluates
// the members and the mixture on it. `unknown` is the id of <unk>.
MixtureResult AssessMixture(const MemberOptions& options,
                            std::vector<std::string> names,
                            const ScoredText& text, WordId unknown);

// Prints a table to the standard error: a row for each member, and the mixture.
void PrintMixture(const MixtureResult& result);

// Prints a further row.
void PrintMixtureRow(absl::string_view name, double weight,
                     const Evaluation& result);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_COMMANDS_MEMBER_WEIGHTS_H_
