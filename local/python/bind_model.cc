// SPDX-License-Identifier: Apache-2.0
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>

#include <cmath>
#include <cstdint>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "local/python/bind.h"
#include "local/python/errors.h"
#include "local/python/python_text.h"
#include "local/python/state.h"

namespace lmserve::python {

namespace nb = nanobind;

namespace {

// An array that is returned: it owns its numbers.
template <typename T, size_t Dimensions>
using Array = nb::ndarray<nb::numpy, T, nb::ndim<Dimensions>, nb::c_contig>;

template <typename T>
Array<T, 1> ToArray(std::vector<T> values) {
  auto owned = std::make_unique<std::vector<T>>(std::move(values));
  T* const data = owned->data();
  const size_t size = owned->size();
  nb::capsule owner(owned.release(), [](void* pointer) noexcept {
    delete static_cast<std::vector<T>*>(pointer);
  });
  return Array<T, 1>(data, {size}, owner);
}

template <typename T>
Array<T, 2> ToArray(std::vector<T> values, size_t rows, size_t columns) {
  auto owned = std::make_unique<std::vector<T>>(std::move(values));
  T* const data = owned->data();
  nb::capsule owner(owned.release(), [](void* pointer) noexcept {
    delete static_cast<std::vector<T>*>(pointer);
  });
  return Array<T, 2>(data, {rows, columns}, owner);
}

// The states of a call, copied so that other threads may change the objects.
std::vector<State> StatesOf(const LocalModel& model, nb::handle states) {
  const LanguageModel* reader = model.model().left_to_right();
  if (reader == nullptr) {
    throw nb::value_error("states: expected a left-to-right model");
  }
  std::vector<State> copies;
  for (nb::handle object : nb::iter(states)) {
    State& state = copies.emplace_back(nb::cast<const State&>(object));
    if (state.size() == 0) {
      if (reader->StartEmpty(
              state.Resize(model.fingerprint(), reader->state_size()))) {
        continue;
      }
      throw nb::value_error(
          absl::StrCat("states[", copies.size() - 1,
                       "]: expected a state after <s>: the model predicts "
                       "words only there")
              .c_str());
    }
    if (state.model() != model.fingerprint() ||
        state.size() != reader->state_size()) {
      throw nb::value_error(
          absl::StrCat("states[", copies.size() - 1,
                       "]: expected a state of this model, found one of "
                       "another model")
              .c_str());
    }
  }
  return copies;
}

std::vector<const std::byte*> PointersTo(const std::vector<State>& states) {
  std::vector<const std::byte*> pointers;
  pointers.reserve(states.size());
  for (const State& state : states) pointers.push_back(state.data());
  return pointers;
}

// Ids of words that are given as strs or ints.
std::vector<WordId> IdsOf(const Vocabulary& vocabulary, nb::handle words) {
  std::vector<WordId> ids;
  if (PyUnicode_Check(words.ptr())) {
    throw nb::type_error("words: expected a sequence, found a str");
  }
  for (nb::handle word : nb::iter(words)) {
    if (PyUnicode_Check(word.ptr())) {
      ids.push_back(vocabulary.Find(TextOf(word)));
      continue;
    }
    const nb::object number = nb::steal(PyNumber_Index(word.ptr()));
    if (!number.is_valid()) throw nb::python_error();
    const auto id = nb::cast<int64_t>(number);
    if (id < 0 || id >= int64_t{vocabulary.size()}) {
      PyErr_Format(PyExc_IndexError,
                   "words[%zu]: expected an id below %u, found %lld",
                   ids.size(), vocabulary.size(), static_cast<long long>(id));
      throw nb::python_error();
    }
    ids.push_back(static_cast<WordId>(id));
  }
  return ids;
}

nb::str WordOf(const Vocabulary& vocabulary, WordId id) {
  const absl::string_view word = vocabulary.word(id);
  return nb::str(word.data(), word.size());
}

nb::list WordsOf(const Vocabulary& vocabulary, const std::vector<WordId>& ids) {
  nb::list words;
  for (WordId id : ids) words.append(WordOf(vocabulary, id));
  return words;
}

// The sources of a translation: a str for all texts, a sequence, or None.
std::vector<std::string> SourcesOf(nb::handle sources) {
  if (sources.is_none()) return {};
  if (PyUnicode_Check(sources.ptr())) return {std::string(TextOf(sources))};
  return TextsOf(sources);
}

std::vector<LocalScore> ScoreTexts(const LocalModel& model,
                                   const std::vector<std::string>& texts,
                                   const std::vector<std::string>& sources,
                                   bool bos, bool eos, int threads) {
  if (threads < 1) throw nb::value_error("threads: expected at least 1");
  absl::StatusOr<std::vector<LocalScore>> scores = absl::UnknownError("");
  {
    nb::gil_scoped_release released;
    const std::vector<absl::string_view> views = ViewsOf(texts);
    scores = model.Score(views, {.begin = bos,
                                 .end = eos,
                                 .threads = threads,
                                 .sources = ViewsOf(sources)});
  }
  return ValueOrRaise(std::move(scores));
}

double Score(const ModelObject& self, nb::handle text, bool bos, bool eos,
             nb::handle source) {
  const auto model = self.Use();
  const std::vector<std::string> sources = SourcesOf(source);
  const absl::string_view view = TextOf(text);
  return ValueOrRaise(model->Score({&view, 1}, {.begin = bos,
                                                .end = eos,
                                                .sources = ViewsOf(sources)}))
      .front()
      .log_prob();
}

nb::object ScoreWords(const ModelObject& self, nb::handle text, bool bos,
                      bool eos, nb::handle source) {
  const auto model = self.Use();
  const std::vector<std::string> sources = SourcesOf(source);
  const absl::string_view view = TextOf(text);
  std::vector<LocalScore> scores = ValueOrRaise(model->Score(
      {&view, 1}, {.begin = bos, .end = eos, .sources = ViewsOf(sources)}));
  return nb::cast(ToArray(std::move(scores.front().log_probs)));
}

nb::object ScoreBatch(const ModelObject& self, nb::handle texts, int threads,
                      bool bos, bool eos, nb::handle sources) {
  const auto model = self.Use();
  std::vector<double> sums;
  for (const LocalScore& score : ScoreTexts(
           *model, TextsOf(texts), SourcesOf(sources), bos, eos, threads)) {
    sums.push_back(score.log_prob());
  }
  return nb::cast(ToArray(std::move(sums)));
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
  std::vector<State> read = StatesOf(*model, states);
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
      std::byte* const state =
          read[i].Resize(model->fingerprint(), read[i].size());
      batch.push_back({state,
                       {&ids[i], 1},
                       state,
                       absl::MakeSpan(log_probs).subspan(i, 1)});
    }
    model->word_by_word()->Score(batch);
  }
  nb::list after;
  for (State& state : read) after.append(nb::cast(std::move(state)));
  return nb::make_tuple(ToArray(std::move(log_probs)), after);
}

