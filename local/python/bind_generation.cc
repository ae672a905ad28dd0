// SPDX-License-Identifier: Apache-2.0
#include <nanobind/stl/optional.h>

#include <cmath>
#include <cstdint>
#include <optional>
#include <random>
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
  if (best < 1 || max_words < 1) {
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

}  // namespace

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

}  // namespace lmserve::python
