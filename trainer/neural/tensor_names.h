// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_NEURAL_TENSOR_NAMES_H_
#define LMSERVE_TRAINER_NEURAL_TENSOR_NAMES_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "models/neural/tensor_file.h"

namespace lmserve {

// How the tensors of a PyTorch module are called: for each tensor of a
// recurrent language model, the names that it may have in a state_dict. The
// text form has a rule a line:
//
//   # A comment.
//   prefix = module.
//   encoder.weight = embedding.weight | embed.weight
//   rnn.weight_hh_l{L} = rnns.{L}.weight_hh_l0_raw | rnns.{L}.weight_hh_l0
//   ignore = version
//
// {L} stands for the number of a layer. The first of the names that exists is
// the tensor; the others are other forms of it and are left out: weight-drop
// keeps the recurrent weights as weight_hh_l0_raw, and in weight_hh_l0 what
// dropout left of them in the last step of the training. A prefix is removed
// from all names before, if it is there. `ignore` names tensors that do not
// change what the module computes. Immutable.
class TensorNames {
 public:
  // Parses a text. Returns INVALID_ARGUMENT, naming the line, unless it has
  // this form and names only tensors encoder.weight, decoder.weight,
  // decoder.bias, and weight_ih, weight_hh, weight_hr, bias_ih and bias_hh of
  // rnn, as in rnn.bias_hh_l{L} or rnn.bias_hh_l{L}_reverse.
  static absl::StatusOr<TensorNames> Parse(absl::string_view text);

  // Returns the names of a known kind of module: one of PresetNames().
  static absl::StatusOr<TensorNames> Preset(absl::string_view name);
  static std::vector<std::string> PresetNames();

  // Returns the tensors under the names of this project. Returns
  // INVALID_ARGUMENT for a tensor that no rule names.
  absl::StatusOr<TensorFile::Tensors> Rename(
      const TensorFile::Tensors& tensors) const;

 private:
  struct Rule {
    std::string name;  // empty: ignore
    std::vector<std::string> patterns;
  };

  TensorNames() = default;

  std::vector<std::string> prefixes_;
  std::vector<Rule> rules_;
};

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_NEURAL_TENSOR_NAMES_H_
