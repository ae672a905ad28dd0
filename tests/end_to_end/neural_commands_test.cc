// SPDX-License-Identifier: Apache-2.0
//
// Tests the commands of lm_trainer that train, import and convert networks.

#include <signal.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "models/neural/network_weights.h"
#include "models/neural/tensor_file.h"
#include "tests/end_to_end/programs.h"
#include "tests/testing/ngram_models.h"
#include "tests/testing/shared_data.h"
#include "tests/testing/temporary_directory.h"

namespace lmserve {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class NeuralCommandsTest : public testing::Test {
 protected:
  NeuralCommandsTest() {
    WriteText(train_, DemoText(1500, 1));
    WriteText(valid_, DemoText(100, 2));
  }

  // Returns the arguments of a command that trains a small network.
  Arguments Train(const std::string& family, const std::string& model,
                  const Arguments& options) const {
    Arguments arguments = {family, "--corpus",  train_, "--valid",
                           valid_, "--store",   store_, "--model",
                           model,  "--threads", "2"};
    arguments.insert(arguments.end(), options.begin(), options.end());
    if (std::count(options.begin(), options.end(), "--epochs") == 0) {
      arguments.insert(arguments.end(), {"--epochs", "2"});
    }
    return arguments;
  }

  Arguments SmallLstm(const std::string& model,
                      const Arguments& more = {}) const {
    Arguments options = {"--units", "16", "--layers", "2", "--tied"};
    options.insert(options.end(), more.begin(), more.end());
    return Train("recurrent", model, options);
  }

  double Perplexity(const std::string& model) const {
    const Outcome outcome =
        RunTrainer({"evaluate", "--corpus", valid_, "--json", "--store", store_,
                    "--model", model});
    EXPECT_EQ(outcome.exit_code, 0) << outcome.errors;
    return nlohmann::json::parse(outcome.output)["perplexity"];
  }

  std::string Weights(const std::string& model) const {
    return ReadFile(absl::StrCat(store_, "/", model, "/1/weights.safetensors"));
  }

