// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODELS_ANY_MODEL_H_
#define LMSERVE_MODELS_ANY_MODEL_H_

#include <memory>
#include <utility>
#include <variant>

#include "models/bidirectional_model.h"
#include "models/classifier_model.h"
#include "models/inspectable_model.h"
#include "models/language_model.h"
#include "models/tagger_model.h"
#include "models/translation_model.h"

namespace lmserve {

// What a model reads, and so what it can do.
enum class ModelKind {
  // Reads a text from left to right: predicts the next word, and generates.
  kLeftToRight,
  // Reads a whole sentence in both directions: fills gaps.
  kBidirectional,
  // Reads a source sentence, then its translation from left to right.
  kTranslation,
  // Labels each word of a sentence.
  kTagger,
  // Labels a sentence.
  kClassifier,
};

// Owns a model of one of the kinds; kind() says what the model can do.
// Immutable: any number of threads may use it.
class AnyModel {
 public:
  explicit AnyModel(std::unique_ptr<LanguageModel> model)
      : model_(std::move(model)) {}
  explicit AnyModel(std::unique_ptr<BidirectionalModel> model)
      : model_(std::move(model)) {}
  explicit AnyModel(std::unique_ptr<TranslationModel> model)
      : model_(std::move(model)) {}

  ModelKind kind() const { return static_cast<ModelKind>(model_.index()); }

  // Whether the model predicts </s>. A bidirectional model does not: it is
  // given whole sentences.
  bool predicts_end() const { return kind() != ModelKind::kBidirectional; }

  // The vocabulary of the texts that the model scores; for a translation model,
  // that of the translations.
  const Vocabulary& vocabulary() const {
    return kind() == ModelKind::kBidirectional ? bidirectional()->vocabulary()
                                               : word_by_word()->vocabulary();
  }

  // The model, or null if it is of another kind.
  const LanguageModel* left_to_right() const { return Get<LanguageModel>(); }
  const BidirectionalModel* bidirectional() const {
    return Get<BidirectionalModel>();
  }
  const TranslationModel* translation() const {
    return Get<TranslationModel>();
  }

  // The model that continues a text word by word: a left-to-right model itself,
  // or the decoder of a translation model. Null for a bidirectional model.
  const LanguageModel* word_by_word() const {
    return kind() == ModelKind::kTranslation ? &translation()->decoder()
                                             : left_to_right();
  }

  // The model if its gates and states can be looked at while it reads a text,
  // otherwise null.
  const InspectableModel* inspectable() const {
    return std::visit([](const auto& model) { return model->inspectable(); },
                      model_);
  }

  // Gives up the ownership of the model.
  // REQUIRES: kind() is ModelKind::kLeftToRight.
  std::unique_ptr<LanguageModel> TakeLeftToRight() && {
    return std::get<std::unique_ptr<LanguageModel>>(std::move(model_));
  }

 private:
  template <typename Model>
  const Model* Get() const {
    const auto* model = std::get_if<std::unique_ptr<Model>>(&model_);
    return model == nullptr ? nullptr : model->get();
  }

  // The types are in the order of ModelKind.
  std::variant<std::unique_ptr<LanguageModel>,
               std::unique_ptr<BidirectionalModel>,
               std::unique_ptr<TranslationModel>>
      model_;
};

}  // namespace lmserve

#endif  // LMSERVE_MODELS_ANY_MODEL_H_
