# SPDX-License-Identifier: Apache-2.0
"""Converts response messages to the results of methods."""

from __future__ import annotations

import math
from typing import Any

import grpc

from lmserve import _arrays
from lmserve import _types as types
from lmserve._errors import LmserveError

_STATUS_CODES = {code.value[0]: code for code in grpc.StatusCode}
_SERVING = 1  # of grpc.health.v1.HealthCheckResponse.ServingStatus


def _model_version(message: Any) -> types.ModelVersion:
  return types.ModelVersion(message.name, message.version)


def _next_words(message: Any) -> types.NextWords:
  return types.NextWords(words=tuple(message.words), ids=tuple(message.ids),
                         log_probs=tuple(message.log_probs))


def _word_scores(message: Any) -> types.WordScores:
  return types.WordScores(
      words=tuple(message.words), log_probs=tuple(message.log_probs),
      unknown=tuple(message.unknown),
      alternatives=tuple(map(_next_words, message.alternatives)),
      ranks=tuple(message.ranks), entropies=tuple(message.entropies),
      ngram_lengths=tuple(message.ngram_lengths))


def _text_score(message: Any) -> types.TextScore:
  if message.HasField("failed"):
    return types.TextScore(
        log_prob=math.nan, word_count=0, unknown_count=0,
        known_log_prob=math.nan, perplexity=math.nan, known_perplexity=math.nan,
        failed=_failed_text(message.failed))
  return types.TextScore(
      log_prob=message.log_prob,
      word_count=message.word_count,
      unknown_count=message.unknown_count,
      known_log_prob=message.known_log_prob,
      perplexity=message.perplexity,
      known_perplexity=message.known_perplexity,
      words=_word_scores(message.words) if message.HasField("words") else None)


def _failed_text(failed: Any) -> LmserveError:
  return LmserveError(
      _STATUS_CODES.get(failed.code, grpc.StatusCode.UNKNOWN), failed.message,
      field=failed.message.partition(": ")[0])


def score(message: Any) -> types.ScoreResponse:
  return types.ScoreResponse(model=_model_version(message.model),
                             scores=tuple(map(_text_score, message.scores)))


def predict(message: Any) -> types.PredictResponse:
  return types.PredictResponse(
      model=_model_version(message.model),
      predictions=tuple(map(_next_words, message.predictions)))


def _ranked_candidate(message: Any) -> types.RankedCandidate:
  return types.RankedCandidate(index=message.index, score=message.score,
                               features=tuple(message.features),
                               expected_utility=message.expected_utility)


def rerank(message: Any) -> types.RerankResponse:
  return types.RerankResponse(
      models=tuple(map(_model_version, message.models)),
      feature_names=tuple(message.feature_names),
      weights=tuple(message.weights),
      candidates=tuple(map(_ranked_candidate, message.candidates)),
      reranker=(_model_version(message.reranker)
                if message.HasField("reranker") else None))


def _hypothesis(message: Any) -> types.Hypothesis:
  return types.Hypothesis(
      words=tuple(message.words), ids=tuple(message.ids),
      log_probs=tuple(message.log_probs), log_prob=message.log_prob,
      score=message.score, ended=message.ended)


def beam_search(messages: list[Any]) -> types.BeamSearchResponse:
  message, = messages
  return types.BeamSearchResponse(
      model=_model_version(message.model),
      hypotheses=tuple(map(_hypothesis, message.hypotheses.hypotheses)))


def vocabulary(messages: list[Any]) -> types.Vocabulary:
  first = messages[0]
  return types.Vocabulary(
      model=_model_version(first.model),
      key=first.vocabulary_key,
      words=tuple(word for message in messages for word in message.words))


