// SPDX-License-Identifier: Apache-2.0
//
// The contract of LanguageModel: one test suite, run over small models of every
// family. A new family must be added to Cases() and pass the suite.

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <ostream>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model_store/loaded_version.h"
#include "model_store/publish.h"
#include "models/hidden_state_model.h"
#include "models/language_model.h"
#include "models/neural/network_weights.h"
#include "models/ngram/ngram_set.h"
#include "models/text.h"
#include "tests/testing/naive_ngram.h"
#include "tests/testing/neural_models.h"
#include "tests/testing/ngram_models.h"
#include "tests/testing/temporary_directory.h"
#include "tests/testing/test_model.h"

namespace lmserve {
namespace {

constexpr int kSentences = 400;

// Computes P(word | history) with a simple implementation. Histories begin with
// <s>.
using Words = std::vector<std::string>;
using State = std::vector<std::byte>;
using Reference =
    std::function<double(const Words& history, const std::string& word)>;

struct Case {
  std::string name;
  // Texts to score, one per line, with known and unknown words.
  std::string text;
  std::function<TestModel()> make;
  bool normalized = true;  // whether the probabilities sum to 1
  // Makes the naive reference that the model must agree with; null: none.
  std::function<Reference(const TestModel&)> reference = nullptr;
  double tolerance = 1e-5;  // relative to the probability of the reference

