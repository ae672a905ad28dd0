#ifndef LMSERVE_TRAINER_NEURAL_PARAMETERS_H_
#define LMSERVE_TRAINER_NEURAL_PARAMETERS_H_

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "models/neural/gemm.h"

namespace lmserve {

// Where the parameters of a network stand in one array of numbers: what an
// optimiser, a checkpoint and a sum of gradients need to know. A vector has one
// column.
class ParameterLayout {
 public:
  struct Parameter {
    std::string name;  // of the tensor in weights.safetensors
    size_t rows;
    size_t cols;
    size_t begin;  // its first number in the array
    bool is_matrix;

    size_t size() const { return rows * cols; }
  };

  // Adds a parameter; returns its number.
  size_t AddMatrix(std::string name, size_t rows, size_t cols) {
    return Add({std::move(name), rows, cols, size_, true});
  }
  size_t AddVector(std::string name, size_t size) {
    return Add({std::move(name), size, 1, size_, false});
  }

  const std::vector<Parameter>& parameters() const { return parameters_; }

  // Numbers in all.
  size_t size() const { return size_; }

  // A parameter in an array of that layout.
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
