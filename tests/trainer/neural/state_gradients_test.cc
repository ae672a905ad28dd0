// SPDX-License-Identifier: Apache-2.0
#include "trainer/neural/state_gradients.h"

#include <cmath>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "models/neural/network_weights.h"
#include "tests/testing/neural_models.h"
#include "trainer/neural/batches.h"

namespace lmserve {
namespace {

constexpr WordId kBegin = 1, kEnd = 2, kVocabulary = 13;
constexpr size_t kUnits = 5, kDistance = 5;

struct Case {
  std::string name;
  Cell cell;
  Activation activation = Activation::kTanh;
  size_t layers = 1;

  friend void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }
};

class StateGradientsTest : public testing::TestWithParam<Case> {
 protected:
  StateGradientsTest() {
    network_.options.vocabulary = kVocabulary;
    network_.options.never = kBegin;
    network_.options.embedding = 4;
    network_.options.stack.units = kUnits;
    network_.options.stack.cell = GetParam().cell;
    network_.options.stack.activation = GetParam().activation;
    network_.options.stack.layers = GetParam().layers;
    Random random(7, RandomPurpose::kBatchOrder);  // any purpose will do
    network_.values.resize(
        MakeRecurrentNetwork<float>(network_.options)->layout().size());
    for (float& value : network_.values) {
      value = static_cast<float>(random.Uniform(0.8));
    }
    // Two batches of 20 streams, and a shorter one that does not count.
    for (size_t i = 0; i < 20 * (2 * (kDistance + 1) + 3); ++i) {
      WordId word = random.Below(kVocabulary);
      words_.push_back(word == kBegin ? kEnd : word);
    }
  }

  StateGradientResult Measure(size_t places) const {
    return MeasureStateGradients(network_, words_, kBegin, kEnd,
                                 {.distance = kDistance, .places = places});
  }

  LoadedNetwork network_;
  std::vector<WordId> words_;
};

// The part of a batch from one step to another.
Batch Steps(const Batch& batch, size_t begin, size_t end) {
  Batch part = {end - begin, batch.streams, {}, {}};
  for (auto [from, to] : {std::pair(&batch.inputs, &part.inputs),
                          std::pair(&batch.targets, &part.targets)}) {
    to->assign(from->begin() + begin * batch.streams,
               from->begin() + end * batch.streams);
  }
  return part;
}

// Computes the means of the norms by central differences: reads a text up to a
// state, changes one of its numbers, and reads on to the loss.
class Differences {
 public:
  Differences(const LoadedNetwork& network, size_t places)
      : options_(network.options),
        values_(network.values.begin(), network.values.end()),
        places_(places) {
    options_.carry_state = true;
    network_ = MakeRecurrentNetwork<double>(options_);
  }

  // Returns the mean norm of the gradient by the state of the last layer.
  std::vector<double> Means(absl::Span<const WordId> words, bool by_c) {
    const auto batches = MakeStreamBatches(
        words, kBegin, kEnd, {.streams = 20, .steps = kDistance + 1});
    std::vector<double> means(kDistance + 1);
    std::vector<double> start;
    for (size_t i = 0; i * 20 < places_; ++i) {
      Batch batch = batches->Get(i);
      std::fill_n(batch.targets.begin(), kDistance * 20, kNoTarget);
      std::vector<double> next;
      for (size_t k = 0; k < kDistance; ++k) {
        network_->set_state(start);
        Run(Steps(batch, 0, k + 1));
        const std::vector<double> state = network_->state();
        for (size_t s = 0; s < 20; ++s) {
          means[kDistance - k] +=
              Norm(Steps(batch, k + 1, kDistance + 1), state, s, by_c) /
              static_cast<double>(places_);
        }
      }
      network_->set_state(start);
      Run(batch);
      start = network_->state();
    }
    return means;
  }

 private:
  double Run(const Batch& batch) {
    return network_->Run(values_.data(), batch, nullptr, nullptr);
  }

  // The states have the h of all layers, then the c of all layers.
  size_t Index(bool of_c, size_t stream, size_t unit) const {
    const size_t layer =
        options_.stack.layers - 1 + (of_c ? options_.stack.layers : 0);
    return (layer * 20 + stream) * kUnits + unit;
  }

  double Norm(const Batch& rest, const std::vector<double>& state,
              size_t stream, bool by_c) {
    constexpr double kStep = 1e-5;
    double squares = 0;
    for (size_t unit = 0; unit < kUnits; ++unit) {
      double loss[2];
      for (int sign : {0, 1}) {
        std::vector<double> changed = state;
        double& h = changed[Index(false, stream, unit)];
        const double step = sign == 0 ? -kStep : kStep;
        if (by_c) {
          // h = o tanh(c) follows.
          double& c = changed[Index(true, stream, unit)];
          const double o = h / std::tanh(c);
          c += step;
          h = o * std::tanh(c);
        } else {
          h += step;
        }
        network_->set_state(changed);
        loss[sign] = Run(rest);
      }
      const double d = (loss[1] - loss[0]) / (2 * kStep);
      squares += d * d;
    }
    return std::sqrt(squares);
  }

