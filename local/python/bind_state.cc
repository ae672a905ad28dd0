// SPDX-License-Identifier: Apache-2.0
#include <nanobind/operators.h>
#include <nanobind/stl/tuple.h>

#include <cstring>
#include <new>
#include <string>
#include <tuple>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "local/python/bind.h"
#include "local/python/state.h"

namespace lmserve::python {

namespace nb = nanobind;

const State& StateOf(nb::handle object, size_t place) {
  const State* state = nullptr;
  if (!nb::try_cast<const State*>(object, state) || state == nullptr) {
    PyErr_Format(PyExc_TypeError, "states[%zu]: expected a State, found %.100s",
                 place, Py_TYPE(object.ptr())->tp_name);
    throw nb::python_error();
  }
  return *state;
}

void BindState(nb::module_& module) {
  nb::class_<State>(
      module, "State",
      "What a model keeps of the words that it has read: an opaque value.\n\n"
      "States that give every continuation the same probabilities because they "
      "are the\nsame bytes are equal and have equal hashes. States can be "
      "copied and pickled, and\nare valid for every object and process that "
      "has opened the same model.\nState() is the state in which nothing was "
      "read, not even <s>.")
      .def(nb::init<>())
      .def(
          "__eq__",
          [](const State& self, nb::handle other) -> nb::object {
            const State* state = nullptr;
            if (!nb::try_cast<const State*>(other, state) || state == nullptr) {
              return nb::borrow(Py_NotImplemented);
            }
            return nb::bool_(self == *state);
          })
      .def(
          "__lt__", [](const State& a, const State& b) { return a < b; },
          nb::is_operator())
      .def(
          "__le__", [](const State& a, const State& b) { return a <= b; },
          nb::is_operator())
      .def(
          "__gt__", [](const State& a, const State& b) { return a > b; },
          nb::is_operator())
      .def(
          "__ge__", [](const State& a, const State& b) { return a >= b; },
          nb::is_operator())
      .def("__hash__",
           [](const State& self) {
             // -1 stands for an error in C.
             const auto hash = static_cast<Py_hash_t>(self.Hash());
             return hash == -1 ? -2 : hash;
           })
      .def("__copy__", [](const State& self) { return State(self); })
      .def(
          "__deepcopy__",
          [](const State& self, nb::handle) { return State(self); },
          nb::arg("memo") = nb::none())
      .def(
          "__bytes__",
          [](const State& self) {
            return nb::bytes(self.bytes().data(), self.bytes().size());
          },
          "The bytes of the state, whose number depends on the model.")
      .def("__getstate__",
           [](const State& self) {
             return std::make_tuple(
                 self.model(),
                 nb::bytes(self.bytes().data(), self.bytes().size()));
           })
      .def("__setstate__",
           [](State& self, const std::tuple<uint64_t, nb::bytes>& pickled) {
             const auto& [model, bytes] = pickled;
             if (bytes.size() % sizeof(uint32_t) != 0) {
               throw nb::value_error("State: expected a multiple of 4 bytes");
             }
             // Pickle has not called the constructor.
             new (&self) State();
             std::memcpy(self.Resize(model, bytes.size()), bytes.c_str(),
                         bytes.size());
           })
      .def("__repr__", [](const State& self) {
        constexpr size_t kShown = 16;
        const absl::string_view bytes = self.bytes();
        const std::string text = absl::StrCat(
            "<lmserve_local.State of ", bytes.size(),
            " bytes: ", absl::BytesToHexString(bytes.substr(0, kShown)),
            bytes.size() > kShown ? "..." : "", ">");
        return nb::str(text.data(), text.size());
      });
}

}  // namespace lmserve::python
