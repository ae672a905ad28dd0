// SPDX-License-Identifier: Apache-2.0
//
// Tests of what InspectableModels report, which they compute in the same
// forward pass as scores: against the served states, the equations of the
// cells, and a naive reference.

#include "models/inspection.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <numeric>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "models/model_factory.h"
#include "models/neural/network_weights.h"
#include "models/neural/translation_weights.h"
#include "tests/testing/neural_models.h"
#include "tests/testing/ngram_models.h"

namespace lmserve {
namespace {

using testing::ElementsAre;
using testing::FloatNear;
using testing::IsEmpty;
using testing::IsNull;
using testing::NotNull;
using testing::Pointwise;
using testing::SizeIs;

using Layer = InspectableModel::Layer;
using Words = std::vector<WordId>;

constexpr char kWords[] = "a b c d e f g";
constexpr char kSourceWords[] = "u v w x y";

// A model and the memory of its files.
struct Served {
  Served(absl::string_view family, std::map<std::string, std::string> all_files)
      : files(std::move(all_files)),
        model(CreateModel(family, ModelFiles(files.begin(), files.end()))
                  .value()) {}

  const InspectableModel& inspectable() const { return *model.inspectable(); }

  TensorFile Weights() const {
    return TensorFile::Parse(files.at(std::string(kWeightsFile))).value();
  }

  const std::map<std::string, std::string> files;
  const AnyModel model;
};

struct Case {
  std::string name;
  std::function<Served()> make;
  Words source;  // what a translation model reads
  double tolerance;

  friend void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }
};

RecurrentNetworkOptions RecurrentOptions(Cell cell, size_t layers,
                                         Activation activation) {
  RecurrentNetworkOptions options;
  options.embedding = 6;
  options.stack.cell = cell;
  options.stack.activation = activation;
  options.stack.layers = layers;
  options.stack.units = 11;
  return options;
}

Served MakeRecurrent(const RecurrentNetworkOptions& options,
                     Precision precision) {
  return {kRecurrentFamily,
          RecurrentTestModel(VocabularyOf(kWords), options, precision).files};
}

Served MakeBidirectional(const RecurrentNetworkOptions& options,
                         Precision precision) {
  return {kBidirectionalFamily,
          MakeBidirectionalTestModel(VocabularyOf(kWords), options, precision)
              .files};
}

Served MakeTranslation(const TranslationNetworkOptions& options,
                       Precision precision) {
  return {kTranslationFamily,
          TranslationTestModel(VocabularyOf(kSourceWords), VocabularyOf(kWords),
                               options, precision)
              .files};
}

TranslationNetworkOptions TranslationOptions(Cell cell) {
  TranslationNetworkOptions options;
  options.embedding = 6;
  options.cell = cell;
  options.units = 11;
  options.attention = true;
  return options;
}

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

constexpr Precision kPrecisions[] = {Precision::kFloat, Precision::kBf16,
                                     Precision::kInt8};
constexpr Cell kCells[] = {Cell::kRnn, Cell::kGru, Cell::kLstm};

std::vector<Case> Cases() {
  std::vector<Case> cases;
  const Words source = {3, 5, 4, 3, 7};
  const auto add = [&](const std::string& name, Cell cell, Precision precision,
                       std::function<Served()> make) {
    cases.push_back(
        {absl::StrCat(name, "_", CellName(cell), "_", PrecisionName(precision)),
         std::move(make),
         {},
         Tolerance(precision)});
  };
  for (Cell cell : kCells) {
    for (Precision precision : kPrecisions) {
      for (size_t layers : {1, 3}) {
        const auto options = RecurrentOptions(cell, layers, Activation::kTanh);
        add(absl::StrCat("forward", layers), cell, precision,
            [=] { return MakeRecurrent(options, precision); });
        add(absl::StrCat("bidirectional", layers), cell, precision,
            [=] { return MakeBidirectional(options, precision); });
      }
      for (size_t variant = 0; variant < 4; ++variant) {
        TranslationNetworkOptions options = TranslationOptions(cell);
        options.bidirectional = variant % 2 == 1;
        options.reverse_source = variant >= 2;
        options.layers = 2;
        add(absl::StrCat("translation", variant), cell, precision,
            [=] { return MakeTranslation(options, precision); });
        cases.back().source = source;
      }
    }
  }
  for (Activation activation : {Activation::kSigmoid, Activation::kRelu}) {
    const auto options = RecurrentOptions(Cell::kRnn, 2, activation);
    add(std::string(ActivationName(activation)), Cell::kRnn, Precision::kFloat,
        [=] { return MakeRecurrent(options, Precision::kFloat); });
  }
  return cases;
}

// Everything that a model reports of a text.
class Report {
 public:
  Report(const InspectableModel& model, const InspectableModel::Text& text,
         size_t part_words = 4)
      : layers_(model.layers()), recorder_(model, text, All(layers_), true) {
    const auto reading = model.Read(text, part_words);
    while (reading->next_words() > 0) reading->ReadPart(&recorder_);
    for (const Layer& layer : layers_) {
      positions_.push_back(text.positions(layer));
    }
  }

