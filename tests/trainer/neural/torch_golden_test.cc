// SPDX-License-Identifier: Apache-2.0
//
// Compares networks with PyTorch: with the same weights, training networks must
// give the same losses and gradients, and serving networks the same
// probabilities and states. The reference files are in reference/torch of the
// shared data; the folder in the variable LMSERVE_GOLDENS may have more files
// with the same names, for example with other seeds. --gtest_output=xml reports
// the largest deviations.

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "models/neural/network_weights.h"
#include "models/neural/recurrent_model.h"
#include "models/neural/tensor_file.h"
#include "tests/testing/shared_data.h"
#include "trainer/neural/network.h"

namespace lmserve {
namespace {

constexpr double kValueTolerance = 1e-5;  // of log-probabilities and states
constexpr double kLossTolerance = 1e-6;
constexpr double kGradientTolerance = 1e-4;  // relative
// Gradients that are smaller than this fraction of the tensor's largest
// gradient are compared relative to that fraction: if summands nearly cancel,
// the rounding error is relative to the summands.
constexpr double kGradientFloor = 0.01;

// The weight and the bias of an additional word, which must not get
// probability.
constexpr float kOtherWeight = 0.5f, kOtherBias = 3;

// The largest of many deviations.
class Worst {
 public:
  void Add(double deviation) {
    // NaN counts as the largest deviation.
    if (!(deviation <= worst_)) worst_ = deviation;
  }
  void Add(double found, double expected) { Add(std::abs(found - expected)); }

  // Also records the deviation in the report of the test.
  void ExpectBelow(double tolerance, const std::string& what) const {
    testing::Test::RecordProperty(what, absl::StrCat(worst_));
    EXPECT_LT(worst_, tolerance) << what;
  }

 private:
  double worst_ = 0;
};

// A network of PyTorch with its inputs and outputs.
class Golden {
 public:
  Golden(const std::string& path, Activation activation)
      : bytes_(Read(path)),
        file_(TensorFile::Parse(bytes_).value()),
        activation_(activation) {}
  Golden(const Golden&) = delete;
  Golden& operator=(const Golden&) = delete;

  const TensorFile& file() const { return file_; }

  // Returns a dimension of a tensor.
  size_t Size(absl::string_view tensor, size_t side) const {
    return static_cast<size_t>(file_.Find(tensor)->shape.at(side));
  }
  size_t steps() const { return Size("input.tokens", 0); }
  size_t streams() const { return Size("input.tokens", 1); }
  size_t vocabulary() const { return Size(kEmbeddingTensor, 0); }

  std::vector<float> Floats(absl::string_view name) const {
    const TensorView& tensor = *file_.Find(name);
    std::vector<float> floats(tensor.size());
    CopyFloats(tensor, absl::MakeSpan(floats));
    return floats;
  }

  std::vector<WordId> Words(absl::string_view name) const {
    const TensorView& tensor = *file_.Find(name);
    std::vector<int64_t> numbers(tensor.size());
    std::memcpy(numbers.data(), tensor.bytes.data(), tensor.bytes.size());
    return {numbers.begin(), numbers.end()};
  }

  Batch MakeBatch() const {
    return {steps(), streams(), Words("input.tokens"), Words("input.targets")};
  }

  // Returns the options, from the shapes of the weights and the metadata.
  RecurrentNetworkOptions Options() const {
    const std::string first = LayerTensor("weight_hh", 0, false);
    RecurrentNetworkOptions options;
    options.vocabulary = static_cast<WordId>(vocabulary());
    options.embedding = Size(kEmbeddingTensor, 1);
    options.carry_state = true;
    options.stack.units = Size(first, 1);
    options.stack.activation = activation_;
    options.stack.bidirectional =
        file_.Find(LayerTensor("weight_hh", 0, true)) != nullptr;
    for (Cell cell : {Cell::kRnn, Cell::kGru, Cell::kLstm}) {
      if (GateCount(cell) * options.stack.units == Size(first, 0)) {
        options.stack.cell = cell;
      }
    }
    while (file_.Find(LayerTensor("weight_hh", options.stack.layers, false)) !=
           nullptr) {
      ++options.stack.layers;
    }
    return options;
  }

 private:
  static std::string Read(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }

