// SPDX-License-Identifier: Apache-2.0
//
// Tests whole trainings: the result is reproducible to the bit, even after an
// interruption at any step; when training stops; which parameters it returns.

#include "trainer/neural/network_trainer.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <ostream>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/ngram_models.h"
#include "tests/testing/temporary_directory.h"
#include "tests/trainer/neural/training.h"

namespace lmserve {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

using Factory = std::function<std::unique_ptr<Network<float>>()>;

bool SameBits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() &&
         std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

std::string ReadBytes(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// Wraps a source and reports when a batch is read, which happens before each
// step.
class WatchedBatches final : public BatchSource {
 public:
  WatchedBatches(BatchSource* source, std::function<void()> on_get)
      : source_(source), on_get_(std::move(on_get)) {}

  void StartEpoch(uint64_t epoch) override { source_->StartEpoch(epoch); }
  size_t size() const override { return source_->size(); }
  Batch Get(size_t i) const override {
    on_get_();
    return source_->Get(i);
  }

 private:
  BatchSource* const source_;
  const std::function<void()> on_get_;
};

// A kind of training.
struct Case {
  std::string name;
  std::function<std::unique_ptr<Network<float>>(const Vocabulary&)> make;
  enum { kStream, kSentences, kCloze, kWindows, kLabeled } batches;
  OptimizerKind optimizer = OptimizerKind::kSgd;
  double learning_rate = 4;
  size_t threads = 1;

  friend void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }
};

constexpr size_t kWindow = 3;
constexpr WordId kLabels = 3;
constexpr WordId kFirstWord = 3;  // after <unk>, <s> and </s>

class TrainNetworkTest : public testing::TestWithParam<Case> {
 protected:
  TrainNetworkTest() {
    options_.epochs = 3;
    options_.optimizer = GetParam().optimizer;
    options_.learning_rate = GetParam().learning_rate;
    options_.weight_decay = 1e-3;
    options_.threads = GetParam().threads;
    options_.description = GetParam().name;
  }

  std::unique_ptr<BatchSource> MakeBatches(
      const std::vector<WordId>& words) const {
    const Vocabulary& vocabulary = corpus_.vocabulary;
    const WordId begin = vocabulary.begin_sentence();
    const WordId end = vocabulary.end_sentence();
    BatchOptions options;
    options.streams = GetParam().batches == Case::kWindows ? 64 : 7;
    options.steps = 8;
    switch (GetParam().batches) {
      case Case::kStream:
        return MakeStreamBatches(words, begin, end, options);
      case Case::kSentences:
        return MakeSentenceBatches(words, begin, end, options);
      case Case::kCloze:
        return MakeClozeBatches(words, begin, end, vocabulary.unknown(),
                                options);
      case Case::kWindows:
        return MakeWindowBatches(words, begin, kWindow, options);
      case Case::kLabeled:
        return MakeLabeledBatches(Labeled(words), {.batches = options});
    }
    return nullptr;
  }

  // Returns the sentences of a text. The label of a word depends on the word
  // before and is also its auxiliary label.
  std::vector<LabeledIds> Labeled(const std::vector<WordId>& words) const {
    std::vector<LabeledIds> sentences;
    WordId before = 0;
    for (WordId word : words) {
      if (word == corpus_.vocabulary.begin_sentence()) sentences.emplace_back();
      if (word >= kFirstWord) {
        sentences.back().words.push_back(word);
        sentences.back().spellings.push_back(0);
        sentences.back().labels.push_back(before % kLabels);
        sentences.back().auxiliary.push_back(before % kLabels);
      }
      before = word;
    }
    return sentences;
  }

  Factory MakeNetwork() const {
    return [this] { return GetParam().make(corpus_.vocabulary); };
  }

  absl::StatusOr<TrainedNetwork> Train(
      const TrainingOptions& options,
      const std::function<void()>& on_step = [] {}) const {
    const std::unique_ptr<BatchSource> training = MakeBatches(corpus_.words);
    const std::unique_ptr<BatchSource> valid = MakeBatches(valid_);
    WatchedBatches watched(training.get(), on_step);
    return TrainNetwork(MakeNetwork(), watched, *valid, options);
  }