using Rows =
    nb::ndarray<nb::numpy, float, nb::ndim<2>, nb::c_contig, nb::device::cpu>;

nb::object NextLogProbs(const ModelObject& self, nb::handle states,
                        const nb::object& out) {
  const auto model = self.Use();
  const std::vector<State> read = StatesOf(*model, states);
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
  const std::vector<State> read = StatesOf(*model, states);
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
    best.append(nb::make_tuple(WordOf(model->vocabulary(), word.word),
                               static_cast<double>(word.log_prob)));
  }
  return best;
}

absl::Status CheckSampler(const SamplerOptions& options, int64_t max_words) {
  const auto fails = [](absl::string_view field, absl::string_view expected) {
    return absl::InvalidArgumentError(
        absl::StrCat(field, ": expected ", expected));
  };
  if (!(options.temperature >= 0) || std::isinf(options.temperature)) {
    return fails("temperature", "a finite number of at least 0");
  }
  if (!(options.top_p > 0 && options.top_p <= 1)) {
    return fails("top_p", "more than 0 and at most 1");
  }
  if (!(options.repetition_penalty > 0) ||
      std::isinf(options.repetition_penalty)) {
    return fails("repetition_penalty", "a finite number above 0");
  }
  if (max_words < 0) return fails("max_words", "at least 0");
  return absl::OkStatus();
}

