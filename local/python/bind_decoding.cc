// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "local/python/arrays.h"
#include "local/python/bind.h"
#include "local/python/errors.h"
#include "local/python/python_text.h"
#include "local/python/state.h"
#include "local/python/states.h"

namespace lmserve::python {

namespace nb = nanobind;

namespace {

void CheckState(const LocalModel& model, uint64_t fingerprint, size_t size,
                size_t i) {
  if (fingerprint == model.fingerprint() &&
      size == model.model().left_to_right()->state_size()) {
    return;
  }
  throw nb::value_error(
      absl::StrCat("states[", i,
                   "]: expected a state of this model, found one of another "
                   "model")
          .c_str());
}

// The states of a call, copied so that other threads may change the objects.
States StatesOf(const LocalModel& model, nb::handle states) {
  const LanguageModel* reader = model.model().left_to_right();
  if (reader == nullptr) {
    throw nb::value_error("states: expected a left-to-right model");
  }
  if (const States* given = nullptr;
      nb::try_cast<const States*>(states, given) && given != nullptr) {
    if (given->size() > 0) {
      CheckState(model, given->model(), given->state_size(), 0);
    }
    return *given;
  }
  std::vector<State> list;
  for (nb::handle object : nb::iter(states)) {
    const State& state = list.emplace_back(StateOf(object, list.size()));
    if (state.size() > 0) {
      CheckState(model, state.model(), state.size(), list.size() - 1);
    }
  }
  States copies(model.fingerprint(), reader->state_size(), list.size());
  for (size_t i = 0; i < list.size(); ++i) {
    if (list[i].size() > 0) {
      std::copy_n(list[i].data(), copies.state_size(), copies.at(i));
    } else if (!reader->StartEmpty(copies.at(i))) {
      throw nb::value_error(
          absl::StrCat("states[", i,
                       "]: expected a state after <s>: the model predicts "
                       "words only there")
              .c_str());
    }
  }
  return copies;
}

std::vector<const std::byte*> PointersTo(const States& states) {
  std::vector<const std::byte*> pointers(states.size());
  for (size_t i = 0; i < states.size(); ++i) pointers[i] = states.at(i);
  return pointers;
}

// Appends an id; raises IndexError if the vocabulary does not have it.
void AddId(const Vocabulary& vocabulary, int64_t id, std::vector<WordId>* ids) {
  if (id < 0 || id >= int64_t{vocabulary.size()}) {
    PyErr_Format(PyExc_IndexError,
                 "words[%zu]: expected an id below %u, found %lld", ids->size(),
                 vocabulary.size(), static_cast<long long>(id));
    throw nb::python_error();
  }
  ids->push_back(static_cast<WordId>(id));
}

// Appends the ids of an array of T; returns whether the object is one.
template <typename T>
bool AddIdsOfArray(const Vocabulary& vocabulary, nb::handle words,
                   std::vector<WordId>* ids) {
  nb::ndarray<const T, nb::ndim<1>, nb::c_contig, nb::device::cpu> array;
  if (!nb::try_cast(words, array, /*convert=*/false)) return false;
  ids->reserve(array.shape(0));
  for (size_t i = 0; i < array.shape(0); ++i) {
    AddId(vocabulary, array.data()[i], ids);
  }
  return true;
}

// Ids of words that are given as strs or ints.
std::vector<WordId> IdsOf(const Vocabulary& vocabulary, nb::handle words) {
  std::vector<WordId> ids;
  if (PyUnicode_Check(words.ptr())) {
    throw nb::type_error("words: expected a sequence, found a str");
  }
  if (AddIdsOfArray<int32_t>(vocabulary, words, &ids) ||
      AddIdsOfArray<int64_t>(vocabulary, words, &ids)) {
    return ids;
  }
  for (nb::handle word : nb::iter(words)) {
    if (PyUnicode_Check(word.ptr())) {
      ids.push_back(vocabulary.Find(TextOf(word)));
      continue;
    }
    const nb::object number = nb::steal(PyNumber_Index(word.ptr()));
    if (!number.is_valid()) throw nb::python_error();
    int is_too_large = 0;
    const int64_t id =
        PyLong_AsLongLongAndOverflow(number.ptr(), &is_too_large);
    if (is_too_large != 0) {
      PyErr_Format(PyExc_IndexError,
                   "words[%zu]: expected an id below %u, found %R", ids.size(),
                   vocabulary.size(), number.ptr());
      throw nb::python_error();
    }
    AddId(vocabulary, id, &ids);
  }
  return ids;
}

State Start(const ModelObject& self, nb::handle text) {
  const auto model = self.Use();
  const std::vector<std::byte> bytes = ValueOrRaise(model->State(TextOf(text)));
  State state;
  std::copy(bytes.begin(), bytes.end(),
            state.Resize(model->fingerprint(), bytes.size()));
  return state;
}

nb::tuple Extend(const ModelObject& self, nb::handle states, nb::handle words) {
  const auto model = self.Use();
  States read = StatesOf(*model, states);
  const std::vector<WordId> ids = IdsOf(model->vocabulary(), words);
  if (ids.size() != read.size()) {
    throw nb::value_error(absl::StrCat("words: expected one for each of the ",
                                       read.size(), " states, found ",
                                       ids.size())
                              .c_str());
  }
  std::vector<float> log_probs(ids.size());
  {
    nb::gil_scoped_release released;
    std::vector<LanguageModel::Query> batch;
    batch.reserve(ids.size());
    for (size_t i = 0; i < ids.size(); ++i) {
      batch.push_back({read.at(i),
                       {&ids[i], 1},
                       read.at(i),
                       absl::MakeSpan(log_probs).subspan(i, 1)});
    }
    model->word_by_word()->Score(batch);
  }
  nb::object after;
  if (nb::isinstance<States>(states)) {
    after = nb::cast(std::move(read));
  } else {
    nb::list list;
    for (size_t i = 0; i < read.size(); ++i) list.append(read.Get(i));
    after = std::move(list);
  }
  return nb::make_tuple(ToArray(std::move(log_probs)), after);
}

using Rows =
    nb::ndarray<nb::numpy, float, nb::ndim<2>, nb::c_contig, nb::device::cpu>;

nb::object NextLogProbs(const ModelObject& self, nb::handle states,
                        const nb::object& out) {
  const auto model = self.Use();
  const States read = StatesOf(*model, states);
  const size_t columns = model->vocabulary().size();
  std::vector<float> rows;
  float* data;
  if (!out.is_none()) {
    Rows given;
    if (!nb::try_cast(out, given, /*convert=*/false)) {
      throw nb::type_error(
          "out: expected a C-contiguous array of float32 with 2 dimensions");
    }
    if (given.shape(0) != read.size() || given.shape(1) != columns) {
      throw nb::value_error(
          absl::StrCat("out: expected the shape (", read.size(), ", ", columns,
                       "), found (", given.shape(0), ", ", given.shape(1), ")")
              .c_str());
    }
    data = given.data();
  } else {
    rows.resize(read.size() * columns);
    data = rows.data();
  }
  {
    nb::gil_scoped_release released;
    model->word_by_word()->Distribution(PointersTo(read), data);
  }
  if (!out.is_none()) return out;
  return nb::cast(ToArray(std::move(rows), read.size(), columns));
}

nb::tuple TopK(const ModelObject& self, nb::handle states, int64_t k) {
  const auto model = self.Use();
  const States read = StatesOf(*model, states);
  if (k < 1 || k > int64_t{model->vocabulary().size()}) {
    throw nb::value_error(absl::StrCat("k: expected 1 to ",
                                       model->vocabulary().size(), ", found ",
                                       k)
                              .c_str());
  }
  std::vector<ScoredWord> best(read.size() * k);
  {
    nb::gil_scoped_release released;
    model->word_by_word()->TopK(PointersTo(read), k, absl::MakeSpan(best));
  }
  std::vector<int32_t> ids;
  std::vector<float> log_probs;
  for (const ScoredWord& word : best) {
    ids.push_back(static_cast<int32_t>(word.word));
    log_probs.push_back(word.log_prob);
  }
  return nb::make_tuple(ToArray(std::move(ids), read.size(), k),
                        ToArray(std::move(log_probs), read.size(), k));
}

nb::list Predict(const ModelObject& self, nb::handle text, int64_t k) {
  const auto model = self.Use();
  if (k < 1) throw nb::value_error("k: expected at least 1");
  nb::list best;
  for (const ScoredWord& word : ValueOrRaise(model->Predict(TextOf(text), k))) {
    best.append(nb::make_tuple(ToStr(model->vocabulary().word(word.word)),
                               static_cast<double>(word.log_prob)));
  }
  return best;
}

}  // namespace

void BindDecoding(nb::class_<ModelObject>& model) {
  model
      .def("start", &Start, nb::arg("text") = "",
           "Returns the state after <s> and the words of a text.")
      .def("extend", &Extend, nb::arg("states"), nb::arg("words"),
           "Reads words[i] after states[i], all in one batch.\n\n"
           "states: n states, as States or as an iterable of State; words: n "
           "words or ids, for\nwhich an array of int32 or int64 is fastest.\n"
           "Returns (log_probs, states): ln P of each word, float32 [n], and "
           "the states after\nthe words, as States or as a list like those "
           "that were given, which do not\nchange.")
      .def("next_log_probs", &NextLogProbs, nb::arg("states"), nb::kw_only(),
           nb::arg("out") = nb::none(),
           "Returns ln P of every word of the vocabulary after each of n "
           "states: float32\n[n, V]. <s> has -inf.\n\n"
           "out: an array of this shape, which is filled and returned.")
      .def("top_k", &TopK, nb::arg("states"), nb::arg("k"),
           "Returns the k best next words of each of n states, the best "
           "first: (ids, int32\n[n, k]; ln P, float32 [n, k]).")
      .def("predict", &Predict, nb::arg("text") = "", nb::arg("k") = 10,
           "Returns the k best words after a text: [(word, ln P), ...].");
}

}  // namespace lmserve::python
