// SPDX-License-Identifier: Apache-2.0
//
// Tests which files weights.safetensors may be, and the errors for others.

#include "models/neural/network_weights.h"

#include <cstring>
#include <functional>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "models/neural/recurrent_model.h"
#include "models/neural/window_model.h"
#include "trainer/neural/network.h"
#include "trainer/neural/publish_network.h"

namespace lmserve {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

constexpr WordId kSize = 12;
constexpr WordId kBegin = 1;
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

Vocabulary MakeVocabulary() {
  std::vector<std::string> words = {"<unk>", "<s>", "</s>"};
  while (words.size() < kSize) words.push_back(absl::StrCat("w", words.size()));
  const std::vector<absl::string_view> views(words.begin(), words.end());
  return Vocabulary::Create(views).value();
}

// The contents of a file, which tests change.
class Weights {
 public:
  struct Tensor {
    TensorType type;
    std::vector<int64_t> shape;
    std::string bytes;

    float* floats() { return reinterpret_cast<float*>(bytes.data()); }
  };

  explicit Weights(const std::string& bytes) {
    const TensorFile file = TensorFile::Parse(bytes).value();
    for (const auto& [name, view] : file.tensors()) {
      tensors[name] = {view.type, view.shape, std::string(view.bytes)};
    }
    metadata = file.metadata();
  }

  std::string Finish() const {
    TensorFileWriter writer;
    for (const auto& [name, tensor] : tensors) {
      writer.Add(name, {tensor.type, tensor.shape, tensor.bytes});
    }
    for (const auto& [key, value] : metadata) writer.SetMetadata(key, value);
    return writer.Finish();
  }

  // Sets a tensor of floats that are all 0.
  void Set(const std::string& name, std::vector<int64_t> shape) {
    size_t size = 1;
    for (int64_t n : shape) size *= static_cast<size_t>(n);
    tensors[name] = {TensorType::kF32, std::move(shape),
                     std::string(size * sizeof(float), '\0')};
  }