  const TemporaryDirectory directory_;
  const std::string store_ = directory_.File("store");
  const std::string train_ = directory_.File("train.txt");
  const std::string valid_ = directory_.File("valid.txt");
};

TEST_F(NeuralCommandsTest, RecurrentTrainsAndPublishesWithALog) {
  const Outcome outcome = RunTrainer(SmallLstm("lstm"));
  EXPECT_EQ(outcome.exit_code, 0) << outcome.errors;
  EXPECT_EQ(outcome.output, "lstm@1\n");
  EXPECT_THAT(outcome.errors, HasSubstr("epoch 2/2"));
  const std::string version = absl::StrCat(store_, "/lstm/1/");
  EXPECT_THAT(ReadFile(version + "training.jsonl"), HasSubstr("valid_loss"));
  EXPECT_THAT(ReadFile(version + "training.svg"), HasSubstr("<svg"));
  EXPECT_THAT(ReadFile(version + "manifest.json"),
              HasSubstr("valid_perplexity"));
  // The checkpoint was removed, and the published network is the trained one.
  EXPECT_TRUE(std::filesystem::is_empty(absl::StrCat(store_, "/.training")));
  EXPECT_LT(Perplexity("lstm"), 300);
}

TEST_F(NeuralCommandsTest, TheSameSeedGivesTheSameBits) {
  ASSERT_EQ(RunTrainer(SmallLstm("a")).exit_code, 0);
  ASSERT_EQ(RunTrainer(SmallLstm("b")).exit_code, 0);
  ASSERT_EQ(RunTrainer(SmallLstm("c", {"--seed", "2"})).exit_code, 0);
  EXPECT_EQ(Weights("a"), Weights("b"));
  EXPECT_NE(Weights("a"), Weights("c"));
}

// A training that is killed and resumed many times, at random moments, gives
// the same bits as an undisturbed one.
TEST_F(NeuralCommandsTest, KilledAndResumedEndsWithTheSameBits) {
  const Arguments often = {"--checkpoint-seconds", "0"};
  ASSERT_EQ(RunTrainer(SmallLstm("whole", often)).exit_code, 0);
  const std::string checkpoint = store_ + "/.training/cut.safetensors";
  int kills = 0;
  for (int delay = 20; kills < 6; delay += 35) {
    Arguments arguments = SmallLstm("cut", often);
    if (std::filesystem::exists(checkpoint)) arguments.push_back("--resume");
    Process trainer(Command("lm_trainer", arguments));
    trainer.CloseInput();
    std::this_thread::sleep_for(std::chrono::milliseconds(delay));
    trainer.Signal(SIGKILL);
    if (trainer.Wait() == 0) break;
    ++kills;
  }
  EXPECT_GT(kills, 0);
  if (!std::filesystem::exists(store_ + "/cut/1")) {
    Arguments arguments = SmallLstm("cut", often);
    if (std::filesystem::exists(checkpoint)) arguments.push_back("--resume");
    const Outcome outcome = RunTrainer(arguments);
    ASSERT_EQ(outcome.exit_code, 0) << outcome.errors;
  }
  EXPECT_EQ(Weights("cut"), Weights("whole"));
}

TEST_F(NeuralCommandsTest, ResumeRefusesAnotherTraining) {
  Process trainer(Command(
      "lm_trainer",
      SmallLstm("m", {"--checkpoint-seconds", "0", "--epochs", "1000"})));
  trainer.CloseInput();
  const std::string checkpoint = store_ + "/.training/m.safetensors";
  for (int i = 0; i < 6000 && !std::filesystem::exists(checkpoint); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  trainer.Signal(SIGKILL);
  trainer.Wait();
  const Outcome other =
      RunTrainer(SmallLstm("m", {"--resume", "--learning-rate", "0.5"}));
  EXPECT_EQ(other.exit_code, 1);
  EXPECT_THAT(other.errors, HasSubstr("of another training"));
  const Outcome none = RunTrainer(SmallLstm("new", {"--resume"}));
  EXPECT_EQ(none.exit_code, 1);
  EXPECT_THAT(none.errors, HasSubstr("new.safetensors"));
}

TEST_F(NeuralCommandsTest, ADivergedTrainingPublishesNothing) {
  const Outcome outcome = RunTrainer(
      Train("recurrent", "bad",
            {"--cell", "rnn", "--nonlinearity", "relu", "--units", "16",
             "--optimizer", "sgd", "--learning-rate", "1e30", "--clip", "0"}));
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.errors, HasSubstr("nothing is published"));
  EXPECT_FALSE(std::filesystem::exists(store_ + "/bad"));
}

TEST_F(NeuralCommandsTest, WindowTrainsAndConverts) {
  ASSERT_EQ(RunTrainer(Train("window", "w",
                             {"--embedding", "16", "--hidden", "24", "--direct",
                              "--adaptive", "100,300"}))
                .exit_code,
            0);
  const double exact = Perplexity("w");
  for (const std::string precision : {"bf16", "int8"}) {
    const Outcome outcome =
        RunTrainer({"convert", "--precision", precision, "--as", precision,
                    "--store", store_, "--model", "w"});
    EXPECT_EQ(outcome.exit_code, 0) << outcome.errors;
    EXPECT_EQ(outcome.output, precision + "@1\n");
    EXPECT_NEAR(Perplexity(precision) / exact, 1,
                precision == "bf16" ? 0.001 : 0.005);
    EXPECT_LT(Weights(precision).size(), Weights("w").size() * 0.6);
  }
}

TEST_F(NeuralCommandsTest, ConvertRefusesOtherFamilies) {
  ASSERT_EQ(RunTrainer({"ngram", "--corpus", train_, "--store", store_,
                        "--model", "n"})
                .exit_code,
            0);
  const Outcome outcome = RunTrainer(
      {"convert", "--precision", "int8", "--store", store_, "--model", "n"});
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.errors, HasSubstr("expected a neural network"));
}

