# SPDX-License-Identifier: Apache-2.0
"""Converts the arguments of methods to request messages."""

from __future__ import annotations

import array
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NoReturn, TypeVar

import grpc

from lmserve import _api
from lmserve._errors import LmserveError
from lmserve._types import (Batch, Candidate, Ids, MinimumBayesRisk,
                            Normalization, Pooling, Quantity, Text, Utility)

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
_InspectRequest = _api.message_class("lm.v1.InspectRequest")
_EmbedRequest = _api.message_class("lm.v1.EmbedRequest")
_TagRequest = _api.message_class("lm.v1.TagRequest")
_ClassifyRequest = _api.message_class("lm.v1.ClassifyRequest")
_ListModelsRequest = _api.message_class("lm.v1.ListModelsRequest")
_GetModelRequest = _api.message_class("lm.v1.GetModelRequest")
_HealthCheckRequest = _api.message_class("grpc.health.v1.HealthCheckRequest")


_BYTES = (bytes, bytearray, memoryview)


def _message(kind: Any, prefix: str = "", /, **fields: Any) -> Any:
  """Creates a message.

  Args:
    kind: The class of the message.
    prefix: What errors have before the name of a field.
    **fields: The fields.

  Raises:
    TypeError: A field has the wrong type.
    ValueError: A number is out of the range of its field.
  """
  try:
    return kind(**fields)
  except (TypeError, ValueError):
    for name, value in fields.items():
      try:
        kind(**{name: value})
      except (TypeError, ValueError) as error:
        raise type(error)(
            f"{prefix}{name}: expected "
            f"{_expected(kind.DESCRIPTOR.fields_by_name[name])}, "
            f"found {value!r}") from error
    raise


def _expected(field: Any) -> str:
  """Returns which values a field of a descriptor may have."""
  if field.message_type is not None:  # the others are made by functions below
    return "a mapping of str to float"
  kind = type(field.default_value).__name__
  if kind != "int":
    return kind
  return ("int from 0 to 2^64 - 1" if field.type == field.TYPE_UINT64 else
          "int from 0 to 2^32 - 1")


def _text(field: str, value: Text) -> Any:
  """Converts a str, a list of words or a list of ids to a Text message."""
  if isinstance(value, str):
    return _Text(text=value)
  to_list = getattr(value, "tolist", None)  # that of a NumPy array
  items: Any = value if to_list is None else to_list()
  if isinstance(value, _BYTES) or not isinstance(items, Sequence):
    raise TypeError(f"{field}: expected str, a list of words or a list of ids, "
                    f"found {type(value).__name__}")
  if items and not isinstance(items[0], (str, *_BYTES)):
    return _Text(ids=_WordIdList(ids=_ids(field, items)))
  return _Text(words=_WordList(words=_strings(field, items)))


def _optional_text(field: str, value: Text | None) -> Any:
  """Converts a text; None leaves the field unset."""
  return None if value is None else _text(field, value)


def _listed(field: str, values: Sequence[T]) -> list[T]:
  """Converts a list of any kind but a str, whose elements are characters."""
  if isinstance(values, (str, *_BYTES)):
    raise TypeError(f"{field}: expected a list, "
                    f"found the {type(values).__name__} {values!r}")
  try:
    return list(values)
  except TypeError:
    raise TypeError(
        f"{field}: expected a list, found {type(values).__name__}") from None


def _strings(field: str, values: Sequence[str]) -> list[str]:
  strings = _listed(field, values)
  for i, string in enumerate(strings):
    if not isinstance(string, str):
      raise TypeError(f"{field}[{i}]: expected str, found {string!r}")
  return strings


def _checked(field: str, kind: type[T], value: T) -> T:
  """Raises TypeError unless the value is a `kind`."""
  if not isinstance(value, kind):
    raise TypeError(f"{field}: expected {kind.__name__}, found {value!r}")
  return value


def _texts(field: str, values: Sequence[Text]) -> list[Any]:
  return [_text(f"{field}[{i}]", value)
          for i, value in enumerate(_listed(field, values))]


def score(model: str, texts: Sequence[Text], sources: Sequence[Text],
          **options: Any) -> Any:
  """Returns a ScoreRequest; the options are its other fields."""
  return _message(_ScoreRequest, model=model, texts=_texts("texts", texts),
                  sources=_texts("sources", sources), **options)