  // Selects all units and quantities of all layers.
  static std::vector<InspectionRecorder::Selection> All(
      const std::vector<Layer>& layers) {
    std::vector<InspectionRecorder::Selection> all;
    for (const Layer& layer : layers) {
      std::vector<size_t> units(layer.units);
      std::iota(units.begin(), units.end(), size_t{0});
      all.push_back({all.size(), units, layer.quantities});
    }
    return all;
  }

  const std::vector<Layer>& layers() const { return layers_; }
  size_t positions(size_t layer) const { return positions_[layer]; }

  // The values of all units.
  absl::Span<const float> Get(size_t layer, Quantity quantity,
                              size_t position) const {
    const auto& quantities = layers_[layer].quantities;
    const size_t q = std::find(quantities.begin(), quantities.end(), quantity) -
                     quantities.begin();
    EXPECT_LT(q, quantities.size());
    const size_t units = layers_[layer].units;
    return recorder_.values(layer).subspan(
        (q * positions_[layer] + position) * units, units);
  }

  const InspectionRecorder& recorder() const { return recorder_; }

 private:
  const std::vector<Layer> layers_;
  InspectionRecorder recorder_;
  std::vector<size_t> positions_;
};

// Returns the positions of a layer in the order in which it reads them.
std::vector<size_t> ReadingOrder(const Layer& layer, size_t positions) {
  std::vector<size_t> order(positions);
  std::iota(order.begin(), order.end(), size_t{0});
  if (layer.reverses_words) {
    std::reverse(order.begin() + layer.reads_begin,
                 order.end() - layer.reads_end);
  }
  if (layer.is_backward) std::reverse(order.begin(), order.end());
  return order;
}

double Sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

using Numbers = std::vector<double>;
using NamedNumbers = std::map<Quantity, Numbers>;

// A layer computed in double as its equations are written, one unit and one
// weight at a time.
class NaiveLayer {
 public:
  explicit NaiveLayer(const RecurrentLayer::Weights& weights)
      : weights_(weights),
        ih_(weights.weight_ih.ToFloats()),
        hh_(weights.weight_hh.ToFloats()),
        units_(weights.weight_hh.cols) {}

  size_t units() const { return units_; }