// The tensors of the PyTorch file keep their names and numbers; a row for <s>
// is added.
TEST_F(NeuralCommandsTest, ImportTorchServesTheFile) {
  const std::string file = SharedFile("reference/torch/lstm_2.safetensors");
  if (file.empty()) GTEST_SKIP() << "no reference results of PyTorch";
  std::string words = "<unk>\n<eos>\n";
  for (int i = 2; i < 37; ++i) absl::StrAppend(&words, "word", i, "\n");
  WriteText(directory_.File("words.txt"), words);
  // The file also has what PyTorch computed with the network.
  const Outcome outcome =
      RunTrainer({"import-torch",    file,
                  "--vocabulary",    directory_.File("words.txt"),
                  "--store",         store_,
                  "--model",         "torch",
                  "--ignore-tensor", "grad.encoder.weight",
                  "--ignore-tensor", "grad.rnn.weight_ih_l0",
                  "--ignore-tensor", "grad.rnn.weight_hh_l0",
                  "--ignore-tensor", "grad.rnn.bias_ih_l0",
                  "--ignore-tensor", "grad.rnn.bias_hh_l0",
                  "--ignore-tensor", "grad.rnn.weight_ih_l1",
                  "--ignore-tensor", "grad.rnn.weight_hh_l1",
                  "--ignore-tensor", "grad.rnn.bias_ih_l1",
                  "--ignore-tensor", "grad.rnn.bias_hh_l1",
                  "--ignore-tensor", "grad.decoder.weight",
                  "--ignore-tensor", "grad.decoder.bias",
                  "--ignore-tensor", "input.tokens",
                  "--ignore-tensor", "input.targets",
                  "--ignore-tensor", "expect.logprob",
                  "--ignore-tensor", "expect.state_h",
                  "--ignore-tensor", "expect.loss",
                  "--ignore-tensor", "expect.state_c"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.errors;
  const std::string theirs_bytes = ReadFile(file);
  const std::string ours_bytes = Weights("torch");
  const TensorFile theirs = TensorFile::Parse(theirs_bytes).value();
  const TensorFile ours = TensorFile::Parse(ours_bytes).value();
  EXPECT_EQ(ours.Find("rnn.weight_hh_l1")->bytes,
            theirs.Find("rnn.weight_hh_l1")->bytes);
  const TensorView& embedding = *ours.Find(kEmbeddingTensor);
  EXPECT_THAT(embedding.shape, ElementsAre(38, 6));
  EXPECT_EQ(embedding.bytes.substr(0, sizeof(float) * 37 * 6),
            theirs.Find(kEmbeddingTensor)->bytes);
}

TEST_F(NeuralCommandsTest, UsageErrorsAreOneLine) {
  for (const auto& [options, message] :
       std::vector<std::pair<Arguments, std::string>>{
           {{"--cell", "elman"}, "--cell"},
           {{"--layers", "9"}, "--layers"},
           {{"--dropout", "1.5"}, "--dropout"},
           {{"--learning-rate", "-1"}, "--learning-rate"},
           {{"--precision", "fp8"}, "--precision"}}) {
    const Outcome outcome = RunTrainer(Train("recurrent", "m", options));
    EXPECT_EQ(outcome.exit_code, 2) << outcome.errors;
    EXPECT_THAT(outcome.errors, HasSubstr(message));
    EXPECT_THAT(outcome.errors, testing::EndsWith("--help)\n"));
  }
  const Outcome outcome =
      RunTrainer(Train("recurrent", "m", {"--tied", "--embedding", "17"}));
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.errors, HasSubstr("--tied"));
}

class LabelingCommandsTest : public testing::Test {
 protected:
  // Texts in which the label follows from the word, its ending or the word
  // before.
  LabelingCommandsTest() {
    std::string tagged, classified;
    for (int i = 0; i < 120; ++i) {
      const std::string name = absl::StrCat("w", i % 17);
      absl::StrAppend(&tagged, "the\tO\n", name, "ing\tB-X\n", name,
                      "ly\tI-X\nend\tO\n\n");
      absl::StrAppend(&classified, i % 2, "\t", name,
                      i % 2 == 0 ? " is bad\n" : " is really good\n");
    }
    WriteText(tagged_, tagged);
    WriteText(valid_tagged_, "the\tO\nnewing\tB-X\nnewly\tI-X\nend\tO\n");
    WriteText(classified_, classified);
  }

  // Returns the arguments of a command that trains a small network.
  Arguments Train(const std::string& command, const std::string& corpus,
                  const std::string& valid, const Arguments& more) const {
    Arguments arguments = {
        command, "--corpus",  corpus, "--valid",         valid, "--store",
        store_,  "--model",   "m",    "--units",         "8",   "--embedding",
        "8",     "--layers",  "1",    "--epochs",        "12",  "--batch",
        "4",     "--threads", "2",    "--learning-rate", "0.02"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }

  nlohmann::json Evaluate(const std::string& corpus,
                          const Arguments& more = {}) const {
    Arguments arguments = {"evaluate", "--corpus", corpus,    "--json",
                           "--store",  store_,     "--model", "m"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Outcome outcome = RunTrainer(arguments);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.errors;
    return nlohmann::json::parse(outcome.output);
  }

  const TemporaryDirectory directory_;
  const std::string store_ = directory_.File("store");
  const std::string tagged_ = directory_.File("train.txt");
  const std::string valid_tagged_ = directory_.File("valid.txt");
  const std::string classified_ = directory_.File("train.tsv");
};

TEST_F(LabelingCommandsTest, TaggerLearnsEndings) {
  const Outcome outcome = RunTrainer(
      Train("tagger", tagged_, valid_tagged_,
            {"--format", "columns", "--crf", "--character-units", "8"}));
  EXPECT_EQ(outcome.exit_code, 0) << outcome.errors;
  EXPECT_EQ(outcome.output, "m@1\n");
  EXPECT_THAT(outcome.errors, HasSubstr("accuracy"));
  const std::string version = absl::StrCat(store_, "/m/1/");
  EXPECT_EQ(ReadFile(version + "labels.txt"), "B-X\nI-X\nO\n");
  const std::string manifest = ReadFile(version + "manifest.json");
  EXPECT_THAT(manifest, HasSubstr("valid_accuracy"));
  EXPECT_THAT(manifest, HasSubstr("\"constraints\""));
  EXPECT_THAT(ReadFile(version + "training.jsonl"), HasSubstr("valid_error"));
  const nlohmann::json result =
      Evaluate(valid_tagged_, {"--format", "columns"});
  EXPECT_EQ(result["accuracy"], 1);
  EXPECT_EQ(result["f1"], 1);
  EXPECT_EQ(result["tokens"], 4);
  EXPECT_EQ(result["oov"], 2);
  EXPECT_EQ(result["oov_accuracy"], 1);
}

// The published model neither needs nor has what the training did with other
// labels: here the last letters of the words.
TEST_F(LabelingCommandsTest, AuxiliaryLabelsAreForTrainingOnly) {
  WriteText(tagged_,
            "the e O\nwing g B-X\nwly y I-X\nend d O\n\n"
            "the e O\nting g B-X\ntly y I-X\nend d O\n");
  WriteText(valid_tagged_, "the ? O\nwing g B-X\n");
  const Arguments options = {"--format",           "columns",
                             "--auxiliary-column", "2",
                             "--auxiliary-weight", "0.5"};
  const Outcome outcome =
      RunTrainer(Train("tagger", tagged_, valid_tagged_, options));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.errors;
  const std::string version = absl::StrCat(store_, "/m/1/");
  EXPECT_THAT(ReadFile(version + "weights.safetensors"),
              testing::Not(HasSubstr("training.")));
  EXPECT_EQ(ReadFile(version + "labels.txt"), "B-X\nI-X\nO\n");
  const std::string manifest = ReadFile(version + "manifest.json");
  EXPECT_THAT(manifest, HasSubstr("auxiliary_column"));
  EXPECT_THAT(manifest, HasSubstr("auxiliary_weight"));
  WriteText(valid_tagged_, "the O\nwing B-X\n");
  EXPECT_EQ(Evaluate(valid_tagged_, {"--format", "columns"})["tokens"], 2);
  const Outcome missing =
      RunTrainer(Train("tagger", valid_tagged_, valid_tagged_,
                       {"--format", "columns", "--auxiliary-column", "3"}));
  EXPECT_EQ(missing.exit_code, 1);
  EXPECT_THAT(missing.errors,
              HasSubstr("line 1: expected the auxiliary label in column 3, "
                        "found 2 columns"));
}

TEST_F(LabelingCommandsTest, ClassifierLearnsWords) {
  for (const char* pooling : {"max", "mean", "last"}) {
    const Outcome outcome = RunTrainer(
        Train("classifier", classified_, classified_, {"--pooling", pooling}));
    ASSERT_EQ(outcome.exit_code, 0) << outcome.errors;
    const nlohmann::json result = Evaluate(classified_);
    EXPECT_EQ(result["accuracy"], 1) << pooling;
    EXPECT_EQ(result["sentences"], 120);
    EXPECT_FALSE(result.contains("f1"));
  }
}

TEST_F(LabelingCommandsTest, OtherCommandsKnowLabels) {
  ASSERT_EQ(RunTrainer(Train("tagger", tagged_, valid_tagged_,
                             {"--format", "columns"}))
                .exit_code,
            0);
  const Arguments model = {"--store", store_, "--model", "m"};
  const auto run = [&](Arguments arguments) {
    arguments.insert(arguments.end(), model.begin(), model.end());
    return RunTrainer(arguments);
  };
  EXPECT_EQ(run({"verify"}).exit_code, 0);
  EXPECT_EQ(run({"inspect"}).exit_code, 0);
  const Outcome next = run({"inspect", "--next", "the"});
  EXPECT_EQ(next.exit_code, 1);
  EXPECT_THAT(next.errors, HasSubstr("--next: a tagger does not predict"));
  const Outcome converted = run({"convert", "--precision", "int8"});
  EXPECT_EQ(converted.output, "m@2\n") << converted.errors;
  EXPECT_GT(Evaluate(valid_tagged_, {"--format", "columns"})["accuracy"], 0.7);
}

TEST_F(LabelingCommandsTest, TheSameSeedGivesTheSameBits) {
  for (const char* epochs : {"2", "2"}) {
    ASSERT_EQ(RunTrainer(Train("tagger", tagged_, valid_tagged_,
                               {"--format", "columns", "--dropout", "0.3"}))
                  .exit_code,
              0)
        << epochs;
  }
  EXPECT_EQ(ReadFile(store_ + "/m/1/weights.safetensors"),
            ReadFile(store_ + "/m/2/weights.safetensors"));
}

TEST_F(LabelingCommandsTest, WrongTextsAndModelsAreRefused) {
  const Outcome conllu =
      RunTrainer(Train("tagger", tagged_, valid_tagged_, {}));
  EXPECT_EQ(conllu.exit_code, 1);
  EXPECT_THAT(conllu.errors,
              HasSubstr("line 1: expected the label in column 4, found 2"));
  WriteText(tagged_, "a\tNOUN\n");
  const Outcome bio =
      RunTrainer(Train("tagger", tagged_, tagged_,
                       {"--format", "columns", "--constraints", "bio"}));
  EXPECT_EQ(bio.exit_code, 1);
  EXPECT_THAT(bio.errors, HasSubstr("expected BIO labels"));
  ASSERT_EQ(
      RunTrainer(Train("classifier", classified_, classified_, {})).exit_code,
      0);
  const Outcome stream =
      RunTrainer({"evaluate", "--corpus", classified_, "--store", store_,
                  "--model", "m", "--stream"});
  EXPECT_EQ(stream.exit_code, 1);
  EXPECT_THAT(stream.errors, HasSubstr("--stream: a classifier labels"));
}

}  // namespace
}  // namespace lmserve