  RecurrentNetworkOptions options_;
  const std::vector<double> values_;
  const size_t places_;
  std::unique_ptr<Network<double>> network_;
};

TEST_P(StateGradientsTest, EqualsDifferences) {
  const StateGradientResult result = Measure(40);
  EXPECT_EQ(result.places, 40u);
  const bool has_c = GetParam().cell == Cell::kLstm;
  ASSERT_EQ(result.curves.size(), GetParam().layers * (has_c ? 2 : 1));
  for (const GradientCurve& curve : result.curves) {
    ASSERT_EQ(curve.mean.size(), kDistance + 1);
    // A state of a lower layer also changes the states above it.
    if (curve.layer + 1 < GetParam().layers) continue;
    const std::vector<double> expected =
        Differences(network_, 40).Means(words_, curve.is_cell_state);
    for (size_t d = 1; d <= kDistance; ++d) {
      EXPECT_GT(curve.mean[d], 0);
      EXPECT_NEAR(curve.mean[d], expected[d], 1e-7)
          << d << (curve.is_cell_state ? " c" : " h");
      EXPECT_GE(curve.largest[d], curve.mean[d]);
    }
  }
}

TEST_P(StateGradientsTest, StopsAfterThePlaces) {
  EXPECT_EQ(Measure(20).places, 20u);
  EXPECT_EQ(Measure(21).places, 40u) << "whole batches";
  EXPECT_EQ(Measure(1'000'000).places, 40u);
}

TEST_P(StateGradientsTest, TheBoundHolds) {
  const StateGradientResult result = Measure(40);
  const bool has_bound =
      GetParam().cell == Cell::kRnn && GetParam().layers == 1;
  ASSERT_EQ(result.factor > 0, has_bound);
  if (!has_bound) return;
  const GradientCurve& curve = result.curves[0];
  for (size_t d = 1; d <= kDistance; ++d) {
    EXPECT_LE(curve.mean[d],
              std::pow(result.factor, d) * curve.mean[0] * (1 + 1e-9));
  }
}

INSTANTIATE_TEST_SUITE_P(
    Cells, StateGradientsTest,
    testing::Values(Case{"sigmoid", Cell::kRnn, Activation::kSigmoid},
                    Case{"tanh", Cell::kRnn},
                    Case{"relu", Cell::kRnn, Activation::kRelu},
                    Case{"gru", Cell::kGru}, Case{"lstm", Cell::kLstm},
                    Case{"deep_lstm", Cell::kLstm, Activation::kTanh, 2},
                    Case{"deep_rnn", Cell::kRnn, Activation::kTanh, 3}),
    [](const testing::TestParamInfo<Case>& info) { return info.param.name; });

TEST(LargestSingularValueTest, KnownMatrices) {
  EXPECT_NEAR(LargestSingularValue({3, 0, 0, -4}, 2, 2), 4, 1e-9);
  EXPECT_NEAR(LargestSingularValue({1, 0, 0, 1}, 2, 2), 1, 1e-12);
  EXPECT_EQ(LargestSingularValue({0, 0, 0, 0}, 2, 2), 0);
  // M^T M has the eigenvalues 1 and 9.
  EXPECT_NEAR(LargestSingularValue({1, 2, 2, 1}, 2, 2), 3, 1e-9);
  EXPECT_NEAR(LargestSingularValue({1, 2, 3, 4, 5, 6}, 2, 3), 9.508032, 1e-6);
}

TEST(LoadNetworkTest, OptionsFollowFromTheFile) {
  RecurrentNetworkOptions options;
  options.embedding = 3;
  options.stack.cell = Cell::kRnn;
  options.stack.activation = Activation::kRelu;
  options.stack.units = 5;
  options.stack.layers = 2;
  options.cutoffs = {4};
  const TestModel model = RecurrentTestModel(VocabularyOf("a b c d e f"),
                                             options, Precision::kBf16);
  const LoadedNetwork loaded =
      LoadRecurrentNetwork(model.model->vocabulary(),
                           model.files.at("weights.safetensors"))
          .value();
  EXPECT_EQ(loaded.options.vocabulary, model.model->vocabulary().size());
  EXPECT_EQ(loaded.options.embedding, 3u);
  EXPECT_EQ(loaded.options.stack.cell, Cell::kRnn);
  EXPECT_EQ(loaded.options.stack.activation, Activation::kRelu);
  EXPECT_EQ(loaded.options.stack.units, 5u);
  EXPECT_EQ(loaded.options.stack.layers, 2u);
  EXPECT_EQ(loaded.options.cutoffs, (Cutoffs{4}));
  // The parameters are those of the served model: it scores alike.
  const auto network = MakeRecurrentNetwork<float>(loaded.options);
  const WordId begin = model.model->vocabulary().begin_sentence();
  const std::vector<WordId> words = {3, 4, 2};
  std::vector<std::byte> state(model.model->state_size());
  model.model->Start(state.data());
  std::vector<float> log_probs(words.size());
  model.model->Score(
      {{state.data(), words, nullptr, absl::MakeSpan(log_probs)}});
  const Batch batch = {3, 1, {begin, words[0], words[1]}, words};
  double sum = 0;
  for (float log_prob : log_probs) sum -= log_prob;
  // With bf16 the model may round the inputs of products, too.
  EXPECT_NEAR(network->Run(loaded.values.data(), batch, nullptr, nullptr), sum,
              0.1);
}

TEST(LoadNetworkTest, OtherFilesAreRefused) {
  RecurrentNetworkOptions options;
  options.embedding = 3;
  options.stack.units = 5;
  const std::string vocabulary = VocabularyOf("a b c d e f");
  const BidirectionalTestModel both =
      MakeBidirectionalTestModel(vocabulary, options, Precision::kFloat);
  EXPECT_EQ(LoadRecurrentNetwork(Vocabulary::Parse(vocabulary).value(),
                                 both.files.at("weights.safetensors"))
                .status()
                .ToString(),
            "INVALID_ARGUMENT: expected a left-to-right network, found a "
            "bidirectional one");
  EXPECT_FALSE(
      LoadRecurrentNetwork(Vocabulary::Parse(vocabulary).value(), "").ok());
}

}  // namespace
}  // namespace lmserve
