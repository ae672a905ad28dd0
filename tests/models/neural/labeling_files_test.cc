// SPDX-License-Identifier: Apache-2.0
//
// Broken files of taggers and classifiers are refused, with a message that
// names what is wrong.

#include <functional>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "models/model_factory.h"
#include "models/neural/recurrent_classifier.h"
#include "models/neural/recurrent_tagger.h"
#include "models/neural/tensor_file.h"
#include "tests/testing/neural_models.h"

namespace lmserve {
namespace {

using testing::HasSubstr;

class LabelingFilesTest : public testing::Test {
 protected:
  static LabelingTestModel Tagger(bool bio = true) {
    TaggerNetworkOptions options;
    options.embedding = 4;
    options.stack.units = 3;
    options.stack.bidirectional = true;
    options.character_embedding = 2;
    options.character_units = 3;
    options.crf = true;
    options.bio = bio;
    return TaggerTestModel(VocabularyOf("the cat"), {"B-A", "I-A", "O"},
                           options, Precision::kFloat);
  }

  static LabelingTestModel Classifier() {
    ClassifierNetworkOptions options;
    options.embedding = 4;
    options.stack.units = 3;
    options.stack.bidirectional = true;
    return ClassifierTestModel(VocabularyOf("the cat"), {"bad", "good"},
                               options, Precision::kFloat);
  }

  static std::string Error(const LabelingTestModel& model) {
    return CreateModel(model.family, model.Files()).status().ToString();
  }

  // Returns the error after `change` has changed a copy of the weights: the
  // names of the tensors, of which "" is left out, and the metadata.
  static std::string ErrorAfter(
      LabelingTestModel model,
      const std::function<std::string(const std::string&)>& rename,
      const std::map<std::string, std::string>& metadata = {}) {
    std::string& weights = model.files.at(std::string(kWeightsFile));
    const TensorFile file = TensorFile::Parse(weights).value();
    TensorFileWriter writer;
    for (const auto& [name, tensor] : file.tensors()) {
      const std::string renamed = rename(name);
      if (!renamed.empty()) writer.Add(renamed, tensor);
    }
    for (const auto& [key, value] : file.metadata()) {
      if (!metadata.contains(key)) writer.SetMetadata(key, value);
    }
    for (const auto& [key, value] : metadata) {
      if (!value.empty()) writer.SetMetadata(key, value);
    }
    weights = writer.Finish();
    return Error(model);
  }

  static std::string Same(const std::string& name) { return name; }

  static std::function<std::string(const std::string&)> Without(
      const std::string& left_out) {
    return
        [=](const std::string& name) { return name == left_out ? "" : name; };
  }
};

TEST_F(LabelingFilesTest, WholeFilesAreRead) {
  EXPECT_EQ(Error(Tagger()), "OK");
  EXPECT_EQ(Error(Classifier()), "OK");
  EXPECT_EQ(ErrorAfter(Tagger(), Same), "OK");
}

TEST_F(LabelingFilesTest, MissingTensorsAreNamed) {
  for (const char* name :
       {"encoder.weight", "decoder.weight", "decoder.bias", "rnn.weight_hh_l0",
        "rnn.bias_hh_l0_reverse", "characters.rnn.weight_ih_l0",
        "crf.start_transitions", "crf.end_transitions"}) {
    EXPECT_THAT(ErrorAfter(Tagger(), Without(name)), HasSubstr(name));
  }
  EXPECT_THAT(ErrorAfter(Classifier(), Without("decoder.weight")),
              HasSubstr("tensor 'decoder.weight': expected a tensor"));
}

// Without the reader of characters, layer 0 has too many inputs; without the
// transitions, nothing reads the other tensors of the CRF.
TEST_F(LabelingFilesTest, TensorsThatNothingReadsAreRefused) {
  EXPECT_THAT(ErrorAfter(Tagger(), Without("crf.transitions")),
              HasSubstr("crf.end_transitions"));
  EXPECT_THAT(ErrorAfter(Tagger(), Without("characters.encoder.weight")),
              HasSubstr("rnn.weight_ih_l0': expected the shape [12, 4], found "
                        "[12, 10]"));
  EXPECT_THAT(ErrorAfter(Classifier(),
                         [](const std::string& name) {
                           return name == "decoder.bias" ? "decoder.bias2"
                                                         : name;
                         }),
              HasSubstr("decoder.bias"));
}

TEST_F(LabelingFilesTest, TheReaderOfCharactersHasTwoDirections) {
  EXPECT_THAT(ErrorAfter(Tagger(),
                         [](const std::string& name) {
                           return name.starts_with("characters.rnn.") &&
                                          name.ends_with("_reverse")
                                      ? ""
                                      : name;
                         }),
              HasSubstr("character reader: expected layers of two directions"));
}

TEST_F(LabelingFilesTest, AnotherNumberOfLabelsIsRefused) {
  LabelingTestModel model = Tagger();
  model.files["labels.txt"] = "B-A\nI-A\nO\nB-B\n";
  EXPECT_THAT(Error(model), HasSubstr("decoder.weight': expected the shape "
                                      "[4, 6], found [3, 6]"));
  model.files["labels.txt"] = "B-A\n";
  EXPECT_THAT(Error(model), HasSubstr("decoder.weight"));
  model.files.erase("labels.txt");
  EXPECT_EQ(Error(model), "INVALID_ARGUMENT: the file labels.txt is missing");
}

TEST_F(LabelingFilesTest, ConstraintsFitTheLabels) {
  EXPECT_EQ(ErrorAfter(Tagger(), Same, {{"constraints", "iob"}}),
            "INVALID_ARGUMENT: constraints: expected bio, found 'iob'");
  LabelingTestModel model = Tagger();
  model.files["labels.txt"] = "B-A\nNOUN\nO\n";
  EXPECT_EQ(Error(model),
            "INVALID_ARGUMENT: constraints: expected labels B-..., I-... and "
            "O, found 'NOUN'");
  model.files["labels.txt"] = "I-A\nI-B\nI-C\n";
  EXPECT_THAT(Error(model), HasSubstr("with which a sentence may begin"));
  EXPECT_EQ(ErrorAfter(Tagger(), Same, {{"constraints", ""}}), "OK");
}

TEST_F(LabelingFilesTest, AClassifierSaysHowItPools) {
  EXPECT_EQ(ErrorAfter(Classifier(), Same, {{"pooling", ""}}),
            "INVALID_ARGUMENT: metadata: expected pooling, found none");
  EXPECT_EQ(ErrorAfter(Classifier(), Same, {{"pooling", "sum"}}),
            "INVALID_ARGUMENT: pooling: expected max, mean or last, found "
            "'sum'");
}

TEST_F(LabelingFilesTest, EachFamilyRefusesTheOther) {
  LabelingTestModel model = Tagger();
  model.family = std::string(kClassifierFamily);
  EXPECT_THAT(Error(model), HasSubstr("expected pooling"));
  model = Classifier();
  model.family = std::string(kBidirectionalFamily);
  EXPECT_NE(Error(model), "OK");
}

}  // namespace
}  // namespace lmserve
