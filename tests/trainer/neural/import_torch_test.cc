// SPDX-License-Identifier: Apache-2.0
#include "trainer/neural/import_torch.h"

#include <cmath>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "models/model_factory.h"
#include "models/neural/network_weights.h"
#include "models/neural/recurrent_model.h"
#include "models/neural/tensor_file.h"
#include "tests/testing/shared_data.h"
#include "text_io/byte_source.h"
#include "trainer/neural/torch_vocabulary.h"

namespace lmserve {
namespace {

using testing::HasSubstr;
using testing::StartsWith;
using Words = std::vector<std::string>;

const Words& TestWords() {
  static const Words words = {"the", "cat", "is", "<unk>", "<eos>"};
  return words;
}

// The state_dict of an LSTM for TestWords(), whose tensors may be replaced.
class StateDict {
 public:
  StateDict() {
    Set("encoder.weight", {5, 4});
    Set("rnn.weight_ih_l0", {16, 4});
    Set("rnn.weight_hh_l0", {16, 4});
    Set("rnn.bias_ih_l0", {16});
    Set("rnn.bias_hh_l0", {16});
    Set("decoder.weight", {5, 4});
    Set("decoder.bias", {5});
  }

  // Sets a tensor to numbers that depend on `seed`.
  void Set(const std::string& name, std::vector<int64_t> shape, int seed = 1) {
    size_t size = 1;
    for (int64_t n : shape) size *= n;
    std::vector<float> values(size);
    for (size_t i = 0; i < size; ++i) {
      values[i] = static_cast<float>(std::sin(seed * 7 + i * 1.7));
    }
    tensors_[name] = {std::move(shape), std::move(values)};
  }
  void SetNumber(const std::string& name, size_t i, float value) {
    tensors_[name].second[i] = value;
  }
  void SetZero(const std::string& name) {
    for (float& value : tensors_[name].second) value = 0;
  }
  void Erase(const std::string& name) { tensors_.erase(name); }
  void SetMetadata(const std::string& key, const std::string& value) {
    metadata_[key] = value;
  }

  std::string Bytes() const {
    TensorFileWriter writer;
    for (const auto& [name, tensor] : tensors_) {
      writer.AddFloats(name, tensor.first, tensor.second);
    }
    for (const auto& [key, value] : metadata_) writer.SetMetadata(key, value);
    return writer.Finish();
  }