  friend void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }
};

std::vector<std::string> Lines(const std::string& text) {
  return absl::StrSplit(text, '\n', absl::SkipEmpty());
}

// The text on which the n-gram models are trained.
std::string TrainingText() { return DemoText(kSentences, 1); }

Reference NgramReference(const std::string& method, int order) {
  std::vector<Words> training;
  for (const std::string& line : Lines(TrainingText())) {
    const std::vector<absl::string_view> words = SplitWords(line);
    training.emplace_back(words.begin(), words.end());
  }
  const auto naive = std::make_shared<NaiveNgram>(training, order, method);
  return [naive](const Words& history, const std::string& word) {
    return naive->Probability(history, word);
  };
}

TestModel MakeNgram(const std::string& method, int order,
                    const std::vector<uint32_t>& prune = {}) {
  EstimateOptions options;
  options.smoothing.method = method;
  options.prune = prune;
  return NgramTestModel(TrainModel(TrainingText(), order, options));
}

Case NgramCase(const std::string& method, int order,
               const std::vector<uint32_t>& prune = {}) {
  Case c;
  c.name = "ngram_" + method + "_" + std::to_string(order) +
           (prune.empty() ? "" : "_pruned");
  std::replace(c.name.begin(), c.name.end(), '-', '_');
  c.text = DemoText(30, 2);
  c.make = [=] { return MakeNgram(method, order, prune); };
  c.normalized = method != "stupid-back-off";
  if (prune.empty()) {
    c.reference = [=](const TestModel&) {
      return NgramReference(method, order);
    };
  }
  return c;
}

// The same models in the compact layout.
Case CompactCase(const std::string& method, int order) {
  Case c = NgramCase(method, order);
  c.name += "_compact";
  c.make = [=] {
    EstimateOptions options;
    options.smoothing.method = method;
    return CompactTestModel(TrainingText(), order, options);
  };
  return c;
}

// A case of a model in the fast layout, in the compact layout with values.
Case ValueCase(Case c, const std::function<TableModel()>& make_table,
               int quantize_bits = 0) {
  c.name += "_values";
  if (quantize_bits > 0) {
    c.name += std::to_string(quantize_bits);
    c.normalized = false;
    c.reference = nullptr;
  }
  c.make = [=] { return ValueTestModel(make_table(), quantize_bits); };
  return c;
}

Case ValueCase(const std::string& method, int order,
               const std::vector<uint32_t>& prune = {}, int quantize_bits = 0) {
  return ValueCase(
      NgramCase(method, order, prune),
      [=] {
        EstimateOptions options;
        options.smoothing.method = method;
        options.prune = prune;
        return TrainTable(TrainingText(), order, options);
      },
      quantize_bits);
}

Case ArpaCase() {
  Case c;
  c.name = "ngram_arpa";
  c.text = "the cat is small\na dog barks\nthe zebra is cat\nis is </s>";
  c.text = c.text.substr(0, c.text.rfind('\n'));
  c.make = [] { return NgramTestModel(BuildFromArpa(TinyArpa())); };
  c.normalized = false;  // its probabilities do not sum to 1
  return c;
}

// A member of a mixture of n-gram models.
struct Share {
  std::string method;
  int order;
  double weight;
};

TestModel MakeMixture(const std::vector<Share>& shares) {
  std::vector<TestModel> members;
  std::vector<double> weights;
  for (const Share& share : shares) {
    members.push_back(MakeNgram(share.method, share.order));
    weights.push_back(share.weight);
  }
  return MixtureTestModel(std::move(members), weights);
}

Reference MixtureReference(const std::vector<Share>& shares) {
  std::vector<Reference> members;
  members.reserve(shares.size());
  for (const Share& share : shares) {
    members.push_back(NgramReference(share.method, share.order));
  }
  return [=](const Words& history, const std::string& word) {
    double sum = 0;
    for (size_t m = 0; m < shares.size(); ++m) {
      sum += shares[m].weight * members[m](history, word);
    }
    return sum;
  };
}

Case MixtureCase(const std::string& name, const std::vector<Share>& shares) {
  Case c;
  c.name = "mixture_" + name;
  c.text = DemoText(30, 2);
  c.make = [=] { return MakeMixture(shares); };
  c.reference = [=](const TestModel&) { return MixtureReference(shares); };
  return c;
}

// A mixture whose members are a model with a state of 8 bytes and a mixture.
Case NestedMixtureCase() {
  Case c;
  c.name = "mixture_nested";
  c.text = DemoText(30, 2);
  c.make = [] {
    std::vector<TestModel> members;
    members.push_back(MakeNgram("stupid-back-off", 3));
    members.push_back(MakeMixture({{"witten-bell", 2, 0.5}, {"katz", 4, 0.5}}));
    return MixtureTestModel(std::move(members), {0.25, 0.75});
  };
  c.normalized = false;
  return c;
}

void AddMixtureCases(std::vector<Case>* cases) {
  cases->push_back(MixtureCase(
      "pair", {{"modified-kneser-ney", 5, 0.625}, {"witten-bell", 2, 0.375}}));
  // Some words have probability 0 in one member, some in both.
  cases->push_back(MixtureCase("infinities", {{"maximum-likelihood", 3, 0.1},
                                              {"maximum-likelihood", 1, 0.9}}));
  cases->push_back(MixtureCase(
      "zero", {{"katz", 3, 0.2}, {"additive", 2, 0}, {"witten-bell", 3, 0.8}}));
  cases->push_back(MixtureCase("single", {{"witten-bell", 3, 1}}));
  cases->push_back(NestedMixtureCase());
}

constexpr Precision kPrecisions[] = {Precision::kFloat, Precision::kBf16,
                                     Precision::kInt8};

// The tolerance for a network whose weights have the given precision. The
// reference has the rounded weights, but the model may round their inputs, too
// (linear.h).
double Tolerance(Precision precision) {
  switch (precision) {
    case Precision::kFloat:
      return 1e-5;
    case Precision::kBf16:
      return 0.02;
    case Precision::kInt8:
      return 0.05;
  }
  return 0;
}

// Returns a reference for a network, which needs the ids of words.
template <typename Options>
Reference NetworkReference(NaiveNetwork (*make)(const TestModel&, Options),
                           const TestModel& served, const Options& options) {
  const auto network = std::make_shared<NaiveNetwork>(make(served, options));
  const Vocabulary* vocabulary = &served.model->vocabulary();
  return [=](const Words& history, const std::string& word) {
    std::vector<WordId> ids;
    for (const std::string& known : history) {
      ids.push_back(vocabulary->Find(known));
    }
    return std::exp(network->LogProbability(ids, vocabulary->Find(word)));
  };
}

// Returns options for a network with a plain, a tied or an adaptive output, or
// one that is both.
RecurrentNetworkOptions RecurrentOptions(Cell cell, Activation activation,
                                         size_t layers, bool tied,
                                         bool adaptive) {
  RecurrentNetworkOptions options;
  options.stack.cell = cell;
  options.stack.activation = activation;
  options.stack.layers = layers;
  options.stack.units = 11;
  options.tied = tied;
  options.embedding = tied ? options.stack.units : 6;
  if (adaptive) options.cutoffs = {8, 40};
  return options;
}

Case RecurrentCase(const std::string& name,
                   const RecurrentNetworkOptions& options,
                   Precision precision) {
  Case c;
  c.name = absl::StrCat("recurrent_", name, "_", options.stack.layers,
                        options.tied ? "_tied" : "",
                        options.cutoffs.empty() ? "" : "_adaptive", "_",
                        PrecisionName(precision));
  c.text = DemoText(10, 2);
  c.make = [=] {
    return RecurrentTestModel(VocabularyOf(TrainingText()), options, precision);
  };
  c.reference = [=](const TestModel& served) {
    return NetworkReference(&NaiveNetwork::Recurrent, served, options);
  };
  c.tolerance = Tolerance(precision);
  return c;
}

WindowNetworkOptions WindowOptions(size_t window, bool direct, bool adaptive) {
  WindowNetworkOptions options;
  options.embedding = 6;
  options.hidden = 11;
  options.window = window;
  options.direct = direct;
  if (adaptive) options.cutoffs = {8, 40};
  return options;
}

Case WindowCase(const WindowNetworkOptions& options, Precision precision) {
  Case c;
  c.name =
      absl::StrCat("window_", options.window, options.direct ? "_direct" : "",
                   options.cutoffs.empty() ? "" : "_adaptive", "_",
                   PrecisionName(precision));
  c.text = DemoText(10, 2);
  c.make = [=] {
    return WindowTestModel(VocabularyOf(TrainingText()), options, precision);
  };
  c.reference = [=](const TestModel& served) {
    return NetworkReference(&NaiveNetwork::Window, served, options);
  };
  c.tolerance = Tolerance(precision);
  return c;
}

// Adds every combination of cell, number of layers and precision. The kind of
// output alternates between them, except that a two-layer LSTM has all kinds.
void AddRecurrentCases(std::vector<Case>* cases) {
  struct Kind {
    std::string name;
    Cell cell;
    Activation activation = Activation::kTanh;
  };
  size_t number = 0;
  for (const Kind& kind :
       {Kind{"sigmoid", Cell::kRnn, Activation::kSigmoid},
        Kind{"tanh", Cell::kRnn}, Kind{"relu", Cell::kRnn, Activation::kRelu},
        Kind{"gru", Cell::kGru}, Kind{"lstm", Cell::kLstm}}) {
    for (size_t layers : {1, 2, 3}) {
      for (Precision precision : kPrecisions) {
        for (size_t output = 0; output < 4; ++output) {
          const bool is_turn = output == number % 4;
          if (!is_turn && !(kind.name == "lstm" && layers == 2)) continue;
          cases->push_back(
              RecurrentCase(kind.name,
                            RecurrentOptions(kind.cell, kind.activation, layers,
                                             output % 2 == 1, output >= 2),
                            precision));
        }
        ++number;
      }
    }
  }
}

void AddWindowCases(std::vector<Case>* cases) {
  for (Precision precision : kPrecisions) {
    for (bool direct : {false, true}) {
      cases->push_back(WindowCase(WindowOptions(3, direct, false), precision));
      cases->push_back(WindowCase(WindowOptions(2, direct, true), precision));
    }
  }
  cases->push_back(
      WindowCase(WindowOptions(1, true, false), Precision::kFloat));
}

// Adds the decoders of translation models that have read a source: for every
// cell, each extension alone and all of them together.
void AddTranslationCases(std::vector<Case>* cases) {
  using Options = TranslationNetworkOptions;
  const auto add = [&](const std::string& name, Cell cell, Precision precision,
                       const std::function<void(Options*)>& change) {
    Options options;
    options.embedding = 6;
    options.units = 11;
    options.cell = cell;
    change(&options);
    Case c;
    c.name = absl::StrCat("translation_", name, "_", CellName(cell), "_",
                          PrecisionName(precision));
    c.text = DemoText(10, 2);
    c.make = [=] {
      return TranslationTestModel(VocabularyOf("a b c d e f g"),
                                  VocabularyOf(TrainingText()), options,
                                  precision);
    };
    c.reference = [=](const TestModel& served) {
      return NetworkReference(&NaiveNetwork::Translation, served, options);
    };
    c.tolerance = 2 * Tolerance(precision);  // errors of encoder and decoder
    cases->push_back(c);
  };
  for (Cell cell : {Cell::kRnn, Cell::kGru, Cell::kLstm}) {
    add("plain", cell, Precision::kFloat, [](Options* o) {
      o->shared = true;
      o->reads_word = false;
    });
    add("shared", cell, Precision::kFloat, [](Options* o) {
      o->shared = true;
      o->layers = 2;
    });
    add("separate", cell, Precision::kFloat,
        [](Options* o) { o->reads_word = false; });
    add("word", cell, Precision::kFloat, [](Options*) {});
    add("context", cell, Precision::kFloat, [](Options* o) {
      o->reads_word = false;
      o->reads_context = true;
    });
    add("word_context", cell, Precision::kFloat,
        [](Options* o) { o->reads_context = true; });
    add("deep", cell, Precision::kFloat, [](Options* o) { o->layers = 3; });
    add("bidirectional", cell, Precision::kFloat,
        [](Options* o) { o->bidirectional = true; });
    add("reverse", cell, Precision::kFloat,
        [](Options* o) { o->reverse_source = true; });
    add("attention", cell, Precision::kFloat,
        [](Options* o) { o->attention = true; });
    for (Precision precision : kPrecisions) {
      add("everything", cell, precision, [](Options* o) {
        o->layers = 2;
        o->reads_context = true;
        o->bidirectional = true;
        o->reverse_source = true;
        o->attention = true;
        o->embedding = o->units;
        o->tied = true;
        o->cutoffs = {8, 40};
      });
    }
  }
}

// A mixture of an n-gram model and two networks.
Case NeuralMixtureCase() {
  const RecurrentNetworkOptions lstm =
      RecurrentOptions(Cell::kLstm, Activation::kTanh, 2, false, false);
  const WindowNetworkOptions window = WindowOptions(3, true, false);
  const std::vector<double> weights = {0.5, 0.3, 0.2};
  Case c;
  c.name = "mixture_neural";
  c.text = DemoText(10, 2);
  const auto make_lstm = [=] {
    return RecurrentTestModel(VocabularyOf(TrainingText()), lstm,
                              Precision::kFloat);
  };
  const auto make_window = [=] {
    return WindowTestModel(VocabularyOf(TrainingText()), window,
                           Precision::kFloat);
  };
  c.make = [=] {
    std::vector<TestModel> members;
    members.push_back(MakeNgram("modified-kneser-ney", 3));
    members.push_back(make_lstm());
    members.push_back(make_window());
    return MixtureTestModel(std::move(members), weights);
  };
  c.reference = [=](const TestModel&) -> Reference {
    // The references use the vocabularies of these models: keep them alive.
    const auto lstm_model = std::make_shared<TestModel>(make_lstm());
    const auto window_model = std::make_shared<TestModel>(make_window());
    const Reference members[] = {
        NgramReference("modified-kneser-ney", 3),
        NetworkReference(&NaiveNetwork::Recurrent, *lstm_model, lstm),
        NetworkReference(&NaiveNetwork::Window, *window_model, window)};
    return [=](const Words& history, const std::string& word) {
      static_cast<void>(lstm_model);
      static_cast<void>(window_model);
      double sum = 0;
      for (size_t m = 0; m < weights.size(); ++m) {
        sum += weights[m] * members[m](history, word);
      }
      return sum;
    };
  };
  return c;
}

// Returns a reference for the caches of a model. `hidden` returns the state
// from which the word after a history is predicted; null: there is no
// continuous cache.
using Hidden = std::function<std::vector<float>(const Words& history)>;

Reference CacheReference(const Reference& member, const Hidden& hidden,
                         const CacheOptions& options) {
  return [=](const Words& history, const std::string& word) {
    const double p = member(history, word);
    const size_t size = history.size();
    double mixed = p;
    for (const Cache& cache : options.caches) {
      // history[0] is <s>.
      const size_t begin =
          std::max<size_t>(1, size - std::min(size, options.history));
      double hits = 0, total = 0;
      for (size_t i = begin; i < size; ++i) {
        double k = 0;
        if (cache.kind == CacheKind::kContinuous) {
          const std::vector<float> now = hidden(history);
          const std::vector<float> then =
              hidden({history.begin(), history.begin() + i});
          for (size_t u = 0; u < now.size(); ++u) {
            k += double{now[u]} * then[u];
          }
          k = std::exp(cache.theta * k);
        } else {
          const size_t context = cache.order - 1;
          if (i < begin + context ||
              !std::equal(history.begin() + (i - context), history.begin() + i,
                          history.end() - context)) {
            continue;
          }
          k = std::pow(cache.decay, size - 1 - i);
        }
        total += k;
        if (history[i] == word) hits += k;
      }
      mixed += cache.weight * ((total > 0 ? hits / total : p) - p);
    }
    return mixed;
  };
}

// Adds caches to the model of a case. The texts are longer than the history.
Case CacheCase(const std::string& name, Case member,
               const CacheOptions& options) {
  Case c = member;
  c.name = "cache_" + name + "_" + member.name;
  c.text = absl::StrReplaceAll(DemoText(8, 2), {{"\n", " "}});
  c.text += "\n" + DemoText(6, 3);
  c.make = [=] { return CacheTestModel(member.make(), options); };
  if (member.reference == nullptr) return c;
  c.reference = [=](const TestModel&) -> Reference {
    // The references use the model: keep it alive.
    const auto model = std::make_shared<TestModel>(member.make());
    const HiddenStateModel* states = model->model->hidden_states();
    const auto known = std::make_shared<std::map<Words, std::vector<float>>>();
    const Hidden hidden = [=](const Words& history) {
      std::vector<float>& h = (*known)[history];
      if (!h.empty()) return h;
      State state(model->model->state_size());
      model->model->Start(state.data());
      std::vector<WordId> words;
      for (size_t i = 1; i < history.size(); ++i) {
        words.push_back(model->model->vocabulary().Find(history[i]));
      }
      model->model->Score({{state.data(), words, state.data(), {}}});
      h.resize(states->hidden_size());
      states->CopyHidden(state.data(), h.data());
      return h;
    };
    return CacheReference(member.reference(*model), hidden, options);
  };
  return c;
}

void AddCacheCases(std::vector<Case>* cases) {
  const Cache unigrams = {
      .kind = CacheKind::kNgram, .weight = 0.3, .order = 1, .decay = 0.9};
  const Cache bigrams = {
      .kind = CacheKind::kNgram, .weight = 0.2, .order = 2, .decay = 1};
  const Cache similar = {
      .kind = CacheKind::kContinuous, .weight = 0.25, .theta = 1.5};
  for (size_t history : {6, 500}) {
    const std::string size = std::to_string(history);
    const CacheOptions words = {.history = history,
                                .caches = {unigrams, bigrams}};
    const CacheOptions places = {.history = history, .caches = {similar}};
    const CacheOptions all = {.history = history,
                              .caches = {bigrams, similar, unigrams}};
    CacheOptions rounded = all;
    rounded.keys = Precision::kBf16;
    cases->push_back(
        CacheCase(size, NgramCase("modified-kneser-ney", 3), words));
    cases->push_back(CacheCase(
        size, WindowCase(WindowOptions(3, true, false), Precision::kFloat),
        words));
    for (Cell cell : {Cell::kRnn, Cell::kGru, Cell::kLstm}) {
      cases->push_back(CacheCase(
          size,
          RecurrentCase(
              std::string(CellName(cell)),
              RecurrentOptions(cell, Activation::kTanh, 2, false, false),
              Precision::kFloat),
          cell == Cell::kLstm ? all : places));
    }
    const RecurrentNetworkOptions tied =
        RecurrentOptions(Cell::kLstm, Activation::kTanh, 1, true, true);
    cases->push_back(CacheCase(size + "_bf16",
                               RecurrentCase("lstm", tied, Precision::kBf16),
                               rounded));
    cases->back().tolerance = 0.05;
  }
  // A cache over a mixture, and one in a mixture.
  cases->push_back(CacheCase(
      "6", MixtureCase("pair", {{"katz", 3, 0.5}, {"witten-bell", 2, 0.5}}),
      {.history = 6, .caches = {unigrams}}));
  Case inside;
  inside.name = "mixture_of_cache";
  inside.text = DemoText(10, 2);
  inside.make = [=] {
    std::vector<TestModel> members;
    members.push_back(CacheTestModel(MakeNgram("witten-bell", 3),
                                     {.history = 6, .caches = {bigrams}}));
    members.push_back(MakeNgram("katz", 2));
    return MixtureTestModel(std::move(members), {0.75, 0.25});
  };
  cases->push_back(inside);
}

std::vector<Case> Cases() {
  std::vector<Case> cases = {ArpaCase()};
  cases.push_back(
      ValueCase(ArpaCase(), [] { return TableFromArpa(TinyArpa()); }));
  for (absl::string_view method : SmoothingMethods()) {
    for (int order : {1, 2, 3, 5, 8}) {
      cases.push_back(NgramCase(std::string(method), order));
    }
    // The highest order of files with the short header, and the first and the
    // last one of files with the long header.
    for (int order : {16, 17, kMaxNgramOrder}) {
      cases.push_back(NgramCase(std::string(method), order));
    }
    if (method == "modified-kneser-ney" || method == "witten-bell") {
      for (int order : {1, 2, 3, 5, 8, kMaxNgramOrder}) {
        cases.push_back(CompactCase(std::string(method), order));
      }
    }
    for (int order : {1, 2, 3, 5, kMaxNgramOrder}) {
      cases.push_back(ValueCase(std::string(method), order));
    }
    cases.push_back(ValueCase(std::string(method), 4, {0, 0, 1}));
    cases.push_back(ValueCase(std::string(method), 4, {}, 8));
    cases.push_back(ValueCase(std::string(method), 3, {0, 1, 2}, 3));
    cases.push_back(NgramCase(std::string(method), 4, {0, 0, 1}));
    cases.push_back(NgramCase(std::string(method), 3, {0, 1, 2}));
    cases.back().name += "_hard";
  }
  AddMixtureCases(&cases);
  AddRecurrentCases(&cases);
  AddWindowCases(&cases);
  AddTranslationCases(&cases);
  cases.push_back(NeuralMixtureCase());
  AddCacheCases(&cases);
  return cases;
}

class ConformanceTest : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    for (const std::string& line : Lines(GetParam().text)) {
      std::vector<WordId> sentence;
      for (absl::string_view word : SplitWords(line)) {
        sentence.push_back(vocabulary().Find(word));
      }
      sentence.push_back(vocabulary().end_sentence());
      sentences_.push_back(sentence);
    }
  }

  const LanguageModel& model() const { return *made_.model; }
  const Vocabulary& vocabulary() const { return model().vocabulary(); }

  State Start() const {
    State state(model().state_size());
    model().Start(state.data());
    return state;
  }

  // Scores words and advances the state.
  std::vector<float> Score(State* state, absl::Span<const WordId> words) const {
    std::vector<float> log_probs(words.size());
    const LanguageModel::Query query = {state->data(), words, state->data(),
                                        absl::MakeSpan(log_probs)};
    model().Score({&query, 1});
    return log_probs;
  }

  std::vector<float> Distribution(const State& state) const {
    std::vector<float> log_probs(vocabulary().size());
    const std::byte* row = state.data();
    model().Distribution({&row, 1}, log_probs.data());
    return log_probs;
  }

  // Calls visit(state) for the state before each word of the sentences.
  void ForEachState(const std::function<void(const State&)>& visit) const {
    for (const std::vector<WordId>& sentence : sentences_) {
      State state = Start();
      for (const WordId& word : sentence) {
        visit(state);
        Score(&state, {&word, 1});
      }
    }
  }

  // Scores each sentence in a batch of its own.
  std::vector<std::vector<float>> ScoreEach() const {
    std::vector<std::vector<float>> all;
    for (const std::vector<WordId>& sentence : sentences_) {
      State state = Start();
      all.push_back(Score(&state, sentence));
    }
    return all;
  }

  const TestModel made_ = GetParam().make();
  std::vector<std::vector<WordId>> sentences_;
};

