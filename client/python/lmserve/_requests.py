# SPDX-License-Identifier: Apache-2.0
"""Converts the arguments of methods to request messages."""

from __future__ import annotations

import array
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from lmserve import _api
from lmserve._types import (Batch, Candidate, Ids, MinimumBayesRisk,
                            Normalization, Text, Utility)

T = TypeVar("T")

_Text = _api.message_class("lm.v1.Text")
_WordList = _api.message_class("lm.v1.WordList")
_WordIdList = _api.message_class("lm.v1.WordIdList")
_Candidate = _api.message_class("lm.v1.Candidate")
_ScoreRequest = _api.message_class("lm.v1.ScoreRequest")
_PredictRequest = _api.message_class("lm.v1.PredictRequest")
_RerankRequest = _api.message_class("lm.v1.RerankRequest")
_MinimumBayesRisk = _api.message_class("lm.v1.MinimumBayesRisk")
_GenerateRequest = _api.message_class("lm.v1.GenerateRequest")
_BeamSearch = _api.message_class("lm.v1.BeamSearch")
_DecodeRequest = _api.message_class("lm.v1.DecodeRequest")
_DecodeStart = _api.message_class("lm.v1.DecodeStart")
_DecodeExtend = _api.message_class("lm.v1.DecodeExtend")
_DecodeBest = _api.message_class("lm.v1.DecodeBest")
_GetVocabularyRequest = _api.message_class("lm.v1.GetVocabularyRequest")
_ListModelsRequest = _api.message_class("lm.v1.ListModelsRequest")
_GetModelRequest = _api.message_class("lm.v1.GetModelRequest")
_HealthCheckRequest = _api.message_class("grpc.health.v1.HealthCheckRequest")


def text(value: Text) -> Any:
  """Converts a str, a list of words or a list of ids to a Text message."""
  if isinstance(value, str):
    return _Text(text=value)
  items = list(value)
  if items and not isinstance(items[0], str):
    return _Text(ids=_WordIdList(ids=items))
  return _Text(words=_WordList(words=items))


def _source(value: Text | None) -> Any:
  """Converts a source; None leaves the field unset."""
  return None if value is None else text(value)


def _listed(field: str, values: Sequence[Any]) -> Sequence[Any]:
  """Raises TypeError for a str, which is a Sequence but never a valid list."""
  if isinstance(values, str):
    raise TypeError(f"{field}: expected a list, found the str {values!r}")
  return values


def _checked(field: str, kind: type[T], value: T) -> T:
  """Raises TypeError unless the value is a `kind`."""
  if not isinstance(value, kind):
    raise TypeError(f"{field}: expected {kind.__name__}, found {value!r}")
  return value


def _texts(field: str, values: Sequence[Text]) -> list[Any]:
  return [text(value) for value in _listed(field, values)]


def score(model: str, texts: Sequence[Text], sources: Sequence[Text],
          per_word: bool, no_end: bool) -> Any:
  return _ScoreRequest(model=model, texts=_texts("texts", texts),
                       sources=_texts("sources", sources), per_word=per_word,
                       no_end=no_end)


def score_batch(model: str, batch: Sequence[Text] | Batch, per_word: bool,
                no_end: bool) -> Any:
  if isinstance(batch, Batch):
    return score(model, batch.texts, batch.sources, per_word, no_end)
  return score(model, batch, (), per_word, no_end)


def predict(model: str, contexts: Sequence[Text], k: int,
            exclude_unknown: bool, words: Sequence[str],
            suffixes: Sequence[Text], prefix: str) -> Any:
  return _PredictRequest(
      model=model, contexts=_texts("contexts", contexts), k=k,
      exclude_unknown=exclude_unknown, words=_listed("words", words),
      suffixes=_texts("suffixes", suffixes), prefix=prefix)


def _candidate(value: Text | Candidate) -> Any:
  if isinstance(value, Candidate):
    return _Candidate(text=text(value.text), features=value.features)
  return _Candidate(text=text(value))


def _candidates(values: Sequence[Text | Candidate]) -> list[Any]:
  return [_candidate(value) for value in _listed("candidates", values)]


def _minimum_bayes_risk(value: MinimumBayesRisk | None) -> Any:
  if value is None:
    return None
  _checked("minimum_bayes_risk", MinimumBayesRisk, value)
  utility = _checked("minimum_bayes_risk.utility", Utility, value.utility)
  return _MinimumBayesRisk(utility=utility.value, scale=value.scale)


