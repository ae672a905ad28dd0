// SPDX-License-Identifier: Apache-2.0
#include "trainer/neural/tensor_names.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace lmserve {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

// Returns tensors of these names, which are told apart by their bytes.
TensorFile::Tensors Named(const std::vector<std::string>& names) {
  static std::vector<std::string>& kept = *new std::vector<std::string>(names);
  kept = names;
  TensorFile::Tensors tensors;
  for (const std::string& name : kept) {
    tensors[name] = {
        TensorType::kU8, {static_cast<int64_t>(name.size())}, name};
  }
  return tensors;
}

// Returns pairs of new and old names.
std::vector<std::pair<std::string, std::string>> Rename(
    const TensorNames& names, const std::vector<std::string>& old) {
  const auto renamed = names.Rename(Named(old));
  if (!renamed.ok()) return {{"", std::string(renamed.status().message())}};
  std::vector<std::pair<std::string, std::string>> pairs;
  for (const auto& [name, tensor] : *renamed) {
    pairs.emplace_back(name, std::string(tensor.bytes));
  }
  return pairs;
}

TensorNames Parse(const std::string& text) {
  return TensorNames::Parse(text).value();
}

TEST(TensorNamesTest, AwdLstm) {
  const TensorNames names = TensorNames::Preset("awd-lstm").value();
  // Weight-drop keeps both forms of the recurrent weights.
  EXPECT_THAT(
      Rename(names,
             {"encoder.weight", "decoder.bias", "rnns.0.module.weight_ih_l0",
              "rnns.0.module.weight_hh_l0", "rnns.0.weight_hh_l0_raw",
              "rnns.1.module.weight_hh_l0_raw", "rnns.2.weight_hh_l0",
              "rnns.11.module.bias_hh_l0"}),
      ElementsAre(Pair("decoder.bias", "decoder.bias"),
                  Pair("encoder.weight", "encoder.weight"),
                  Pair("rnn.bias_hh_l11", "rnns.11.module.bias_hh_l0"),
                  Pair("rnn.weight_hh_l0", "rnns.0.weight_hh_l0_raw"),
                  Pair("rnn.weight_hh_l1", "rnns.1.module.weight_hh_l0_raw"),
                  Pair("rnn.weight_hh_l2", "rnns.2.weight_hh_l0"),
                  Pair("rnn.weight_ih_l0", "rnns.0.module.weight_ih_l0")));
}

TEST(TensorNamesTest, Presets) {
  for (const std::string& preset : TensorNames::PresetNames()) {
    EXPECT_TRUE(TensorNames::Preset(preset).ok())
        << TensorNames::Preset(preset).status();
  }
  EXPECT_EQ(TensorNames::Preset("other").status().message(),
            "expected word_language_model, awd-lstm, fairseq, torchtext, found "
            "'other'");
  EXPECT_THAT(Rename(TensorNames::Preset("word_language_model").value(),
                     {"module.encoder.weight", "module.rnn.weight_hh_l0",
                      "module.rnn.bias_ih_l1_reverse"}),
              ElementsAre(Pair("encoder.weight", "module.encoder.weight"),
                          Pair("rnn.bias_ih_l1_reverse",
                               "module.rnn.bias_ih_l1_reverse"),
                          Pair("rnn.weight_hh_l0", "module.rnn.weight_hh_l0")));
  EXPECT_THAT(
      Rename(TensorNames::Preset("fairseq").value(),
             {"decoder.embed_tokens.weight", "decoder.layers.1.weight_ih",
              "decoder.fc_out.bias"}),
      ElementsAre(Pair("decoder.bias", "decoder.fc_out.bias"),
                  Pair("encoder.weight", "decoder.embed_tokens.weight"),
                  Pair("rnn.weight_ih_l1", "decoder.layers.1.weight_ih")));
  EXPECT_THAT(Rename(TensorNames::Preset("torchtext").value(),
                     {"embedding.weight", "lstm.weight_hh_l0", "fc.weight"}),
              ElementsAre(Pair("decoder.weight", "fc.weight"),
                          Pair("encoder.weight", "embedding.weight"),
                          Pair("rnn.weight_hh_l0", "lstm.weight_hh_l0")));
}

TEST(TensorNamesTest, UnknownTensorsAreRefused) {
  const TensorNames names = Parse("encoder.weight = e\nignore = v | w.{L}\n");
  EXPECT_THAT(Rename(names, {"e", "v", "w.3"}),
              ElementsAre(Pair("encoder.weight", "e")));
  for (const char* name : {"f", "w", "w.", "w.x", "w.01", "w.1234", "ee"}) {
    EXPECT_THAT(Rename(names, {name})[0].second,
                HasSubstr("without this one the network would be another one"))
        << name;
  }
}

TEST(TensorNamesTest, TwoTensorsOfAName) {
  const TensorNames names = Parse("prefix = a.\nencoder.weight = e\n");
  EXPECT_THAT(Rename(names, {"e", "a.e"})[0].second,
              HasSubstr("tensor 'e': expected one tensor for encoder.weight, "
                        "found two"));
}

TEST(TensorNamesTest, WrongTextsNameTheirLine) {
  const auto error = [](const std::string& text) {
    return std::string(TensorNames::Parse(text).status().message());
  };
  EXPECT_EQ(error("# only a comment\n\n"), "");
  EXPECT_EQ(error("\nx\n"), "line 2: expected NAME = NAME | NAME, found 'x'");
  EXPECT_THAT(error("x = y\n"), HasSubstr("line 1: expected encoder.weight, "));
  EXPECT_EQ(error("encoder.weight = \n"), "line 1: expected a name, found ''");
  EXPECT_EQ(error("encoder.weight = a b\n"),
            "line 1: expected a name, found 'a b'");
  EXPECT_EQ(error("encoder.weight = a{L}\n"),
            "line 1: expected {L} in both names or in none, found 'a{L}'");
  EXPECT_EQ(error("rnn.bias_ih_l{L} = a\n"),
            "line 1: expected {L} in both names or in none, found 'a'");
  EXPECT_EQ(error("encoder.weight = a\nencoder.weight = b\n"),
            "line 2: expected a name that has no rule yet, found "
            "'encoder.weight'");
  EXPECT_THAT(error(std::string(2 << 20, '\n')), HasSubstr("at most 1048576"));
}

}  // namespace
}  // namespace lmserve
