// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODELS_ANY_MODEL_H_
#define LMSERVE_MODELS_ANY_MODEL_H_

#include <memory>
#include <utility>
#include <variant>

#include "absl/strings/string_view.h"
#include "models/bidirectional_model.h"
#include "models/classifier_model.h"
#include "models/inspectable_model.h"
#include "models/language_model.h"
#include "models/sentence_encoder.h"
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

// Returns the name of a kind in messages, with its article.
inline absl::string_view KindName(ModelKind kind) {
  switch (kind) {
    case ModelKind::kLeftToRight:
      return "a left-to-right model";
    case ModelKind::kBidirectional:
      return "a bidirectional model";
    case ModelKind::kTranslation:
      return "a translation model";
    case ModelKind::kTagger:
      return "a tagger";
    case ModelKind::kClassifier:
      break;
  }
  return "a classifier";
}

// Owns a model of one of the kinds; kind() says what the model can do. All but
// taggers and classifiers score texts.
// Immutable: any number of threads may use it.
class AnyModel {
 public:
  explicit AnyModel(std::unique_ptr<LanguageModel> model)
      : model_(std::move(model)) {}
  explicit AnyModel(std::unique_ptr<BidirectionalModel> model)
      : model_(std::move(model)) {}
  explicit AnyModel(std::unique_ptr<TranslationModel> model)
      : model_(std::move(model)) {}
  explicit AnyModel(std::unique_ptr<TaggerModel> model)
      : model_(std::move(model)) {}
  explicit AnyModel(std::unique_ptr<ClassifierModel> model)
      : model_(std::move(model)) {}

  ModelKind kind() const { return static_cast<ModelKind>(model_.index()); }

  // Whether the model gives texts a probability.
  bool scores_texts() const {
    return kind() != ModelKind::kTagger && kind() != ModelKind::kClassifier;
  }

  // Whether the model predicts </s>. A bidirectional model does not: it is
  // given whole sentences.
  bool predicts_end() const { return word_by_word() != nullptr; }

  // The vocabulary of the texts that the model scores or labels; for a
  // translation model, that of the translations.
  const Vocabulary& vocabulary() const {
    switch (kind()) {
      case ModelKind::kLeftToRight:
        return left_to_right()->vocabulary();
      case ModelKind::kBidirectional:
        return bidirectional()->vocabulary();
      case ModelKind::kTranslation:
        return translation()->decoder().vocabulary();
      case ModelKind::kTagger:
        return tagger()->vocabulary();
      case ModelKind::kClassifier:
        break;
    }
    return classifier()->vocabulary();
  }

  // The model, or null if it is of another kind.
  const LanguageModel* left_to_right() const { return Get<LanguageModel>(); }
  const BidirectionalModel* bidirectional() const {
    return Get<BidirectionalModel>();
  }
  const TranslationModel* translation() const {
    return Get<TranslationModel>();
  }
  const TaggerModel* tagger() const { return Get<TaggerModel>(); }
  const ClassifierModel* classifier() const { return Get<ClassifierModel>(); }

  // The model that continues a text word by word: a left-to-right model itself,
  // or the decoder of a translation model. Null for the other kinds.
  const LanguageModel* word_by_word() const {
    return kind() == ModelKind::kTranslation ? &translation()->decoder()
                                             : left_to_right();
  }

  // The model if its gates and states can be looked at while it reads a text,
  // otherwise null.
  const InspectableModel* inspectable() const {
    return std::visit(
        [](const auto& model) -> const InspectableModel* {
          if constexpr (requires { model->inspectable(); }) {
            return model->inspectable();
          }
          return nullptr;
        },
        model_);
  }

  // The vectors that the model has of sentences, or null if it has none. Those
  // of a translation model are of source sentences.
  const SentenceEncoder* sentence_encoder() const {
    return std::visit(
        [](const auto& model) { return model->sentence_encoder(); }, model_);
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
               std::unique_ptr<TranslationModel>, std::unique_ptr<TaggerModel>,
               std::unique_ptr<ClassifierModel>>
      model_;
};

}  // namespace lmserve

#endif  // LMSERVE_MODELS_ANY_MODEL_H_
