// SPDX-License-Identifier: Apache-2.0
#include "trainer/neural/import_torch.h"

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "models/model_factory.h"
#include "models/neural/network_weights.h"
#include "models/neural/recurrent_layer.h"
#include "models/neural/tensor_file.h"
#include "models/quoted.h"
#include "trainer/neural/torch_file.h"
#include "trainer/neural/zip_archive.h"

namespace lmserve {
namespace {

constexpr absl::string_view kDefaultPreset = "word_language_model";

// Returns the vocabulary with the module's markers replaced by <unk> and </s>,
// and with <s> as the last word if it is missing.
absl::StatusOr<Vocabulary> MakeVocabulary(std::vector<std::string> names,
                                          const TorchOptions& options) {
  std::vector<absl::string_view> words(names.begin(), names.end());
  for (absl::string_view& word : words) {
    if (word == options.unknown) word = kUnknownWord;
    if (word == options.end) word = kEndSentence;
  }
  const auto has = [&](absl::string_view word) {
    return std::find(words.begin(), words.end(), word) != words.end();
  };
  if (!has(kUnknownWord)) {
    std::replace(words.begin(), words.end(), kUnknownUppercase, kUnknownWord);
  }
  for (const auto& [marker, name] : {std::pair{kUnknownWord, &options.unknown},
                                     std::pair{kEndSentence, &options.end}}) {
    if (has(marker)) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("vocabulary: expected '", marker, "' or '", *name,
                     "' among its ", words.size(), " words, found neither"));
  }
  if (!has(kBeginSentence)) words.push_back(kBeginSentence);
  return Vocabulary::Create(words);
}

// Returns tensors under the names of this project, without those to ignore.
absl::StatusOr<TensorFile::Tensors> NetworkTensors(
    TensorFile::Tensors tensors, const TorchOptions& options) {
  for (const std::string& name : options.ignored) tensors.erase(name);
  const absl::StatusOr<TensorNames> names =
      options.names == nullptr ? TensorNames::Preset(kDefaultPreset)
                               : *options.names;
  if (!names.ok()) return names.status();
  absl::StatusOr<TensorFile::Tensors> renamed = names->Rename(tensors);
  if (!renamed.ok()) return renamed;
  // Either name of a tied tensor; the model reads the first one as both.
  const auto output = renamed->find(kOutputTensor);
  if (!renamed->contains(kEmbeddingTensor) && output != renamed->end()) {
    renamed->emplace(kEmbeddingTensor, output->second);
    renamed->erase(output);
  }
  return renamed;
}

// Returns the tensors of a safetensors file, with those for which the metadata
// names another tensor.
absl::StatusOr<TorchTensors> ReadSafetensors(absl::string_view bytes) {
  const absl::StatusOr<TensorFile> file = TensorFile::Parse(bytes);
  if (!file.ok()) return file.status();
  TorchTensors read = {file->tensors(), {}};
  for (const auto& [name, kept] : file->metadata()) {
    const auto found = file->tensors().find(kept);
    if (found != file->tensors().end()) {
      read.tensors.emplace(name, found->second);
    }
  }
  return read;
}

absl::StatusOr<TorchTensors> ReadTensors(absl::string_view bytes,
                                         const TorchOptions& options) {
  if (ZipArchive::Matches(bytes)) {
    const absl::StatusOr<TorchFile> file = TorchFile::Parse(bytes);
    if (!file.ok()) return file.status();
    return file->StateDict(options.state_dict);
  }
  if (absl::StartsWith(bytes, "\x80\x02\x8a\x0a")) {
    return absl::InvalidArgumentError(
        "expected safetensors or a file of torch.save() of PyTorch 1.6 or "
        "later, found one of an earlier PyTorch; load it and save it again");
  }
  if (!options.state_dict.empty()) {
    return absl::InvalidArgumentError(
        "--state-dict: expected a file of torch.save(), found another one");
  }
  return ReadSafetensors(bytes);
}

// A tensor as floats, row-major.
struct Array {
  std::vector<int64_t> shape;
  std::vector<float> values;
};

// Makes the tensors of the network of those of the module: adds rows for added
// words, folds projections into the matrices that read them, and adds biases.
class Importer {
 public:
  Importer(const Vocabulary& vocabulary, size_t words, WordId start)
      : vocabulary_(vocabulary), words_(words), start_(start) {}