def decode_started(message_bytes: int, message: Any) -> types.DecodeStarted:
  """Converts the answer to the start, for a client of this message_bytes."""
  started = message.started
  return types.DecodeStarted(
      model=_model_version(started.model),
      handle=started.handle,
      vocabulary_size=started.vocabulary_size,
      vocabulary_key=started.vocabulary_key,
      unknown_id=started.unknown_id,
      end_id=started.end_id,
      ids=tuple(started.ids),
      most_handles=started.most_handles,
      most_extensions=started.most_extensions,
      most_predictions=started.most_predictions,
      most_message_bytes=min(started.most_message_bytes or message_bytes,
                             message_bytes))


def decode_extended(message: Any) -> types.DecodeExtended:
  extended = message.extended
  return types.DecodeExtended(
      handles=_arrays.uint32s(extended.handles),
      log_probs=_arrays.floats(extended.log_probs),
      unknown=_arrays.bools(extended.unknown),
      recombination_keys=_arrays.fixed64s(extended.recombination_keys))


def decoded_best(rows: int, message: Any) -> types.DecodedBest:
  """Converts the result of DecodeBest for `rows` handles."""
  return types.DecodedBest(
      _arrays.rows(_arrays.uint32s(message.best.ids), rows),
      _arrays.rows(_arrays.floats(message.best.log_probs), rows),
      _rows(tuple(message.best.words), rows))


def _rows(values: tuple[str, ...], count: int) -> tuple[tuple[str, ...], ...]:
  """Splits values into rows of equal length; no values have no rows."""
  if not values:
    return ()
  length = len(values) // count
  return tuple(values[i:i + length] for i in range(0, len(values), length))


def _inspected_layer(words: int, message: Any) -> types.InspectedLayer:
  """Converts a layer that read this number of words."""
  units = tuple(map(int, _arrays.uint32s(message.units)))
  quantities = tuple(types.Quantity(int(quantity)) for quantity
                     in _arrays.uint32s(message.quantities))
  return types.InspectedLayer(
      layer=message.layer, depth=message.depth,
      is_backward=message.is_backward, reads_source=message.reads_source,
      reverses_words=message.reverses_words, unit_count=message.unit_count,
      units=units, quantities=quantities,
      values=_arrays.shaped(_arrays.floats(message.values), len(quantities),
                            words, len(units)))


def inspect(message: Any) -> types.InspectResponse:
  words, source_words = tuple(message.words), tuple(message.source_words)
  return types.InspectResponse(
      model=_model_version(message.model), words=words,
      source_words=source_words,
      layers=tuple(
          _inspected_layer(
              len(source_words if layer.reads_source else words), layer)
          for layer in message.layers),
      attention=(_arrays.shaped(_arrays.floats(message.attention), len(words),
                                len(source_words))
                 if message.attention else None))


def embed(message: Any) -> types.EmbedResponse:
  return types.EmbedResponse(
      model=_model_version(message.model),
      vectors=_arrays.float_rows(
          [embedding.values for embedding in message.embeddings]),
      word_counts=tuple(embedding.word_count
                        for embedding in message.embeddings),
      unknown_counts=tuple(embedding.unknown_count
                           for embedding in message.embeddings))


def _label_scores(message: Any) -> types.LabelScores:
  return types.LabelScores(labels=tuple(message.labels),
                           log_probs=tuple(message.log_probs))


def _tagged_sentence(message: Any) -> types.TaggedSentence:
  return types.TaggedSentence(
      words=tuple(message.words), labels=tuple(message.labels),
      unknown=tuple(message.unknown), log_probs=tuple(message.log_probs),
      alternatives=tuple(map(_label_scores, message.alternatives)))


def tag(message: Any) -> types.TagResponse:
  return types.TagResponse(
      model=_model_version(message.model),
      sentences=tuple(map(_tagged_sentence, message.sentences)))


def _classified_text(message: Any) -> types.ClassifiedText:
  return types.ClassifiedText(
      labels=tuple(message.labels), log_probs=tuple(message.log_probs),
      word_count=message.word_count, unknown_count=message.unknown_count)