 private:
  std::map<std::string, std::pair<std::vector<int64_t>, std::vector<float>>>
      tensors_;
  std::map<std::string, std::string> metadata_;
};

absl::StatusOr<TorchModel> Import(const StateDict& dict,
                                  const TorchOptions& options = {}) {
  return ImportTorch(dict.Bytes(), TestWords(), options);
}

// Returns ln P of a sentence under an imported model.
double LogProb(absl::StatusOr<TorchModel> imported, const Words& sentence) {
  if (!imported.ok()) {
    ADD_FAILURE() << imported.status();
    return 0;
  }
  const auto model =
      RecurrentModel::Create(std::move(imported->vocabulary), imported->weights)
          .value();
  std::vector<WordId> ids;
  for (const std::string& word : sentence) {
    ids.push_back(model->vocabulary().Find(word));
  }
  ids.push_back(model->vocabulary().end_sentence());
  std::vector<std::byte> state(model->state_size());
  model->Start(state.data());
  std::vector<float> log_probs(ids.size());
  const LanguageModel::Query query = {state.data(), ids, nullptr,
                                      absl::MakeSpan(log_probs)};
  model->Score({&query, 1});
  double sum = 0;
  for (float log_prob : log_probs) sum += log_prob;
  return sum;
}

double LogProb(const StateDict& dict) {
  return LogProb(Import(dict), {"the", "cat", "is"});
}

TEST(ImportTorch, UnusedTensorsAreRefusedByName) {
  for (const char* name :
       {"norm.weight", "rnns.0.weight_hh_l0", "module.encoder.weight",
        "decoder.weight_g", "encoder.weight.scale", "rnn.weight_hr_l0",
        "rnn.weight_hh_l2", "rnn.bias_ih_l1", "rnn.anything"}) {
    StateDict dict;
    dict.Set(name, {16});
    const absl::Status status = Import(dict).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << name;
    EXPECT_THAT(status.message(), HasSubstr(absl::StrCat("'", name, "'")));
    TorchOptions options;
    options.ignored = {name};
    EXPECT_TRUE(Import(dict, options).ok()) << Import(dict, options).status();
  }
}

TEST(ImportTorch, MissingBiasesAreZero) {
  StateDict zero, missing;
  for (const char* name :
       {"decoder.bias", "rnn.bias_ih_l0", "rnn.bias_hh_l0"}) {
    zero.SetZero(name);
    missing.Erase(name);
  }
  EXPECT_EQ(LogProb(missing), LogProb(zero));
  EXPECT_NE(LogProb(zero), LogProb(StateDict()));
  // PyTorch makes no layer with only one of its two biases.
  StateDict half;
  half.Erase("rnn.bias_hh_l0");
  EXPECT_THAT(Import(half).status().message(), HasSubstr("'rnn.bias_hh_l0'"));
}

TEST(ImportTorch, TiedWeightsHaveEitherName) {
  const double both = LogProb(StateDict());  // the same numbers
  StateDict no_decoder, no_encoder, save_model;
  no_decoder.Erase("decoder.weight");
  no_encoder.Erase("encoder.weight");
  save_model.Erase("encoder.weight");
  save_model.SetMetadata("encoder.weight", "decoder.weight");
  save_model.SetMetadata("format", "pt");
  EXPECT_EQ(LogProb(no_decoder), both);
  EXPECT_EQ(LogProb(no_encoder), both);
  EXPECT_EQ(LogProb(save_model), both);
}

TEST(ImportTorch, TensorsThatShareMemory) {
  StateDict dict, shared;
  dict.Set("rnn.weight_hh_l0", {16, 4}, 2);
  dict.Set("rnn.weight_ih_l0", {16, 4}, 2);
  shared.Set("rnn.weight_hh_l0", {16, 4}, 2);
  shared.Erase("rnn.weight_ih_l0");
  EXPECT_FALSE(Import(shared).ok());
  shared.SetMetadata("rnn.weight_ih_l0", "rnn.weight_hh_l0");
  EXPECT_EQ(LogProb(shared), LogProb(dict));
  shared.SetMetadata("norm.weight", "rnn.weight_hh_l0");
  EXPECT_THAT(Import(shared).status().message(), HasSubstr("'norm.weight'"));
  EXPECT_EQ(LogProb(Import(shared, {.ignored = {"norm.weight"}}), {"the"}),
            LogProb(Import(dict), {"the"}));
}

// The module gives <s> a probability, the imported model none.
TEST(ImportTorch, BeginOfSentenceInTheVocabularyIsAWarning) {
  Words words = TestWords();
  EXPECT_TRUE(Import(StateDict())->warnings.empty());
  words[2] = "<s>";
  const auto model = ImportTorch(StateDict().Bytes(), words, {}, "m", "v.txt");
  ASSERT_TRUE(model.ok()) << model.status();
  ASSERT_EQ(model->warnings.size(), 1u);
  EXPECT_THAT(model->warnings[0], HasSubstr("v.txt: the probability that"));
}

TEST(ImportTorch, BeginOfSentenceOfProbabilityZeroIsNoWarning) {
  Words words = TestWords();
  words[2] = "<s>";
  StateDict dict, never;
  never.SetNumber("decoder.bias", 2, -1e9f);
  EXPECT_TRUE(ImportTorch(never.Bytes(), words, {})->warnings.empty());
  EXPECT_EQ(LogProb(ImportTorch(never.Bytes(), words, {}), {"the", "cat"}),
            LogProb(ImportTorch(dict.Bytes(), words, {}), {"the", "cat"}));
}

TEST(ImportTorch, ErrorsNameTheirFile) {
  Words words = TestWords();
  words[2] = words[0];
  const auto vocabulary =
      ImportTorch(StateDict().Bytes(), words, {}, "m", "v.txt");
  EXPECT_THAT(std::string(vocabulary.status().message()),
              StartsWith("v.txt: "));
  const auto tensors = ImportTorch("x", TestWords(), {}, "m", "v.txt");
  EXPECT_THAT(std::string(tensors.status().message()), StartsWith("m: "));
}

TEST(ImportTorch, UnknownWordInUppercase) {
  Words words = TestWords();
  words[3] = "<UNK>";
  const auto model = ImportTorch(StateDict().Bytes(), words, {});
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_EQ(model->vocabulary.unknown(), 3u);
}

// The files of users' reports, with ln P by the definition of the module.
TEST(ImportTorch, SharedCases) {
  const auto path = [](absl::string_view name) {
    return SharedFile(absl::StrCat("cases/import-torch/", name));
  };
  if (path("layernorm.safetensors").empty()) GTEST_SKIP() << "no shared cases";
  const Words words = {"the", "cat",   "is",    "small",
                       ".",   "<unk>", "<eos>", "dog"};
  const auto import = [&](absl::string_view name) {
    return ImportTorch(ReadAllBytes(path(name)).value(), words, {});
  };
  EXPECT_THAT(import("layernorm.safetensors").status().message(),
              HasSubstr("'norm.bias'"));
  const Words sentence = {"the", "cat", "is", "small", "."};
  EXPECT_NEAR(LogProb(import("nodecbias.safetensors"), sentence), -12.764636,
              1e-4);
  EXPECT_NEAR(LogProb(import("save_model_tied.safetensors"), sentence),
              -12.387385, 1e-4);
}

// Layers may have different widths.
TEST(ImportTorch, LayersOfDifferentWidths) {
  StateDict dict;
  dict.Set("rnn.weight_ih_l0", {12, 4});
  dict.Set("rnn.weight_hh_l0", {12, 3});
  dict.Set("rnn.bias_ih_l0", {12});
  dict.Set("rnn.bias_hh_l0", {12});
  dict.Set("rnn.weight_ih_l1", {16, 3});
  dict.Set("rnn.weight_hh_l1", {16, 4});
  dict.Set("rnn.bias_ih_l1", {16});
  dict.Set("rnn.bias_hh_l1", {16});
  EXPECT_LT(LogProb(dict), 0);
}

TEST(ImportTorch, ProjectionsMustFit) {
  StateDict dict;
  dict.Set("rnn.weight_hh_l0", {16, 3});
  dict.Set("decoder.weight", {5, 3});
  dict.Set("rnn.weight_hr_l0", {3, 4});
  EXPECT_LT(LogProb(dict), 0);
  const auto error = [](const StateDict& wrong) {
    return std::string(Import(wrong).status().message());
  };
  StateDict units = dict;
  units.Set("rnn.weight_hr_l0", {3, 5});
  EXPECT_THAT(
      error(units),
      HasSubstr("tensor 'rnn.weight_hr_l0': expected a projection of an "
                "LSTM of 4 units, found one of 5"));
  StateDict outputs = dict;
  outputs.Set("rnn.weight_hr_l0", {2, 4});
  EXPECT_THAT(error(outputs),
              HasSubstr("tensor 'rnn.weight_hh_l0': expected a matrix of 2 "
                        "columns, found [16, 3]"));
  StateDict decoder = dict;
  decoder.Set("decoder.weight", {5, 4});
  EXPECT_THAT(error(decoder),
              HasSubstr("tensor 'decoder.weight': expected a matrix of 3 "
                        "columns, found [6, 4]"));
  StateDict vector = dict;
  vector.Set("rnn.weight_hr_l0", {12});
  EXPECT_THAT(error(vector),
              HasSubstr("'rnn.weight_hr_l0': expected a matrix"));
}

TEST(ImportTorch, TheWordThatStartsATextIsGiven) {
  TorchOptions options;
  options.start = "the";
  EXPECT_NE(LogProb(Import(StateDict(), options), {"cat"}),
            LogProb(Import(StateDict()), {"cat"}));
  options.start = "<eos>";
  EXPECT_EQ(LogProb(Import(StateDict(), options), {"cat"}),
            LogProb(Import(StateDict()), {"cat"}));
  options.start = "zebra";
  EXPECT_EQ(Import(StateDict(), options).status().message(),
            "vocabulary: expected the word 'zebra' that starts a text, found "
            "none");
}

TEST(ImportTorch, OldFilesOfPyTorchAreRefused) {
  EXPECT_THAT(
      ImportTorch("\x80\x02\x8a\x0a...", TestWords(), {}).status().message(),
      HasSubstr("found one of an earlier PyTorch"));
  EXPECT_THAT(
      ImportTorch(StateDict().Bytes(), TestWords(), {.state_dict = {"model"}})
          .status()
          .message(),
      HasSubstr("--state-dict: expected a file of torch.save()"));
}

// Checkpoints that PyTorch wrote, with ln P of a text that it computed: see
// make_golden.py.
TEST(ImportTorch, GoldenCheckpoints) {
  const std::string folder = LMSERVE_TORCH_FILES "/";
  const auto golden =
      nlohmann::json::parse(ReadAllBytes(folder + "golden.json").value());
  EXPECT_GE(golden.size(), 8u);
  for (const auto& [name, expected] : golden.items()) {
    const bool is_fairseq = expected["names"] == "fairseq";
    const TensorNames names =
        TensorNames::Preset(expected["names"].get<std::string>()).value();
    TorchOptions options;
    options.names = &names;
    options.state_dict = expected["state_dict"].get<Words>();
    options.activation =
        ParseActivation(expected["activation"].get<std::string>()).value();
    if (is_fairseq) options.start = "</s>";
    const std::string file = folder + expected["vocabulary"].get<std::string>();
    const Words words =
        ParseTorchVocabulary(ReadAllBytes(file).value(),
                             is_fairseq ? TorchVocabularyForm::kFairseq
                                        : TorchVocabularyForm::kAny)
            .value();
    auto imported = ImportTorch(ReadAllBytes(folder + name + ".pt").value(),
                                words, options);
    ASSERT_TRUE(imported.ok()) << name << ": " << imported.status();
    const auto model = RecurrentModel::Create(std::move(imported->vocabulary),
                                              imported->weights)
                           .value();
    std::vector<WordId> ids;
    for (const auto& word : expected["text"]) {
      const std::string text = word.get<std::string>();
      ids.push_back(model->vocabulary().Find(text == "<eos>" ? "</s>" : text));
    }
    std::vector<std::byte> state(model->state_size());
    model->Start(state.data());
    std::vector<float> log_probs(ids.size());
    model->Score({{state.data(), ids, nullptr, absl::MakeSpan(log_probs)}});
    for (size_t t = 0; t < ids.size(); ++t) {
      EXPECT_NEAR(log_probs[t], expected["log_probs"][t].get<double>(), 1e-5)
          << name << ", word " << t;
    }
  }
}

}  // namespace
}  // namespace lmserve