  // Returns sentences of the training text.
  static std::vector<WordId> Validation(const Corpus& corpus) {
    constexpr size_t kWords = 100;
    const auto rest = corpus.words.begin() + kWords;
    return {corpus.words.begin(), std::find(rest, corpus.words.end(),
                                            corpus.vocabulary.end_sentence()) +
                                      1};
  }

  static std::vector<double> ValidLosses(const TrainingLog& log) {
    std::vector<double> losses;
    for (const TrainingRecord& record : log.records()) {
      if (record.valid_loss) losses.push_back(*record.valid_loss);
    }
    return losses;
  }

  static void ExpectSame(const TrainedNetwork& found,
                         const TrainedNetwork& expected) {
    EXPECT_TRUE(SameBits(found.values, expected.values));
    EXPECT_EQ(found.progress.epoch, expected.progress.epoch);
    EXPECT_EQ(found.progress.batch, expected.progress.batch);
    EXPECT_EQ(found.progress.step, expected.progress.step);
    EXPECT_EQ(found.progress.words, expected.progress.words);
    EXPECT_EQ(found.progress.learning_rate, expected.progress.learning_rate);
    EXPECT_EQ(found.progress.best_epoch, expected.progress.best_epoch);
    EXPECT_EQ(found.progress.best_valid_loss,
              expected.progress.best_valid_loss);
    EXPECT_EQ(ValidLosses(found.log), ValidLosses(expected.log));
  }

  // Resumes from every checkpoint that a crash could leave behind.
  void ExpectSameBitsFromAnyCheckpoint() {
    options_.epochs = 2;
    const TrainedNetwork expected = Train(options_).value();
    options_.checkpoint = directory_.File("checkpoint");
    options_.checkpoint_seconds = 0;
    std::set<std::string> checkpoints;
    size_t steps = 0;
    const auto keep = [&] {
      if (steps++ == 0) return;  // there is no checkpoint yet
      checkpoints.insert(ReadBytes(options_.checkpoint));
    };
    ExpectSame(Train(options_, keep).value(), expected);
    checkpoints.insert(ReadBytes(options_.checkpoint));  // the last checkpoint
    EXPECT_EQ(steps, expected.progress.step);
    EXPECT_EQ(checkpoints.size(), steps);

    options_.resume = true;
    options_.checkpoint_seconds = 1e9;
    for (const std::string& checkpoint : checkpoints) {
      std::ofstream(options_.checkpoint, std::ios::binary) << checkpoint;
      const TrainingProgress from =
          ReadCheckpoint(options_.checkpoint, options_.description)
              .value()
              .progress;
      SCOPED_TRACE(absl::StrCat("epoch ", from.epoch, ", batch ", from.batch));
      size_t more = 0;
      ExpectSame(Train(options_, [&] { ++more; }).value(), expected);
      EXPECT_EQ(more, steps - from.step);
    }
  }