  absl::Status Add(const std::string& name, const TensorView& tensor) {
    if (!IsFloatType(tensor.type)) {
      return absl::InvalidArgumentError(
          absl::StrCat("tensor ", Quoted(name), ": expected floats, found ",
                       TensorTypeName(tensor.type)));
    }
    Array array = {tensor.shape, std::vector<float>(tensor.size())};
    CopyFloats(tensor, absl::MakeSpan(array.values));
    const bool is_by_word = name == kEmbeddingTensor || name == kOutputTensor ||
                            name == kOutputBiasTensor;
    if (is_by_word) {
      absl::Status status = AddRows(name, &array);
      if (!status.ok()) return status;
    }
    arrays_[name] = std::move(array);
    return absl::OkStatus();
  }

  // Replaces every W that reads a projection h = W_hr m by W W_hr.
  absl::Status FoldProjections() {
    for (size_t layer = 0; Has(LayerTensor("weight_hh", layer, false));
         ++layer) {
      absl::Status status = FoldProjection(layer);
      if (!status.ok()) return status;
    }
    return absl::OkStatus();
  }

  // Adds biases of 0 where a layer has none, and where the output has none.
  void AddMissingBiases() {
    std::map<std::string, Array> missing;
    if (!Has(std::string(kOutputBiasTensor))) {
      const std::vector<float> zeros(vocabulary_.size());
      missing[std::string(kOutputBiasTensor)] = {{vocabulary_.size()}, zeros};
    }
    for (size_t layer = 0; Has(LayerTensor("weight_hh", layer, false));
         ++layer) {
      for (bool reverse : {false, true}) {
        const auto weights =
            arrays_.find(LayerTensor("weight_hh", layer, reverse));
        if (weights == arrays_.end() || weights->second.shape.empty()) continue;
        const std::string ih = LayerTensor("bias_ih", layer, reverse);
        const std::string hh = LayerTensor("bias_hh", layer, reverse);
        if (Has(ih) || Has(hh)) continue;  // PyTorch makes both or none.
        const std::vector<float> zeros(weights->second.shape[0]);
        missing[ih] = missing[hh] = {{weights->second.shape[0]}, zeros};
      }
    }
    arrays_.merge(missing);
  }

  std::string Finish(const TorchOptions& options) const {
    TensorFileWriter writer;
    for (const auto& [name, array] : arrays_) {
      writer.AddFloats(name, array.shape, array.values);
    }
    writer.SetMetadata(kNonlinearityKey, ActivationName(options.activation));
    return writer.Finish();
  }

 private:
  bool Has(const std::string& name) const { return arrays_.contains(name); }

  // Appends the row of </s> for each word that the module does not have, and
  // gives <s> the embedding of the word that the module starts with.
  absl::Status AddRows(const std::string& name, Array* array) const {
    std::vector<int64_t>& shape = array->shape;
    if (shape.empty() || shape[0] != static_cast<int64_t>(words_)) {
      return absl::InvalidArgumentError(absl::StrCat(
          "tensor ", Quoted(name), ": expected a row for each of the ", words_,
          " words of the vocabulary, found ", shape.empty() ? 0 : shape[0]));
    }
    const size_t width = array->values.size() / words_;
    const auto row = [&](WordId word) {
      return array->values.begin() + word * width;
    };
    for (; shape[0] < static_cast<int64_t>(vocabulary_.size()); ++shape[0]) {
      array->values.resize(array->values.size() + width);
      std::copy_n(row(vocabulary_.end_sentence()), width,
                  array->values.end() - width);
    }
    if (name == kEmbeddingTensor) {
      const std::vector<float> start(row(start_), row(start_) + width);
      std::copy(start.begin(), start.end(), row(vocabulary_.begin_sentence()));
    }
    return absl::OkStatus();
  }

