// SPDX-License-Identifier: Apache-2.0
#include "local/python/errors.h"

#include <nanobind/nanobind.h>

#include <string>

namespace lmserve::python {
namespace {

PyObject* ExceptionOf(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kNotFound:
      return PyExc_FileNotFoundError;
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kFailedPrecondition:
      return PyExc_ValueError;
    case absl::StatusCode::kDataLoss:
    case absl::StatusCode::kUnavailable:
      return PyExc_OSError;
    case absl::StatusCode::kResourceExhausted:
      return PyExc_MemoryError;
    default:
      return PyExc_RuntimeError;
  }
}

}  // namespace

void Raise(const absl::Status& status) {
  PyErr_SetString(ExceptionOf(status.code()),
                  std::string(status.message()).c_str());
  throw nanobind::python_error();
}

}  // namespace lmserve::python
