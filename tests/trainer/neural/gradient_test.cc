// SPDX-License-Identifier: Apache-2.0
//
// Compares the gradient of every parameter of the networks, in double
// precision, with central differences of the loss.

#include <algorithm>
#include <cmath>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "models/neural/pooling.h"
#include "models/neural/products.h"
#include "trainer/neural/network.h"
#include "trainer/neural/random.h"

namespace lmserve {
namespace {

constexpr WordId kVocabulary = 13;
constexpr WordId kSourceVocabulary = 7;
constexpr WordId kNever = 1;
constexpr WordId kLabels = 4;
constexpr size_t kSpellings = 8;
constexpr double kStep = 1e-5;
// The error of the differences is of the order kStep^2, plus a rounding error
// of 100 * 2^-53 / kStep = 1e-9 for a loss of about 100.
constexpr double kTolerance = 1e-6;  // relative to max(gradient, 1)
constexpr double kScale = 0.5;       // the derivatives are of kScale * loss

using DoubleNetwork = Network<double>;

struct Case {
  std::string name;
  std::function<std::unique_ptr<DoubleNetwork>()> make;
  size_t steps = 6;        // of a window network: its width
  bool is_window = false;  // whether it has one target for each stream
  bool drops = false;
  bool carries_state = false;
  bool has_targets_everywhere = false;
  size_t source_steps = 0;  // of a translation network
  // Of a network that labels words or, if is_window, sentences; else 0.
  WordId labels = 0;
  WordId auxiliary_labels = 0;

  friend void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }
};

class GradientTest : public testing::TestWithParam<Case> {
 protected:
  // Uses larger weights than a training does initially, so that cells are not
  // linear, states have an effect, and biases are not 0.
  void SetUp() override {
    Random random(7, RandomPurpose::kBatchOrder);  // any purpose will do
    values_.resize(network_->layout().size());
    for (double& value : values_) value = random.Uniform(0.8);
    FillBatch(&random);
    if (!GetParam().carries_state) return;
    // A batch determines the size of the state.
    Loss();
    state_ = network_->state();
    ASSERT_FALSE(state_.empty());
    for (double& value : state_) value = random.Uniform(0.9);
  }

  // Words occur several times; targets are of all classes, and some are
  // missing.
  void FillBatch(Random* random) {
    batch_.steps = GetParam().steps;
    batch_.streams = 5;
    for (size_t i = 0; i < batch_.steps * batch_.streams; ++i) {
      batch_.inputs.push_back(random->Below(kVocabulary));
    }
    for (size_t i = 0; i < GetParam().source_steps * batch_.streams; ++i) {
      batch_.sources.push_back(random->Below(kSourceVocabulary));
    }
    const size_t targets =
        GetParam().is_window ? batch_.streams : batch_.inputs.size();
    for (size_t i = 0; i < batch_.inputs.size(); ++i) {
      batch_.spellings.push_back(random->Below(kSpellings));
    }
    for (size_t i = 0; i < batch_.inputs.size(); ++i) {
      if (GetParam().auxiliary_labels == 0) break;
      batch_.auxiliary.push_back(random->Below(GetParam().auxiliary_labels));
    }
    for (size_t i = 0; i < targets; ++i) {
      if (GetParam().labels > 0) {
        batch_.targets.push_back(random->Below(GetParam().labels));
        continue;
      }
      const auto word = static_cast<WordId>((i * 5 + 2) % kVocabulary);
      const bool is_missing = !GetParam().has_targets_everywhere && i % 4 == 3;
      batch_.targets.push_back(is_missing       ? kNoTarget
                               : word == kNever ? kNever + 1
                                                : word);
    }
  }

  double Loss(const DoubleNetwork::Backward* backward = nullptr) {
    network_->set_state(state_);
    Random random(11, RandomPurpose::kClozeBlanks);
    return network_->Run(values_.data(), batch_,
                         GetParam().drops ? &random : nullptr, backward);
  }

