// SPDX-License-Identifier: Apache-2.0
#include "server/handlers/candidate_risk.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "reranking/bayes_risk.h"
#include "server/admission/budget.h"
#include "server/call/status.h"

namespace lmserve {
namespace {

using Candidates = google::protobuf::RepeatedPtrField<lm::v1::Candidate>;

// The most bytes of all candidates together.
constexpr uint64_t kMaxBytes = 256 << 10;

// The bytes of memory that the n-gram counts of one byte of text take at most:
// chrF counts six n-grams for each character.
constexpr uint64_t kMemoryPerByte = 200;

// The bytes of text that are compared in the time in which a neural model
// scores a word.
constexpr size_t kBytesInTheTimeOfAWord = 1000;

// Appends the words of ids, with a space between words.
absl::Status AppendWords(const Vocabulary& vocabulary,
                         const lm::v1::WordIdList& ids, std::string* text) {
  for (WordId id : ids.ids()) {
    if (id >= vocabulary.size()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "expected ids below ", vocabulary.size(), ", found ", id));
    }
    absl::StrAppend(text, text->empty() ? "" : " ", vocabulary.word(id));
  }
  return absl::OkStatus();
}

// Returns the texts of the candidates, with a space between words if they come
// as words or ids.
absl::StatusOr<std::vector<std::string>> CandidateTexts(
    const Vocabulary& vocabulary, const Candidates& candidates,
    const Limits& limits) {
  std::vector<std::string> texts;
  uint64_t bytes = 0;
  for (int i = 0; i < candidates.size(); ++i) {
    const lm::v1::Text& candidate = candidates[i].text();
    std::string& text = texts.emplace_back(candidate.text());
    absl::Status status;
    if (candidate.has_words()) {
      text = absl::StrJoin(candidate.words().words(), " ");
    }
    if (candidate.has_ids()) {
      status = AppendWords(vocabulary, candidate.ids(), &text);
    }
    if (!status.ok()) {
      return InvalidField(absl::StrCat("candidates[", i, "]"),
                          status.message());
    }
    bytes += text.size();
    status = CheckLimit("minimum_bayes_risk: bytes of the candidates", bytes,
                        kMaxBytes);
    if (!status.ok()) return status;
  }
  absl::Status status =
      CheckLimit("minimum_bayes_risk: candidates times their bytes",
                 bytes * texts.size(), limits.bytes_compared);
  if (!status.ok()) return status;
  return texts;
}

}  // namespace

Task<absl::StatusOr<std::vector<double>>> CandidateUtilities(
    const ServingContext& serving, Call& call, const LoadedVersion& model,
    const Vocabulary& vocabulary, const Candidates& candidates,
    absl::Span<const double> scores, const lm::v1::MinimumBayesRisk& settings) {
  const absl::StatusOr<std::vector<std::string>> texts =
      CandidateTexts(vocabulary, candidates, serving.limits);
  if (!texts.ok()) co_return texts.status();
  size_t bytes = 1;
  for (const std::string& text : *texts) bytes += text.size();
  Budget::Reservation memory(serving.budgets.state_bytes);
  absl::Status status = memory.Resize("minimum_bayes_risk: bytes in memory",
                                      bytes * kMemoryPerByte);
  if (!status.ok()) co_return status;
  std::optional<BayesRisk> risk;
  const auto count = [&] {
    const double scale = settings.scale() == 0 ? 1 : settings.scale();
    const bool is_chrf =
        settings.utility() == lm::v1::MinimumBayesRisk::UTILITY_CHRF;
    risk.emplace(*texts, scores, scale,
                 is_chrf ? Utility::kChrf : Utility::kBleu);
  };
  status = co_await serving.batcher.Run(call, model,
                                        bytes / kBytesInTheTimeOfAWord, count);
  const size_t most = std::max<size_t>(
      1, serving.batcher.batch_words() * kBytesInTheTimeOfAWord / bytes);
  for (size_t begin = 0; status.ok() && begin < risk->size(); begin += most) {
    const size_t end = std::min(begin + most, risk->size());
    const auto rate = [&] {
      for (size_t i = begin; i < end; ++i) risk->Rate(i);
    };
    status = co_await serving.batcher.Run(
        call, model, (end - begin) * bytes / kBytesInTheTimeOfAWord, rate);
  }
  if (!status.ok()) co_return status;
  co_return risk->utilities();
}

}  // namespace lmserve