nb::tuple Generate(const ModelObject& self, nb::handle prompt,
                   int64_t max_words, float temperature, uint32_t top_k,
                   float top_p, float repetition_penalty, bool allow_unknown,
                   std::optional<uint64_t> seed, nb::handle source) {
  const auto model = self.Use();
  const std::string text(TextOf(prompt));
  const std::string from(source.is_none() ? absl::string_view()
                                          : TextOf(source));
  const SamplerOptions sampler = {.temperature = temperature,
                                  .top_k = top_k,
                                  .top_p = top_p,
                                  .repetition_penalty = repetition_penalty,
                                  .allow_unknown = allow_unknown};
  if (absl::Status status = CheckSampler(sampler, max_words); !status.ok()) {
    Raise(status);
  }
  if (!seed.has_value()) seed = std::random_device()();
  absl::StatusOr<LocalText> generated = absl::UnknownError("");
  {
    nb::gil_scoped_release released;
    generated =
        model->Generate(text, {.sampler = sampler,
                               .seed = *seed,
                               .max_words = static_cast<size_t>(max_words),
                               .source = from});
  }
  LocalText value = ValueOrRaise(std::move(generated));
  return nb::make_tuple(WordsOf(model->vocabulary(), value.words),
                        ToArray(std::move(value.log_probs)),
                        nb::bool_(value.ended));
}

nb::list Search(const ModelObject& self, nb::handle prompt, int64_t beam,
                int64_t best, int64_t max_words, double length_alpha,
                bool allow_unknown, nb::handle source) {
  const auto model = self.Use();
  const std::string text(TextOf(prompt));
  const std::string from(source.is_none() ? absl::string_view()
                                          : TextOf(source));
  if (beam < 1 || beam > int64_t{1} << 20) {
    throw nb::value_error("beam: expected 1 to 1048576");
  }
  if (best < 0 || max_words < 1) {
    throw nb::value_error("best, max_words: expected at least 1");
  }
  absl::StatusOr<std::vector<BeamSearch::Hypothesis>> found =
      absl::UnknownError("");
  {
    nb::gil_scoped_release released;
    found = model->Search(text, best,
                          {.beam = static_cast<size_t>(beam),
                           .max_words = static_cast<size_t>(max_words),
                           .length_alpha = length_alpha,
                           .allow_unknown = allow_unknown},
                          from);
  }
  nb::list hypotheses;
  for (const BeamSearch::Hypothesis& hypothesis :
       ValueOrRaise(std::move(found))) {
    hypotheses.append(nb::make_tuple(
        WordsOf(model->vocabulary(), hypothesis.words), hypothesis.log_prob,
        hypothesis.score, nb::bool_(hypothesis.ended)));
  }
  return hypotheses;
}

nb::list Rerank(const ModelObject& self, nb::handle candidates, double alpha,
                int threads, nb::handle source) {
  const auto model = self.Use();
  const std::vector<std::string> texts = TextsOf(candidates);
  const std::vector<std::string> sources = SourcesOf(source);
  if (threads < 1) throw nb::value_error("threads: expected at least 1");
  absl::StatusOr<std::vector<LocalRank>> ranks = absl::UnknownError("");
  {
    nb::gil_scoped_release released;
    ranks = model->Rerank(ViewsOf(texts), alpha,
                          {.threads = threads, .sources = ViewsOf(sources)});
  }
  nb::list order;
  for (const LocalRank& rank : ValueOrRaise(std::move(ranks))) {
    order.append(nb::make_tuple(rank.index, rank.score));
  }
  return order;
}

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

nb::str ToStr(absl::string_view text) {
  return nb::str(text.data(), text.size());
}

// A path as bytes, which need not be UTF-8.
nb::bytes PathObject(const std::string& path) {
  return nb::bytes(path.data(), path.size());
}

