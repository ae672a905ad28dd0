// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODELS_CACHE_CACHE_KERNEL_H_
#define LMSERVE_MODELS_CACHE_CACHE_KERNEL_H_

#include <cstddef>
#include <cstdint>

namespace lmserve {

// Computes the dot products of vectors x_r (rows, units) and keys k_i (count,
// units), both row-major:
//
//   products[r * stride + i] = x_r . k_i
//
// The order of each sum depends on `units` only, so a product has the same bits
// in calls of any size. Keys of bfloat16 are converted to float first. Arrays
// need no alignment. Thread-safe.
void DotProducts(const float* x, size_t rows, size_t units, const float* keys,
                 size_t count, float* products, size_t stride);
void DotProducts(const float* x, size_t rows, size_t units,
                 const uint16_t* keys, size_t count, float* products,
                 size_t stride);

}  // namespace lmserve

#endif  // LMSERVE_MODELS_CACHE_CACHE_KERNEL_H_