  const std::string bytes_;
  const TensorFile file_;
  const Activation activation_;
};

// The training network with the weights of the file.
class Training {
 public:
  explicit Training(const Golden& golden)
      : network_(MakeRecurrentNetwork<float>(golden.Options())),
        values_(network_->layout().size()) {
    for (const ParameterLayout::Parameter& p :
         network_->layout().parameters()) {
      const std::vector<float> weights = golden.Floats(p.name);
      EXPECT_EQ(weights.size(), p.size()) << p.name;
      std::copy(weights.begin(), weights.end(), values_.begin() + p.begin);
    }
  }

  Network<float>& network() { return *network_; }

  // Computes the loss, starting from a state of zeros.
  double Loss(const Batch& batch,
              const Network<float>::Backward* backward = nullptr) {
    network_->set_state({});
    return network_->Run(values_.data(), batch, nullptr, backward);
  }

 private:
  const std::unique_ptr<Network<float>> network_;
  std::vector<float> values_;
};

// Adds |found - expected|, relative to the expected number or the floor.
void AddRelative(absl::Span<const float> found,
                 absl::Span<const float> expected, Worst* worst) {
  ASSERT_EQ(found.size(), expected.size());
  double largest = 0;
  for (float x : expected) largest = std::max(largest, std::abs(double{x}));
  for (size_t i = 0; i < found.size(); ++i) {
    const double scale =
        std::max(std::abs(double{expected[i]}), kGradientFloor * largest);
    // A tensor of zeros must be matched exactly.
    if (found[i] == expected[i]) continue;
    worst->Add(std::abs(double{found[i]} - expected[i]) / scale);
  }
}

// The serving model. Its vocabulary has the words of the file, then <s>.
class Serving {
 public:
  explicit Serving(const Golden& golden, Activation activation)
      : bytes_(WithOtherWord(golden, activation)) {
    std::vector<std::string> words = {"<unk>", "</s>"};
    while (words.size() < golden.vocabulary()) {
      words.push_back(absl::StrCat("w", words.size()));
    }
    words.push_back("<s>");
    const std::vector<absl::string_view> views(words.begin(), words.end());
    model_ = RecurrentModel::Create(Vocabulary::Create(views).value(), bytes_)
                 .value();
  }

  const RecurrentModel& model() const { return *model_; }

 private:
  static std::string WithOtherWord(const Golden& golden,
                                   Activation activation) {
    TensorFileWriter writer;
    std::vector<std::vector<float>> kept;
    kept.reserve(golden.file().tensors().size());
    for (const auto& [name, tensor] : golden.file().tensors()) {
      const std::string module = name.substr(0, name.find('.'));
      if (module != "encoder" && module != "rnn" && module != "decoder") {
        continue;
      }
      std::vector<float>& values = kept.emplace_back(golden.Floats(name));
      std::vector<int64_t> shape = tensor.shape;
      if (module != "rnn") {
        const size_t width = values.size() / golden.vocabulary();
        ++shape[0];
        values.resize(values.size() + width,
                      name == kOutputBiasTensor ? kOtherBias : kOtherWeight);
      }
      writer.AddFloats(name, shape, values);
    }
    writer.SetMetadata(kNonlinearityKey, ActivationName(activation));
    return writer.Finish();
  }

  const std::string bytes_;
  std::unique_ptr<RecurrentModel> model_;
};

struct Architecture {
  std::string name;
  Activation activation = Activation::kTanh;
};

class TorchGoldenTest : public testing::TestWithParam<Architecture> {
 protected:
  // Returns the files of the architecture.
  std::vector<std::string> Paths() const {
    const std::string file = GetParam().name + ".safetensors";
    std::vector<std::string> paths;
    const std::string shared = SharedFile("reference/torch/" + file);
    if (!shared.empty()) paths.push_back(shared);
    const char* more = std::getenv("LMSERVE_GOLDENS");
    if (more == nullptr) return paths;
    for (const auto& entry :
         std::filesystem::recursive_directory_iterator(more)) {
      if (entry.path().filename() == file) paths.push_back(entry.path());
    }
    return paths;
  }

  void SetUp() override {
    if (Paths().empty()) {
      GTEST_SKIP() << "PyTorch's numbers are not here: reference/torch/"
                   << GetParam().name << ".safetensors";
    }
  }

