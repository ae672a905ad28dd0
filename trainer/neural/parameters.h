// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_NEURAL_PARAMETERS_H_
#define LMSERVE_TRAINER_NEURAL_PARAMETERS_H_

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "models/neural/gemm.h"

namespace lmserve {

// The names of parameters that only the training of a network needs begin with
// it. They are not published.
constexpr absl::string_view kTrainingPrefix = "training.";

// Describes where the parameters of a network are in one array of numbers. The
// array may hold the parameters themselves or, for example, their gradients. A
// vector has one column.
class ParameterLayout {
 public:
  struct Parameter {
    std::string name;  // of its tensor in weights.safetensors
    size_t rows;
    size_t cols;
    size_t begin;  // index of its first number in the array
    bool is_matrix;

    size_t size() const { return rows * cols; }
  };

  // Add a parameter and return its index.
  size_t AddMatrix(std::string name, size_t rows, size_t cols) {
    return Add({std::move(name), rows, cols, size_, true});
  }
  size_t AddVector(std::string name, size_t size) {
    return Add({std::move(name), size, 1, size_, false});
  }

  const std::vector<Parameter>& parameters() const { return parameters_; }

  // The size of the array.
  size_t size() const { return size_; }

  // Returns a parameter as part of an array with this layout.
  template <typename T>
  MatrixView<T> View(T* array, size_t parameter) const {
    const Parameter& p = parameters_[parameter];
    return {array + p.begin, p.rows, p.cols};
  }

 private:
  size_t Add(Parameter parameter) {
    size_ += parameter.size();
    parameters_.push_back(std::move(parameter));
    return parameters_.size() - 1;
  }

  std::vector<Parameter> parameters_;
  size_t size_ = 0;
};

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_NEURAL_PARAMETERS_H_
