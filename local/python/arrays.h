// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_LOCAL_PYTHON_ARRAYS_H_
#define LMSERVE_LOCAL_PYTHON_ARRAYS_H_

#include <nanobind/ndarray.h>

#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

namespace lmserve::python {

// An array of numpy that owns its numbers.
template <typename T, size_t Dimensions>
using Array = nanobind::ndarray<nanobind::numpy, T, nanobind::ndim<Dimensions>,
                                nanobind::c_contig>;

namespace internal {

template <typename T>
nanobind::capsule Own(std::unique_ptr<std::vector<T>> values) {
  return nanobind::capsule(values.release(), [](void* pointer) noexcept {
    delete static_cast<std::vector<T>*>(pointer);
  });
}

}  // namespace internal

// Return numbers as an array of shape [n] or [rows, columns], without a copy.
template <typename T>
Array<T, 1> ToArray(std::vector<T> values) {
  auto owned = std::make_unique<std::vector<T>>(std::move(values));
  T* const data = owned->data();
  const size_t size = owned->size();
  return Array<T, 1>(data, {size}, internal::Own(std::move(owned)));
}

template <typename T>
Array<T, 2> ToArray(std::vector<T> values, size_t rows, size_t columns) {
  auto owned = std::make_unique<std::vector<T>>(std::move(values));
  T* const data = owned->data();
  return Array<T, 2>(data, {rows, columns}, internal::Own(std::move(owned)));
}

}  // namespace lmserve::python

#endif  // LMSERVE_LOCAL_PYTHON_ARRAYS_H_
