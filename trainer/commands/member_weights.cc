// SPDX-License-Identifier: Apache-2.0
#include "trainer/commands/member_weights.h"

#include <cmath>
#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "models/mixture/mixture_kernel.h"
#include "trainer/text/status_line.h"

namespace lmserve {
namespace {

// Returns ln P of each word under the mixture.
std::vector<float> MixText(const ScoredText& text,
                           absl::Span<const double> weights) {
  std::vector<float> mixed;
  for (const std::vector<float>& member : text.log_probs) {
    mixed.insert(mixed.end(), member.begin(), member.end());
  }
  MixLogProbs(weights, mixed.data(), text.words.size(), mixed.data());
  mixed.resize(text.words.size());
  return mixed;
}

}  // namespace

void AddMemberOptions(cli::App& command, absl::string_view form,
                      MemberOptions* options) {
  command
      .add_option("--members,--member", options->members,
                  absl::StrCat("Models to mix, separated by commas, ", form,
                               "; the option may be repeated"))
      ->delimiter(',')
      ->required();
  cli::Option* weights =
      command
          .add_option("--weights", options->weights,
                      "Weights of the members, separated by commas, instead of "
                      "fitted ones")
          ->delimiter(',')
          ->check(cli::Range(0.0, 1.0));
  command
      .add_option("--iterations", options->fit.iterations,
                  "Maximum number of iterations of the fit")
      ->check(cli::Range(1, 1'000'000))
      ->capture_default_str()
      ->excludes(weights);
}

void CheckMembers(const MemberOptions& options) {
  const size_t members = options.members.size();
  if (members < 2) {
    throw cli::ValidationError("--members", "expected 2 or more, found 1");
  }
  if (options.weights.empty()) return;
  if (options.weights.size() != members) {
    throw cli::ValidationError(
        "--weights", absl::StrCat("expected one per member, ", members,
                                  ", found ", options.weights.size()));
  }
  const double sum =
      std::accumulate(options.weights.begin(), options.weights.end(), 0.0);
  if (!(std::abs(sum - 1) <= 1e-6)) {
    throw cli::ValidationError(
        "--weights", absl::StrCat("expected a sum of 1, found ", sum));
  }
}

std::vector<double> GivenWeights(const MemberOptions& options) {
  std::vector<double> weights = options.weights;
  const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
  for (double& weight : weights) weight /= sum;
  return weights;
}

MixtureResult AssessMixture(const MemberOptions& options,
                            std::vector<std::string> names,
                            const ScoredText& text, WordId unknown) {
  MixtureResult result;
  result.names = std::move(names);
  for (const std::vector<float>& log_probs : text.log_probs) {
    result.members.emplace_back().Add(text.words, log_probs, unknown);
  }
  if (options.weights.empty()) {
    result.fit = FitMixtureWeights(text.log_probs, options.fit);
  } else {
    result.fit.weights = GivenWeights(options);
  }
  result.mixture.Add(text.words, MixText(text, result.fit.weights), unknown);
  return result;
}

void PrintMixture(const MixtureResult& result) {
  PrintMessage(absl::StrFormat("%d iterations over %d tokens, %d unknown",
                               result.fit.iterations, result.mixture.tokens,
                               result.mixture.oov));
  PrintMessage(absl::StrFormat("%-20s %8s %12s %12s", "", "weight",
                               "perplexity", "without oov"));
  for (size_t m = 0; m < result.names.size(); ++m) {
    PrintMixtureRow(result.names[m], result.fit.weights[m], result.members[m]);
  }
  PrintMixtureRow("mixture", 1, result.mixture);
}

void PrintMixtureRow(absl::string_view name, double weight,
                     const Evaluation& result) {
  PrintMessage(absl::StrFormat("%-20s %8.6f %12.4f %12.4f", name, weight,
                               result.Perplexity(),
                               result.PerplexityExcludingOov()));
}

}  // namespace lmserve