  // Returns a matrix with `cols` columns, where 0 means any number.
  absl::StatusOr<const Array*> Matrix(const std::string& name,
                                      int64_t cols) const {
    const auto found = arrays_.find(name);
    if (found == arrays_.end()) {
      return absl::InvalidArgumentError(
          absl::StrCat("tensor ", Quoted(name), ": expected one, found none"));
    }
    const Array& array = found->second;
    if (array.shape.size() == 2 && (cols == 0 || array.shape[1] == cols)) {
      return &array;
    }
    return absl::InvalidArgumentError(absl::StrCat(
        "tensor ", Quoted(name), ": expected a matrix",
        cols == 0 ? std::string() : absl::StrCat(" of ", cols, " columns"),
        ", found [", absl::StrJoin(array.shape, ", "), "]"));
  }

  absl::Status FoldProjection(size_t layer) {
    const bool both = Has(LayerTensor("weight_hh", layer, true));
    std::vector<const Array*> projections;
    std::vector<std::string> names;
    for (int reverse = 0; reverse <= (both ? 1 : 0); ++reverse) {
      names.push_back(LayerTensor("weight_hr", layer, reverse == 1));
      if (!Has(names[0])) {
        if (!Has(names.back())) continue;
        return absl::InvalidArgumentError(absl::StrCat(
            "tensor ", Quoted(names.back()), ": expected one in both ",
            "directions or in none, found one in one direction"));
      }
      const absl::StatusOr<const Array*> projection =
          Matrix(names.back(), /*cols=*/0);
      if (!projection.ok()) return projection.status();
      projections.push_back(*projection);
    }
    if (projections.empty()) return absl::OkStatus();
    for (size_t d = 0; d < projections.size(); ++d) {
      const std::string name = LayerTensor("weight_hh", layer, d == 1);
      absl::Status status = Fold(name, {projections[d]});
      if (!status.ok()) return status;
      const int64_t gates = GateCount(Cell::kLstm);
      if (arrays_[name].shape[0] != gates * projections[d]->shape[1]) {
        return absl::InvalidArgumentError(absl::StrCat(
            "tensor ", Quoted(names[d]), ": expected a projection of an LSTM ",
            "of ", arrays_[name].shape[0] / gates, " units, found one of ",
            projections[d]->shape[1]));
      }
    }
    const bool is_last = !Has(LayerTensor("weight_hh", layer + 1, false));
    if (is_last && !Has(std::string(kOutputTensor))) {  // tied
      const absl::StatusOr<const Array*> tied =
          Matrix(std::string(kEmbeddingTensor), 0);
      if (!tied.ok()) return tied.status();
      arrays_[std::string(kOutputTensor)] = **tied;
    }
    for (bool reverse : {false, true}) {
      const std::string reader =
          is_last ? std::string(kOutputTensor)
                  : LayerTensor("weight_ih", layer + 1, reverse);
      if (reverse && (is_last || !Has(reader))) break;
      absl::Status status = Fold(reader, projections);
      if (!status.ok()) return status;
    }
    for (const std::string& name : names) arrays_.erase(name);
    return absl::OkStatus();
  }

  // Replaces W = [W_1 W_2 ...] by [W_1 P_1, W_2 P_2, ...].
  absl::Status Fold(const std::string& name,
                    const std::vector<const Array*>& projections) {
    int64_t inputs = 0, outputs = 0;
    for (const Array* projection : projections) {
      inputs += projection->shape[0];
      outputs += projection->shape[1];
    }
    const absl::StatusOr<const Array*> old = Matrix(name, inputs);
    if (!old.ok()) return old.status();
    Array folded = {{(*old)->shape[0], outputs}, {}};
    std::vector<double> sums;
    for (int64_t r = 0; r < folded.shape[0]; ++r) {
      const float* from = (*old)->values.data() + r * inputs;
      for (const Array* projection : projections) {
        const int64_t units = projection->shape[1];
        sums.assign(units, 0);
        const float* row = projection->values.data();
        for (int64_t p = 0; p < projection->shape[0]; ++p, row += units) {
          for (int64_t k = 0; k < units; ++k) {
            sums[k] += double{from[p]} * row[k];
          }
        }
        from += projection->shape[0];
        for (double sum : sums) {
          folded.values.push_back(static_cast<float>(sum));
        }
      }
    }
    arrays_[name] = std::move(folded);
    return absl::OkStatus();
  }