  NamedNumbers Step(const Numbers& x, const Numbers& h,
                    const Numbers& c) const {
    NamedNumbers values;
    for (size_t k = 0; k < units_; ++k) {
      const auto sum = [&](size_t gate) {
        return Input(gate, k, x) + Recurrent(gate, k, h);
      };
      const auto add = [&](Quantity quantity, double value) {
        values[quantity].push_back(value);
        return value;
      };
      if (weights_.cell == Cell::kRnn) {
        add(Quantity::kHidden, Activate(sum(0)));
      } else if (weights_.cell == Cell::kGru) {
        const double r = add(Quantity::kResetGate, Sigmoid(sum(0)));
        const double z = add(Quantity::kUpdateGate, Sigmoid(sum(1)));
        const double memory =
            add(Quantity::kNewMemory,
                std::tanh(Input(2, k, x) + r * Recurrent(2, k, h)));
        add(Quantity::kHidden, (1 - z) * memory + z * h[k]);
      } else {
        const double i = add(Quantity::kInputGate, Sigmoid(sum(0)));
        const double f = add(Quantity::kForgetGate, Sigmoid(sum(1)));
        const double memory = add(Quantity::kNewMemory, std::tanh(sum(2)));
        const double o = add(Quantity::kOutputGate, Sigmoid(sum(3)));
        const double new_c = add(Quantity::kFinalMemory, f * c[k] + i * memory);
        add(Quantity::kHidden, o * std::tanh(new_c));
      }
    }
    return values;
  }

 private:
  double Input(size_t gate, size_t unit, const Numbers& x) const {
    const size_t row = gate * units_ + unit;
    return weights_.bias_ih[row] +
           std::inner_product(x.begin(), x.end(), &ih_[row * x.size()], 0.0);
  }
  double Recurrent(size_t gate, size_t unit, const Numbers& h) const {
    const size_t row = gate * units_ + unit;
    return weights_.bias_hh[row] +
           std::inner_product(h.begin(), h.end(), &hh_[row * units_], 0.0);
  }
  double Activate(double x) const {
    switch (weights_.activation) {
      case Activation::kSigmoid:
        return Sigmoid(x);
      case Activation::kTanh:
        return std::tanh(x);
      case Activation::kRelu:
        return std::max(0.0, x);
    }
    return x;
  }

  const RecurrentLayer::Weights weights_;
  const std::vector<float> ih_, hh_;
  const size_t units_;
};

class InspectionTest : public testing::TestWithParam<Case> {
 protected:
  InspectableModel::Text Text(const Words& words) const {
    return {words, GetParam().source};
  }
  const Vocabulary& vocabulary() const { return served_.model.vocabulary(); }
  const InspectableModel& model() const { return served_.inspectable(); }
  ModelKind kind() const { return served_.model.kind(); }

  // Returns the words at the positions of a layer.
  Words Read(const Layer& layer) const {
    const Vocabulary& read =
        layer.reads_source ? served_.model.translation()->source_vocabulary()
                           : vocabulary();
    Words words = layer.reads_source ? GetParam().source : words_;
    if (layer.reads_begin) words.insert(words.begin(), read.begin_sentence());
    if (layer.reads_end) words.push_back(read.end_sentence());
    return words;
  }