  const TemporaryDirectory directory_;
  const Corpus corpus_ = CorpusOf(DemoText(40, 1));
  const std::vector<WordId> valid_ = Validation(corpus_);
  TrainingOptions options_;
};

TEST_P(TrainNetworkTest, IsReproducible) {
  const TrainedNetwork first = Train(options_).value();
  ExpectSame(Train(options_).value(), first);
  options_.seed = 2;
  EXPECT_FALSE(SameBits(Train(options_).value().values, first.values));
}

TEST_P(TrainNetworkTest, Learns) {
  options_.epochs = 20;
  options_.patience = 0;
  const std::vector<double> losses = ValidLosses(Train(options_).value().log);
  ASSERT_EQ(losses.size(), 20u);
  const double best = *std::min_element(losses.begin(), losses.end());
  RecordProperty("gain", absl::StrCat(losses[0] - best));
  EXPECT_LT(best, losses[0] - 0.1);
  EXPECT_LT(losses[0], std::log(corpus_.vocabulary.size()));
}

TEST_P(TrainNetworkTest, ResumesFromAnyCheckpointWithTheSameBits) {
  ExpectSameBitsFromAnyCheckpoint();
}

TEST_P(TrainNetworkTest, ResumesFromAnyCheckpointOfALinearSchedule) {
  options_.schedule = Schedule::kLinear;
  ExpectSameBitsFromAnyCheckpoint();
}

// A finished training can be continued with more epochs.
TEST_P(TrainNetworkTest, ContinuesWithMoreEpochs) {
  options_.checkpoint = directory_.File("checkpoint");
  options_.epochs = 4;
  const TrainedNetwork expected = Train(options_).value();
  options_.epochs = 2;
  ASSERT_TRUE(Train(options_).ok());
  options_.epochs = 4;
  options_.resume = true;
  ExpectSame(Train(options_).value(), expected);
}

// A training that diverges fails instead of returning a network.
TEST_P(TrainNetworkTest, HugeLearningRates) {
  options_.clip = 0;
  for (double rate : {1e2, 1e4, 1e8, 1e16, 1e30, 1e38}) {
    for (uint64_t epochs : {1, 2}) {
      options_.learning_rate = rate;
      options_.epochs = epochs;
      const absl::StatusOr<TrainedNetwork> trained = Train(options_);
      if (!trained.ok()) {
        EXPECT_TRUE(absl::IsDataLoss(trained.status())) << trained.status();
        continue;
      }
      EXPECT_TRUE(std::all_of(trained->values.begin(), trained->values.end(),
                              [](float x) { return std::isfinite(x); }))
          << rate;
      EXPECT_TRUE(std::isfinite(trained->progress.best_valid_loss));
    }
  }
}

TEST_P(TrainNetworkTest, LossThatIsNotFinite) {
  options_.clip = 0;
  options_.weight_decay = 0;
  options_.learning_rate = 1e38;
  options_.checkpoint = directory_.File("checkpoint");
  const absl::Status status = Train(options_).status();
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("epoch 1, step 2: the"));
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("nothing is published. Try a smaller learning rate"));
  EXPECT_FALSE(std::filesystem::exists(options_.checkpoint));
}

// The log has each layer once.
TEST_P(TrainNetworkTest, LayersOfTheLog) {
  const TrainedNetwork trained = Train(options_).value();
  std::set<std::string> expected;
  const auto network = MakeNetwork()();
  for (const auto& p : network->layout().parameters()) {
    expected.insert(p.name.substr(0, p.name.find('.')));
  }
  for (const TrainingRecord& record : trained.log.records()) {
    std::set<std::string> names, modules;
    for (const auto& [name, norm] : record.layer_gradient_norms) {
      EXPECT_TRUE(names.insert(name).second) << name << " stands twice";
      modules.insert(name.substr(0, name.find('.')));
      EXPECT_GT(norm, 0) << name;
      EXPECT_LE(norm, record.gradient_norm * 1.0001) << name;
    }
    EXPECT_EQ(modules, expected);
  }
}

TEST_P(TrainNetworkTest, CheckpointsThatDoNotFit) {
  options_.checkpoint = directory_.File("checkpoint");
  options_.resume = true;
  EXPECT_TRUE(absl::IsNotFound(Train(options_).status()));
  options_.resume = false;
  ASSERT_TRUE(Train(options_).ok());
  options_.resume = true;
  options_.description = "another";
  EXPECT_TRUE(absl::IsInvalidArgument(Train(options_).status()));
  // A checkpoint with the right description but an array that is too short.
  options_.description = GetParam().name;
  Checkpoint checkpoint =
      ReadCheckpoint(options_.checkpoint, options_.description).value();
  checkpoint.arrays.at("values").pop_back();
  ASSERT_TRUE(WriteCheckpoint(options_.checkpoint, checkpoint).ok());
  const absl::Status status = Train(options_).status();
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("'values': expected"));
}

using Made = std::unique_ptr<Network<float>>;

RecurrentNetworkOptions Recurrent(const Vocabulary& vocabulary, Cell cell) {
  RecurrentNetworkOptions options;
  options.vocabulary = vocabulary.size();
  options.never = vocabulary.begin_sentence();
  options.embedding = 6;
  options.stack.cell = cell;
  options.stack.units = 5;
  options.stack.dropout = 0.1;
  return options;
}

Made StreamLstm(const Vocabulary& vocabulary) {
  RecurrentNetworkOptions options = Recurrent(vocabulary, Cell::kLstm);
  options.carry_state = true;
  options.stack.layers = 2;
  return MakeRecurrentNetwork<float>(options);
}

Made TiedGru(const Vocabulary& vocabulary) {
  RecurrentNetworkOptions options = Recurrent(vocabulary, Cell::kGru);
  options.tied = true;
  options.embedding = options.stack.units;
  options.cutoffs = {10, vocabulary.size() / 2};
  return MakeRecurrentNetwork<float>(options);
}

