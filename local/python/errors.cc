// SPDX-License-Identifier: Apache-2.0
#include "local/python/errors.h"

#include "local/python/python_text.h"

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
  RaiseAs(ExceptionOf(status.code()), status.message());
}

void RaiseAs(PyObject* type, absl::string_view message) {
  PyErr_SetObject(type, Shown(message).ptr());
  throw nanobind::python_error();
}

}  // namespace lmserve::python