  const Served served_ = GetParam().make();
  const Words words_ = {3, 8, 4, 4, 5, 9, 0, 7, 6};
};

// The states of left-to-right models and decoders are those of Score(), which
// here reads a word at a time, in a batch with another text.
TEST_P(InspectionTest, StatesAreThoseOfScoringToTheBit) {
  const LanguageModel* scoring = served_.model.word_by_word();
  if (scoring == nullptr) return;  // it has no states
  std::vector<std::byte> state(scoring->state_size());
  size_t pointer = 0;  // at the start of a state
  std::unique_ptr<const TranslationModel::Source> source;
  if (kind() == ModelKind::kTranslation) {
    source = served_.model.translation()->Read(GetParam().source);
    source->Start(state.data());
    pointer = sizeof(void*);
  } else {
    scoring->Start(state.data());
  }
  std::vector<std::byte> other = state;
  const Report report(model(), Text(words_));
  for (size_t t = 0;; ++t) {
    std::vector<float> expected;
    for (size_t i = 0; i < report.layers().size(); ++i) {
      if (report.layers()[i].reads_source) continue;
      const auto& quantities = report.layers()[i].quantities;
      for (Quantity q : {Quantity::kHidden, Quantity::kFinalMemory}) {
        if (std::count(quantities.begin(), quantities.end(), q) == 0) continue;
        const auto values = report.Get(i, q, t);
        expected.insert(expected.end(), values.begin(), values.end());
      }
    }
    ASSERT_EQ(state.size() - pointer, expected.size() * sizeof(float));
    ASSERT_EQ(std::memcmp(state.data() + pointer, expected.data(),
                          state.size() - pointer),
              0)
        << "position " << t;
    if (t == words_.size()) break;
    const Words reversed(words_.rbegin(), words_.rend());
    const LanguageModel::Query batch[] = {
        {other.data(), reversed, nullptr, {}},
        {state.data(), {&words_[t], 1}, state.data(), {}}};
    scoring->Score(batch);
  }
}

// A text with <unk> at a word is what a bidirectional model reads to score that
// word; its output layer gives the same log-probabilities after these states.
TEST_P(InspectionTest, StatesAtAGapAreThoseOfScoringToTheBit) {
  if (kind() != ModelKind::kBidirectional) return;
  const RecurrentParts parts =
      ReadRecurrentParts(served_.files.at(std::string(kWeightsFile)),
                         vocabulary(), /*bidirectional=*/true)
          .value();
  const Words candidates = {0, 3, 4, 5, 6, 7, 8, 9};
  for (size_t gap = 0; gap < words_.size(); ++gap) {
    Words text = words_;
    text[gap] = vocabulary().unknown();
    const Report report(model(), Text(text));
    std::vector<float> features;
    for (size_t i = report.layers().size() - 2; i < report.layers().size();
         ++i) {
      const auto h = report.Get(i, Quantity::kHidden, gap + 1);
      features.insert(features.end(), h.begin(), h.end());
    }
    std::vector<float> expected(candidates.size()), found(candidates.size());
    const OutputLayer::Targets targets = {candidates, expected.data()};
    parts.output.Score(features.data(), {&targets, 1});
    const absl::Span<const WordId> sentence = words_;
    const BidirectionalModel::Gap question = {sentence.first(gap),
                                              sentence.subspan(gap + 1)};
    served_.model.bidirectional()->Rate({&question, 1}, candidates,
                                        found.data());
    EXPECT_EQ(found, expected);
  }
}

// The gates and states satisfy the equations that connect them.
TEST_P(InspectionTest, SatisfiesTheEquationsOfTheCell) {
  const Report report(model(), Text(words_));
  for (size_t i = 0; i < report.layers().size(); ++i) {
    const Layer& layer = report.layers()[i];
    const size_t last = report.positions(i) - 1;
    const auto order = ReadingOrder(layer, report.positions(i));
    for (size_t t = 0; t <= last; ++t) {
      const auto value = [&](Quantity quantity, size_t unit) -> double {
        return report.Get(i, quantity, order[t])[unit];
      };
      const auto old = [&](Quantity quantity, size_t unit) -> double {
        return report.Get(i, quantity, order[t - 1])[unit];
      };
      // The states before the first word of a decoder are those of the encoder.
      const bool has_old =
          t > 0 || kind() != ModelKind::kTranslation || layer.reads_source;
      for (size_t k = 0; k < layer.units; ++k) {
        for (Quantity gate : layer.quantities) {
          if (gate > Quantity::kResetGate) continue;
          EXPECT_GT(value(gate, k), 0);
          EXPECT_LT(value(gate, k), 1);
        }
        const double h = value(Quantity::kHidden, k);
        if (layer.quantities.size() == 1) {
          ASSERT_THAT(layer.quantities, ElementsAre(Quantity::kHidden));
        } else if (layer.quantities.size() == 4) {
          if (!has_old) continue;
          const double z = value(Quantity::kUpdateGate, k);
          const double before = t == 0 ? 0 : old(Quantity::kHidden, k);
          EXPECT_NEAR(h, (1 - z) * value(Quantity::kNewMemory, k) + z * before,
                      1e-6);
        } else {
          ASSERT_THAT(layer.quantities, SizeIs(6));
          const double c = value(Quantity::kFinalMemory, k);
          EXPECT_NEAR(h, value(Quantity::kOutputGate, k) * std::tanh(c), 1e-6);
          if (!has_old) continue;
          const double before = t == 0 ? 0 : old(Quantity::kFinalMemory, k);
          EXPECT_NEAR(c,
                      value(Quantity::kForgetGate, k) * before +
                          value(Quantity::kInputGate, k) *
                              value(Quantity::kNewMemory, k),
                      1e-6 * std::max(1.0, std::abs(c)));
        }
      }
    }
  }
}

TEST_P(InspectionTest, AgreesWithANaiveReference) {
  const Report report(model(), Text(words_));
  const TensorFile file = served_.Weights();
  std::vector<Numbers> last_h, last_c;  // of the layers of an encoder
  for (bool encoder : {true, false}) {
    if (encoder && kind() != ModelKind::kTranslation) continue;
    const RecurrentWeights weights =
        ReadRecurrentWeights(file, 0, encoder ? kSourcePrefix : "").value();
    // A bridge computes the first states of such a decoder.
    const bool has_bridge =
        !encoder && !last_h.empty() && last_h.size() != weights.layers.size();
    if (has_bridge) continue;
    std::vector<Numbers> inputs;   // of a depth, by position
    std::vector<Numbers> outputs;  // the same of the next depth
    for (size_t n = 0; n < weights.layers.size(); ++n) {
      size_t i = n;
      if (!encoder) i += last_h.size();
      const Layer& layer = report.layers()[i];
      ASSERT_EQ(layer.reads_source, encoder);
      const size_t positions = report.positions(i);
      if (n == 0) {
        const WeightMatrix embedding =
            ReadMatrix(
                file, encoder ? kSourceEmbeddingTensor : kEmbeddingTensor, 0, 0)
                .value();
        for (WordId word : Read(layer)) {
          std::vector<float> row(embedding.cols);
          embedding.CopyRow(word, row.data());
          inputs.emplace_back(row.begin(), row.end());
        }
      } else if (layer.depth != report.layers()[i - 1].depth) {
        inputs = std::move(outputs);
        outputs.clear();
      }
      outputs.resize(positions);
      const NaiveLayer naive(weights.layers[n]);
      Numbers h(naive.units()), c(naive.units());
      if (!encoder && !last_h.empty()) h = last_h[n], c = last_c[n];
      for (size_t position : ReadingOrder(layer, positions)) {
        const NamedNumbers expected = naive.Step(inputs[position], h, c);
        ASSERT_EQ(expected.size(), layer.quantities.size());
        for (const auto& [quantity, numbers] : expected) {
          const auto found = report.Get(i, quantity, position);
          for (size_t k = 0; k < numbers.size(); ++k) {
            EXPECT_NEAR(found[k], numbers[k], GetParam().tolerance)
                << "layer " << i << ", position " << position << ", quantity "
                << static_cast<int>(quantity) << ", unit " << k;
          }
        }
        h = expected.at(Quantity::kHidden);
        if (expected.size() == 6) c = expected.at(Quantity::kFinalMemory);
        outputs[position].insert(outputs[position].end(), h.begin(), h.end());
      }
      if (encoder) {
        last_h.push_back(h);
        last_c.push_back(c);
      }
    }
  }
}

TEST_P(InspectionTest, TheDivisionIntoPartsChangesNothing) {
  const Report whole(model(), Text(words_), 1000);
  for (size_t part_words : {1, 2, 10}) {
    const Report parts(model(), Text(words_), part_words);
    for (size_t i = 0; i < whole.layers().size(); ++i) {
      EXPECT_EQ(parts.recorder().values(i), whole.recorder().values(i));
    }
    EXPECT_EQ(parts.recorder().attention(), whole.recorder().attention());
  }
}

TEST_P(InspectionTest, PartsAreNoLongerThanAsked) {
  const InspectableModel::Text text = Text(words_);
  InspectionRecorder nothing(model(), text, {}, false);
  const auto reading = model().Read(text, 3);
  std::vector<size_t> parts;
  while (reading->next_words() > 0) {
    parts.push_back(reading->next_words());
    reading->ReadPart(&nothing);
  }
  switch (kind()) {
    case ModelKind::kLeftToRight:  // <s> and 9 words
      EXPECT_THAT(parts, ElementsAre(3, 3, 3, 1));
      break;
    case ModelKind::kBidirectional:  // <s>, 9 words and </s>
      EXPECT_THAT(parts, ElementsAre(11));
      break;
    case ModelKind::kTranslation:  // 5 words and </s>; <s> and 9 words
      EXPECT_THAT(parts, ElementsAre(6, 3, 3, 3, 1));
      break;
    case ModelKind::kTagger:  // these cannot be inspected
    case ModelKind::kClassifier:
      FAIL();
  }
}

TEST_P(InspectionTest, AnEmptyTextHasItsMarkers) {
  const Report report(model(), Text({}));
  for (size_t i = 0; i < report.layers().size(); ++i) {
    const Layer& layer = report.layers()[i];
    if (layer.reads_source) continue;
    EXPECT_EQ(report.positions(i), layer.reads_begin + layer.reads_end);
    const auto h = report.Get(i, Quantity::kHidden, 0);
    EXPECT_NE(std::count(h.begin(), h.end(), 0), std::ssize(h));
  }
}

// Each row has the bits that Attend() gives for the state before the word.
TEST_P(InspectionTest, AttentionIsThatOfTheStates) {
  const Report report(model(), Text(words_));
  const absl::Span<const float> attention = report.recorder().attention();
  if (kind() != ModelKind::kTranslation) {
    EXPECT_THAT(attention, IsEmpty());
    return;
  }
  const TranslationModel& translation = *served_.model.translation();
  const auto source = translation.Read(GetParam().source);
  const size_t width = GetParam().source.size() + 1;
  ASSERT_THAT(attention, SizeIs((words_.size() + 1) * width));
  std::vector<std::byte> state(translation.decoder().state_size());
  source->Start(state.data());
  for (size_t t = 0;; ++t) {
    const absl::Span<const float> row = attention.subspan(t * width, width);
    EXPECT_NEAR(std::accumulate(row.begin(), row.end(), 0.0), 1, 1e-6);
    std::vector<float> expected(width);
    const TranslationModel::AttentionQuery question = {
        state.data(), absl::MakeSpan(expected)};
    translation.Attend({&question, 1});
    EXPECT_EQ(row, expected) << "position " << t;
    if (t == words_.size()) break;
    const LanguageModel::Query query = {
        state.data(), {&words_[t], 1}, state.data(), {}};
    translation.decoder().Score({&query, 1});
  }
}

TEST_P(InspectionTest, KeepsWhatIsSelected) {
  const Report all(model(), Text(words_));
  const size_t last = all.layers().size() - 1;
  const std::vector<size_t> units = {10, 0, 7};
  std::vector<Quantity> quantities = all.layers()[last].quantities;
  std::reverse(quantities.begin(), quantities.end());
  quantities.resize(1 + quantities.size() / 2);
  std::vector<InspectionRecorder::Selection> selections = {
      {last, units, quantities}};
  if (last > 0) selections.push_back({0, {3}, {Quantity::kHidden}});
  const InspectableModel::Text text = Text(words_);
  InspectionRecorder some(model(), text, selections, /*keep_attention=*/false);
  const auto reading = model().Read(text, 4);
  while (reading->next_words() > 0) reading->ReadPart(&some);

  std::vector<float> of_last, of_first;
  for (Quantity quantity : quantities) {
    for (size_t t = 0; t < all.positions(last); ++t) {
      for (size_t unit : units) {
        of_last.push_back(all.Get(last, quantity, t)[unit]);
      }
    }
  }
  for (size_t t = 0; t < all.positions(0); ++t) {
    of_first.push_back(all.Get(0, Quantity::kHidden, t)[3]);
  }
  EXPECT_EQ(some.values(0), of_last);
  if (last > 0) {
    EXPECT_EQ(some.values(1), of_first);
  }
  EXPECT_THAT(some.attention(), IsEmpty());
}

TEST_P(InspectionTest, FindsTheUnitsOfLargestVariance) {
  const InspectableModel::Text text = Text(words_);
  UnitVariance variance(model());
  const auto reading = model().Read(text, 4);
  while (reading->next_words() > 0) reading->ReadPart(&variance);
  const Report report(model(), text);
  for (size_t i = 0; i < report.layers().size(); ++i) {
    const size_t positions = report.positions(i);
    std::vector<std::pair<double, size_t>> expected;
    for (size_t k = 0; k < report.layers()[i].units; ++k) {
      double sum = 0, squares = 0;
      for (size_t t = 0; t < positions; ++t) {
        sum += report.Get(i, Quantity::kHidden, t)[k];
      }
      for (size_t t = 0; t < positions; ++t) {
        squares += std::pow(report.Get(i, Quantity::kHidden, t)[k] -
                                sum / static_cast<double>(positions),
                            2);
      }
      expected.emplace_back(-squares, k);
    }
    std::sort(expected.begin(), expected.end());
    std::vector<size_t> units;
    for (size_t k = 0; k < 5; ++k) units.push_back(expected[k].second);
    EXPECT_EQ(variance.Largest(i, 5), units);
  }
}

INSTANTIATE_TEST_SUITE_P(All, InspectionTest, testing::ValuesIn(Cases()),
                         [](const auto& info) { return info.param.name; });

// Units whose states are equal, or not finite, are last, in ascending order.
TEST(UnitVarianceTest, UnitsWithoutVarianceAreLast) {
  const Served served = MakeRecurrent(
      RecurrentOptions(Cell::kRnn, 1, Activation::kTanh), Precision::kFloat);
  UnitVariance variance(served.inspectable());
  const float infinity = std::numeric_limits<float>::infinity();
  for (float x : {1.0f, 2.0f}) {
    const std::vector<float> h = {0, infinity, x, 0, 3 * x, 5, -x, 0, 0, 0, 0};
    CellValues values(h.size());
    values.Set(Quantity::kHidden, h.data());
    variance.OnStep(0, 0, values);
  }
  EXPECT_THAT(variance.Largest(0, 6), ElementsAre(4, 2, 6, 0, 1, 3));
  EXPECT_THAT(variance.Largest(0, 0), IsEmpty());
}

TEST(InspectableTest, OnlyModelsWithRecurrentLayersAreInspectable) {
  const auto options = RecurrentOptions(Cell::kGru, 1, Activation::kTanh);
  for (const Served& served :
       {MakeRecurrent(options, Precision::kFloat),
        MakeBidirectional(options, Precision::kFloat),
        MakeTranslation(TranslationOptions(Cell::kGru), Precision::kFloat)}) {
    EXPECT_THAT(served.model.inspectable(), NotNull());
  }
  // A decoder depends on a source.
  const Served translation =
      MakeTranslation(TranslationOptions(Cell::kGru), Precision::kFloat);
  EXPECT_THAT(translation.model.translation()->decoder().inspectable(),
              IsNull());
  WindowNetworkOptions window;
  window.embedding = window.hidden = 4;
  std::vector<TestModel> members;
  members.push_back(
      WindowTestModel(VocabularyOf(kWords), window, Precision::kFloat));
  EXPECT_THAT(members[0].model->inspectable(), IsNull());
  members.push_back(
      RecurrentTestModel(VocabularyOf(kWords), options, Precision::kFloat));
  EXPECT_THAT(members[1].model->inspectable(), NotNull());
  EXPECT_THAT(
      MixtureTestModel(std::move(members), {0.5, 0.5}).model->inspectable(),
      IsNull());
  EXPECT_THAT(NgramTestModel(BuildFromArpa(TinyArpa())).model->inspectable(),
              IsNull());
}

}  // namespace
}  // namespace lmserve
