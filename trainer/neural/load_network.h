// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_NEURAL_LOAD_NETWORK_H_
#define LMSERVE_TRAINER_NEURAL_LOAD_NETWORK_H_

#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "models/neural/tensor_file.h"
#include "models/vocabulary.h"
#include "trainer/neural/network.h"
#include "trainer/neural/parameters.h"

namespace lmserve {

// Returns the parameters of a network from a weights file of the store, as an
// array with the layout. Matrices may have any precision. Fails as ReadMatrix()
// and ReadVector() do.
absl::StatusOr<std::vector<float>> ReadParameters(
    const TensorFile& file, const ParameterLayout& layout);

// A recurrent network that was published: the network in training, and its
// parameters as floats.
struct LoadedNetwork {
  RecurrentNetworkOptions options;
  std::vector<float> values;
};

// Reads a left-to-right recurrent network. `weights` is the contents of
// weights.safetensors. Returns INVALID_ARGUMENT if it is not such a network, or
// has layers of different widths, which cannot be trained.
absl::StatusOr<LoadedNetwork> LoadRecurrentNetwork(const Vocabulary& vocabulary,
                                                   absl::string_view weights);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_NEURAL_LOAD_NETWORK_H_