def classify(message: Any) -> types.ClassifyResponse:
  return types.ClassifyResponse(
      model=_model_version(message.model),
      texts=tuple(map(_classified_text, message.texts)))


def decode_failed(message: Any) -> LmserveError | None:
  """Returns the error of a step that failed, else None."""
  if not message.HasField("failed"):
    return None
  failed = message.failed
  return LmserveError(
      _STATUS_CODES.get(failed.code, grpc.StatusCode.UNKNOWN), failed.message,
      failed.retry_after_seconds or None)


def nothing(unused_message: Any) -> None:
  """Converts the empty response to a request that only moves references."""


def _minimum_bayes_risk(message: Any) -> types.MinimumBayesRisk:
  return types.MinimumBayesRisk(utility=types.Utility(message.utility),
                                scale=message.scale or 1.0)


def _reranker_member(message: Any) -> types.RerankerMember:
  return types.RerankerMember(model=message.model, feature=message.feature,
                              reverse=message.reverse)


def _reranker(message: Any) -> types.Reranker:
  return types.Reranker(
      members=tuple(map(_reranker_member, message.members)),
      weights=dict(message.weights),
      normalization=types.Normalization(message.normalization),
      alpha=message.alpha or 1.0,
      minimum_bayes_risk=(_minimum_bayes_risk(message.minimum_bayes_risk)
                          if message.HasField("minimum_bayes_risk") else None))


def _model_info(message: Any) -> types.ModelInfo:
  return types.ModelInfo(
      name=message.name,
      version=message.version,
      aliases=tuple(message.aliases),
      is_default=message.is_default,
      family=message.family,
      properties=dict(message.properties),
      vocabulary_size=message.vocabulary_size,
      state_bytes=message.state_bytes,
      file_bytes=message.file_bytes,
      bidirectional=message.bidirectional,
      load_seconds=message.load_seconds,
      translation=message.translation,
      reranker=(_reranker(message.reranker)
                if message.HasField("reranker") else None),
      tagger=message.tagger,
      classifier=message.classifier,
      labels=tuple(message.labels),
      embedding_dimensions=message.embedding_dimensions)


def _refused_version(message: Any) -> types.RefusedVersion:
  return types.RefusedVersion(name=message.name, version=message.version,
                              reason=message.reason)


def next_page_token(message: Any) -> str:
  """Returns the token of the page after a page of list_models, or ""."""
  # A page without entries would never end.
  has_entries = (message.models or message.refused or message.loading or
                 message.incomplete)
  return str(message.next_page_token) if has_entries else ""


def list_models(pages: list[Any]) -> types.ListModelsResponse:
  """Joins the pages of a list."""
  return types.ListModelsResponse(
      models=tuple(_model_info(model)
                   for page in pages for model in page.models),
      refused=tuple(_refused_version(version)
                    for page in pages for version in page.refused),
      loading=tuple(_model_version(version)
                    for page in pages for version in page.loading),
      incomplete=tuple(_refused_version(version)
                       for page in pages for version in page.incomplete))


def get_model(message: Any) -> types.ModelInfo:
  return _model_info(message.model)


def health(message: Any) -> bool:
  return bool(message.status == _SERVING)


class GenerationState:
  """What is known from the messages of a Generate call so far.

  Attributes:
    model: The version that generates; None before the first message.
    end: The contents of the last message; None before it.
  """

  def __init__(self) -> None:
    self.model: types.ModelVersion | None = None
    self.end: types.GenerationEnd | None = None

  def _accept(self, message: Any) -> types.GeneratedWord | None:
    """Processes the next message and returns its word, if it has one."""
    if message.HasField("model"):
      self.model = _model_version(message.model)
    if message.HasField("end"):
      end = message.end
      self.end = types.GenerationEnd(
          reason=types.EndReason(end.reason), word_count=end.word_count,
          log_prob=end.log_prob, seed=end.seed)
      return None
    word = message.word
    return types.GeneratedWord(word=word.word, id=word.id,
                               log_prob=word.log_prob)
