// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <utility>

#include "models/neural/network_weights.h"
#include "trainer/neural/cell_gradients.h"
#include "trainer/neural/dropout.h"
#include "trainer/neural/embedding.h"
#include "trainer/neural/network.h"

namespace lmserve {
namespace {

template <typename T>
class WindowNetwork final : public Network<T> {
 public:
  using typename Network<T>::Backward;

  explicit WindowNetwork(const WindowNetworkOptions& options)
      : options_(options),
        embedding_(layout_.AddMatrix(std::string(kEmbeddingTensor),
                                     options.vocabulary, options.embedding)),
        hidden_(layout_.AddMatrix(std::string(kHiddenTensor), options.hidden,
                                  width())),
        hidden_bias_(
            layout_.AddVector(std::string(kHiddenBiasTensor), options.hidden)),
        output_(layout_.AddMatrix(std::string(kOutputTensor),
                                  options.vocabulary, options.hidden)),
        direct_(options.direct ? layout_.AddMatrix(std::string(kDirectTensor),
                                                   options.vocabulary, width())
                               : 0),
        loss_(options.vocabulary, options.cutoffs, options.never, Parts(),
              &layout_, options.products),
        input_dropout_(options.dropout),
        hidden_dropout_(options.dropout) {}

  std::map<std::string, std::string> Metadata() const override {
    if (options_.cutoffs.empty()) return {};
    return {{std::string(kCutoffsKey), FormatCutoffs(options_.cutoffs)}};
  }

  void Initialize(uint64_t seed, T* values) const override {
    Random random(seed, RandomPurpose::kInitialWeights);
    for (size_t i = 0; i < layout_.parameters().size(); ++i) {
      const ParameterLayout::Parameter& p = layout_.parameters()[i];
      double range = 1 / std::sqrt(static_cast<double>(p.cols));
      if (i == embedding_) range = 0.1;
      if (!p.is_matrix || (options_.direct && i == direct_)) range = 0;
      FillUniform(layout_.View(values, i), range, &random);
    }
  }

  double Run(const T* values, const Batch& batch, Random* random,
             const Backward* backward) override {
    const size_t rows = batch.streams;
    if (rows == 0) return 0;
    const std::vector<WordId> words = ByWindow(batch);
    // h = tanh(W1 x + b1)
    x_ = Embed<T>(layout_.View(values, embedding_), words);
    input_dropout_.Forward(x_.data(), x_.size(), random);
    h_.resize(rows * options_.hidden);
    const T* bias = layout_.View(values, hidden_bias_).data;
    for (size_t r = 0; r < rows; ++r) {
      std::copy_n(bias, options_.hidden, h_.data() + r * options_.hidden);
    }
    const MatrixView<const T> x(x_.data(), rows, width());
    Gemm(Transpose::kNo, Transpose::kYes, x, layout_.View(values, hidden_), 1,
         {h_.data(), rows, options_.hidden});
    TanhInPlace(absl::MakeSpan(h_));
    std::vector<T> features = h_;
    hidden_dropout_.Forward(features.data(), features.size(), random);

    // y = softmax(W2 h + W3 x + b3)
    std::vector<MatrixView<const T>> inputs = {
        {features.data(), rows, options_.hidden}};
    if (options_.direct) inputs.push_back(x);
    if (backward == nullptr) {
      return loss_.Run(values, inputs, batch.targets, nullptr);
    }
    std::vector<T> dh(h_.size()), dx(x_.size());
    typename SoftmaxLoss<T>::Gradients gradients = {
        backward->scale,
        backward->gradients,
        {{dh.data(), rows, options_.hidden}}};
    if (options_.direct) gradients.inputs.push_back({dx.data(), rows, width()});
    const double loss = loss_.Run(values, inputs, batch.targets, &gradients);
    RunBack(values, words, &dh, &dx, backward->gradients);
    return loss;
  }

 private:
  using Network<T>::layout_;

  size_t width() const { return options_.window * options_.embedding; }

  std::vector<typename SoftmaxLoss<T>::Part> Parts() const {
    std::vector<typename SoftmaxLoss<T>::Part> parts = {
        {options_.hidden, output_}};
    if (options_.direct) parts.push_back({width(), direct_});
    return parts;
  }

  // Returns the inputs in the order (streams, steps): the words of a window are
  // adjacent.
  static std::vector<WordId> ByWindow(const Batch& batch) {
    std::vector<WordId> words(batch.inputs.size());
    for (size_t step = 0; step < batch.steps; ++step) {
      for (size_t s = 0; s < batch.streams; ++s) {
        words[s * batch.steps + step] = batch.inputs[step * batch.streams + s];
      }
    }
    return words;
  }

  void RunBack(const T* values, const std::vector<WordId>& words,
               std::vector<T>* dh, std::vector<T>* dx, T* gradients) {
    const size_t rows = dh->size() / options_.hidden;
    hidden_dropout_.Backward(dh->data(), dh->size());
    for (size_t i = 0; i < dh->size(); ++i) (*dh)[i] *= 1 - h_[i] * h_[i];
    const MatrixView<const T> d_hidden(dh->data(), rows, options_.hidden);
    T* d_bias = layout_.View(gradients, hidden_bias_).data;
    for (size_t r = 0; r < rows; ++r) {
      for (size_t k = 0; k < options_.hidden; ++k) {
        d_bias[k] += d_hidden.row(r)[k];
      }
    }
    Gemm(Transpose::kYes, Transpose::kNo, d_hidden, {x_.data(), rows, width()},
         1, layout_.View(gradients, hidden_));
    Gemm(Transpose::kNo, Transpose::kNo, d_hidden,
         layout_.View(values, hidden_), 1, {dx->data(), rows, width()});
    input_dropout_.Backward(dx->data(), dx->size());
    AddEmbeddingGradient<T>(words, dx->data(),
                            layout_.View(gradients, embedding_));
  }

  const WindowNetworkOptions options_;
  const size_t embedding_, hidden_, hidden_bias_, output_, direct_;
  SoftmaxLoss<T> loss_;
  Dropout<T> input_dropout_, hidden_dropout_;
  std::vector<T> x_;  // (rows, window * embedding)
  std::vector<T> h_;  // (rows, hidden), before dropout
};

}  // namespace

template <typename T>
std::unique_ptr<Network<T>> MakeWindowNetwork(
    const WindowNetworkOptions& options) {
  return std::make_unique<WindowNetwork<T>>(options);
}

template std::unique_ptr<Network<float>> MakeWindowNetwork(
    const WindowNetworkOptions&);
template std::unique_ptr<Network<double>> MakeWindowNetwork(
    const WindowNetworkOptions&);

}  // namespace lmserve
