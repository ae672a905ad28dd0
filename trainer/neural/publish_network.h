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

// The bytes of weights.safetensors. Tied output weights stand in the file under
// both their names, so that PyTorch's load_state_dict() takes it as it is.
std::string MakeWeightsFile(const ParameterLayout& layout,
                            absl::Span<const float> values,
                            const std::map<std::string, std::string>& metadata);

// The same file with its matrices in another precision; vectors stay floats.
std::string ConvertWeightsFile(const TensorFile& file, Precision precision);

// What is published of a network.
struct NetworkVersion {
  std::string family;
  std::string weights;                      // weights.safetensors, as floats
  Precision precision = Precision::kFloat;  // to serve it in
  std::map<std::string, std::string> properties;
  std::map<std::string, std::string> files;  // more of them, as the log
  std::vector<std::string> self_test;
  std::vector<std::string> self_test_sources = {};
};

// Publishes a network as the next version of a model in a store, and returns
// its number.
absl::StatusOr<uint64_t> PublishNetwork(const std::string& store,
                                        absl::string_view name,
                                        const Vocabulary& vocabulary,
                                        NetworkVersion version);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_NEURAL_PUBLISH_NETWORK_H_
