// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODELS_MIXTURE_MIXTURE_MODEL_H_
#define LMSERVE_MODELS_MIXTURE_MIXTURE_MODEL_H_

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "models/language_model.h"

namespace lmserve {

// A linear interpolation of models over one vocabulary (Jelinek and Mercer
// 1980). The probability of a word w after a history h is
//
//   P(w | h) = sum_m weight_m P_m(w | h)
//
// over the members m. A state is the concatenation of the states of the
// members. The sum is computed in double and in the order of the members.
//
// Owns its members. Immutable: any number of threads may use one instance.
class MixtureModel final : public LanguageModel {
 public:
  struct Member {
    std::unique_ptr<LanguageModel> model;
    double weight;
  };

  // Requires weights of at least 0 whose sum differs from 1 by at most 1e-6,
  // and scales them to the sum 1. Checks members of weight 0, then drops them.
  // Returns INVALID_ARGUMENT, naming the member, for an invalid weight or a
  // vocabulary that differs from that of the first member.
  static absl::StatusOr<std::unique_ptr<MixtureModel>> Create(
      std::vector<Member> members);

  const Vocabulary& vocabulary() const override;
  bool is_lookup() const override;
  size_t state_size() const override { return state_size_; }
  void Start(std::byte* state) const override;
  // Returns false unless all members return true.
  bool StartEmpty(std::byte* state) const override;

  // Each member scores the whole batch in one call.
  void Score(absl::Span<const Query> batch) const override;

  void Distribution(absl::Span<const std::byte* const> states,
                    float* log_probs) const override;

 private:
  // A member and the byte offset of its state within a state of the mixture.
  struct Part {
    std::unique_ptr<LanguageModel> model;
    size_t offset;
  };

  explicit MixtureModel(std::vector<Member> members);

  void MixRows(absl::Span<const std::byte* const> states,
               absl::Span<float> scratch, float* log_probs) const;

  std::vector<Part> parts_;
  std::vector<double> weights_;  // one for each part
  size_t state_size_ = 0;
};

}  // namespace lmserve

#endif  // LMSERVE_MODELS_MIXTURE_MIXTURE_MODEL_H_
