// SPDX-License-Identifier: Apache-2.0
#include "models/mixture/mixture_model.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "models/mixture/mixture_kernel.h"

namespace lmserve {
namespace {

// How far the sum of the weights may be from 1.
constexpr double kSumTolerance = 1e-6;
// Number of distributions computed at once.
constexpr size_t kRows = 16;

absl::Status MemberError(size_t member, absl::string_view problem) {
  return absl::InvalidArgumentError(
      absl::StrCat("member ", member, ": ", problem));
}

absl::Status CheckWeights(absl::Span<const MixtureModel::Member> members) {
  double sum = 0;
  for (size_t m = 0; m < members.size(); ++m) {
    const double weight = members[m].weight;
    if (!std::isfinite(weight) || weight < 0) {
      return MemberError(
          m, absl::StrCat("weight: expected at least 0, found ", weight));
    }
    sum += weight;
  }
  if (std::abs(sum - 1) <= kSumTolerance) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("weights: expected a sum of 1, found ", sum));
}

}  // namespace

absl::StatusOr<std::unique_ptr<MixtureModel>> MixtureModel::Create(
    std::vector<Member> members) {
  if (members.empty()) {
    return absl::InvalidArgumentError("members: expected at least 1, found 0");
  }
  if (absl::Status status = CheckWeights(members); !status.ok()) return status;
  for (size_t m = 1; m < members.size(); ++m) {
    const absl::Status status = CheckSameWords(members[0].model->vocabulary(),
                                               members[m].model->vocabulary());
    if (!status.ok()) {
      return MemberError(
          m, absl::StrCat("the vocabulary differs from that of member 0: ",
                          status.message()));
    }
  }
  return absl::WrapUnique(new MixtureModel(std::move(members)));
}

MixtureModel::MixtureModel(std::vector<Member> members) {
  double sum = 0;
  for (const Member& member : members) sum += member.weight;
  for (Member& member : members) {
    if (member.weight == 0) continue;
    const size_t size = member.model->state_size();
    parts_.push_back({std::move(member.model), state_size_});
    weights_.push_back(member.weight / sum);
    state_size_ += size;
  }
}

const Vocabulary& MixtureModel::vocabulary() const {
  return parts_[0].model->vocabulary();
}

bool MixtureModel::is_lookup() const {
  return std::all_of(parts_.begin(), parts_.end(),
                     [](const Part& part) { return part.model->is_lookup(); });
}

void MixtureModel::Start(std::byte* state) const {
  for (const Part& part : parts_) part.model->Start(state + part.offset);
}

bool MixtureModel::StartEmpty(std::byte* state) const {
  return std::all_of(parts_.begin(), parts_.end(), [state](const Part& part) {
    return part.model->StartEmpty(state + part.offset);
  });
}

void MixtureModel::Score(absl::Span<const Query> batch) const {
  size_t words = 0;
  for (const Query& query : batch) words += query.log_probs.size();
  std::vector<float> log_probs(parts_.size() * words);  // (part, word)
  std::vector<Query> queries(batch.begin(), batch.end());
  float* row = log_probs.data();
  for (const Part& part : parts_) {
    for (size_t i = 0; i < batch.size(); ++i) {
      const Query& query = batch[i];
      queries[i].state = query.state + part.offset;
      if (query.next_state != nullptr) {
        queries[i].next_state = query.next_state + part.offset;
      }
      queries[i].log_probs = {row, query.log_probs.size()};
      row += query.log_probs.size();
    }
    part.model->Score(queries);
  }
  MixLogProbs(weights_, log_probs.data(), words, log_probs.data());
  const float* mixed = log_probs.data();
  for (const Query& query : batch) {
    std::copy_n(mixed, query.log_probs.size(), query.log_probs.begin());
    mixed += query.log_probs.size();
  }
}

void MixtureModel::Distribution(absl::Span<const std::byte* const> states,
                                float* log_probs) const {
  const size_t size = vocabulary().size();
  std::vector<float> scratch(parts_.size() * std::min(kRows, states.size()) *
                             size);
  for (size_t i = 0; i < states.size(); i += kRows) {
    MixRows(states.subspan(i, kRows), absl::MakeSpan(scratch),
            log_probs + i * size);
  }
}

// Computes the distributions of a few states. scratch holds those of all parts,
// with the shape (parts, states, vocabulary size).
void MixtureModel::MixRows(absl::Span<const std::byte* const> states,
                           absl::Span<float> scratch, float* log_probs) const {
  const size_t words = states.size() * vocabulary().size();
  std::vector<const std::byte*> own(states.size());
  for (size_t m = 0; m < parts_.size(); ++m) {
    for (size_t i = 0; i < states.size(); ++i) {
      own[i] = states[i] + parts_[m].offset;
    }
    parts_[m].model->Distribution(own, scratch.data() + m * words);
  }
  MixLogProbs(weights_, scratch.data(), words, log_probs);
}

}  // namespace lmserve
