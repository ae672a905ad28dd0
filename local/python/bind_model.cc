// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "local/python/bind.h"
#include "local/python/errors.h"
#include "local/python/python_text.h"

namespace lmserve::python {

namespace nb = nanobind;

namespace {

absl::string_view KindOf(const LocalModel& model) {
  switch (model.model().kind()) {
    case ModelKind::kLeftToRight:
      return "left-to-right";
    case ModelKind::kBidirectional:
      return "bidirectional";
    case ModelKind::kTranslation:
      return "translation";
    case ModelKind::kTagger:
      return "tagger";
    case ModelKind::kClassifier:
      break;
  }
  return "classifier";
}

// A path as bytes, which need not be UTF-8.
nb::bytes PathObject(const std::string& path) {
  return nb::bytes(path.data(), path.size());
}

void BindVocabulary(nb::class_<ModelObject>& model) {
  model
      .def(
          "word",
          [](const ModelObject& self, int64_t id) {
            const auto model = self.Use();
            if (id < 0 || id >= int64_t{model->vocabulary().size()}) {
              throw nb::index_error(absl::StrCat("expected an id below ",
                                                 model->vocabulary().size(),
                                                 ", found ", id)
                                        .c_str());
            }
            return ToStr(model->vocabulary().word(static_cast<WordId>(id)));
          },
          nb::arg("id"), "Returns the word of an id.")
      .def(
          "id",
          [](const ModelObject& self, nb::handle word) {
            return self.Use()->vocabulary().Find(TextOf(word));
          },
          nb::arg("word"),
          "Returns the id of a word; unknown ones have that of <unk>.")
      .def(
          "words",
          [](const ModelObject& self) {
            const auto model = self.Use();
            nb::list words;
            for (WordId id = 0; id < model->vocabulary().size(); ++id) {
              words.append(ToStr(model->vocabulary().word(id)));
            }
            return words;
          },
          "Returns the vocabulary, in the order of the ids.")
      .def(
          "__contains__",
          [](const ModelObject& self, nb::handle word) {
            return self.Use()->vocabulary().Contains(TextOf(word));
          },
          nb::arg("word"), "Whether the vocabulary has a word.")
      .def_prop_ro(
          "vocabulary_size",
          [](const ModelObject& self) {
            return self.Use()->vocabulary().size();
          },
          "V: the number of words, with <unk>, <s> and </s>.");
}

}  // namespace

nb::str ToStr(absl::string_view text) {
  return nb::str(text.data(), text.size());
}

nb::list WordsOf(const Vocabulary& vocabulary, const std::vector<WordId>& ids) {
  nb::list words;
  for (WordId id : ids) words.append(ToStr(vocabulary.word(id)));
  return words;
}

ModelObject ModelObject::Open(const std::string& store, const std::string& name,
                              bool map_files) {
  absl::StatusOr<LocalModel> model = absl::UnknownError("");
  {
    nb::gil_scoped_release released;
    model = LocalModel::Open(store, name, {.map_files = map_files});
  }
  if (!model.ok()) Raise(model.status());
  // The object stands for this version, whatever NAME stands for later.
  std::string version = absl::StrCat(model->name(), "@", model->version());
  return {.model = std::make_shared<const LocalModel>(*std::move(model)),
          .store = store,
          .name = std::move(version),
          .map_files = map_files};
}

ModelObject ModelObject::FromFile(const std::string& path, bool literal) {
  absl::StatusOr<LocalModel> model = absl::UnknownError("");
  {
    nb::gil_scoped_release released;
    model = LocalModel::FromFile(path, literal);
  }
  if (!model.ok()) Raise(model.status());
  return {.model = std::make_shared<const LocalModel>(*std::move(model)),
          .name = path,
          .literal = literal};
}

std::shared_ptr<const LocalModel> ModelObject::Use() const {
  if (model == nullptr) throw nb::value_error("the model is closed");
  return model;
}

void BindModel(nb::module_& module) {
  nb::class_<ModelObject> model(
      module, "Model",
      "A language model in the memory of this process.\n\n"
      "Probabilities are natural logarithms. Texts are str, split at ASCII "
      "white space;\nwords that the vocabulary does not have are <unk>. Any "
      "number of threads may use\none object. It survives a fork, and pickles "
      "as the name of its version or the path\nof its file.");
  model
      .def_static(
          "open",
          [](nb::handle store, const nb::str& name, bool map_files) {
            return ModelObject::Open(PathOf(store), std::string(TextOf(name)),
                                     map_files);
          },
          nb::arg("store"), nb::arg("name"), nb::kw_only(),
          nb::arg("map_files") = true,
          "Opens NAME, NAME@VERSION or NAME@ALIAS of a store.\n\n"
          "Every byte is verified. map_files: whether n-gram models share "
          "their memory with\nother processes; nobody may overwrite the "
          "version meanwhile. Raises\nFileNotFoundError, with what exists, "
          "and OSError for a damaged version.")
      .def_static(
          "from_arpa",
          [](nb::handle path) {
            return ModelObject::FromFile(PathOf(path), false);
          },
          nb::arg("path"),
          "Reads an ARPA file, plain or compressed (.gz, .xz, .bz2, .zst), "
          "or a trie of\nKenLM's build_binary. Raises ValueError, with the "
          "line, for a defect.")
      .def_prop_ro(
          "name",
          [](const ModelObject& self) { return PathStr(self.Use()->name()); },
          "The name in the store, or the path.")
      .def_prop_ro(
          "version",
          [](const ModelObject& self) { return self.Use()->version(); },
          "The version in the store; 0 for a file.")
      .def_prop_ro(
          "family",
          [](const ModelObject& self) { return ToStr(self.Use()->family()); },
          "\"ngram\", \"recurrent\", ...")
      .def_prop_ro(
          "kind",
          [](const ModelObject& self) { return ToStr(KindOf(*self.Use())); },
          "\"left-to-right\", \"bidirectional\", \"translation\", "
          "\"tagger\" or\n\"classifier\".")
      .def_prop_ro(
          "order", [](const ModelObject& self) { return self.Use()->order(); },
          "The longest n-gram, in words; 0 for other families.")
      .def_prop_ro(
          "warnings",
          [](const ModelObject& self) {
            nb::list warnings;
            for (const std::string& warning : self.Use()->warnings()) {
              warnings.append(Shown(warning));
            }
            return warnings;
          },
          "What was noticed in a file and is no error.")
      .def(
          "close", [](ModelObject& self) { self.model = nullptr; },
          "Frees the model; later calls raise ValueError.")
      .def_prop_ro(
          "closed",
          [](const ModelObject& self) { return self.model == nullptr; })
      .def("__enter__", [](nb::handle self) { return nb::borrow(self); })
      .def("__exit__",
           [](ModelObject& self, nb::args) { self.model = nullptr; })
      .def("__repr__",
           [](const ModelObject& self) {
             if (self.store.empty()) {
               return Shown(
                   absl::StrCat("<lmserve_local.Model ", self.name, ">"));
             }
             return Shown(absl::StrCat("<lmserve_local.Model ", self.name,
                                       " of ", self.store, ">"));
           })
      .def("__reduce__", [](nb::handle self) {
        const auto& object = nb::cast<const ModelObject&>(self);
        object.Use();
        // In Python, because functions of an extension do not pickle.
        const nb::object reopen =
            nb::module_::import_("lmserve_local._reopen").attr("reopen");
        return nb::make_tuple(
            reopen,
            nb::make_tuple(PathObject(object.store), PathObject(object.name),
                           object.map_files, object.literal));
      });
  module.def("_reopen", [](nb::handle store, nb::handle name, bool map_files,
                           bool literal) {
    const std::string directory = PathOf(store);
    return directory.empty()
               ? ModelObject::FromFile(PathOf(name), literal)
               : ModelObject::Open(directory, PathOf(name), map_files);
  });
  BindTexts(model);
  BindDecoding(model);
  BindGeneration(model);
  BindVocabulary(model);
}

}  // namespace lmserve::python
