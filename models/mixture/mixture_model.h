#ifndef LMSERVE_MODELS_MIXTURE_MIXTURE_MODEL_H_
#define LMSERVE_MODELS_MIXTURE_MIXTURE_MODEL_H_

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "models/language_model.h"

namespace lmserve {

// Models over one vocabulary, mixed word by word:
//
//   P(w | h) = the sum over the members m of weight_m P_m(w | h)
//
// A state is the states of the members, one after the other. A probability is
// summed in double and in the order of the members.
//
// Immutable: any number of threads may use one at a time.
class MixtureModel final : public LanguageModel {
 public:
  struct Member {
    std::unique_ptr<LanguageModel> model;
    double weight;
  };

  // Takes weights of 0 or more with the sum 1, give or take 1e-6, and scales
  // them to it. Members of weight 0 are checked, then left out. Fails with
  // INVALID_ARGUMENT, naming the member, for another weight and where a
  // vocabulary is not that of the first member, word by word.
  static absl::StatusOr<std::unique_ptr<MixtureModel>> Create(
      std::vector<Member> members);

  const Vocabulary& vocabulary() const override;
  bool is_lookup() const override;
  size_t state_size() const override { return state_size_; }
  void Start(std::byte* state) const override;

  // Each member scores the whole batch in one call.
  void Score(absl::Span<const Query> batch) const override;

  void Distribution(absl::Span<const std::byte* const> states,
                    float* log_probs) const override;

 private:
  // A member, and where its part of a state begins.
  struct Part {
    std::unique_ptr<LanguageModel> model;
    size_t offset;
  };

  explicit MixtureModel(std::vector<Member> members);

  void MixRows(absl::Span<const std::byte* const> states,
               absl::Span<float> scratch, float* log_probs) const;

  std::vector<Part> parts_;
  std::vector<double> weights_;  // of the parts
  size_t state_size_ = 0;
};

}  // namespace lmserve

#endif  // LMSERVE_MODELS_MIXTURE_MIXTURE_MODEL_H_