void BindScores(nb::class_<ModelObject>& model) {
  model
      .def("score", &Score, nb::arg("text"), nb::kw_only(),
           nb::arg("bos") = true, nb::arg("eos") = true,
           nb::arg("source") = nb::none(),
           "Returns ln P of a text, with </s> if eos, after <s> if bos.\n\n"
           "source: the text that it translates, for a translation model.")
      .def("score_words", &ScoreWords, nb::arg("text"), nb::kw_only(),
           nb::arg("bos") = true, nb::arg("eos") = true,
           nb::arg("source") = nb::none(),
           "Returns ln P of each word of a text and, if eos, of </s>: float32 "
           "[n].")
      .def("score_batch", &ScoreBatch, nb::arg("texts"), nb::kw_only(),
           nb::arg("threads") = 1, nb::arg("bos") = true, nb::arg("eos") = true,
           nb::arg("sources") = nb::none(),
           "Returns ln P of each text: float64 [n].\n\n"
           "The numbers have the same bits for any number of threads. Other "
           "threads of\nPython run meanwhile.\n"
           "sources: for a translation model, a str for all texts or one for "
           "each.")
      .def("rerank", &Rerank, nb::arg("candidates"), nb::kw_only(),
           nb::arg("alpha") = 0.0, nb::arg("threads") = 1,
           nb::arg("source") = nb::none(),
           "Orders candidates, the best first: returns [(index, score), "
           "...].\n\n"
           "score is ln P / n ** alpha, where n counts the words and </s>.");
}

void BindStates(nb::class_<ModelObject>& model) {
  model
      .def("start", &Start, nb::arg("text") = "",
           "Returns the state after <s> and the words of a text.")
      .def("extend", &Extend, nb::arg("states"), nb::arg("words"),
           "Reads words[i] after states[i], all in one batch.\n\n"
           "states: a sequence of n States; words: n words or ids.\n"
           "Returns (log_probs, states): ln P of each word, float32 [n], and "
           "the states\nafter the words. The states that were given do not "
           "change.")
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

void BindGeneration(nb::class_<ModelObject>& model) {
  model
      .def("generate", &Generate, nb::arg("prompt") = "", nb::kw_only(),
           nb::arg("max_words") = 100, nb::arg("temperature") = 1.0f,
           nb::arg("top_k") = 0, nb::arg("top_p") = 1.0f,
           nb::arg("repetition_penalty") = 1.0f,
           nb::arg("allow_unknown") = false, nb::arg("seed") = nb::none(),
           nb::arg("source") = nb::none(),
           "Continues a prompt by drawing words.\n\n"
           "Returns (words, log_probs, ended): the words without the prompt; "
           "ln P of each\nand, if ended, of </s>, float32; whether the text "
           "ended with </s>. The same seed\ndraws the same words; None is a "
           "random one.")
      .def("search", &Search, nb::arg("prompt") = "", nb::kw_only(),
           nb::arg("beam") = 5, nb::arg("best") = 1, nb::arg("max_words") = 100,
           nb::arg("length_alpha") = 0.0, nb::arg("allow_unknown") = false,
           nb::arg("source") = nb::none(),
           "Continues a prompt by a beam search; with a source, translates "
           "it.\n\n"
           "Returns up to `best` hypotheses, the best first: [(words, ln P, "
           "score, ended),\n...], where score is ln P / length ** "
           "length_alpha.");
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
            return WordOf(model->vocabulary(), static_cast<WordId>(id));
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
              words.append(WordOf(model->vocabulary(), id));
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
          [](const ModelObject& self) { return ToStr(self.Use()->name()); },
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
              warnings.append(ToStr(warning));
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
               return ToStr(
                   absl::StrCat("<lmserve_local.Model ", self.name, ">"));
             }
             return ToStr(absl::StrCat("<lmserve_local.Model ", self.name,
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
  BindScores(model);
  BindStates(model);
  BindGeneration(model);
  BindVocabulary(model);
}

}  // namespace lmserve::python