  std::map<std::string, Tensor> tensors;
  std::map<std::string, std::string> metadata;
};

using Change = std::function<void(Weights*)>;

Weights WeightsOf(const Network<float>& network, Precision precision) {
  std::vector<float> values(network.layout().size());
  network.Initialize(1, values.data());
  const std::string floats =
      MakeWeightsFile(network.layout(), values, network.Metadata());
  return Weights(
      ConvertWeightsFile(TensorFile::Parse(floats).value(), precision));
}

RecurrentNetworkOptions RecurrentOptions() {
  RecurrentNetworkOptions options;
  options.vocabulary = kSize;
  options.embedding = 5;
  options.stack.units = 4;
  options.stack.layers = 2;
  options.cutoffs = {4, 8};
  return options;
}

// Returns the error of a changed file, or "OK".
std::string RecurrentError(const RecurrentNetworkOptions& options,
                           Precision precision, const Change& change) {
  Weights weights = WeightsOf(*MakeRecurrentNetwork<float>(options), precision);
  change(&weights);
  return RecurrentModel::Create(MakeVocabulary(), weights.Finish())
      .status()
      .ToString();
}

std::string RecurrentError(const Change& change) {
  return RecurrentError(RecurrentOptions(), Precision::kFloat, change);
}

std::string WindowError(const Change& change) {
  WindowNetworkOptions options;
  options.vocabulary = kSize;
  options.embedding = 5;
  options.hidden = 4;
  options.window = 3;
  options.direct = true;
  options.cutoffs = {4, 8};
  Weights weights =
      WeightsOf(*MakeWindowNetwork<float>(options), Precision::kFloat);
  change(&weights);
  return WindowModel::Create(MakeVocabulary(), weights.Finish())
      .status()
      .ToString();
}

void Unchanged(Weights*) {}

TEST(NetworkWeightsTest, CompleteFilesAreAccepted) {
  for (Precision precision :
       {Precision::kFloat, Precision::kBf16, Precision::kInt8}) {
    EXPECT_EQ(RecurrentError(RecurrentOptions(), precision, Unchanged), "OK");
  }
  EXPECT_EQ(WindowError(Unchanged), "OK");
}

// Every tensor that a model needs is required.
TEST(NetworkWeightsTest, MissingTensors) {
  const std::string of_recurrent[] = {
      "encoder.weight",   "rnn.weight_hh_l0", "rnn.weight_ih_l0",
      "rnn.weight_ih_l1", "rnn.bias_ih_l0",   "rnn.bias_hh_l0",
      "rnn.bias_ih_l1",   "rnn.bias_hh_l1",   "decoder.bias",
      "classes.weight",   "classes.bias"};
  for (const std::string& name : of_recurrent) {
    const std::string error = RecurrentError(
        [&](Weights* weights) { ASSERT_EQ(weights->tensors.erase(name), 1u); });
    EXPECT_THAT(error, StartsWith("INVALID_ARGUMENT"));
    EXPECT_THAT(error, HasSubstr("'" + name + "'"));
    EXPECT_THAT(error, HasSubstr("found none"));
  }
  const std::string of_window[] = {
      "encoder.weight", "hidden.weight",  "hidden.bias", "decoder.weight",
      "decoder.bias",   "classes.weight", "classes.bias"};
  for (const std::string& name : of_window) {
    const std::string error = WindowError(
        [&](Weights* weights) { ASSERT_EQ(weights->tensors.erase(name), 1u); });
    EXPECT_THAT(error, StartsWith("INVALID_ARGUMENT"));
    EXPECT_THAT(error, HasSubstr("'" + name + "'"));
    EXPECT_THAT(error, HasSubstr("found none"));
  }
}

// A file without decoder.weight has tied weights: then the embedding must have
// the shape of decoder.weight.
TEST(NetworkWeightsTest, TiedOutput) {
  const auto without_decoder = [](Weights* weights) {
    weights->tensors.erase("decoder.weight");
    weights->tensors.erase("decoder.weight.scale");
  };
  RecurrentNetworkOptions options = RecurrentOptions();
  EXPECT_EQ(RecurrentError(without_decoder),
            "INVALID_ARGUMENT: tensor 'encoder.weight': expected the shape "
            "[12, 4], found [12, 5]");
  options.tied = true;
  options.embedding = options.stack.units;
  EXPECT_EQ(RecurrentError(options, Precision::kInt8, without_decoder), "OK");
}

TEST(NetworkWeightsTest, WrongShapes) {
  const auto set = [](const std::string& name,
                      const std::vector<int64_t>& shape) {
    return [=](Weights* weights) { weights->Set(name, shape); };
  };
  EXPECT_EQ(RecurrentError(set("encoder.weight", {11, 5})),
            "INVALID_ARGUMENT: tensor 'encoder.weight': expected the shape "
            "[12, any], found [11, 5]");
  EXPECT_EQ(RecurrentError(set("encoder.weight", {12, 6})),
            "INVALID_ARGUMENT: tensor 'rnn.weight_ih_l0': expected the shape "
            "[16, 6], found [16, 5]");
  EXPECT_EQ(RecurrentError(set("encoder.weight", {12, 0})),
            "INVALID_ARGUMENT: tensor 'encoder.weight': expected the shape "
            "[12, any], found [12, 0]");
  EXPECT_EQ(RecurrentError(set("encoder.weight", {12})),
            "INVALID_ARGUMENT: tensor 'encoder.weight': expected the shape "
            "[12, any], found [12]");
  EXPECT_EQ(RecurrentError(set("rnn.weight_hh_l0", {8, 4})),
            "INVALID_ARGUMENT: tensor 'rnn.weight_hh_l0': expected 4, 12 or 16 "
            "rows for 4 units, found 8");
  EXPECT_EQ(RecurrentError(set("rnn.weight_hh_l1", {12, 4})),
            "INVALID_ARGUMENT: tensor 'rnn.weight_hh_l1': expected the cell "
            "lstm, found gru");
  EXPECT_EQ(RecurrentError(set("rnn.weight_ih_l1", {16, 5})),
            "INVALID_ARGUMENT: tensor 'rnn.weight_ih_l1': expected the shape "
            "[16, 4], found [16, 5]");
  EXPECT_THAT(RecurrentError(set("rnn.bias_ih_l1", {15})),
              HasSubstr("'rnn.bias_ih_l1': expected"));
  EXPECT_THAT(RecurrentError(set("decoder.bias", {12, 1})),
              HasSubstr("'decoder.bias': expected"));
  EXPECT_EQ(RecurrentError(set("decoder.weight", {12, 5})),
            "INVALID_ARGUMENT: tensor 'decoder.weight': expected the shape "
            "[12, 4], found [12, 5]");
  EXPECT_EQ(RecurrentError(set("classes.weight", {3, 4})),
            "INVALID_ARGUMENT: tensor 'classes.weight': expected the shape "
            "[2, 4], found [3, 4]");
  EXPECT_EQ(WindowError(set("hidden.weight", {4, 14})),
            "INVALID_ARGUMENT: tensor 'hidden.weight': expected a multiple of "
            "5 columns, found 14");
  EXPECT_EQ(WindowError(set("direct.weight", {12, 14})),
            "INVALID_ARGUMENT: tensor 'direct.weight': expected the shape "
            "[12, 15], found [12, 14]");
  EXPECT_EQ(WindowError(set("decoder.weight", {12, 19})),
            "INVALID_ARGUMENT: tensor 'decoder.weight': expected the shape "
            "[12, 4], found [12, 19]");
  // The classes have direct connections, too.
  EXPECT_EQ(WindowError(set("classes.weight", {2, 4})),
            "INVALID_ARGUMENT: tensor 'classes.weight': expected the shape "
            "[2, 19], found [2, 4]");
}

TEST(NetworkWeightsTest, WrongTypes) {
  const auto make_wide = [](const std::string& name) {
    return [=](Weights* weights) {
      Weights::Tensor& tensor = weights->tensors.at(name);
      tensor.type = TensorType::kF64;
      tensor.bytes.resize(tensor.bytes.size() * 2);
    };
  };
  EXPECT_EQ(RecurrentError(make_wide("rnn.weight_ih_l0")),
            "INVALID_ARGUMENT: tensor 'rnn.weight_ih_l0': expected F32, BF16 "
            "or I8, found F64");
  // Vectors may have any floating-point type.
  EXPECT_EQ(RecurrentError(make_wide("decoder.bias")), "OK");
  EXPECT_THAT(RecurrentError([](Weights* weights) {
                weights->tensors.at("decoder.bias").type = TensorType::kI32;
              }),
              HasSubstr("'decoder.bias': expected"));
}

TEST(NetworkWeightsTest, NumbersMustBeFinite) {
  for (float bad : {kNan, std::numeric_limits<float>::infinity(),
                    -std::numeric_limits<float>::infinity()}) {
    EXPECT_EQ(RecurrentError([&](Weights* weights) {
                weights->tensors.at("rnn.weight_hh_l1").floats()[4 * 3 + 2] =
                    bad;
              }),
              absl::StrCat("INVALID_ARGUMENT: tensor 'rnn.weight_hh_l1': "
                           "expected finite numbers, found ",
                           bad, " in row 3, column 2"));
    EXPECT_EQ(RecurrentError([&](Weights* weights) {
                weights->tensors.at("decoder.bias").floats()[7] = bad;
              }),
              absl::StrCat("INVALID_ARGUMENT: tensor 'decoder.bias': expected "
                           "finite numbers, found ",
                           bad, " at 7"));
  }
  for (const std::string name :
       {"encoder.weight", "hidden.weight", "hidden.bias", "decoder.weight",
        "direct.weight", "classes.weight", "classes.bias"}) {
    EXPECT_THAT(WindowError([&](Weights* weights) {
                  weights->tensors.at(name).floats()[1] = kNan;
                }),
                HasSubstr("tensor '" + name + "': expected finite numbers"));
  }
}

TEST(NetworkWeightsTest, Int8NeedsScales) {
  const auto error = [](const Change& change) {
    return RecurrentError(RecurrentOptions(), Precision::kInt8, change);
  };
  EXPECT_THAT(error([](Weights* weights) {
                weights->tensors.erase("decoder.weight.scale");
              }),
              HasSubstr("'decoder.weight.scale'"));
  EXPECT_THAT(error([](Weights* weights) {
                weights->Set("rnn.weight_ih_l0.scale", {15});
              }),
              HasSubstr("'rnn.weight_ih_l0.scale': expected F32 [16]"));
  EXPECT_THAT(
      error([](Weights* weights) {
        weights->tensors.at("decoder.weight.scale").floats()[5] = kNan;
      }),
      HasSubstr("'decoder.weight': expected finite numbers, found nan in row "
                "5"));
}

TEST(NetworkWeightsTest, BadCutoffs) {
  const auto error = [](const std::string& cutoffs) {
    return RecurrentError(
        [&](Weights* weights) { weights->metadata["cutoffs"] = cutoffs; });
  };
  for (const std::string cutoffs :
       {"0,8", "8,4", "4,4", "4,12", "4,99", "4,x", "-1,8", "4,8.5", "4;8",
        "4,99999999999", "4,,8", ",4,8", "4,8,", ","}) {
    EXPECT_THAT(error(cutoffs),
                StartsWith("INVALID_ARGUMENT: cutoffs: expected ascending "
                           "numbers from 1 to 11, found '"))
        << cutoffs;
  }
  // The full softmax has no classes.
  EXPECT_EQ(error(""),
            "INVALID_ARGUMENT: tensor 'classes.bias': expected only tensors "
            "that the network uses, found one that it does not use");
  // The number of classes must match the tensors of the file.
  EXPECT_EQ(error("4"),
            "INVALID_ARGUMENT: tensor 'classes.weight': expected the shape "
            "[1, 4], found [2, 4]");
}

// No word could get the probability of a class that only has <s>.
TEST(NetworkWeightsTest, ClassesNeedAWord) {
  const auto error = [](const std::string& cutoffs) {
    return RecurrentError(
        [&](Weights* weights) { weights->metadata["cutoffs"] = cutoffs; });
  };
  ASSERT_EQ(MakeVocabulary().begin_sentence(), kBegin);
  EXPECT_EQ(error("1,2"),
            "INVALID_ARGUMENT: cutoffs: expected a word other than <s> in "
            "every class, found none among the ids from 1 to 1");
  EXPECT_EQ(error("1,3"), "OK");
  EXPECT_EQ(error("2,3"), "OK");
}

TEST(NetworkWeightsTest, BadNonlinearity) {
  RecurrentNetworkOptions options = RecurrentOptions();
  options.stack.cell = Cell::kRnn;
  const auto error = [&](const std::string& name) {
    return RecurrentError(options, Precision::kFloat, [&](Weights* weights) {
      weights->metadata["nonlinearity"] = name;
    });
  };
  EXPECT_EQ(error("relu"), "OK");
  EXPECT_EQ(error("softplus"),
            "INVALID_ARGUMENT: nonlinearity: expected sigmoid, tanh or relu, "
            "found 'softplus'");
}

TEST(NetworkWeightsTest, BidirectionalIsNotLeftToRight) {
  RecurrentNetworkOptions options = RecurrentOptions();
  options.stack.bidirectional = true;
  EXPECT_EQ(RecurrentError(options, Precision::kFloat, Unchanged),
            "INVALID_ARGUMENT: expected a left-to-right network, found a "
            "bidirectional one");
}

// Only some depths have a backward layer.
TEST(NetworkWeightsTest, MissingBackwardLayer) {
  RecurrentNetworkOptions options = RecurrentOptions();
  options.stack.bidirectional = true;
  EXPECT_THAT(
      RecurrentError(options, Precision::kFloat,
                     [](Weights* weights) {
                       weights->tensors.erase("rnn.weight_hh_l1_reverse");
                     }),
      HasSubstr("'rnn.weight_hh_l1_reverse': expected a tensor of this name, "
                "found none"));
}

TEST(NetworkWeightsTest, TooManyLayers) {
  RecurrentNetworkOptions options = RecurrentOptions();
  options.stack.layers = 8;
  EXPECT_EQ(RecurrentError(options, Precision::kFloat, Unchanged), "OK");
  options.stack.layers = 9;
  EXPECT_EQ(RecurrentError(options, Precision::kFloat, Unchanged),
            "INVALID_ARGUMENT: expected at most 8 layers, found more");
}

TEST(NetworkWeightsTest, OtherMetadataIsIgnored) {
  EXPECT_EQ(RecurrentError([](Weights* weights) {
              weights->metadata["made"] = "by hand";
            }),
            "OK");
}

// It may belong to another network, whose answers would differ.
TEST(NetworkWeightsTest, OtherTensorsAreRefused) {
  EXPECT_EQ(
      RecurrentError([](Weights* weights) { weights->Set("more", {2}); }),
      "INVALID_ARGUMENT: tensor 'more': expected only tensors that the network "
      "uses, found one that it does not use");
}

TEST(NetworkWeightsTest, NotASafetensorsFile) {
  EXPECT_THAT(
      RecurrentModel::Create(MakeVocabulary(), "junk").status().ToString(),
      StartsWith("INVALID_ARGUMENT: safetensors"));
  EXPECT_THAT(WindowModel::Create(MakeVocabulary(), "").status().ToString(),
              StartsWith("INVALID_ARGUMENT: safetensors"));
}

TEST(NetworkWeightsTest, Names) {
  EXPECT_EQ(LayerTensor("weight_ih", 0, false), "rnn.weight_ih_l0");
  EXPECT_EQ(LayerTensor("bias_hh", 2, true), "rnn.bias_hh_l2_reverse");
  for (Cell cell : {Cell::kRnn, Cell::kGru, Cell::kLstm}) {
    EXPECT_EQ(ParseCell(CellName(cell)).value(), cell);
  }
  EXPECT_THAT(ParseCell("mlp").status().message(), HasSubstr("found 'mlp'"));
  EXPECT_EQ(FormatCutoffs({4, 8}), "4,8");
  EXPECT_EQ(FormatCutoffs({}), "");
  EXPECT_EQ(ParseCutoffs("", MakeVocabulary(), {}).value(), Cutoffs());
  EXPECT_EQ(ParseCutoffs("4,8", MakeVocabulary(), {}).value(), (Cutoffs{4, 8}));
}

}  // namespace
}  // namespace lmserve
