// SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz/fuzz_models.h"

#include <future>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "model_store/manifest.h"
#include "model_store/publish.h"
#include "model_store/reranker.h"
#include "models/model_factory.h"
#include "tests/fuzz/require.h"
#include "tests/testing/neural_models.h"
#include "tests/testing/ngram_models.h"
#include "tests/testing/temporary_directory.h"

namespace lmserve {
namespace {

// Has contexts with more children than a reader scans, besides small contexts.
std::string Text() {
  std::string text = "the cat is small\nthe dog is here\na dog barks\n";
  for (char c = 'a'; c < 'a' + 20; ++c) {
    absl::StrAppend(&text, "the ", std::string(2, c), "\n");
  }
  return text;
}

FuzzModel Trained(std::string name, const std::string& method, int order) {
  EstimateOptions options;
  options.smoothing.method = method;
  const TrainedNgramModel trained = TrainModel(Text(), order, options);
  return {std::move(name), std::string(trained.model->vocabulary().text()),
          trained.bytes};
}

FuzzModel FromArpa(std::string name, const std::string& arpa) {
  const BuiltNgramModel built = BuildFromArpa(arpa);
  return {std::move(name), std::string(built.model->vocabulary().text()),
          built.bytes};
}

uint64_t PublishModel(const std::string& store, const FuzzModel& model) {
  NewVersion version;
  version.family = std::string(kNgramFamily);
  version.properties = {{"order", "some"}};
  version.files = {{std::string(kVocabularyFile), model.vocabulary},
                   {std::string(kNgramFile), model.ngram}};
  version.self_test = {"the cat is small"};
  const auto number = Publish(store, model.name, version);
  RequireOk(number.status(), "the fuzzers' models can be published");
  return *number;
}

void PublishReranker(const std::string& store) {
  lm::v1::Reranker reranker;
  for (const char* model : {"tiny@1", "de-en", "en-de"}) {
    lm::v1::RerankerMember& member = *reranker.add_members();
    member.set_model(model);
    member.set_feature(model);
    member.set_reverse(member.model() == "en-de");
  }
  (*reranker.mutable_weights())["en-de"] = 0.5;
  (*reranker.mutable_weights())["tiny@1.words"] = -1;
  reranker.mutable_minimum_bayes_risk();
  const std::string json = ToJson(reranker);
  NewVersion version;
  version.family = std::string(kRerankerFamily);
  version.files = {{std::string(kRerankerFile), json}};
  RequireOk(Publish(store, "mt", version).status(),
            "the fuzzers' reranker can be published");
}

// The store outlives its directory because its files are mapped.
std::unique_ptr<const ModelStore> OpenStore() {
  const TemporaryDirectory directory;
  for (const FuzzModel& model : FuzzModels()) {
    const uint64_t version = PublishModel(directory.path(), model);
    if (model.name != "tiny") continue;
    RequireOk(SetAlias(directory.path(), "tiny", "prod", version),
              "an alias can be set");
  }
  const std::string german = "die katze ist klein hund";
  const std::string english = "the cat is small dog";
  PublishTranslationModel(directory.path(), "de-en", german, english);
  PublishTranslationModel(directory.path(), "en-de", english, german);
  PublishTagger(directory.path(), "tagger", english);
  PublishClassifier(directory.path(), "classifier", english);
  PublishReranker(directory.path());
  auto store = ModelStore::Open(directory.path());
  RequireOk(store.status(), "the fuzzers' store can be opened");
  Require((*store)->refused().empty(), "the fuzzers' models are served");
  return *std::move(store);
}

}  // namespace

const std::vector<FuzzModel>& FuzzModels() {
  static const auto& models = *new std::vector<FuzzModel>{
      FromArpa("tiny", std::string(TinyArpa())),
      // Has words of probability 0 and a weight of 0.
      FromArpa("tiny.words",
               absl::StrReplaceAll(
                   TinyArpa(),
                   {{"-1.5", "-99"}, {"-1.1", "-inf"}, {"-0.35\n", "-99\n"}})),
      Trained("kneser-ney", "modified-kneser-ney", 4),
      Trained("additive", "additive", 3),
      Trained("stupid", "stupid-back-off", 3),
      Trained("unigram", "modified-kneser-ney", 1),
  };
  return models;
}

TestModel FuzzNetwork() {
  RecurrentNetworkOptions options;
  options.embedding = 3;
  options.stack.cell = Cell::kLstm;
  options.stack.units = 5;
  return RecurrentTestModel(VocabularyOf("the cat is small dog"), options,
                            Precision::kFloat);
}

ModelStore& FuzzAdminStore() {
  static const TemporaryDirectory& directory = *new TemporaryDirectory;
  static ModelStore& store = *[] {
    for (int version = 1; version <= 2; ++version) {
      PublishModel(directory.path(), FuzzModels().front());
    }
    auto opened = ModelStore::Open(directory.path());
    RequireOk(opened.status(), "the fuzzers' store can be opened");
    return opened->release();
  }();
  return store;
}

void LoadAdminModel() {
  std::promise<absl::Status> done;
  FuzzAdminStore().Load(
      "tiny", 1, [&](const absl::Status& status) { done.set_value(status); });
  RequireOk(done.get_future().get(), "a version can be loaded again");
}

const ModelStore& FuzzStore() {
  static const ModelStore& store = *OpenStore().release();
  return store;
}

}  // namespace lmserve
