// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_LOCAL_PYTHON_BIND_H_
#define LMSERVE_LOCAL_PYTHON_BIND_H_

#include <nanobind/nanobind.h>

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "local/local_model.h"
#include "local/python/state.h"
#include "models/vocabulary.h"

namespace lmserve::python {

// A model as a Python object. Knows how to open the model again, in another
// process. The GIL guards it.
struct ModelObject {
  std::shared_ptr<const LocalModel> model;  // null after close()
  std::string store;                        // empty: a file
  std::string name;                         // NAME@VERSION, or the path
  bool map_files = true;
  bool literal = false;  // see LocalModel::FromFile()

  // Opens the model without the GIL; raises an error.
  static ModelObject Open(const std::string& store, const std::string& name,
                          bool map_files);
  static ModelObject FromFile(const std::string& path, bool literal);

  // Returns the model; raises ValueError after close().
  std::shared_ptr<const LocalModel> Use() const;
};

// Returns the State that an object is; raises TypeError, with its place in a
// list, for another object.
const State& StateOf(nanobind::handle object, size_t place);

// Return words as str.
nanobind::str ToStr(absl::string_view text);
nanobind::list WordsOf(const Vocabulary& vocabulary,
                       const std::vector<WordId>& ids);

// Add the classes of the package to the extension module.
void BindState(nanobind::module_& module);
void BindStates(nanobind::module_& module);
void BindModel(nanobind::module_& module);
void BindKenlm(nanobind::module_& module);

// Add methods to the class Model: those that score, rerank, embed and label
// texts; those by which a decoder reads words in states; and those that
// generate texts.
void BindTexts(nanobind::class_<ModelObject>& model);
void BindDecoding(nanobind::class_<ModelObject>& model);
void BindGeneration(nanobind::class_<ModelObject>& model);

}  // namespace lmserve::python

#endif  // LMSERVE_LOCAL_PYTHON_BIND_H_