Made IdentityRnn(const Vocabulary& vocabulary) {
  RecurrentNetworkOptions options = Recurrent(vocabulary, Cell::kRnn);
  options.stack.activation = Activation::kRelu;
  options.identity = true;
  return MakeRecurrentNetwork<float>(options);
}

Made ClozeLstm(const Vocabulary& vocabulary) {
  RecurrentNetworkOptions options = Recurrent(vocabulary, Cell::kLstm);
  options.stack.bidirectional = true;
  return MakeRecurrentNetwork<float>(options);
}

Made DirectWindow(const Vocabulary& vocabulary) {
  WindowNetworkOptions options;
  options.vocabulary = vocabulary.size();
  options.never = vocabulary.begin_sentence();
  options.embedding = 6;
  options.hidden = 5;
  options.window = kWindow;
  options.direct = true;
  options.dropout = 0.1;
  return MakeWindowNetwork<float>(options);
}

Made Tagger(const Vocabulary& vocabulary) {
  TaggerNetworkOptions options;
  options.vocabulary = vocabulary.size();
  options.labels = kLabels;
  options.embedding = 6;
  options.stack.units = 5;
  options.stack.bidirectional = true;
  options.stack.dropout = 0.1;
  options.crf = true;
  options.auxiliary_labels = kLabels;
  return MakeTaggerNetwork<float>(options);
}

INSTANTIATE_TEST_SUITE_P(
    Networks, TrainNetworkTest,
    testing::Values(
        Case{"stream_lstm", StreamLstm, Case::kStream, OptimizerKind::kSgd, 20},
        Case{"stream_lstm_adam_3_threads", StreamLstm, Case::kStream,
             OptimizerKind::kAdam, 0.02, 3},
        Case{"tied_gru", TiedGru, Case::kSentences},
        Case{"identity_rnn_2_threads", IdentityRnn, Case::kSentences,
             OptimizerKind::kSgd, 1, 2},
        Case{"cloze_lstm", ClozeLstm, Case::kCloze, OptimizerKind::kAdam, 0.02},
        Case{"window", DirectWindow, Case::kWindows},
        Case{"tagger_adam", Tagger, Case::kLabeled, OptimizerKind::kAdam, 0.02},
        Case{"tagger_3_threads", Tagger, Case::kLabeled, OptimizerKind::kAdam,
             0.02, 3}),
    [](const auto& info) { return info.param.name; });

// A network with one parameter, whose gradient is always 1, and with given
// validation losses, one per epoch.
class ScriptedNetwork final : public Network<float> {
 public:
  explicit ScriptedNetwork(std::vector<double> losses)
      : losses_(std::move(losses)) {
    layout_.AddVector("number", 1);
  }

  std::map<std::string, std::string> Metadata() const override { return {}; }
  void Initialize(uint64_t, float* values) const override { values[0] = 0; }
  double Run(const float*, const Batch& batch, Random*,
             const Backward* backward) override {
    if (backward == nullptr) return losses_.at(epoch_++) * batch.targets.size();
    backward->gradients[0] += 1;
    return 2.0 * static_cast<double>(batch.targets.size());
  }

 private:
  const std::vector<double> losses_;
  size_t epoch_ = 0;
};

// A source with one batch per epoch.
class OneBatch final : public BatchSource {
 public:
  void StartEpoch(uint64_t) override {}
  size_t size() const override { return 1; }
  Batch Get(size_t) const override { return {1, 2, {0, 0}, {1, 1}}; }
};

absl::StatusOr<TrainedNetwork> TrainScripted(const std::vector<double>& losses,
                                             const TrainingOptions& options) {
  OneBatch training, validation;
  return TrainNetwork([&] { return std::make_unique<ScriptedNetwork>(losses); },
                      training, validation, options);
}

TrainingOptions ScriptedOptions() {
  TrainingOptions options;
  options.epochs = 20;
  options.learning_rate = 1;
  options.clip = 0;
  options.decay = 0.5;
  options.patience = 3;
  return options;
}

std::vector<double> Rates(const TrainingLog& log) {
  std::vector<double> rates;
  for (const TrainingRecord& record : log.records()) {
    rates.push_back(record.learning_rate);
  }
  return rates;
}