def score_batch(model: str, batch: Sequence[Text] | Batch,
                **options: Any) -> Any:
  if isinstance(batch, Batch):
    return score(model, batch.texts, batch.sources, **options)
  return score(model, batch, (), **options)


def predict(model: str, contexts: Sequence[Text], k: int,
            include_unknown: bool, words: Sequence[str],
            suffixes: Sequence[Text], prefix: str) -> Any:
  return _message(
      _PredictRequest, model=model, contexts=_texts("contexts", contexts), k=k,
      include_unknown=include_unknown, words=_strings("words", words),
      suffixes=_texts("suffixes", suffixes), prefix=prefix)


def inspect(model: str, text: Text, source: Text | None, layers: Ids,
            units: Ids, most_variable: int, quantities: Sequence[Quantity],
            attention: bool) -> Any:
  return _message(
      _InspectRequest, model=model, text=_text("text", text),
      source=_optional_text("source", source), layers=_ids("layers", layers),
      units=_ids("units", units), most_variable=most_variable,
      quantities=[_checked(f"quantities[{i}]", Quantity, quantity).value
                  for i, quantity in enumerate(
                      _listed("quantities", quantities))],
      attention=attention)


def embed(model: str, texts: Sequence[Text], pooling: Pooling,
          normalize: bool) -> Any:
  return _message(_EmbedRequest, model=model, texts=_texts("texts", texts),
                  pooling=_checked("pooling", Pooling, pooling).value,
                  normalize=normalize)


def tag(model: str, sentences: Sequence[Text], alternatives: int) -> Any:
  return _message(_TagRequest, model=model,
                  sentences=_texts("sentences", sentences),
                  alternatives=alternatives)


def classify(model: str, texts: Sequence[Text], best: int) -> Any:
  return _message(_ClassifyRequest, model=model, texts=_texts("texts", texts),
                  best=best)


def _candidate(field: str, value: Text | Candidate) -> Any:
  if isinstance(value, Candidate):
    return _message(_Candidate, f"{field}.",
                    text=_text(f"{field}.text", value.text),
                    features=value.features)
  return _Candidate(text=_text(field, value))


def _candidates(values: Sequence[Text | Candidate]) -> list[Any]:
  return [_candidate(f"candidates[{i}]", value)
          for i, value in enumerate(_listed("candidates", values))]


def _minimum_bayes_risk(value: MinimumBayesRisk | None) -> Any:
  if value is None:
    return None
  _checked("minimum_bayes_risk", MinimumBayesRisk, value)
  utility = _checked("minimum_bayes_risk.utility", Utility, value.utility)
  return _message(_MinimumBayesRisk, "minimum_bayes_risk.",
                  utility=utility.value, scale=value.scale)


def rerank(models: Sequence[str], candidates: Sequence[Text | Candidate],
           weights: Mapping[str, float], normalization: Normalization,
           alpha: float, best: int, source: Text | None,
           reverse_models: Sequence[str],
           minimum_bayes_risk: MinimumBayesRisk | None) -> Any:
  _checked("normalization", Normalization, normalization)
  return _message(
      _RerankRequest, models=_strings("models", models),
      candidates=_candidates(candidates), weights=weights,
      normalization=normalization.value, alpha=alpha, best=best,
      source=_optional_text("source", source),
      reverse_models=_strings("reverse_models", reverse_models),
      minimum_bayes_risk=_minimum_bayes_risk(minimum_bayes_risk))


def rerank_with(reranker: str, candidates: Sequence[Text | Candidate],
                best: int, source: Text | None) -> Any:
  if not reranker:  # an empty name would mean a request without reranker
    raise ValueError("reranker: expected a name, found ''")
  return _message(
      _RerankRequest, reranker=reranker, candidates=_candidates(candidates),
      best=best, source=_optional_text("source", source))


def generate(model: str, prompt: Text, source: Text | None, max_words: int,
             temperature: float | None, top_k: int, top_p: float | None,
             repetition_penalty: float | None, seed: int | None,
             stop_words: Sequence[str], allow_unknown: bool) -> Any:
  return _message(
      _GenerateRequest, model=model, prompt=_text("prompt", prompt),
      source=_optional_text("source", source), max_words=max_words,
      temperature=temperature, top_k=top_k, top_p=top_p,
      repetition_penalty=repetition_penalty, seed=seed,
      stop_words=_strings("stop_words", stop_words),
      allow_unknown=allow_unknown)


