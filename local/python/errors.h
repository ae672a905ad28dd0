// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_LOCAL_PYTHON_ERRORS_H_
#define LMSERVE_LOCAL_PYTHON_ERRORS_H_

#include <nanobind/nanobind.h>

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

// The only place where the project throws: what Python calls must raise.
namespace lmserve::python {

// Raises a Python exception for a status: FileNotFoundError for NOT_FOUND,
// ValueError for INVALID_ARGUMENT and FAILED_PRECONDITION, OSError for
// DATA_LOSS and UNAVAILABLE, MemoryError for RESOURCE_EXHAUSTED, else
// RuntimeError. REQUIRES: !status.ok(), and the caller holds the GIL.
[[noreturn]] void Raise(const absl::Status& status);

// Raises an exception of this type. The message may have bytes that are not
// UTF-8, such as those of a path. REQUIRES: the caller holds the GIL.
[[noreturn]] void RaiseAs(PyObject* type, absl::string_view message);

// Returns the value, or raises the error.
template <typename T>
T ValueOrRaise(absl::StatusOr<T> value) {
  if (!value.ok()) Raise(value.status());
  return *std::move(value);
}

}  // namespace lmserve::python

#endif  // LMSERVE_LOCAL_PYTHON_ERRORS_H_
