// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "local/python/bind.h"
#include "local/python/errors.h"
#include "local/python/kenlm_model.h"
#include "local/python/python_text.h"
#include "local/python/state.h"

namespace lmserve::python {

namespace nb = nanobind;

namespace {

// The model of a path as an object of Python.
struct KenlmObject {
  std::shared_ptr<const KenlmModel> model;
  std::string path;   // absolute
  std::string store;  // and the name in it; empty: a file
  std::string name;
};

nb::tuple TupleOf(const FullScore& score) {
  return nb::make_tuple(static_cast<double>(score.log_prob), score.ngram_length,
                        nb::bool_(score.oov));
}

// Splits STORE/NAME, STORE/NAME@VERSION or STORE/NAME/VERSION.
std::pair<std::string, std::string> StoreAndName(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  size_t slash = path.rfind('/');
  std::string name = path.substr(slash + 1);
  if (name.find_first_not_of("0123456789") == std::string::npos && slash > 0) {
    const size_t before = path.rfind('/', slash - 1);
    name = absl::StrCat(path.substr(before + 1, slash - before - 1), "@", name);
    slash = before;
  }
  return {path.substr(0, slash), name};
}

// Opens an ARPA file, a trie of KenLM or a version in a store. As in KenLM,
// every failure is an OSError.
void Open(KenlmObject* self, nb::handle path) {
  nb::module_ os_path = nb::module_::import_("os.path");
  const nb::object absolute = os_path.attr("abspath")(
      nb::module_::import_("os").attr("fsencode")(path));
  std::string bytes = PathOf(absolute);
  absl::StatusOr<KenlmModel> model = absl::UnknownError("");
  std::string store, name = bytes;
  const bool is_file =
      nb::cast<bool>(os_path.attr("isfile")(absolute)) ||
      !nb::cast<bool>(os_path.attr("isdir")(os_path.attr("dirname")(absolute)));
  const bool exists = nb::cast<bool>(os_path.attr("exists")(absolute));
  {
    nb::gil_scoped_release released;
    const auto [directory, spec] = StoreAndName(bytes);
    if (!is_file && (exists || absl::StrContains(spec, '@'))) {
      store = directory;
      name = spec;
    }
    absl::StatusOr<LocalModel> opened =
        store.empty() ? LocalModel::FromFile(bytes, /*literal=*/true)
                      : LocalModel::Open(store, name);
    if (opened.ok()) {
      model = KenlmModel::Create(
          std::make_shared<const LocalModel>(*std::move(opened)));
    } else {
      model = opened.status();
    }
  }
  if (!model.ok()) {
    RaiseAs(PyExc_OSError, absl::StrCat("Cannot read model '", bytes, "' (",
                                        model.status().message(), ")"));
  }
  new (self) KenlmObject{std::make_shared<const KenlmModel>(*std::move(model)),
                         std::move(bytes), std::move(store), std::move(name)};
}

nb::bytes PathBytes(const KenlmObject& self) {
  return nb::bytes(self.path.data(), self.path.size());
}

}  // namespace

void BindKenlm(nb::module_& module) {
  nb::class_<FullScore>(
      module, "FullScoreReturn",
      "What BaseFullScore() returns: the log10 probability of a word, the "
      "number of\nwords of the n-gram that gave it, and whether the word is "
      "unknown.")
      .def_prop_ro("log_prob",
                   [](const FullScore& self) {
                     return static_cast<double>(self.log_prob);
                   })
      .def_ro("ngram_length", &FullScore::ngram_length)
      .def_ro("oov", &FullScore::oov)
      .def("__repr__", [](const FullScore& self) {
        return nb::str("FullScoreReturn({}, {}, {})")
            .format(static_cast<double>(self.log_prob), self.ngram_length,
                    self.oov);
      });

  nb::class_<KenlmObject>(
      module, "KenlmModel",
      "A language model with the methods of kenlm.Model.\n\n"
      "All probabilities are log10. Any number of threads may use one object, "
      "which\npickles as its path and survives a fork.")
      .def(
          "__init__",
          [](KenlmObject* self, nb::handle path, nb::handle) {
            Open(self, path);
          },
          nb::arg("path"), nb::arg("config") = nb::none(),
          "Opens a model.\n\n"
          "path: an ARPA file, plain or compressed; a trie of build_binary; or "
          "a model of\na store of lmserve, STORE/NAME, STORE/NAME@VERSION or "
          "STORE/NAME/VERSION.\nRaises OSError, with the reason, if it cannot "
          "be read.")
      .def_prop_ro("path", &PathBytes, "The absolute path, as bytes.")
      .def_prop_ro(
          "order", [](const KenlmObject& self) { return self.model->order(); },
          "The longest n-gram, in words; 1 for a network.")
      .def_prop_ro(
          "model",
          [](const KenlmObject& self) {
            return ModelObject{.model = self.model->shared(),
                               .store = self.store,
                               .name = self.name,
                               .literal = self.store.empty()};
          },
          "The same model as lmserve_local.Model, in the same memory; "
          "its\nprobabilities are natural logarithms.")
      .def(
          "score",
          [](const KenlmObject& self, nb::handle sentence, bool bos, bool eos) {
            return static_cast<double>(ValueOrRaise(
                self.model->Score(BytesOrText(sentence), bos, eos)));
          },
          nb::arg("sentence"), nb::arg("bos") = true, nb::arg("eos") = true,
          "Returns log10 P of a sentence, with </s> if eos, after <s> if bos.")
      .def(
          "perplexity",
          [](const KenlmObject& self, nb::handle sentence) {
            const absl::string_view text = BytesOrText(sentence);
            const double score =
                ValueOrRaise(self.model->Score(text, true, true));
            return std::pow(
                10.0, -score / static_cast<double>(CountKenlmWords(text) + 1));
          },
          nb::arg("sentence"),
          "Returns the perplexity of a sentence, </s> included.")
      .def(
          "full_scores",
          [](const KenlmObject& self, nb::handle sentence, bool bos, bool eos) {
            const std::vector<FullScore> scores = ValueOrRaise(
                self.model->ReadText(BytesOrText(sentence), bos, eos));
            nb::list list;
            for (const FullScore& score : scores) list.append(TupleOf(score));
            return nb::iter(list);
          },
          nb::arg("sentence"), nb::arg("bos") = true, nb::arg("eos") = true,
          "Iterates over (log10 P, ngram length, oov) of each word and, if "
          "eos, of </s>.")
      .def(
          "BeginSentenceWrite",
          [](const KenlmObject& self, State& state) {
            self.model->WriteStart(&state);
          },
          nb::arg("state"), "Makes `state` the state after <s>.")
      .def(
          "NullContextWrite",
          [](const KenlmObject& self, State& state) {
            const absl::Status status = self.model->WriteEmpty(&state);
            if (!status.ok()) Raise(status);
          },
          nb::arg("state"),
          "Makes `state` the state in which nothing was read. Raises "
          "ValueError for a\nnetwork, which predicts only after <s>.")
      .def(
          "BaseScore",
          [](const KenlmObject& self, const State& in_state, nb::handle word,
             State& out_state) {
            const KenlmModel& model = *self.model;
            const absl::StatusOr<FullScore> score =
                model.Read(in_state, model.Find(TextOf(word)), &out_state);
            if (!score.ok()) Raise(score.status());
            return static_cast<double>(score->log_prob);
          },
          nb::arg("in_state"), nb::arg("word"), nb::arg("out_state"),
          "Returns log10 P(word | in_state) and makes `out_state` the state "
          "after the word.\nThe two may be the same object.")
      .def(
          "BaseFullScore",
          [](const KenlmObject& self, const State& in_state, nb::handle word,
             State& out_state) {
            const KenlmModel& model = *self.model;
            return ValueOrRaise(
                model.Read(in_state, model.Find(TextOf(word)), &out_state));
          },
          nb::arg("in_state"), nb::arg("word"), nb::arg("out_state"),
          "Like BaseScore(), with the length of the n-gram and whether the "
          "word is unknown.")
      .def(
          "__contains__",
          [](const KenlmObject& self, nb::handle word) {
            return self.model->Contains(BytesOrText(word));
          },
          nb::arg("word"),
          "Whether the vocabulary has a word; it does not have <unk>.")
      .def("__repr__",
           [](const KenlmObject& self) {
             const size_t slash = self.path.rfind('/');
             return nb::str("<Model from {}>")
                 .format(nb::bytes(self.path.data() + slash + 1,
                                   self.path.size() - slash - 1));
           })
      .def("__reduce__", [](nb::handle self) {
        return nb::make_tuple(
            self.type(),
            nb::make_tuple(PathBytes(nb::cast<const KenlmObject&>(self))));
      });
}

}  // namespace lmserve::python