def rerank(models: Sequence[str], candidates: Sequence[Text | Candidate],
           weights: Mapping[str, float], normalization: Normalization,
           alpha: float, best: int, source: Text | None,
           reverse_models: Sequence[str],
           minimum_bayes_risk: MinimumBayesRisk | None) -> Any:
  _checked("normalization", Normalization, normalization)
  return _RerankRequest(
      models=_listed("models", models), candidates=_candidates(candidates),
      weights=weights, normalization=normalization.value, alpha=alpha,
      best=best, source=_source(source),
      reverse_models=_listed("reverse_models", reverse_models),
      minimum_bayes_risk=_minimum_bayes_risk(minimum_bayes_risk))


def rerank_with(reranker: str, candidates: Sequence[Text | Candidate],
                best: int, source: Text | None) -> Any:
  if not reranker:  # an empty name would mean a request without reranker
    raise ValueError("reranker: expected a name, found ''")
  return _RerankRequest(reranker=reranker, candidates=_candidates(candidates),
                        best=best, source=_source(source))


def generate(model: str, prompt: Text, source: Text | None, max_words: int,
             temperature: float | None, top_k: int, top_p: float | None,
             repetition_penalty: float | None, seed: int | None,
             stop_words: Sequence[str], allow_unknown: bool) -> Any:
  return _GenerateRequest(
      model=model, prompt=text(prompt), source=_source(source),
      max_words=max_words, temperature=temperature, top_k=top_k, top_p=top_p,
      repetition_penalty=repetition_penalty, seed=seed,
      stop_words=_listed("stop_words", stop_words),
      allow_unknown=allow_unknown)


def beam_search(model: str, prompt: Text, source: Text | None, size: int,
                best: int, length_alpha: float, coverage_beta: float,
                max_words: int, allow_unknown: bool) -> Any:
  return _GenerateRequest(
      model=model, prompt=text(prompt), source=_source(source),
      max_words=max_words, allow_unknown=allow_unknown,
      beam_search=_BeamSearch(size=size, best=best,
                              length_alpha=length_alpha,
                              coverage_beta=coverage_beta))


def _ids(field: str, values: Ids) -> array.array[int]:
  """Converts handles or ids, fast enough for thousands of them."""
  if isinstance(values, (str, bytes, bytearray)):
    raise TypeError(f"{field}: expected a list of int, found {values!r}")
  # The tolist() of a NumPy array converts all elements at once.
  to_list = getattr(values, "tolist", None)
  try:
    return array.array("I", to_list() if to_list is not None else values)
  except TypeError as error:
    raise TypeError(f"{field}: expected a list of int: {error}") from error
  except OverflowError as error:
    raise ValueError(
        f"{field}: expected int from 0 to 2^32 - 1: {error}") from error


def decode_start(model: str, words: Sequence[str]) -> Any:
  return _DecodeRequest(
      start=_DecodeStart(model=model, words=_listed("words", words)))


def decode_extend(handles: Ids, words: Ids, scores_only: bool, retain: Ids,
                  release: Ids) -> Any:
  handles, words = _ids("handles", handles), _ids("words", words)
  if len(handles) != len(words):
    raise ValueError(f"words: expected {len(handles)}, one for each handle, "
                     f"found {len(words)}")
  return _DecodeRequest(
      extend=_DecodeExtend(handles=handles, words=words,
                           scores_only=scores_only),
      retain=_ids("retain", retain), release=_ids("release", release))


def decode_best(handles: Ids, k: int, words: bool, retain: Ids,
                release: Ids) -> Any:
  return _DecodeRequest(
      best=_DecodeBest(handles=_ids("handles", handles), k=k, words=words),
      retain=_ids("retain", retain), release=_ids("release", release))


def decode_references(retain: Ids, release: Ids) -> Any:
  """Returns a request that only retains and releases handles."""
  return _DecodeRequest(retain=_ids("handles", retain),
                        release=_ids("handles", release))


def vocabulary(model: str) -> Any:
  return _GetVocabularyRequest(model=model)


def list_models(page_token: str = "") -> Any:
  return _ListModelsRequest(page_token=page_token)


def get_model(model: str) -> Any:
  return _GetModelRequest(model=model)


def health(service: str) -> Any:
  return _HealthCheckRequest(service=service)
