// SPDX-License-Identifier: Apache-2.0
//
// Measures how well models use the distant beginning of a text: which thing
// goes with the role at the start of a sentence, and whom a person greets. The
// words in between are independent of the answer, so a model that sees only the
// last four words can only guess.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "models/neural/recurrent_model.h"
#include "models/neural/window_model.h"
#include "models/text.h"
#include "tests/testing/ngram_models.h"
#include "trainer/demo/demo_corpus.h"
#include "trainer/neural/network_trainer.h"
#include "trainer/neural/publish_network.h"
#include "trainer/text/corpus.h"

namespace lmserve {
namespace {

constexpr int kSentences = 40'000;
constexpr int kProbes = 500;

// Returns those sentences of the demo corpus that have a long-distance
// dependency. The others would only make the training slower.
std::string FarText(int sentences, uint64_t seed) {
  DemoCorpus corpus(seed);
  std::string text;
  for (int i = 0; i < sentences; ++i) {
    const std::string sentence = corpus.Next();
    if (absl::StrContains(sentence, " their ") ||
        absl::StrContains(sentence, " said hi to ")) {
      absl::StrAppend(&text, sentence, "\n");
    }
  }
  return text;
}

Corpus ReadFar(int sentences, uint64_t seed) {
  Progress quiet("", /*quiet=*/true);
  const auto lines = LineReader::FromString(FarText(sentences, seed));
  CorpusOptions options;
  options.min_count = 3;
  return ReadCorpus(*lines, options, quiet).value();
}

// Returns the fraction of probes for which the right word is more probable than
// all wrong ones. Probes with unknown words are ignored.
double Accuracy(const LanguageModel& model,
                const std::function<DemoCorpus::Probe()>& next) {
  const Vocabulary& vocabulary = model.vocabulary();
  std::vector<std::byte> state(model.state_size());
  std::vector<float> log_probs(vocabulary.size());
  int right = 0, asked = 0;
  for (int i = 0; i < kProbes; ++i) {
    const DemoCorpus::Probe probe = next();
    if (!vocabulary.Contains(probe.right)) continue;
    std::vector<WordId> words;
    for (absl::string_view word : SplitWords(probe.context)) {
      words.push_back(vocabulary.Find(word));
    }
    model.Start(state.data());
    const LanguageModel::Query read = {state.data(), words, state.data(), {}};
    model.Score({&read, 1});
    const std::byte* row = state.data();
    model.Distribution({&row, 1}, log_probs.data());
    bool best = true;
    for (const std::string& wrong : probe.wrong) {
      best &= log_probs[vocabulary.Find(probe.right)] >
              log_probs[vocabulary.Find(wrong)];
    }
    right += best;
    ++asked;
  }
  return static_cast<double>(right) / asked;
}

// Guessing gives 1/8.
double AgreementAccuracy(const LanguageModel& model) {
  DemoCorpus corpus(3);
  return Accuracy(model, [&] { return corpus.NextProbe(); });
}

// There are eight friends; the answer is not the host, so guessing gives 1/7.
double GreetingAccuracy(const LanguageModel& model) {
  DemoCorpus corpus(4);
  return Accuracy(model, [&] { return corpus.NextGreetingProbe(); });
}

struct Trained {
  std::string bytes;
  std::unique_ptr<LanguageModel> model;
};

std::unique_ptr<BatchSource> MakeBatches(const Corpus& corpus) {
  BatchOptions options;
  options.streams = 16;
  options.steps = 25;
  return MakeSentenceBatches(corpus.words, corpus.vocabulary.begin_sentence(),
                             corpus.vocabulary.end_sentence(), options);
}

template <typename Model>
Trained Train(const Corpus& corpus,
              const std::function<std::unique_ptr<Network<float>>()>& make,
              BatchSource& batches, uint64_t epochs, double learning_rate) {
  TrainingOptions options;
  options.epochs = epochs;
  options.optimizer = OptimizerKind::kAdam;
  options.learning_rate = learning_rate;
  options.clip = 1;
  options.decay = 0.5;
  const TrainedNetwork trained =
      TrainNetwork(make, batches, batches, options).value();
  const auto network = make();
  Trained result;
  result.bytes =
      MakeWeightsFile(network->layout(), trained.values, network->Metadata());
  result.model =
      Model::Create(
          Vocabulary::Parse(std::string(corpus.vocabulary.text())).value(),
          result.bytes)
          .value();
  return result;
}

struct Recipe {
  Cell cell;
  Activation activation = Activation::kTanh;
  bool identity = false;
  uint64_t epochs = 8;
  double learning_rate = 0.005;
};

Trained TrainRecurrent(const Corpus& corpus, const Recipe& recipe) {
  RecurrentNetworkOptions options;
  options.vocabulary = corpus.vocabulary.size();
  options.never = corpus.vocabulary.begin_sentence();
  options.embedding = 64;
  options.stack.cell = recipe.cell;
  options.stack.activation = recipe.activation;
  options.stack.units = 100;
  options.identity = recipe.identity;
  options.initial_range = 1;  // small embeddings do not learn the names
  return Train<RecurrentModel>(
      corpus, [&] { return MakeRecurrentNetwork<float>(options); },
      *MakeBatches(corpus), recipe.epochs, recipe.learning_rate);
}

Trained TrainWindow(const Corpus& corpus) {
  WindowNetworkOptions options;
  options.vocabulary = corpus.vocabulary.size();
  options.never = corpus.vocabulary.begin_sentence();
  options.embedding = 32;
  options.hidden = 64;
  BatchOptions batches;
  batches.streams = 256;
  return Train<WindowModel>(
      corpus, [&] { return MakeWindowNetwork<float>(options); },
      *MakeWindowBatches(corpus.words, corpus.vocabulary.begin_sentence(),
                         options.window, batches),
      4, 0.005);
}

TEST(LongContext, ShortContextsAreNotEnough) {
  const TrainedNgramModel ngram = TrainModel(FarText(kSentences, 1), 5);
  const Trained window = TrainWindow(ReadFar(kSentences, 1));
  for (const LanguageModel* model :
       {static_cast<const LanguageModel*>(ngram.model.get()),
        static_cast<const LanguageModel*>(window.model.get())}) {
    EXPECT_NEAR(AgreementAccuracy(*model), 1.0 / 8, 0.1);
    EXPECT_NEAR(GreetingAccuracy(*model), 1.0 / 7, 0.1);
  }
}

TEST(LongContext, GruReachesBack) {
  const Trained gru =
      TrainRecurrent(ReadFar(kSentences, 1), {.cell = Cell::kGru});
  // 0.974 to 1, depending on the instruction set of the matrix products.
  EXPECT_GE(AgreementAccuracy(*gru.model), 0.95);
  EXPECT_GE(GreetingAccuracy(*gru.model), 0.95);
}

TEST(LongContext, LstmReachesBack) {
  const Trained lstm =
      TrainRecurrent(ReadFar(kSentences, 1), {.cell = Cell::kLstm});
  EXPECT_GE(AgreementAccuracy(*lstm.model), 0.98);
  EXPECT_GE(GreetingAccuracy(*lstm.model), 0.98);
}

// Le et al. 2015: ReLU with W_hh initialized to the identity prevents vanishing
// gradients.
TEST(LongContext, IdentityReluReachesFartherThanSigmoid) {
  const Corpus corpus = ReadFar(kSentences, 1);
  Recipe recipe = {.cell = Cell::kRnn, .activation = Activation::kSigmoid};
  recipe.learning_rate = 0.001;
  recipe.epochs = 4;
  const double sigmoid =
      AgreementAccuracy(*TrainRecurrent(corpus, recipe).model);
  recipe.activation = Activation::kRelu;
  recipe.identity = true;
  const double identity_relu =
      AgreementAccuracy(*TrainRecurrent(corpus, recipe).model);
  EXPECT_GT(identity_relu, sigmoid + 0.2);
}

}  // namespace
}  // namespace lmserve
