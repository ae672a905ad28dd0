#ifndef LMSERVE_MODELS_ANY_MODEL_H_
#define LMSERVE_MODELS_ANY_MODEL_H_

#include <memory>
#include <utility>
#include <variant>

#include "models/bidirectional_model.h"
#include "models/language_model.h"
#include "models/translation_model.h"

namespace lmserve {

// A model of one of three kinds. Whoever needs one asks for what it can do:
// only a model that reads from left to right predicts and generates of itself,
// only a bidirectional one fills gaps, only a translation model reads a source.
class AnyModel {
 public:
  explicit AnyModel(std::unique_ptr<LanguageModel> model)
      : model_(std::move(model)) {}
  explicit AnyModel(std::unique_ptr<BidirectionalModel> model)
      : model_(std::move(model)) {}
  explicit AnyModel(std::unique_ptr<TranslationModel> model)
      : model_(std::move(model)) {}

  // Of the texts that it scores.
  const Vocabulary& vocabulary() const {
    return bidirectional() != nullptr ? bidirectional()->vocabulary()
                                      : word_by_word()->vocabulary();
  }

  // Null where the model is of another kind.
  const LanguageModel* left_to_right() const { return Get<LanguageModel>(); }
  const BidirectionalModel* bidirectional() const {
    return Get<BidirectionalModel>();
  }
  const TranslationModel* translation() const {
    return Get<TranslationModel>();
  }

  // What goes on from a state, a word at a time: the model itself, or the
  // decoder of a translation model. Null of a bidirectional one.
  const LanguageModel* word_by_word() const {
    return translation() != nullptr ? &translation()->decoder()
                                    : left_to_right();
  }

  // Hands the model over. REQUIRES: left_to_right() is not null.
  std::unique_ptr<LanguageModel> TakeLeftToRight() && {
    return std::get<std::unique_ptr<LanguageModel>>(std::move(model_));
  }

 private:
  template <typename Model>
  const Model* Get() const {
    const auto* model = std::get_if<std::unique_ptr<Model>>(&model_);
    return model == nullptr ? nullptr : model->get();
  }

  std::variant<std::unique_ptr<LanguageModel>,
               std::unique_ptr<BidirectionalModel>,
               std::unique_ptr<TranslationModel>>
      model_;
};

}  // namespace lmserve

#endif  // LMSERVE_MODELS_ANY_MODEL_H_