  const Vocabulary& vocabulary_;
  const size_t words_;  // number of words in the vocabulary file
  const WordId start_;
  std::map<std::string, Array> arrays_;
};

absl::Status In(absl::string_view file, const absl::Status& status) {
  return absl::Status(status.code(),
                      absl::StrCat(file, ": ", status.message()));
}

// Returns the word whose embedding <s> gets.
absl::StatusOr<WordId> StartOf(const Vocabulary& vocabulary, bool has_begin,
                               const TorchOptions& options) {
  if (options.start.empty()) {
    return has_begin ? vocabulary.begin_sentence() : vocabulary.end_sentence();
  }
  const absl::string_view start =
      options.start == options.end ? kEndSentence : options.start;
  if (vocabulary.Contains(start)) return vocabulary.Find(start);
  return absl::InvalidArgumentError(absl::StrCat(
      "expected the word ", Quoted(start), " that starts a text, found none"));
}

// Whether the module gives <s> the probability 0, by a bias that no state can
// make up for.
bool ExcludesBegin(const TorchModel& model) {
  constexpr float kExcluded = -1e6f;
  const absl::StatusOr<TensorFile> file = TensorFile::Parse(model.weights);
  if (!file.ok()) return false;
  const absl::StatusOr<std::vector<float>> bias = file->GetFloats(
      std::string(kOutputBiasTensor), {model.vocabulary.size()});
  return bias.ok() && (*bias)[model.vocabulary.begin_sentence()] <= kExcluded;
}

absl::StatusOr<TorchModel> ImportTensors(absl::string_view bytes,
                                         Vocabulary vocabulary,
                                         size_t word_count, WordId start,
                                         const TorchOptions& options) {
  absl::StatusOr<TorchTensors> read = ReadTensors(bytes, options);
  if (!read.ok()) return read.status();
  const absl::StatusOr<TensorFile::Tensors> tensors =
      NetworkTensors(std::move(read->tensors), options);
  if (!tensors.ok()) return tensors.status();
  Importer importer(vocabulary, word_count, start);
  for (const auto& [name, tensor] : *tensors) {
    absl::Status status = importer.Add(name, tensor);
    if (!status.ok()) return status;
  }
  if (absl::Status status = importer.FoldProjections(); !status.ok()) {
    return status;
  }
  importer.AddMissingBiases();
  std::string weights = importer.Finish(options);
  const bool bidirectional =
      tensors->contains(LayerTensor("weight_hh", 0, true));
  // Names the tensors that are missing, have another shape or are not used.
  const auto parts = ReadRecurrentParts(weights, vocabulary, bidirectional);
  if (!parts.ok()) return parts.status();
  return TorchModel{
      std::string(bidirectional ? kBidirectionalFamily : kRecurrentFamily),
      std::move(vocabulary), std::move(weights)};
}

}  // namespace

absl::StatusOr<TorchModel> ImportTorch(absl::string_view bytes,
                                       std::vector<std::string> words,
                                       const TorchOptions& options,
                                       absl::string_view file,
                                       absl::string_view vocabulary_file) {
  const size_t word_count = words.size();
  absl::StatusOr<Vocabulary> vocabulary =
      MakeVocabulary(std::move(words), options);
  if (!vocabulary.ok()) return In(vocabulary_file, vocabulary.status());
  // Otherwise <s> was added.
  const bool has_begin = vocabulary->size() == word_count;
  const absl::StatusOr<WordId> start = StartOf(*vocabulary, has_begin, options);
  if (!start.ok()) return In(vocabulary_file, start.status());
  absl::StatusOr<TorchModel> model =
      ImportTensors(bytes, *std::move(vocabulary), word_count, *start, options);
  if (!model.ok()) return In(file, model.status());
  if (has_begin && !ExcludesBegin(*model)) {
    model->warnings.push_back(absl::StrCat(
        vocabulary_file,
        ": the probability that the module gives to <s> is "
        "distributed over the other words, because no text has <s> inside; so "
        "log-probabilities are a little higher than the module's"));
  }
  return model;
}

}  // namespace lmserve