// Compares bits rather than numbers, so that NaN equals NaN, but -0 differs
// from 0.
bool SameBits(absl::Span<const float> a, absl::Span<const float> b) {
  return a.size() == b.size() &&
         std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

// Runs on the models whose probabilities sum to 1.
class NormalizedModelTest : public ConformanceTest {};

TEST_P(NormalizedModelTest, DistributionSumsToOne) {
  ForEachState([this](const State& state) {
    double sum = 0;
    for (float log_prob : Distribution(state)) {
      sum += std::exp(double{log_prob});
    }
    ASSERT_NEAR(sum, 1, 1e-5);
  });
}

TEST_P(ConformanceTest, BeginOfSentenceIsNeverPredicted) {
  ForEachState([this](const State& state) {
    ASSERT_EQ(Distribution(state)[vocabulary().begin_sentence()],
              -std::numeric_limits<float>::infinity());
  });
}

TEST_P(ConformanceTest, ScoreEqualsDistribution) {
  ForEachState([this](const State& state) {
    const std::vector<float> log_probs = Distribution(state);
    std::vector<WordId> words;
    for (WordId w = 0; w < vocabulary().size(); w += 7) words.push_back(w);
    std::vector<float> found(words.size());
    std::vector<LanguageModel::Query> batch;
    for (size_t i = 0; i < words.size(); ++i) {
      batch.push_back({state.data(), {&words[i], 1}, nullptr, {&found[i], 1}});
    }
    model().Score(batch);
    for (size_t i = 0; i < words.size(); ++i) {
      ASSERT_TRUE(SameBits({&found[i], 1}, {&log_probs[words[i]], 1}))
          << vocabulary().word(words[i]);
    }
  });
}

TEST_P(ConformanceTest, SplitEqualsWhole) {
  for (const std::vector<WordId>& sentence : sentences_) {
    State whole = Start();
    const std::vector<float> expected = Score(&whole, sentence);
    for (size_t cut = 0; cut <= sentence.size(); ++cut) {
      const auto words = absl::MakeConstSpan(sentence);
      State state = Start();
      std::vector<float> found = Score(&state, words.first(cut));
      const std::vector<float> rest = Score(&state, words.subspan(cut));
      found.insert(found.end(), rest.begin(), rest.end());
      ASSERT_TRUE(SameBits(found, expected));
      ASSERT_EQ(state, whole);
    }
  }
}

TEST_P(ConformanceTest, BatchEqualsSingle) {
  const std::vector<std::vector<float>> expected = ScoreEach();
  std::mt19937 random(1);
  for (size_t size : {2, 3, 7, 16, 17, 64, 200}) {
    const State start = Start();
    std::vector<size_t> chosen(size);
    std::vector<std::vector<float>> found(size);
    std::vector<State> states(size, State(model().state_size()));
    std::vector<LanguageModel::Query> batch;
    for (size_t i = 0; i < size; ++i) {
      chosen[i] = random() % sentences_.size();
      const std::vector<WordId>& sentence = sentences_[chosen[i]];
      found[i].resize(sentence.size());
      batch.push_back(
          {start.data(), sentence, states[i].data(), absl::MakeSpan(found[i])});
    }
    model().Score(batch);
    for (size_t i = 0; i < size; ++i) {
      State state = start;
      Score(&state, sentences_[chosen[i]]);
      ASSERT_TRUE(SameBits(found[i], expected[chosen[i]]));
      ASSERT_EQ(states[i], state);
    }
  }
}

TEST_P(ConformanceTest, StateMovesWithoutScores) {
  for (const std::vector<WordId>& sentence : sentences_) {
    State expected = Start();
    Score(&expected, sentence);
    State state = Start();
    const LanguageModel::Query moves = {
        state.data(), sentence, state.data(), {}};
    model().Score({&moves, 1});
    ASSERT_EQ(state, expected);
    const LanguageModel::Query stays = {expected.data(), {}, state.data(), {}};
    model().Score({&stays, 1});
    ASSERT_EQ(state, expected);
  }
}

TEST_P(ConformanceTest, TopKEqualsSortedDistribution) {
  const size_t size = vocabulary().size();
  int visited = 0;
  ForEachState([&](const State& state) {
    if (visited++ % 5 != 0) return;
    const std::vector<float> log_probs = Distribution(state);
    std::vector<ScoredWord> expected;
    for (WordId w = 0; w < size; ++w) expected.push_back({w, log_probs[w]});
    std::sort(expected.begin(), expected.end(), Likelier);
    for (size_t k :
         {size_t{1}, size_t{2}, size_t{10}, size / 3, size - 1, size}) {
      if (k == 0 || k > size) continue;
      std::vector<ScoredWord> best(k);
      const std::byte* row = state.data();
      model().TopK({&row, 1}, k, absl::MakeSpan(best));
      for (size_t i = 0; i < k; ++i) {
        ASSERT_EQ(best[i], expected[i]) << "k = " << k << ", i = " << i;
      }
    }
  });
}

// Compares a batch of states with each state alone.
TEST_P(ConformanceTest, RowsOfABatchEqualSingles) {
  const size_t size = vocabulary().size(), k = std::min<size_t>(size, 10);
  std::vector<State> states;
  ForEachState([&](const State& state) {
    if (states.size() < 65) states.push_back(state);
  });
  std::vector<const std::byte*> rows;
  rows.reserve(states.size());
  for (const State& state : states) rows.push_back(state.data());
  std::vector<float> log_probs(rows.size() * size);
  model().Distribution(rows, log_probs.data());
  std::vector<ScoredWord> best(rows.size() * k), alone(k);
  model().TopK(rows, k, absl::MakeSpan(best));
  for (size_t i = 0; i < rows.size(); ++i) {
    ASSERT_TRUE(
        SameBits({&log_probs[i * size], size}, Distribution(states[i])));
    model().TopK({&rows[i], 1}, k, absl::MakeSpan(alone));
    ASSERT_TRUE(std::equal(alone.begin(), alone.end(), &best[i * k]));
  }
}

TEST_P(ConformanceTest, SaveLoadScoreGivesTheSameBits) {
  const TemporaryDirectory store;
  NewVersion version;
  version.family = made_.family;
  version.files = made_.Files();
  version.self_test = {"the cat is small ."};
  ASSERT_EQ(Publish(store.path(), "m", version).value(), 1u);
  const ModelHandle loaded = LoadModel(store.path(), "m", 1).value();
  const TranslationModel* translation = loaded->model().translation();
  const std::unique_ptr<LanguageModel> reading =
      translation == nullptr ? nullptr : ReadTestSource(*translation);
  const LanguageModel* read =
      translation == nullptr ? loaded->model().left_to_right() : reading.get();
  ASSERT_NE(read, nullptr);
  for (const std::vector<WordId>& sentence : sentences_) {
    State expected = Start(), state(read->state_size());
    read->Start(state.data());
    std::vector<float> found(sentence.size());
    const LanguageModel::Query query = {state.data(), sentence, state.data(),
                                        absl::MakeSpan(found)};
    read->Score({&query, 1});
    ASSERT_TRUE(SameBits(found, Score(&expected, sentence)));
    // The state of a translation model has a pointer to the source, which
    // differs between the two models.
    if (translation != nullptr) continue;
    ASSERT_EQ(state, expected);
  }
}

TEST_P(ConformanceTest, EightThreadsOneModel) {
  const std::vector<std::vector<float>> expected = ScoreEach();
  std::vector<std::vector<std::vector<float>>> found(8);
  std::vector<std::thread> threads;
  threads.reserve(found.size());
  for (auto& mine : found) {
    threads.emplace_back([this, &mine] { mine = ScoreEach(); });
  }
  for (std::thread& thread : threads) thread.join();
  for (const auto& mine : found) {
    for (size_t i = 0; i < expected.size(); ++i) {
      ASSERT_TRUE(SameBits(mine[i], expected[i]));
    }
  }
}

// The lengths of the n-grams of a model, found in the list of its n-grams.
class NaiveLengths {
 public:
  explicit NaiveLengths(const NgramSet& model) : model_(model) {
    for (int k = 1; k <= model.order(); ++k) {
      model.ForEach(k, [&](const NgramSet::Ngram& ngram) {
        const std::vector<WordId> words(ngram.words.begin(), ngram.words.end());
        ngrams_.insert(words);
        if (ngram.backoff != 0) contexts_.insert(words);
        contexts_.emplace(words.begin(), words.end() - 1);
      });
    }
  }

  // Returns the length for the last of some words.
  int Of(const std::vector<WordId>& words) const {
    const int found = Longest(words, words.size(), model_.order(), ngrams_);
    if (model_.rule() != UnseenRule::kFloor) return found;
    const int context =
        Longest(words, words.size() - 1, model_.order() - 1, contexts_);
    return found > context ? found : 0;
  }

 private:
  using Set = std::set<std::vector<WordId>>;

  // Returns the length of the longest suffix of the first `size` words that a
  // set has; 0 if it has none.
  static int Longest(const std::vector<WordId>& words, size_t size, int most,
                     const Set& set) {
    const auto end = words.begin() + size;
    for (int k = std::min<int>(most, size); k > 0; --k) {
      if (set.contains({end - k, end})) return k;
    }
    return 0;
  }

  const NgramSet& model_;
  Set ngrams_;
  Set contexts_;  // n-grams that matter for the words after them
};

// In batches, of which only some texts ask for lengths; and word by word.
TEST_P(ConformanceTest, LengthsOfNgrams) {
  const auto* ngrams = dynamic_cast<const NgramSet*>(&model());
  ASSERT_EQ(model().has_ngram_lengths(), ngrams != nullptr);
  if (ngrams == nullptr) return;
  const NaiveLengths naive(*ngrams);
  const std::vector<std::vector<float>> log_probs = ScoreEach();
  const State start = Start();
  std::vector<std::vector<uint8_t>> lengths(sentences_.size());
  std::vector<std::vector<float>> found(sentences_.size());
  std::vector<LanguageModel::Query> batch;
  for (size_t i = 0; i < sentences_.size(); ++i) {
    found[i].resize(sentences_[i].size());
    if (i % 3 != 0) lengths[i].resize(sentences_[i].size());
    batch.push_back({start.data(), sentences_[i], nullptr,
                     absl::MakeSpan(found[i]), absl::MakeSpan(lengths[i])});
  }
  model().Score(batch);
  for (size_t i = 0; i < sentences_.size(); ++i) {
    ASSERT_TRUE(SameBits(found[i], log_probs[i]));
    State state = start;
    std::vector<WordId> read = {vocabulary().begin_sentence()};
    for (size_t t = 0; t < sentences_[i].size(); ++t) {
      const WordId word = sentences_[i][t];
      read.push_back(word);
      const int expected = naive.Of(read);
      if (!lengths[i].empty()) {
        ASSERT_EQ(lengths[i][t], expected);
      }
      uint8_t alone = 99;
      model().Score(
          {{state.data(), {&word, 1}, state.data(), {}, {&alone, 1}}});
      ASSERT_EQ(alone, expected);
    }
  }
}

// Without <s>, a model with n-grams gives a word the probability of its
// unigram, and then reads on.
TEST_P(ConformanceTest, TheEmptyStateHasNoContext) {
  const State untouched(model().state_size(), std::byte{0xAB});
  State empty = untouched;
  if (!model().StartEmpty(empty.data())) {
    EXPECT_EQ(dynamic_cast<const NgramSet*>(&model()), nullptr);
    return;
  }
  const std::vector<float> unigrams = Distribution(empty);
  for (WordId w = 0; w < vocabulary().size(); w += 3) {
    State state = empty;
    const std::vector<float> log_prob = Score(&state, {&w, 1});
    ASSERT_TRUE(SameBits(log_prob, {&unigrams[w], 1}));
  }
  if (const auto* ngrams = dynamic_cast<const NgramSet*>(&model())) {
    ngrams->ForEach(1, [&](const NgramSet::Ngram& ngram) {
      const WordId word = ngram.words[0];
      if (word == vocabulary().begin_sentence()) return;
      EXPECT_FLOAT_EQ(unigrams[word], ngram.log_prob);
    });
  }
  // After <s> the state is that of the start of a text.
  if (model().is_lookup()) {
    State state = empty;
    const WordId begin = vocabulary().begin_sentence();
    Score(&state, {&begin, 1});
    EXPECT_EQ(state, Start());
  }
}

TEST_P(NormalizedModelTest, TheEmptyStateHasADistribution) {
  State empty(model().state_size());
  if (!model().StartEmpty(empty.data())) return;
  double sum = 0;
  for (float log_prob : Distribution(empty)) sum += std::exp(double{log_prob});
  EXPECT_NEAR(sum, 1, 1e-5);
}

// Runs on the models that have a naive reference.
class NaiveReferenceTest : public ConformanceTest {};

TEST_P(NaiveReferenceTest, EqualsNaiveReference) {
  const Reference reference = GetParam().reference(made_);
  for (size_t s = 0; s < 6; ++s) {
    Words history = {"<s>"};
    State state = Start();
    for (const WordId& id : sentences_[s]) {
      const std::string word(vocabulary().word(id));
      const double expected = reference(history, word);
      const double found = std::exp(double{Score(&state, {&id, 1})[0]});
      ASSERT_NEAR(found, expected, GetParam().tolerance * expected) << word;
      history.push_back(word);
    }
  }
}

std::vector<Case> CasesWhere(bool (*holds)(const Case&)) {
  std::vector<Case> cases;
  for (const Case& c : Cases()) {
    if (holds(c)) cases.push_back(c);
  }
  return cases;
}

std::string Name(const testing::TestParamInfo<Case>& info) {
  return info.param.name;
}

INSTANTIATE_TEST_SUITE_P(Models, ConformanceTest, testing::ValuesIn(Cases()),
                         Name);
INSTANTIATE_TEST_SUITE_P(Models, NormalizedModelTest,
                         testing::ValuesIn(CasesWhere([](const Case& c) {
                           return c.normalized;
                         })),
                         Name);
INSTANTIATE_TEST_SUITE_P(Models, NaiveReferenceTest,
                         testing::ValuesIn(CasesWhere([](const Case& c) {
                           return c.reference != nullptr;
                         })),
                         Name);

}  // namespace
}  // namespace lmserve
