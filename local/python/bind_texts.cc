// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "local/python/arrays.h"
#include "local/python/bind.h"
#include "local/python/errors.h"
#include "local/python/python_text.h"

namespace lmserve::python {

namespace nb = nanobind;

namespace {

// The sources of a translation: a str for all texts, a sequence, or None.
Texts SourcesOf(nb::handle sources) {
  if (sources.is_none()) return {};
  if (PyUnicode_Check(sources.ptr())) return Texts::Of(sources);
  return Texts(sources);
}

// The options of a call. The sources must outlive them.
LocalScoreOptions OptionsOf(bool bos, bool eos, int threads,
                            const Texts& sources) {
  if (threads < 1) throw nb::value_error("threads: expected at least 1");
  return {.begin = bos,
          .end = eos,
          .threads = threads,
          .sources = {sources.views().begin(), sources.views().end()}};
}

double Score(const ModelObject& self, nb::handle text, bool bos, bool eos,
             nb::handle source) {
  const auto model = self.Use();
  const Texts sources = SourcesOf(source);
  const absl::string_view view = TextOf(text);
  return ValueOrRaise(model->Score({&view, 1}, OptionsOf(bos, eos, 1, sources)))
      .front()
      .log_prob();
}

nb::object ScoreWords(const ModelObject& self, nb::handle text, bool bos,
                      bool eos, nb::handle source) {
  const auto model = self.Use();
  const Texts sources = SourcesOf(source);
  const absl::string_view view = TextOf(text);
  std::vector<LocalScore> scores =
      ValueOrRaise(model->Score({&view, 1}, OptionsOf(bos, eos, 1, sources)));
  return nb::cast(ToArray(std::move(scores.front().log_probs)));
}

nb::object ScoreBatch(const ModelObject& self, nb::handle texts, int threads,
                      bool bos, bool eos, nb::handle sources) {
  const auto model = self.Use();
  const Texts kept = Texts(texts);
  const Texts kept_sources = SourcesOf(sources);
  const LocalScoreOptions options = OptionsOf(bos, eos, threads, kept_sources);
  absl::StatusOr<std::vector<LocalScore>> scores = absl::UnknownError("");
  {
    nb::gil_scoped_release released;
    scores = model->Score(kept.views(), options);
  }
  std::vector<double> sums;
  for (const LocalScore& score : ValueOrRaise(std::move(scores))) {
    sums.push_back(score.log_prob());
  }
  return nb::cast(ToArray(std::move(sums)));
}

nb::list Rerank(const ModelObject& self, nb::handle candidates, double alpha,
                int threads, nb::handle source) {
  const auto model = self.Use();
  const Texts kept = Texts(candidates);
  const Texts sources = SourcesOf(source);
  const LocalScoreOptions options = OptionsOf(true, true, threads, sources);
  absl::StatusOr<std::vector<LocalRank>> ranks = absl::UnknownError("");
  {
    nb::gil_scoped_release released;
    ranks = model->Rerank(kept.views(), alpha, options);
  }
  nb::list order;
  for (const LocalRank& rank : ValueOrRaise(std::move(ranks))) {
    order.append(nb::make_tuple(rank.index, rank.score));
  }
  return order;
}

Pooling PoolingOf(absl::string_view name) {
  if (name == "max") return Pooling::kMax;
  if (name == "mean") return Pooling::kMean;
  if (name == "last") return Pooling::kLast;
  throw nb::value_error(
      absl::StrCat("pooling: expected 'max', 'mean' or 'last', found '", name,
                   "'")
          .c_str());
}

nb::object Embed(const ModelObject& self, nb::handle texts, nb::handle pooling,
                 bool normalize) {
  const auto model = self.Use();
  const Texts kept = Texts(texts);
  const LocalEmbedOptions options = {.pooling = PoolingOf(TextOf(pooling)),
                                     .normalize = normalize};
  absl::StatusOr<std::vector<float>> vectors = absl::UnknownError("");
  {
    nb::gil_scoped_release released;
    vectors = model->Embed(kept.views(), options);
  }
  return nb::cast(ToArray(ValueOrRaise(std::move(vectors)), kept.size(),
                          model->dimensions()));
}

nb::list Tag(const ModelObject& self, nb::handle sentences) {
  const auto model = self.Use();
  const Texts kept = Texts(sentences);
  absl::StatusOr<std::vector<std::vector<size_t>>> tagged =
      absl::UnknownError("");
  {
    nb::gil_scoped_release released;
    tagged = model->Tag(kept.views());
  }
  nb::list lists;
  for (const std::vector<size_t>& sentence : ValueOrRaise(std::move(tagged))) {
    nb::list labels;
    for (size_t label : sentence) labels.append(ToStr(model->labels()[label]));
    lists.append(labels);
  }
  return lists;
}

nb::object Classify(const ModelObject& self, nb::handle texts) {
  const auto model = self.Use();
  const Texts kept = Texts(texts);
  absl::StatusOr<std::vector<float>> log_probs = absl::UnknownError("");
  {
    nb::gil_scoped_release released;
    log_probs = model->Classify(kept.views());
  }
  return nb::cast(ToArray(ValueOrRaise(std::move(log_probs)), kept.size(),
                          model->labels().size()));
}

}  // namespace

void BindTexts(nb::class_<ModelObject>& model) {
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
           "score is ln P / n ** alpha, where n counts the words and </s>.")
      .def("embed", &Embed, nb::arg("texts"), nb::kw_only(),
           nb::arg("pooling") = "mean", nb::arg("normalize") = false,
           "Represents texts by vectors: float32 [n, dimensions].\n\n"
           "pooling: how the states of the last layer become one vector, "
           "\"max\", \"mean\" or\n\"last\". normalize: whether vectors get the "
           "norm 1. Only for recurrent networks.")
      .def("tag", &Tag, nb::arg("sentences"),
           "Labels the words of sentences: returns a list of labels for "
           "each.\n\n"
           "Only for taggers.")
      .def("classify", &Classify, nb::arg("texts"),
           "Returns ln P(label | text) of each text: float32 [n, labels], in "
           "the order of\n`labels`.\n\nOnly for classifiers.")
      .def_prop_ro(
          "labels",
          [](const ModelObject& self) {
            const auto model = self.Use();
            nb::list labels;
            for (const std::string& label : model->labels()) {
              labels.append(ToStr(label));
            }
            return labels;
          },
          "The labels of a tagger or classifier; empty for other models.")
      .def_prop_ro(
          "dimensions",
          [](const ModelObject& self) { return self.Use()->dimensions(); },
          "The number of values of a vector of embed(); 0 if the model has "
          "none.");
}

}  // namespace lmserve::python