  // Calls check(golden) for each file.
  template <typename Check>
  void ForEachGolden(const Check& check) const {
    for (const std::string& path : Paths()) {
      SCOPED_TRACE(path);
      check(Golden(path, GetParam().activation));
    }
  }
};

TEST_P(TorchGoldenTest, LossAndGradients) {
  Worst loss, gradients;
  ForEachGolden([&](const Golden& golden) {
    Training training(golden);
    const Batch batch = golden.MakeBatch();
    const auto words = static_cast<float>(batch.targets.size());
    std::vector<float> found(training.network().layout().size());
    const Network<float>::Backward backward = {1 / words, found.data()};
    loss.Add(training.Loss(batch, &backward) / words,
             golden.Floats("expect.loss")[0]);
    for (const auto& p : training.network().layout().parameters()) {
      AddRelative(absl::MakeConstSpan(found).subspan(p.begin, p.size()),
                  golden.Floats("grad." + p.name), &gradients);
    }
  });
  loss.ExpectBelow(kLossTolerance, "loss");
  gradients.ExpectBelow(kGradientTolerance, "gradients");
}

TEST_P(TorchGoldenTest, FinalStates) {
  Worst states;
  ForEachGolden([&](const Golden& golden) {
    Training training(golden);
    training.Loss(golden.MakeBatch());
    std::vector<float> expected = golden.Floats("expect.state_h");
    if (golden.file().Find("expect.state_c") != nullptr) {
      const std::vector<float> c = golden.Floats("expect.state_c");
      expected.insert(expected.end(), c.begin(), c.end());
    }
    const std::vector<float> found = training.network().state();
    ASSERT_EQ(found.size(), expected.size());
    for (size_t i = 0; i < found.size(); ++i) states.Add(found[i], expected[i]);
  });
  states.ExpectBelow(kValueTolerance, "states");
}

// A log-probability is the loss of a batch with a single target.
TEST_P(TorchGoldenTest, LogProbabilities) {
  Worst log_probs;
  ForEachGolden([&](const Golden& golden) {
    Training training(golden);
    const std::vector<float> expected = golden.Floats("expect.logprob");
    Batch batch = golden.MakeBatch();
    std::fill(batch.targets.begin(), batch.targets.end(), kNoTarget);
    const size_t size = golden.vocabulary();
    ASSERT_EQ(expected.size(), batch.targets.size() * size);
    for (size_t row = 0; row < batch.targets.size(); ++row) {
      for (WordId word = 0; word < size; ++word) {
        batch.targets[row] = word;
        log_probs.Add(-training.Loss(batch), expected[row * size + word]);
      }
      batch.targets[row] = kNoTarget;
    }
  });
  log_probs.ExpectBelow(kValueTolerance, "log_probabilities");
}

INSTANTIATE_TEST_SUITE_P(
    Architectures, TorchGoldenTest,
    testing::Values(Architecture{"rnn_tanh_1"},
                    Architecture{"rnn_relu_2", Activation::kRelu},
                    Architecture{"gru_1"}, Architecture{"gru_2"},
                    Architecture{"lstm_1"}, Architecture{"lstm_2"},
                    Architecture{"bilstm_2"}, Architecture{"bigru_1"}),
    [](const auto& info) { return info.param.name; });

// The architectures that the left-to-right serving model supports.
class TorchServingTest : public TorchGoldenTest {
 protected:
  using State = std::vector<std::byte>;

  // Returns the words of one stream.
  static std::vector<WordId> Stream(const std::vector<WordId>& words,
                                    size_t streams, size_t stream) {
    std::vector<WordId> of_stream;
    for (size_t i = stream; i < words.size(); i += streams) {
      of_stream.push_back(words[i]);
    }
    return of_stream;
  }

  // Scores words from a state and advances the state.
  static std::vector<float> Score(const LanguageModel& model,
                                  absl::Span<const WordId> words,
                                  State* state) {
    std::vector<float> log_probs(words.size());
    model.Score(
        {{state->data(), words, state->data(), absl::MakeSpan(log_probs)}});
    return log_probs;
  }

