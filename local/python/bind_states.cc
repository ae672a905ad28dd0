// SPDX-License-Identifier: Apache-2.0
#include <nanobind/nanobind.h>
#include <nanobind/stl/tuple.h>

#include <cstdint>
#include <cstring>
#include <new>
#include <tuple>
#include <vector>

#include "absl/strings/str_cat.h"
#include "local/python/arrays.h"
#include "local/python/bind.h"
#include "local/python/state.h"
#include "local/python/states.h"

namespace lmserve::python {

namespace nb = nanobind;

namespace {

States Collect(nb::handle iterable) {
  std::vector<State> list;
  for (nb::handle object : nb::iter(iterable)) {
    const State& state = list.emplace_back(StateOf(object, list.size()));
    if (state.size() == 0) {
      throw nb::value_error(
          absl::StrCat("states[", list.size() - 1,
                       "]: expected a state of a model, found State()")
              .c_str());
    }
    if (state.model() != list[0].model() || state.size() != list[0].size()) {
      throw nb::value_error(
          absl::StrCat("states[", list.size() - 1,
                       "]: expected a state of the same model as states[0]")
              .c_str());
    }
  }
  if (list.empty()) return {};
  States states(list[0].model(), list[0].size(), list.size());
  for (size_t i = 0; i < list.size(); ++i) {
    std::memcpy(states.at(i), list[i].data(), states.state_size());
  }
  return states;
}

// Returns the place that an index of Python stands for, from the end if it is
// negative; raises IndexError.
size_t Place(const States& self, Py_ssize_t index) {
  const auto size = static_cast<Py_ssize_t>(self.size());
  if (index < -size || index >= size) {
    throw nb::index_error(
        absl::StrCat("expected an index of ", size, " states, found ", index)
            .c_str());
  }
  return static_cast<size_t>(index < 0 ? index + size : index);
}

Py_ssize_t IndexOf(nb::handle object) {
  const Py_ssize_t index = PyNumber_AsSsize_t(object.ptr(), PyExc_IndexError);
  if (index == -1 && PyErr_Occurred() != nullptr) throw nb::python_error();
  return index;
}

States Take(const States& self, const std::vector<size_t>& places) {
  if (places.empty()) return {};
  States taken(self.model(), self.state_size(), places.size());
  for (size_t i = 0; i < places.size(); ++i) {
    std::memcpy(taken.at(i), self.at(places[i]), self.state_size());
  }
  return taken;
}

nb::object GetItem(const States& self, nb::handle key) {
  // An array may be an index by its type, if not by its shape.
  if (PyIndex_Check(key.ptr()) != 0 && PySequence_Check(key.ptr()) == 0) {
    return nb::cast(self.Get(Place(self, IndexOf(key))));
  }
  std::vector<size_t> places;
  if (PySlice_Check(key.ptr()) != 0) {
    const auto [begin, end, step, count] =
        nb::borrow<nb::slice>(key).compute(self.size());
    for (size_t i = 0; i < count; ++i) {
      places.push_back(begin + static_cast<Py_ssize_t>(i) * step);
    }
  } else {
    for (nb::handle index : nb::iter(key)) {
      if (PyBool_Check(index.ptr())) {
        throw nb::type_error("expected indices, found a bool");
      }
      places.push_back(Place(self, IndexOf(index)));
    }
  }
  return nb::cast(Take(self, places));
}

nb::bytes BytesOf(const States& self) {
  return nb::bytes(reinterpret_cast<const char*>(self.bytes().data()),
                   self.bytes().size());
}

nb::object ToNumpy(const States& self) {
  std::vector<uint8_t> bytes(self.bytes().size());
  if (!bytes.empty()) {
    std::memcpy(bytes.data(), self.bytes().data(), bytes.size());
  }
  return nb::cast(ToArray(std::move(bytes), self.size(), self.state_size()));
}

void SetState(States& self,
              const std::tuple<uint64_t, size_t, nb::bytes>& pickled) {
  const auto& [model, state_size, bytes] = pickled;
  if (state_size % sizeof(uint32_t) != 0 ||
      (state_size == 0 ? bytes.size() != 0 : bytes.size() % state_size != 0)) {
    throw nb::value_error(
        "States: expected whole states of a multiple of 4 "
        "bytes");
  }
  // Pickle has not called the constructor.
  if (state_size == 0) {
    new (&self) States();
    return;
  }
  new (&self) States(model, state_size, bytes.size() / state_size);
  if (bytes.size() > 0) std::memcpy(self.at(0), bytes.c_str(), bytes.size());
}

}  // namespace

void BindStates(nb::module_& module) {
  nb::class_<States>(
      module, "States",
      "States of one model, in one piece of memory: what a decoder keeps for "
      "all of its\nhypotheses. States(iterable) collects States; extend() "
      "returns them for them.\n\n"
      "states[i] is a State; states[a:b] and states[indices], of a sequence or "
      "an array of\nints, are States, with repetitions if an index is "
      "repeated. A value: it compares,\nhashes, copies and pickles, and is "
      "never changed.")
      .def(
          "__init__",
          [](States* self, nb::handle states) {
            new (self) States(Collect(states));
          },
          nb::arg("states"))
      .def("__len__", &States::size)
      .def("__getitem__", &GetItem, nb::arg("key"))
      .def("__iter__",
           [](const States& self) {
             nb::list list;
             for (size_t i = 0; i < self.size(); ++i) list.append(self.Get(i));
             return nb::iter(list);
           })
      .def("__eq__",
           [](const States& self, nb::handle other) -> nb::object {
             const States* states = nullptr;
             if (!nb::try_cast<const States*>(other, states) ||
                 states == nullptr) {
               return nb::borrow(Py_NotImplemented);
             }
             return nb::bool_(self == *states);
           })
      .def("__hash__",
           [](const States& self) {
             // -1 stands for an error in C.
             const auto hash = static_cast<Py_hash_t>(self.Hash());
             return hash == -1 ? -2 : hash;
           })
      .def("__copy__", [](const States& self) { return States(self); })
      .def(
          "__deepcopy__",
          [](const States& self, nb::handle) { return States(self); },
          nb::arg("memo") = nb::none())
      .def("__getstate__",
           [](const States& self) {
             return std::make_tuple(self.model(), self.state_size(),
                                    BytesOf(self));
           })
      .def("__setstate__", &SetState)
      .def("to_numpy", &ToNumpy,
           "Returns the bytes of the n states: a new array, uint8 [n, bytes of "
           "a state].\nEqual rows are equal states: numpy.unique(axis=0) finds "
           "hypotheses to merge.")
      .def("__repr__", [](const States& self) {
        return ToStr(absl::StrCat("<lmserve_local.States: ", self.size(),
                                  " of ", self.state_size(), " bytes>"));
      });
}

}  // namespace lmserve::python
