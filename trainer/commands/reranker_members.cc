// SPDX-License-Identifier: Apache-2.0
#include "trainer/commands/reranker_members.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "model_store/load_version.h"
#include "models/any_model.h"
#include "models/quoted.h"
#include "models/text.h"
#include "text_io/line_reader.h"
#include "trainer/commands/publish_reranker.h"
#include "trainer/evaluation/evaluate.h"
#include "trainer/text/status_line.h"

namespace lmserve {
namespace {

using lm::v1::RerankerMember;

// Returns the column of a feature, or nothing if the lists do not have it.
std::optional<size_t> FindFeature(const NbestLists& lists,
                                  absl::string_view name) {
  const auto& names = lists.feature_names;
  const auto found = std::find(names.begin(), names.end(), name);
  if (found == names.end()) return std::nullopt;
  return found - names.begin();
}

absl::Status Wrong(const RerankerMember& member, absl::string_view problem) {
  return absl::InvalidArgumentError(
      absl::StrCat(member.reverse() ? "reverse member " : "member ",
                   member.model(), ": expected ", problem));
}

// lm_client rerank appends NAME.words for a --model, and not for a
// --reverse-model.
absl::Status CheckDirection(const RerankerMember& member, ModelKind kind,
                            const NbestLists& lists) {
  if (kind != ModelKind::kTranslation) {
    if (!member.reverse()) return absl::OkStatus();
    return Wrong(member, "a translation model, found a language model");
  }
  const std::string& name = member.feature();
  const std::string words = absl::StrCat(name, ".words");
  const bool is_forward = FindFeature(lists, words).has_value();
  if (is_forward != member.reverse()) return absl::OkStatus();
  return Wrong(
      member,
      is_forward
          ? absl::StrCat(
                "lists that lm_client rerank --reverse-model has scored, with ",
                name, " alone, found ", words,
                ", too, as --model appends it; use --member")
          : absl::StrCat(
                "lists that lm_client rerank --model has scored, with ", words,
                ", found ", name,
                " alone, as --reverse-model appends it; use "
                "--reverse-member"));
}

// Returns ln P of a text under a language model, normalized as the reranker
// does, or nothing if the text cannot be scored.
std::optional<double> NormalizedLogProb(const lm::v1::Reranker& reranker,
                                        const AnyModel& model,
                                        const std::string& text) {
  const auto lines = LineReader::FromString(text);
  Progress progress("", /*quiet=*/true);
  const absl::StatusOr<Evaluation> result =
      model.kind() == ModelKind::kBidirectional
          ? Evaluate(*model.bidirectional(), *lines, TextRules(), progress)
          : Evaluate(*model.left_to_right(), *lines, TextRules(), progress);
  if (!result.ok() || !std::isfinite(result->log_prob)) return std::nullopt;
  double exponent = 0;
  if (reranker.normalization() == lm::v1::NORMALIZATION_MEAN) exponent = 1;
  if (reranker.normalization() == lm::v1::NORMALIZATION_POWER) {
    exponent = reranker.alpha() == 0 ? 1 : reranker.alpha();
  }
  return result->log_prob /
         std::pow(static_cast<double>(result->tokens), exponent);
}

// Returns the first candidate of several words, or else the first one.
const NbestCandidate& FindLongCandidate(const NbestLists& lists) {
  for (const NbestList& list : lists.lists) {
    for (const NbestCandidate& candidate : list.candidates) {
      if (SplitWords(candidate.text).size() > 1) return candidate;
    }
  }
  return lists.lists[0].candidates[0];
}

void CheckLogProb(const lm::v1::Reranker& reranker,
                  const RerankerMember& member, const AnyModel& model,
                  const NbestLists& lists) {
  constexpr double kTolerance = 1e-3;  // relative, from 1 on
  const NbestCandidate& candidate = FindLongCandidate(lists);
  const std::optional<double> expected =
      NormalizedLogProb(reranker, model, candidate.text);
  const double found =
      candidate.features[*FindFeature(lists, member.feature())];
  if (!expected.has_value() ||
      std::abs(found - *expected) <=
          kTolerance * std::max(1.0, std::abs(*expected))) {
    return;
  }
  PrintMessage(absl::StrFormat(
      "warning: member %s: expected %s= %.6g for the candidate %s, as "
      "the normalization %s gives it, found %.6g; the server will compute "
      "other features than those of the lists",
      member.model(), member.feature(), *expected, Quoted(candidate.text),
      NormalizationName(reranker), found));
}

}  // namespace

absl::Status CheckMembers(const std::string& store,
                          const lm::v1::Reranker& reranker,
                          const NbestLists& lists) {
  for (const RerankerMember& member : reranker.members()) {
    if (!FindFeature(lists, member.feature()).has_value()) {
      return Wrong(member, absl::StrCat("one of the features ",
                                        absl::StrJoin(lists.feature_names, " "),
                                        ", found '", member.feature(), "'"));
    }
    const absl::StatusOr<ModelHandle> handle =
        LoadModelVersion(store, member.model());
    if (!handle.ok()) return handle.status();
    const AnyModel& model = (*handle)->model();
    if (!model.scores_texts()) {
      return Wrong(member, absl::StrCat("a model that scores texts, found ",
                                        KindName(model.kind())));
    }
    const absl::Status status = CheckDirection(member, model.kind(), lists);
    if (!status.ok()) return status;
    if (model.kind() != ModelKind::kTranslation) {
      CheckLogProb(reranker, member, model, lists);
    }
  }
  return absl::OkStatus();
}

}  // namespace lmserve