  // Returns PyTorch's state after the last step in the format of the model.
  static std::vector<float> ExpectedState(const Golden& golden, size_t stream) {
    const size_t layers = golden.Size("expect.state_h", 0);
    const size_t units = golden.Size("expect.state_h", 2);
    std::vector<float> expected;
    for (size_t layer = 0; layer < layers; ++layer) {
      for (const char* name : {"expect.state_h", "expect.state_c"}) {
        if (golden.file().Find(name) == nullptr) continue;
        const std::vector<float> all = golden.Floats(name);
        const auto from =
            all.begin() + (layer * golden.streams() + stream) * units;
        expected.insert(expected.end(), from, from + units);
      }
    }
    return expected;
  }
};

// Scores whole sequences, word t + 1 after the words up to t, and compares the
// last state.
TEST_P(TorchServingTest, ScoresAndStates) {
  Worst log_probs, states;
  ForEachGolden([&](const Golden& golden) {
    const Serving serving(golden, GetParam().activation);
    const std::vector<float> expected = golden.Floats("expect.logprob");
    for (size_t stream = 0; stream < golden.streams(); ++stream) {
      const std::vector<WordId> words =
          Stream(golden.Words("input.tokens"), golden.streams(), stream);
      State state(serving.model().state_size());
      const std::vector<float> found = Score(serving.model(), words, &state);
      for (size_t t = 0; t + 1 < words.size(); ++t) {
        const size_t row = t * golden.streams() + stream;
        log_probs.Add(found[t + 1],
                      expected[row * golden.vocabulary() + words[t + 1]]);
      }
      const std::vector<float> expected_state = ExpectedState(golden, stream);
      ASSERT_EQ(state.size(), expected_state.size() * sizeof(float));
      const auto* numbers = reinterpret_cast<const float*>(state.data());
      for (size_t i = 0; i < expected_state.size(); ++i) {
        states.Add(numbers[i], expected_state[i]);
      }
    }
  });
  log_probs.ExpectBelow(kValueTolerance, "served_log_probabilities");
  states.ExpectBelow(kValueTolerance, "served_states");
}

// Scores the target after every prefix of every stream, in one batch.
TEST_P(TorchServingTest, ScoresOfABatch) {
  Worst log_probs;
  ForEachGolden([&](const Golden& golden) {
    const Serving serving(golden, GetParam().activation);
    const size_t streams = golden.streams();
    const std::vector<WordId> targets = golden.Words("input.targets");
    const State zero(serving.model().state_size());
    std::vector<std::vector<WordId>> texts;
    for (size_t row = 0; row < targets.size(); ++row) {
      texts.push_back(
          Stream(golden.Words("input.tokens"), streams, row % streams));
      texts.back().resize(row / streams + 1);
      texts.back().push_back(targets[row]);
    }
    std::vector<std::vector<float>> found(texts.size());
    std::vector<LanguageModel::Query> batch;
    for (size_t row = 0; row < texts.size(); ++row) {
      found[row].resize(texts[row].size());
      batch.push_back(
          {zero.data(), texts[row], nullptr, absl::MakeSpan(found[row])});
    }
    serving.model().Score(batch);
    const std::vector<float> expected = golden.Floats("expect.logprob");
    for (size_t row = 0; row < texts.size(); ++row) {
      log_probs.Add(found[row].back(),
                    expected[row * golden.vocabulary() + targets[row]]);
    }
  });
  log_probs.ExpectBelow(kValueTolerance, "served_batch");
}

TEST_P(TorchServingTest, Distributions) {
  Worst log_probs;
  ForEachGolden([&](const Golden& golden) {
    const Serving serving(golden, GetParam().activation);
    const size_t size = golden.vocabulary();
    const std::vector<float> expected = golden.Floats("expect.logprob");
    std::vector<State> states(golden.streams(),
                              State(serving.model().state_size()));
    const std::vector<WordId> tokens = golden.Words("input.tokens");
    std::vector<float> found(states.size() * (size + 1));
    for (size_t row = 0; row < tokens.size(); row += states.size()) {
      std::vector<const std::byte*> rows;
      for (size_t stream = 0; stream < states.size(); ++stream) {
        Score(serving.model(), {&tokens[row + stream], 1}, &states[stream]);
        rows.push_back(states[stream].data());
      }
      serving.model().Distribution(rows, found.data());
      for (size_t stream = 0; stream < states.size(); ++stream) {
        const float* log_prob = &found[stream * (size + 1)];
        for (size_t word = 0; word < size; ++word) {
          log_probs.Add(log_prob[word], expected[(row + stream) * size + word]);
        }
        EXPECT_EQ(log_prob[size], -std::numeric_limits<float>::infinity());
      }
    }
  });
  log_probs.ExpectBelow(kValueTolerance, "served_distributions");
}

INSTANTIATE_TEST_SUITE_P(
    Architectures, TorchServingTest,
    testing::Values(Architecture{"rnn_tanh_1"},
                    Architecture{"rnn_relu_2", Activation::kRelu},
                    Architecture{"gru_1"}, Architecture{"gru_2"},
                    Architecture{"lstm_1"}, Architecture{"lstm_2"}),
    [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace lmserve
