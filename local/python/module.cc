// SPDX-License-Identifier: Apache-2.0
//
// The extension module lmserve_local._core.

#include <nanobind/nanobind.h>

#include "local/python/bind.h"

NB_MODULE(_core, module) {
  module.doc() = "The part of lmserve_local that is written in C++.";
  // A program may hold models until the interpreter ends.
  nanobind::set_leak_warnings(false);
  lmserve::python::BindState(module);
  lmserve::python::BindStates(module);
  lmserve::python::BindModel(module);
  lmserve::python::BindKenlm(module);
}
