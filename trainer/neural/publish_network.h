// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_NEURAL_PUBLISH_NETWORK_H_
#define LMSERVE_TRAINER_NEURAL_PUBLISH_NETWORK_H_

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "models/neural/tensor_file.h"
#include "models/neural/weight_matrix.h"
#include "models/vocabulary.h"
#include "trainer/neural/parameters.h"

namespace lmserve {

// Returns the bytes of weights.safetensors, without the parameters that only
// the training needs (kTrainingPrefix). Tied output weights are written under
// both of their names, so that PyTorch's load_state_dict() accepts the file.
std::string MakeWeightsFile(const ParameterLayout& layout,
                            absl::Span<const float> values,
                            const std::map<std::string, std::string>& metadata);

// Returns the bytes of a weights file with its matrices converted to another
// precision. Vectors remain floats.
std::string ConvertWeightsFile(const TensorFile& file, Precision precision);

// A network to publish as a version. It owns its data; PublishNetwork() makes
// the NewVersion of the store, which has views, from it.
struct NetworkVersion {
  std::string family;
  std::string weights;  // bytes of weights.safetensors, with floats
  Precision precision = Precision::kFloat;  // of the published weights
  std::map<std::string, std::string> properties;
  std::map<std::string, std::string> files;  // more files, such as the log
  std::vector<std::string> self_test;        // texts to score
  // The sources of these texts, for a translation network; else empty.
  std::vector<std::string> self_test_sources = {};
};

// Publishes a network as the next version of a model in a store and returns the
// version's number.
absl::StatusOr<uint64_t> PublishNetwork(const std::string& store,
                                        absl::string_view name,
                                        const Vocabulary& vocabulary,
                                        NetworkVersion version);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_NEURAL_PUBLISH_NETWORK_H_