TEST(TrainNetworkScriptTest, PatienceAndDecay) {
  // The loss improves in epochs 1, 2 and 4, and not afterwards.
  const TrainedNetwork trained =
      TrainScripted({5, 4, 4, 3, 3.5, 3.2, 3}, ScriptedOptions()).value();
  EXPECT_THAT(Rates(trained.log), ElementsAre(1, 1, 1, 0.5, 0.5, 0.25, 0.125));
  EXPECT_EQ(trained.progress.learning_rate, 0.0625);
  EXPECT_EQ(trained.progress.best_epoch, 4u);
  EXPECT_EQ(trained.progress.best_valid_loss, 3);
  // The parameter after epoch 4, not after epoch 7.
  EXPECT_THAT(trained.values, ElementsAre(-3.5));
}

TEST(TrainNetworkScriptTest, LinearSchedule) {
  TrainingOptions options = ScriptedOptions();
  options.schedule = Schedule::kLinear;
  options.epochs = 4;
  // One step per epoch. The validation loss has no effect.
  const TrainedNetwork trained = TrainScripted({5, 6, 4, 3}, options).value();
  EXPECT_THAT(trained.values, ElementsAre(-(1 + 0.75 + 0.5 + 0.25)));
  EXPECT_THAT(Rates(trained.log), ElementsAre(1, 0.75, 0.5, 0.25));
}

// The value after step t is -t, since the rate is 1. The loss does not improve
// in epoch 3, so the weights after steps 4, 5, ... are averaged.
TEST(TrainNetworkScriptTest, AveragesTheWeights) {
  TrainingOptions options = ScriptedOptions();
  options.average_after = 1;
  options.epochs = 6;
  const TrainedNetwork trained =
      TrainScripted({5, 4, 4, 3, 2, 2.5}, options).value();
  EXPECT_THAT(Rates(trained.log), ElementsAre(1, 1, 1, 1, 1, 1));
  EXPECT_EQ(trained.progress.average_epoch, 4u);
  EXPECT_EQ(trained.progress.averaged, 3u);
  EXPECT_EQ(trained.progress.best_epoch, 5u);
  EXPECT_THAT(trained.values, ElementsAre(-4.5));
}

TEST(TrainNetworkScriptTest, AveragesAfterSeveralEpochs) {
  TrainingOptions options = ScriptedOptions();
  options.average_after = 2;
  options.epochs = 5;
  const TrainedNetwork trained =
      TrainScripted({5, 6, 6, 4, 3}, options).value();
  EXPECT_THAT(Rates(trained.log), ElementsAre(1, 1, 0.5, 0.5, 0.5));
  EXPECT_EQ(trained.progress.average_epoch, 4u);
  EXPECT_THAT(trained.values, ElementsAre(-(3 + 3.5) / 2));
}

// An epoch of averages counts from the first one.
TEST(TrainNetworkScriptTest, PatienceCountsAgainOnceWeightsAreAveraged) {
  TrainingOptions options = ScriptedOptions();
  options.average_after = 2;
  options.patience = 3;
  const TrainedNetwork trained =
      TrainScripted({1, 2, 2, 2, 2, 2}, options).value();
  EXPECT_EQ(trained.log.records().size(), 6u);
  EXPECT_THAT(trained.values, ElementsAre(-1));
}

TEST(TrainNetworkScriptTest, AveragesAfterAnInterruption) {
  const std::vector<double> losses = {5, 5, 4, 3, 2, 1};
  TrainingOptions options = ScriptedOptions();
  options.average_after = 1;
  options.epochs = 6;
  const TrainedNetwork whole = TrainScripted(losses, options).value();
  EXPECT_EQ(whole.progress.averaged, 4u);
  const TemporaryDirectory directory;
  options.checkpoint = directory.File("checkpoint");
  options.epochs = 4;
  ASSERT_TRUE(TrainScripted({5, 5, 4, 3}, options).ok());
  options.epochs = 6;
  options.resume = true;
  const TrainedNetwork resumed = TrainScripted({2, 1}, options).value();
  EXPECT_EQ(resumed.values, whole.values);
  EXPECT_EQ(resumed.progress.averaged, 4u);
}