  // Returns dE/d(parameter i) of E = kScale * loss, by central differences.
  double Difference(size_t i) {
    const double value = values_[i];
    values_[i] = value + kStep;
    const double above = Loss();
    values_[i] = value - kStep;
    const double below = Loss();
    values_[i] = value;
    return kScale * (above - below) / (2 * kStep);
  }

  // Returns the name of parameter i, as in "rnn.weight_hh_l0 [3, 1]".
  std::string Name(size_t i) const {
    for (const auto& p : network_->layout().parameters()) {
      if (i >= p.begin + p.size()) continue;
      return absl::StrCat(p.name, " [", (i - p.begin) / p.cols, ", ",
                          (i - p.begin) % p.cols, "]");
    }
    return "";
  }

  const std::unique_ptr<DoubleNetwork> network_ = GetParam().make();
  std::vector<double> values_;
  std::vector<double> state_;
  Batch batch_;
};

TEST_P(GradientTest, EqualsDifferences) {
  std::vector<double> gradients(values_.size());
  const DoubleNetwork::Backward backward = {kScale, gradients.data()};
  Loss(&backward);
  double worst = 0;
  for (size_t i = 0; i < values_.size(); ++i) {
    const double expected = Difference(i);
    const double scale = std::max(1.0, std::abs(expected));
    worst = std::max(worst, std::abs(gradients[i] - expected) / scale);
    ASSERT_NEAR(gradients[i], expected, kTolerance * scale) << Name(i);
  }
  RecordProperty("worst", absl::StrCat(worst));
}

// Expects that no gradient is 0 everywhere. The test above would pass if a part
// of the network had no effect.
TEST_P(GradientTest, EveryParameterMatters) {
  std::vector<double> gradients(values_.size());
  const DoubleNetwork::Backward backward = {kScale, gradients.data()};
  Loss(&backward);
  for (const auto& p : network_->layout().parameters()) {
    // With one source word, the attention is constant and no state precedes it.
    if (GetParam().source_steps == 1 &&
        (p.name == "attention.key.weight" ||
         p.name.find("source.rnn.weight_hh") == 0)) {
      continue;
    }
    const double* first = gradients.data() + p.begin;
    EXPECT_TRUE(std::any_of(first, first + p.size(), [](double d) {
      return std::abs(d) > 1e-4;
    })) << p.name;
  }
}

// Gradients are added to the array, and the loss is the same with and without
// gradients.
TEST_P(GradientTest, AreAdded) {
  std::vector<double> gradients(values_.size());
  const DoubleNetwork::Backward backward = {kScale, gradients.data()};
  const double loss = Loss(&backward);
  EXPECT_EQ(loss, Loss());
  std::vector<double> more(values_.size(), 3);
  const DoubleNetwork::Backward again = {kScale, more.data()};
  Loss(&again);
  for (size_t i = 0; i < values_.size(); ++i) {
    ASSERT_NEAR(more[i], gradients[i] + 3, 1e-12) << Name(i);
  }
}

RecurrentNetworkOptions Recurrent(Cell cell, size_t layers) {
  RecurrentNetworkOptions options;
  options.vocabulary = kVocabulary;
  options.embedding = 4;
  options.stack.cell = cell;
  options.stack.layers = layers;
  options.stack.units = 3;
  return options;
}

Case RecurrentCase(const std::string& name,
                   const RecurrentNetworkOptions& options) {
  Case c;
  c.name = name;
  c.make = [=] { return MakeRecurrentNetwork<double>(options); };
  c.drops = options.stack.dropout > 0 || options.stack.weight_drop > 0;
  c.carries_state = options.carry_state;
  return c;
}

// Adds the cases of a cell in all recurrent networks.
void AddRecurrentCases(const std::string& name, Cell cell,
                       Activation activation, std::vector<Case>* cases) {
  const auto add =
      [&](const std::string& what, size_t layers,
          const std::function<void(RecurrentNetworkOptions*)>& change =
              nullptr) {
        RecurrentNetworkOptions options = Recurrent(cell, layers);
        options.stack.activation = activation;
        if (change) change(&options);
        cases->push_back(RecurrentCase(name + "_" + what, options));
      };
  using Options = RecurrentNetworkOptions;
  for (size_t layers : {1, 2, 3}) add(absl::StrCat(layers), layers);
  for (size_t layers : {1, 2, 3}) {
    add(absl::StrCat("bidirectional_", layers), layers,
        [](Options* o) { o->stack.bidirectional = true; });
  }
  add("never", 1, [](Options* o) { o->never = kNever; });
  add("tied", 2, [](Options* o) {
    o->tied = true;
    o->embedding = o->stack.units;
  });
  add("tied_bidirectional", 2, [](Options* o) {
    o->tied = true;
    o->stack.bidirectional = true;
    o->embedding = 2 * o->stack.units;
  });
  add("cutoff", 1, [](Options* o) { o->cutoffs = {5}; });
  add("cutoffs_never", 2, [](Options* o) {
    o->cutoffs = {4, 9};
    o->never = kNever;
  });
  add("tied_cutoffs", 1, [](Options* o) {
    o->tied = true;
    o->embedding = o->stack.units;
    o->cutoffs = {1, 12};
  });
  add("dropout", 3, [](Options* o) { o->stack.dropout = 0.3; });
  add("dropout_bidirectional", 2, [](Options* o) {
    o->stack.dropout = 0.5;
    o->stack.bidirectional = true;
  });
  add("weight_drop", 2, [](Options* o) { o->stack.weight_drop = 0.4; });
  add("weight_drop_bidirectional", 2, [](Options* o) {
    o->stack.weight_drop = 0.3;
    o->stack.dropout = 0.3;
    o->stack.bidirectional = true;
  });
  add("carried", 2, [](Options* o) { o->carry_state = true; });
  add("carried_one_step", 1, [](Options* o) { o->carry_state = true; });
  cases->back().steps = 1;
  add("all_targets", 1);
  cases->back().has_targets_everywhere = true;
}

Case WindowCase(const std::string& name, size_t window, bool direct,
                double dropout, const Cutoffs& cutoffs,
                std::optional<WordId> never = std::nullopt) {
  WindowNetworkOptions options;
  options.vocabulary = kVocabulary;
  options.never = never;
  options.embedding = 4;
  options.window = window;
  options.hidden = 6;
  options.direct = direct;
  options.dropout = dropout;
  options.cutoffs = cutoffs;
  Case c;
  c.name = "window_" + name;
  c.make = [=] { return MakeWindowNetwork<double>(options); };
  c.steps = window;
  c.is_window = true;
  c.drops = dropout > 0;
  return c;
}

// Adds the cases of a cell in translation networks with each extension.
void AddTranslationCases(const std::string& name, Cell cell,
                         std::vector<Case>* cases) {
  using Options = TranslationNetworkOptions;
  const auto add = [&](const std::string& what,
                       const std::function<void(Options*)>& change = nullptr) {
    Options options;
    options.source_vocabulary = kSourceVocabulary;
    options.vocabulary = kVocabulary;
    options.embedding = 4;
    options.cell = cell;
    options.units = 3;
    if (change) change(&options);
    Case c;
    c.name = "translation_" + name + "_" + what;
    c.make = [=] { return MakeTranslationNetwork<double>(options); };
    c.source_steps = 4;
    c.drops = options.dropout > 0;
    cases->push_back(c);
  };
  add("plain", [](Options* o) {
    o->shared = true;
    o->reads_word = false;
  });
  add("plain_deep", [](Options* o) {
    o->shared = true;
    o->reads_word = false;
    o->layers = 2;
  });
  add("shared", [](Options* o) { o->shared = true; });
  add("separate", [](Options* o) { o->reads_word = false; });
  add("word");
  add("word_deep", [](Options* o) { o->layers = 3; });
  add("context", [](Options* o) {
    o->reads_word = false;
    o->reads_context = true;
  });
  add("word_context", [](Options* o) {
    o->reads_context = true;
    o->layers = 2;
    o->never = kNever;
  });
  add("bridge", [](Options* o) { o->bidirectional = true; });
  add("bridge_deep", [](Options* o) {
    o->bidirectional = true;
    o->reads_context = true;
    o->layers = 2;
  });
  add("attention", [](Options* o) { o->attention = true; });
  add("everything", [](Options* o) {
    o->bidirectional = true;
    o->reads_context = true;
    o->attention = true;
    o->layers = 2;
    o->dropout = 0.3;
  });
  add("one_source_word", [](Options* o) {
    o->bidirectional = true;
    o->attention = true;
  });
  cases->back().source_steps = 1;
  add("tied", [](Options* o) {
    o->tied = true;
    o->embedding = o->units;
    o->attention = true;
  });
}

// Spellings of 1 to 4 characters, of which some are equal.
std::shared_ptr<const std::vector<std::vector<WordId>>> Spellings() {
  Random random(3);
  auto spellings = std::make_shared<std::vector<std::vector<WordId>>>();
  for (size_t i = 0; i < kSpellings; ++i) {
    std::vector<WordId>& characters = spellings->emplace_back();
    for (size_t k = 0; k <= i % 4; ++k) {
      characters.push_back('a' + random.Below(6));
    }
  }
  return spellings;
}

// Adds the cases of a cell in taggers and classifiers.
void AddLabelingCases(const std::string& name, Cell cell,
                      std::vector<Case>* cases) {
  const auto add_tagger =
      [&](const std::string& what,
          const std::function<void(TaggerNetworkOptions*)>& change) {
        TaggerNetworkOptions options;
        options.vocabulary = kVocabulary;
        options.labels = kLabels;
        options.embedding = 4;
        options.stack.cell = cell;
        options.stack.units = 3;
        options.stack.bidirectional = true;
        options.spellings = Spellings();
        change(&options);
        Case c;
        c.name = "tagger_" + name + "_" + what;
        c.make = [=] { return MakeTaggerNetwork<double>(options); };
        c.drops = options.stack.dropout > 0;
        c.labels = kLabels;
        c.auxiliary_labels = options.auxiliary_labels;
        cases->push_back(c);
      };
  using Options = TaggerNetworkOptions;
  add_tagger("words", [](Options*) {});
  add_tagger("deep", [](Options* o) { o->stack.layers = 2; });
  add_tagger("forward", [](Options* o) { o->stack.bidirectional = false; });
  add_tagger("crf", [](Options* o) { o->crf = true; });
  add_tagger("crf_two_words", [](Options* o) { o->crf = true; });
  cases->back().steps = 2;
  add_tagger("characters", [](Options* o) {
    o->character_embedding = 2;
    o->character_units = 3;
  });
  add_tagger("everything", [](Options* o) {
    o->character_embedding = 3;
    o->character_units = 2;
    o->character_layers = 2;
    o->stack.layers = 2;
    o->stack.dropout = 0.3;
    o->crf = true;
    o->auxiliary_labels = 5;
    o->auxiliary_weight = 0.7;
  });
  for (size_t layers : {1, 2, 3}) {
    add_tagger(absl::StrCat("auxiliary_", layers), [layers](Options* o) {
      o->stack.layers = layers;
      o->auxiliary_labels = 3;
      o->auxiliary_weight = 2;
    });
  }
  for (Pooling pooling : {Pooling::kMax, Pooling::kMean, Pooling::kLast}) {
    for (size_t layers : {1, 2}) {
      ClassifierNetworkOptions options;
      options.vocabulary = kVocabulary;
      options.labels = kLabels;
      options.embedding = 4;
      options.pooling = pooling;
      options.stack.cell = cell;
      options.stack.units = 3;
      options.stack.layers = layers;
      options.stack.bidirectional = true;
      options.stack.dropout = layers == 2 ? 0.3 : 0;
      Case c;
      c.name = absl::StrCat("classifier_", name, "_", PoolingName(pooling), "_",
                            layers);
      c.make = [=] { return MakeClassifierNetwork<double>(options); };
      c.drops = layers == 2;
      // A maximum must not always be at the first step that a layer reads.
      c.steps = 9;
      c.is_window = true;
      c.labels = kLabels;
      cases->push_back(c);
    }
  }
}

std::vector<Case> Cases() {
  std::vector<Case> cases;
  AddRecurrentCases("sigmoid", Cell::kRnn, Activation::kSigmoid, &cases);
  AddRecurrentCases("tanh", Cell::kRnn, Activation::kTanh, &cases);
  AddRecurrentCases("relu", Cell::kRnn, Activation::kRelu, &cases);
  AddRecurrentCases("gru", Cell::kGru, Activation::kTanh, &cases);
  AddRecurrentCases("lstm", Cell::kLstm, Activation::kTanh, &cases);
  AddTranslationCases("tanh", Cell::kRnn, &cases);
  AddTranslationCases("gru", Cell::kGru, &cases);
  AddTranslationCases("lstm", Cell::kLstm, &cases);
  AddLabelingCases("gru", Cell::kGru, &cases);
  AddLabelingCases("lstm", Cell::kLstm, &cases);
  for (bool direct : {false, true}) {
    const std::string suffix = direct ? "_direct" : "";
    cases.push_back(WindowCase("1" + suffix, 1, direct, 0, {}));
    cases.push_back(WindowCase("3" + suffix, 3, direct, 0, {}));
    cases.push_back(WindowCase("never" + suffix, 2, direct, 0, {}, kNever));
    cases.push_back(WindowCase("dropout" + suffix, 3, direct, 0.4, {}));
    cases.push_back(WindowCase("cutoff" + suffix, 2, direct, 0, {5}));
    cases.push_back(
        WindowCase("cutoffs" + suffix, 3, direct, 0.2, {4, 9}, kNever));
  }
  return cases;
}

INSTANTIATE_TEST_SUITE_P(Networks, GradientTest, testing::ValuesIn(Cases()),
                         [](const auto& info) { return info.param.name; });

// With bf16, loss and gradients of a network are those of float up to rounding,
// with a full and with an adaptive softmax, whose classes have few rows.
TEST(Bf16ProductsTest, GiveNearlyTheSameLossAndGradients) {
  if (!HasBf16Products()) GTEST_SKIP() << "the processor has no bf16";
  Random random(1, RandomPurpose::kInitialWeights);
  Batch batch = {.steps = 12, .streams = 20, .inputs = {}, .targets = {}};
  for (size_t i = 0; i < batch.steps * batch.streams; ++i) {
    batch.inputs.push_back(static_cast<WordId>(random.Uniform() * 200));
    batch.targets.push_back(static_cast<WordId>(random.Uniform() * 200));
  }
  for (const Cutoffs& cutoffs : {Cutoffs{}, Cutoffs{50, 120}}) {
    RecurrentNetworkOptions options;
    options.vocabulary = 200;
    options.embedding = 40;
    options.stack.units = 48;
    options.stack.layers = 2;
    options.stack.bidirectional = true;
    options.cutoffs = cutoffs;
    std::vector<float> values, gradients[2];
    double losses[2];
    for (const bool is_bf16 : {false, true}) {
      options.stack.products =
          is_bf16 ? ProductPrecision::kBf16 : ProductPrecision::kFloat;
      const auto network = MakeRecurrentNetwork<float>(options);
      values.resize(network->layout().size());
      network->Initialize(1, values.data());
      gradients[is_bf16].resize(values.size());
      const Network<float>::Backward backward = {1.0f / 240,
                                                 gradients[is_bf16].data()};
      losses[is_bf16] = network->Run(values.data(), batch, nullptr, &backward);
    }
    EXPECT_NEAR(losses[1] / losses[0], 1, 1e-3);
    double product = 0, squares[2] = {0, 0};
    for (size_t i = 0; i < values.size(); ++i) {
      product += double{gradients[0][i]} * gradients[1][i];
      for (int k : {0, 1}) squares[k] += std::pow(gradients[k][i], 2);
    }
    EXPECT_GT(product / std::sqrt(squares[0] * squares[1]), 0.9999);
    EXPECT_NEAR(squares[1] / squares[0], 1, 0.01);
  }
}

}  // namespace
}  // namespace lmserve
