// SPDX-License-Identifier: Apache-2.0
#include "trainer/neural/publish_network.h"

#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "model_store/publish.h"
#include "models/model_factory.h"
#include "models/neural/network_weights.h"

namespace lmserve {
namespace {

int64_t Signed(size_t size) { return static_cast<int64_t>(size); }

WeightMatrix AsMatrix(const TensorView& tensor,
                      absl::Span<const float> floats) {
  return WeightMatrix::Of(floats, static_cast<size_t>(tensor.shape[0]),
                          static_cast<size_t>(tensor.shape[1]));
}

}  // namespace

std::string MakeWeightsFile(
    const ParameterLayout& layout, absl::Span<const float> values,
    const std::map<std::string, std::string>& metadata) {
  TensorFileWriter writer;
  bool has_output = false;
  for (const ParameterLayout::Parameter& p : layout.parameters()) {
    if (absl::StartsWith(p.name, kTrainingPrefix)) continue;
    std::vector<int64_t> shape = {Signed(p.rows)};
    if (p.is_matrix) shape.push_back(Signed(p.cols));
    writer.AddFloats(p.name, shape, values.subspan(p.begin, p.size()));
    has_output |= p.name == kOutputTensor;
  }
  if (!has_output) {
    const ParameterLayout::Parameter& tied = *absl::c_find_if(
        layout.parameters(), [](const ParameterLayout::Parameter& p) {
          return p.name == kEmbeddingTensor;
        });
    writer.AddFloats(kOutputTensor, {Signed(tied.rows), Signed(tied.cols)},
                     values.subspan(tied.begin, tied.size()));
  }
  for (const auto& [key, value] : metadata) writer.SetMetadata(key, value);
  return writer.Finish();
}

std::string ConvertWeightsFile(const TensorFile& file, Precision precision) {
  TensorFileWriter writer;
  std::vector<std::vector<float>> floats;
  std::vector<ConvertedMatrix> converted;
  floats.reserve(file.tensors().size());
  converted.reserve(file.tensors().size());
  for (const auto& [name, tensor] : file.tensors()) {
    std::vector<float>& values = floats.emplace_back(tensor.size());
    CopyFloats(tensor, absl::MakeSpan(values));
    if (tensor.shape.size() != 2 || precision == Precision::kFloat) {
      writer.AddFloats(name, tensor.shape, values);
      continue;
    }
    const ConvertedMatrix& matrix = converted.emplace_back(
        ConvertMatrix(AsMatrix(tensor, values), precision));
    writer.Add(name, {precision == Precision::kBf16 ? TensorType::kBf16
                                                    : TensorType::kI8,
                      tensor.shape, matrix.bytes});
    if (matrix.scales.empty()) continue;
    writer.Add(absl::StrCat(name, kScaleSuffix),
               {TensorType::kF32, {tensor.shape[0]}, matrix.scales});
  }
  for (const auto& [key, value] : file.metadata()) {
    writer.SetMetadata(key, value);
  }
  return writer.Finish();
}

absl::StatusOr<uint64_t> PublishNetwork(const std::string& store,
                                        absl::string_view name,
                                        const Vocabulary& vocabulary,
                                        NetworkVersion network) {
  const absl::StatusOr<TensorFile> file = TensorFile::Parse(network.weights);
  if (!file.ok()) return file.status();
  std::string converted;
  if (network.precision != Precision::kFloat) {
    converted = ConvertWeightsFile(*file, network.precision);
  }
  NewVersion version;
  version.family = network.family;
  version.properties = std::move(network.properties);
  version.properties["precision"] =
      std::string(PrecisionName(network.precision));
  version.self_test = std::move(network.self_test);
  version.self_test_sources = std::move(network.self_test_sources);
  version.files[std::string(kVocabularyFile)] = vocabulary.text();
  version.files[std::string(kWeightsFile)] =
      converted.empty() ? network.weights : converted;
  for (const auto& [file_name, bytes] : network.files) {
    version.files[file_name] = bytes;
  }
  return Publish(store, name, version);
}

}  // namespace lmserve