TEST(TrainNetworkScriptTest, WithoutPatience) {
  TrainingOptions options = ScriptedOptions();
  options.patience = 0;
  options.epochs = 6;
  const TrainedNetwork trained =
      TrainScripted({1, 2, 3, 4, 5, 6}, options).value();
  EXPECT_EQ(trained.log.records().size(), 6u);
  EXPECT_THAT(trained.values, ElementsAre(-1));
}

TEST(TrainNetworkScriptTest, ClippedGradients) {
  TrainingOptions options = ScriptedOptions();
  options.clip = 0.25;
  options.epochs = 2;
  TrainedNetwork trained = TrainScripted({2, 1}, options).value();
  EXPECT_THAT(trained.values, ElementsAre(-0.5));
  EXPECT_EQ(trained.log.records()[0].clipped_share, 1);
  EXPECT_EQ(trained.log.records()[0].gradient_norm, 1);
  options.clip = 1;  // the norm of the gradient
  trained = TrainScripted({2, 1}, options).value();
  EXPECT_THAT(trained.values, ElementsAre(-2));
  EXPECT_EQ(trained.log.records()[0].clipped_share, 0);
}

TEST(TrainNetworkScriptTest, Records) {
  TrainingOptions options = ScriptedOptions();
  options.epochs = 4;
  std::vector<double> shares;
  options.report = [&](const TrainingRecord& record, double share) {
    EXPECT_EQ(record.epoch, static_cast<int>(shares.size()) + 1);
    shares.push_back(share);
  };
  const TrainedNetwork trained = TrainScripted({4, 3, 2, 1}, options).value();
  EXPECT_THAT(shares, ElementsAre(0.25, 0.5, 0.75, 1));
  ASSERT_EQ(trained.log.records().size(), 4u);
  const TrainingRecord& last = trained.log.records().back();
  EXPECT_EQ(last.train_loss, 2);
  EXPECT_EQ(last.valid_loss, 1);
  EXPECT_EQ(last.step, 4u);
  EXPECT_EQ(last.words, 8u);
}

TEST(TrainNetworkScriptTest, ValidationLossThatIsNotFinite) {
  const absl::Status status =
      TrainScripted({5, std::nan("")}, ScriptedOptions()).status();
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("epoch 2"));
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("the validation loss is nan"));
}

// The last step of a training must be checked, too.
TEST(TrainNetworkScriptTest, WeightsThatAreNotFinite) {
  TrainingOptions options = ScriptedOptions();
  options.epochs = 1;
  options.learning_rate = 1e300;
  const absl::Status status = TrainScripted({5}, options).status();
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("norm of the weights"));
}

// A resumed training also counts the epochs before the interruption.
TEST(TrainNetworkScriptTest, PatienceAfterAnInterruption) {
  const TemporaryDirectory directory;
  TrainingOptions options = ScriptedOptions();
  options.checkpoint = directory.File("checkpoint");
  options.epochs = 3;
  ASSERT_TRUE(TrainScripted({1, 2, 3}, options).ok());
  options.epochs = 20;
  options.resume = true;
  const TrainedNetwork trained = TrainScripted({4}, options).value();
  EXPECT_EQ(trained.log.records().size(), 4u);
  EXPECT_EQ(trained.progress.best_epoch, 1u);
  EXPECT_THAT(trained.values, ElementsAre(-1));
}

// A network with a table of two columns and a bias. Its loss, summed over the
// inputs w, is |table[w] - (w, 1)|^2 / 2 + bias.
class TableNetwork final : public Network<float> {
 public:
  static constexpr size_t kRows = 5, kCols = 2;

  TableNetwork() {
    layout_.AddVector("bias", 1);
    layout_.AddMatrix("table", kRows, kCols);
  }

  std::map<std::string, std::string> Metadata() const override { return {}; }
  std::optional<size_t> table() const override { return 1; }
  void Initialize(uint64_t, float* values) const override {
    for (size_t i = 0; i < layout_.size(); ++i) {
      values[i] = 0.25f * static_cast<float>(i);
    }
  }
  double Run(const float* values, const Batch& batch, Random*,
             const Backward* backward) override {
    const auto table = layout_.View(values, 1);
    double loss = 0;
    for (WordId word : batch.inputs) {
      loss += values[0];
      if (backward != nullptr) backward->gradients[0] += backward->scale;
      for (size_t k = 0; k < kCols; ++k) {
        const float d = table.row(word)[k] - (k == 0 ? float(word) : 1);
        loss += d * d / 2;
        if (backward == nullptr) continue;
        layout_.View(backward->gradients, 1).row(word)[k] +=
            backward->scale * d;
      }
    }
    return loss;
  }
};

