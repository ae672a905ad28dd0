#ifndef LMSERVE_MODELS_ANY_MODEL_H_
#define LMSERVE_MODELS_ANY_MODEL_H_

#include <memory>
#include <utility>
#include <variant>

#include "models/bidirectional_model.h"
#include "models/language_model.h"

namespace lmserve {

// A model of either kind. Whoever needs one asks for what it can do: only a
// model that reads from left to right predicts and generates, only a
// bidirectional one fills gaps.
class AnyModel {
 public:
  explicit AnyModel(std::unique_ptr<LanguageModel> model)
      : model_(std::move(model)) {}
  explicit AnyModel(std::unique_ptr<BidirectionalModel> model)
      : model_(std::move(model)) {}

  const Vocabulary& vocabulary() const {
    return std::visit(
        [](const auto& model) -> const Vocabulary& {
          return model->vocabulary();
        },
        model_);
  }

  // Null where the model is of the other kind.
  const LanguageModel* left_to_right() const {
    const auto* model = std::get_if<std::unique_ptr<LanguageModel>>(&model_);
    return model == nullptr ? nullptr : model->get();
  }
  const BidirectionalModel* bidirectional() const {
    const auto* model =
        std::get_if<std::unique_ptr<BidirectionalModel>>(&model_);
    return model == nullptr ? nullptr : model->get();
  }

  // Hands the model over. REQUIRES: left_to_right() is not null.
  std::unique_ptr<LanguageModel> TakeLeftToRight() && {
    return std::get<std::unique_ptr<LanguageModel>>(std::move(model_));
  }

 private:
  std::variant<std::unique_ptr<LanguageModel>,
               std::unique_ptr<BidirectionalModel>>
      model_;
};

}  // namespace lmserve

#endif  // LMSERVE_MODELS_ANY_MODEL_H_
