// SPDX-License-Identifier: Apache-2.0
//
// Changes one thing in weights.safetensors of a translation model. The file
// must be refused, or give a model that can be used.

#include "models/neural/translation_weights.h"

#include <limits>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "models/model_factory.h"
#include "models/neural/tensor_file.h"
#include "tests/testing/neural_models.h"

namespace lmserve {
namespace {

using testing::HasSubstr;

struct Tensor {
  std::vector<int64_t> shape;
  std::vector<float> values;
};
using Tensors = std::map<std::string, Tensor>;

class TranslationWeightsTest : public testing::TestWithParam<bool> {
 protected:
  TranslationWeightsTest() {
    TranslationNetworkOptions options;
    options.embedding = 4;
    options.units = 5;
    options.layers = 2;
    options.reads_context = true;
    options.bidirectional = GetParam();
    options.attention = true;
    files_ = TranslationTestModel(VocabularyOf("a b c"), VocabularyOf("x y"),
                                  options, Precision::kFloat)
                 .files;
    const TensorFile file =
        TensorFile::Parse(files_.at(std::string(kWeightsFile))).value();
    for (const auto& [name, view] : file.tensors()) {
      Tensor& tensor = tensors_[std::string(name)];
      tensor.shape = view.shape;
      tensor.values.resize(view.size());
      CopyFloats(view, absl::MakeSpan(tensor.values));
    }
  }

  // Creates a model from tensors and, if that succeeds, scores a text.
  absl::Status Try(const Tensors& tensors) {
    TensorFileWriter writer;
    for (const auto& [name, tensor] : tensors) {
      writer.AddFloats(name, tensor.shape, tensor.values);
    }
    const std::string bytes = writer.Finish();
    ModelFiles files(files_.begin(), files_.end());
    files[std::string(kWeightsFile)] = bytes;
    const absl::StatusOr<AnyModel> model =
        CreateModel(kTranslationFamily, files);
    if (!model.ok()) return model.status();
    const std::unique_ptr<LanguageModel> reading =
        ReadTestSource(*model->translation());
    std::vector<std::byte> state(reading->state_size());
    reading->Start(state.data());
    const WordId words[] = {0, 3, 2};
    std::vector<float> log_probs(3);
    const LanguageModel::Query query = {state.data(), words, state.data(),
                                        absl::MakeSpan(log_probs)};
    reading->Score({&query, 1});
    for (float log_prob : log_probs) EXPECT_LE(log_prob, 0);
    return absl::OkStatus();
  }

  std::map<std::string, std::string> files_;
  Tensors tensors_;
};

TEST_P(TranslationWeightsTest, UnchangedFile) {
  EXPECT_TRUE(Try(tensors_).ok());
}

// Two tensors may be missing: without attention.key.weight the model has no
// attention, and without decoder.weight its output is tied.
TEST_P(TranslationWeightsTest, MissingTensorsAreRefused) {
  for (const auto& [name, tensor] : tensors_) {
    if (name == kAttentionKeyTensor || name == kOutputTensor) continue;
    Tensors others = tensors_;
    others.erase(name);
    EXPECT_EQ(Try(others).code(), absl::StatusCode::kInvalidArgument) << name;
  }
}

TEST_P(TranslationWeightsTest, AnotherShapeIsRefused) {
  for (const auto& [name, tensor] : tensors_) {
    for (size_t dimension = 0; dimension < tensor.shape.size(); ++dimension) {
      for (int change : {-1, 1}) {
        Tensors others = tensors_;
        Tensor& other = others[name];
        other.shape[dimension] += change;
        size_t size = 1;
        for (int64_t n : other.shape) size *= static_cast<size_t>(n);
        other.values.resize(size);
        EXPECT_EQ(Try(others).code(), absl::StatusCode::kInvalidArgument)
            << name << ", dimension " << dimension << " by " << change;
      }
    }
  }
}

TEST_P(TranslationWeightsTest, TheErrorNamesTheTensor) {
  Tensors others = tensors_;
  others.erase(std::string(kAttentionStateTensor));
  EXPECT_THAT(std::string(Try(others).message()),
              HasSubstr("tensor 'attention.state.weight': expected a tensor of "
                        "this name, found none"));
  others = tensors_;
  others["rnn.weight_ih_l0"].shape[1] += 1;
  others["rnn.weight_ih_l0"].values.resize(others["rnn.weight_ih_l0"].shape[0] *
                                           others["rnn.weight_ih_l0"].shape[1]);
  EXPECT_THAT(std::string(Try(others).message()),
              HasSubstr(absl::StrCat(
                  "tensor 'rnn.weight_ih_l0': expected 4 columns, or ",
                  GetParam() ? 14 : 9, " with a context, found ")));
  others = tensors_;
  others["source.encoder.weight"].values[2] =
      std::numeric_limits<float>::quiet_NaN();
  EXPECT_THAT(std::string(Try(others).message()),
              HasSubstr("tensor 'source.encoder.weight': expected finite"));
}

INSTANTIATE_TEST_SUITE_P(Encoders, TranslationWeightsTest, testing::Bool());

}  // namespace
}  // namespace lmserve