// Batches with given inputs.
class GivenBatches final : public BatchSource {
 public:
  explicit GivenBatches(std::vector<std::vector<WordId>> inputs)
      : inputs_(std::move(inputs)) {}

  void StartEpoch(uint64_t) override {}
  size_t size() const override { return inputs_.size(); }
  Batch Get(size_t i) const override {
    return {1, inputs_[i].size(), inputs_[i], inputs_[i]};
  }

 private:
  const std::vector<std::vector<WordId>> inputs_;
};

// Trains all numbers of the table in double precision in every step.
std::vector<double> NaiveTable(const std::vector<std::vector<WordId>>& inputs,
                               const TrainingOptions& options) {
  struct Number {
    double value, mean = 0, square = 0;
  };
  std::vector<Number> numbers;
  for (size_t i = 0; i < 1 + TableNetwork::kRows * TableNetwork::kCols; ++i) {
    numbers.push_back({0.25 * static_cast<double>(i)});
  }
  const double steps = static_cast<double>(options.epochs * inputs.size());
  for (double step = 0; step < steps; ++step) {
    const std::vector<WordId>& words =
        inputs[static_cast<size_t>(step) % inputs.size()];
    const double share = 1 / static_cast<double>(words.size());
    std::vector<double> gradients(numbers.size());
    for (WordId word : words) {
      gradients[0] += share;
      for (size_t k = 0; k < 2; ++k) {
        const size_t i = 1 + word * 2 + k;
        gradients[i] += share * (numbers[i].value - (k == 0 ? word : 1));
      }
    }
    const double rate = options.schedule == Schedule::kPlateau
                            ? options.learning_rate
                            : options.learning_rate * (1 - step / steps);
    for (size_t i = 0; i < numbers.size(); ++i) {
      Number& n = numbers[i];
      const double g = gradients[i];
      if (i > 0) n.value *= 1 - rate * options.weight_decay;
      if (options.optimizer == OptimizerKind::kSgd) {
        n.value -= rate * g;
        continue;
      }
      n.mean = 0.9 * n.mean + 0.1 * g;
      n.square = 0.999 * n.square + 0.001 * g * g;
      n.value -= rate * (n.mean / (1 - std::pow(0.9, step + 1))) /
                 (std::sqrt(n.square / (1 - std::pow(0.999, step + 1))) + 1e-8);
    }
  }
  std::vector<double> values;
  for (const Number& n : numbers) values.push_back(n.value);
  return values;
}

// Word 0 is in every batch, word 3 in one of 7, and word 4 in none.
TEST(TrainNetworkTableTest, EqualsUpdatesOfTheWholeTable) {
  const std::vector<std::vector<WordId>> inputs = {
      {0, 1, 1}, {0, 2}, {2, 0, 1}, {0, 0, 3}, {0, 2}, {0}, {1, 0}};
  for (OptimizerKind kind : {OptimizerKind::kSgd, OptimizerKind::kAdam}) {
    for (Schedule schedule : {Schedule::kPlateau, Schedule::kLinear}) {
      for (double weight_decay : {0.0, 0.1}) {
        TrainingOptions options = ScriptedOptions();
        options.epochs = 4;
        options.patience = 0;
        options.learning_rate = 0.02;
        options.decay = 1;
        options.optimizer = kind;
        options.schedule = schedule;
        options.weight_decay = weight_decay;
        const std::vector<double> expected = NaiveTable(inputs, options);
        for (size_t threads : {1, 2, 4}) {
          options.threads = threads;
          GivenBatches training(inputs), validation({{0, 1, 2, 3}});
          const TrainedNetwork trained =
              TrainNetwork([] { return std::make_unique<TableNetwork>(); },
                           training, validation, options)
                  .value();
          // The loss falls with each epoch, so the values are the last ones.
          ASSERT_EQ(trained.progress.best_epoch, options.epochs);
          ASSERT_EQ(trained.values.size(), expected.size());
          for (size_t i = 0; i < expected.size(); ++i) {
            EXPECT_NEAR(trained.values[i], expected[i], 1e-5)
                << "number " << i << ", " << threads << " threads";
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace lmserve
