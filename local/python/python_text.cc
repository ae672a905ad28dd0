// SPDX-License-Identifier: Apache-2.0
#include "local/python/python_text.h"

namespace lmserve::python {

namespace nb = nanobind;

absl::string_view TextOf(nb::handle object) {
  // PyUnicode_AsUTF8AndSize() keeps the UTF-8 form in the object, so that a
  // word that is scored often is encoded once.
  Py_ssize_t size = 0;
  const char* const text = PyUnicode_AsUTF8AndSize(object.ptr(), &size);
  if (text != nullptr) return {text, static_cast<size_t>(size)};
  if (PyUnicode_Check(object.ptr())) throw nb::python_error();
  PyErr_Format(PyExc_TypeError, "expected a str, found %.100s",
               Py_TYPE(object.ptr())->tp_name);
  throw nb::python_error();
}

absl::string_view BytesOrText(nb::handle object) {
  if (PyBytes_Check(object.ptr())) {
    return {PyBytes_AS_STRING(object.ptr()),
            static_cast<size_t>(PyBytes_GET_SIZE(object.ptr()))};
  }
  if (PyUnicode_Check(object.ptr())) return TextOf(object);
  PyErr_Format(PyExc_TypeError, "expected a str or bytes, found %.100s",
               Py_TYPE(object.ptr())->tp_name);
  throw nb::python_error();
}

Texts::Texts(nb::handle iterable) {
  if (PyUnicode_Check(iterable.ptr())) {
    PyErr_SetString(PyExc_TypeError, "expected a sequence of str, found a str");
    throw nb::python_error();
  }
  // Nobody else can change a tuple.
  objects_ = nb::steal(PySequence_Tuple(iterable.ptr()));
  if (!objects_.is_valid()) throw nb::python_error();
  views_.reserve(PyTuple_GET_SIZE(objects_.ptr()));
  for (nb::handle text : nb::iter(objects_)) views_.push_back(TextOf(text));
}

Texts Texts::Of(nb::handle text) {
  Texts texts;
  texts.views_.push_back(TextOf(text));
  texts.objects_ = nb::borrow(text);
  return texts;
}

std::string PathOf(nb::handle path) {
  PyObject* encoded = nullptr;
  if (PyUnicode_FSConverter(path.ptr(), &encoded) == 0) {
    throw nb::python_error();
  }
  const nb::object owner = nb::steal(encoded);
  return std::string(PyBytes_AS_STRING(encoded), PyBytes_GET_SIZE(encoded));
}

nb::str PathStr(absl::string_view path) {
  nb::object text = nb::steal(PyUnicode_DecodeFSDefaultAndSize(
      path.data(), static_cast<Py_ssize_t>(path.size())));
  if (!text.is_valid()) throw nb::python_error();
  return nb::borrow<nb::str>(text);
}

nb::str Shown(absl::string_view text) {
  nb::object shown = nb::steal(PyUnicode_DecodeUTF8(
      text.data(), static_cast<Py_ssize_t>(text.size()), "backslashreplace"));
  if (!shown.is_valid()) throw nb::python_error();
  return nb::borrow<nb::str>(shown);
}

}  // namespace lmserve::python