def beam_search(model: str, prompt: Text, source: Text | None, size: int,
                best: int, length_alpha: float, coverage_beta: float,
                max_words: int, allow_unknown: bool) -> Any:
  return _message(
      _GenerateRequest, model=model, prompt=_text("prompt", prompt),
      source=_optional_text("source", source), max_words=max_words,
      allow_unknown=allow_unknown,
      beam_search=_message(_BeamSearch, size=size, best=best,
                           length_alpha=length_alpha,
                           coverage_beta=coverage_beta))


def _ids(field: str, values: Ids) -> array.array[int]:
  """Converts handles or ids, fast enough for thousands of them."""
  # The tolist() of a NumPy array converts all elements at once.
  to_list = getattr(values, "tolist", None)
  if isinstance(values, (str, *_BYTES)) or (
      to_list is None and not isinstance(values, Iterable)):
    hint = " (use its .handles)" if hasattr(values, "handles") else ""
    raise TypeError(f"{field}: expected a list of int, "
                    f"found {type(values).__name__}{hint}")
  items = list(values) if to_list is None else to_list()
  try:
    return array.array("I", items)
  except (TypeError, OverflowError):
    _refuse_ids(field, values, items)


def _refuse_ids(field: str, values: Any, items: Any) -> NoReturn:
  """Raises what is wrong with the items of `values`."""
  shape = getattr(values, "shape", None)
  if shape is not None and (len(shape) != 1 or values.dtype.kind not in "iu"):
    raise TypeError(f"{field}: expected a list of int, found an array of "
                    f"{values.dtype} with shape {shape}")
  for i, item in enumerate(items):
    try:
      array.array("I", [item])
    except TypeError:
      raise TypeError(
          f"{field}[{i}]: expected int, found {item!r}") from None
    except OverflowError:
      raise ValueError(f"{field}[{i}]: expected int from 0 to 2^32 - 1, "
                       f"found {item!r}") from None
  raise AssertionError(f"{field}: {items!r}")


def decode_start(model: str, words: Sequence[str]) -> Any:
  return _DecodeRequest(start=_message(_DecodeStart, model=model,
                                       words=_strings("words", words)))


def decode_extend(handles: Ids, words: Ids, scores_only: bool, retain: Ids,
                  release: Ids) -> Any:
  handles, words = _ids("handles", handles), _ids("words", words)
  if len(handles) != len(words):
    raise ValueError(f"words: expected {len(handles)}, one for each handle, "
                     f"found {len(words)}")
  return _DecodeRequest(
      extend=_message(_DecodeExtend, handles=handles, words=words,
                      scores_only=scores_only),
      retain=_ids("retain", retain), release=_ids("release", release))


def decode_best(handles: Ids, k: int, words: bool, retain: Ids,
                release: Ids) -> Any:
  return _DecodeRequest(
      best=_message(_DecodeBest, handles=_ids("handles", handles), k=k,
                    words=words),
      retain=_ids("retain", retain), release=_ids("release", release))


def decode_references(retain: Ids, release: Ids) -> Any:
  """Returns a request that only retains and releases handles."""
  return _DecodeRequest(retain=_ids("handles", retain),
                        release=_ids("handles", release))


def serialized(request: Any, most_bytes: int) -> bytes:
  """Serializes a DecodeRequest.

  Raises:
    LmserveError: It has more than most_bytes bytes and would end its stream.
  """
  data: bytes = request.SerializeToString()
  if len(data) > most_bytes:
    field = (request.WhichOneof("step") or
             ("retain" if request.retain else "release"))
    raise LmserveError(
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        f"{field}: expected at most {most_bytes} bytes (most_message_bytes), "
        f"found {len(data)}", field=field)
  return data


def vocabulary(model: str) -> Any:
  return _message(_GetVocabularyRequest, model=model)


def list_models(page_token: str = "") -> Any:
  return _ListModelsRequest(page_token=page_token)


def get_model(model: str) -> Any:
  return _message(_GetModelRequest, model=model)


def health(service: str) -> Any:
  return _message(_HealthCheckRequest, service=service)
