# SPDX-License-Identifier: Apache-2.0
"""The client for asyncio."""

from __future__ import annotations

import asyncio
import copy
import functools
from collections.abc import (AsyncIterable, AsyncIterator, Iterable, Iterator,
                             Mapping, Sequence)
from types import TracebackType
from typing import Any

import grpc
import grpc.aio

from lmserve import _options, _requests, _responses
from lmserve._async_decode import AsyncDecodeSession
from lmserve._backlog import AsyncBacklog
from lmserve._connection import Connection, Settings
from lmserve._errors import LmserveError
from lmserve._retry import AsyncPauses
from lmserve._types import (Batch, BeamSearchResponse, Candidate,
                            ClassifyResponse, EmbedResponse, GeneratedWord, Ids,
                            InspectResponse, ListModelsResponse,
                            MinimumBayesRisk, ModelInfo, Normalization, Pooling,
                            PredictResponse, Quantity, RerankResponse,
                            ScoreResponse, TagResponse, Text, Tls, Vocabulary)


class AsyncGeneration(_responses.GenerationState,
                      AsyncIterator[GeneratedWord]):
  """An asynchronous iterator over generated words.

  It yields each word as soon as it arrives, and raises LmserveError if the call
  fails.

  Attributes:
    model: The ModelVersion that generates; None before the first word.
    end: A GenerationEnd after the last word; None before.
  """

  def __init__(self, connection: Connection, pauses: AsyncPauses, request: Any,
               deadline: float | None) -> None:
    """Only AsyncClient.generate creates one."""
    super().__init__()
    self._connection = connection
    self._pauses = pauses
    self._pause: asyncio.Task[None] | None = None
    self._retry = connection.stream_retry(deadline)
    self._start = functools.partial(connection.generate, request,
                                    metadata=connection.metadata)
    self._has_begun = False
    self._cancelled = False
    self._call = self._start(timeout=self._retry.timeout())

  def __aiter__(self) -> AsyncGeneration:
    return self

  async def __anext__(self) -> GeneratedWord:
    while not self._cancelled:
      try:
        message = await self._call.__aiter__().__anext__()
        self._has_begun = True
      except grpc.RpcError as error:
        if not self._cancelled:
          await self._try_again(self._connection.error(error))
        continue
      except asyncio.CancelledError:
        if self._cancelled:
          break
        raise
      word = self._accept(message)
      if word is not None:
        return word
    raise StopAsyncIteration

  def cancel(self) -> None:
    """Cancels the call, which ends the iteration."""
    self._cancelled = True
    if self._pause is not None:
      self._pause.cancel()
    self._call.cancel()

  async def _try_again(self, error: LmserveError) -> None:
    """Starts the call again after a pause, or raises the error."""
    if self._has_begun:
      raise error
    self._pause = asyncio.create_task(
        self._pauses.wait(self._retry.pause(error)))
    try:
      await self._pause
    except asyncio.CancelledError:
      self._pause.cancel()
      if self._cancelled:
        return
      raise
    self._call = self._start(timeout=self._retry.timeout())


class AsyncClient:
  """A connection to lm_server for asyncio.

      async with lmserve.AsyncClient("localhost:50051") as client:
        response = await client.score("en", ["the cat is small ."])

  The methods have the same arguments and results as those of Client. A client
  belongs to the event loop in which it was created; any number of tasks of this
  loop may use it at the same time.
  """

  def __init__(self, address: str = "localhost:50051", *,
               deadline: float = 10.0,
               stream_deadline: float | None = None,
               attempts: int = 0,
               message_bytes: int = 64 << 20,
               tls: Tls | None = None,
               token: str | None = None,
               health_service: str | None = None) -> None:
    """Has the arguments of Client. Requires a running event loop."""
    self._connection = Connection(grpc.aio, Settings(
        address, deadline, stream_deadline, attempts, message_bytes, tls,
        token, health_service))
    self._pauses = AsyncPauses()

  def with_options(self, *, deadline: float | None = None,
                   stream_deadline: float | None = None,
                   metadata: (Mapping[str, str] |
                              Iterable[tuple[str, str]]) = (),
                   priority: str | None = None) -> AsyncClient:
    """See Client.with_options."""
    other = copy.copy(self)
    other._connection = self._connection.with_options(  # pylint: disable=protected-access
        deadline, stream_deadline, _options.metadata(metadata, priority))
    return other

  async def close(self) -> None:
    """Closes the connection and cancels running calls."""
    self._pauses.close()
    await self._connection.channel.close()

  async def __aenter__(self) -> AsyncClient:
    return self

  async def __aexit__(self, kind: type[BaseException] | None,
                      error: BaseException | None,
                      traceback: TracebackType | None) -> None:
    await self.close()

  async def score(self, model: str, texts: Sequence[Text], *,
                  sources: Sequence[Text] = (), per_word: bool = False,
                  include_end: bool = True, include_begin: bool = True,
                  alternatives: int = 0, ranks: bool = False,
                  ngram_lengths: bool = False, keep_going: bool = False,
                  deadline: float | None = None) -> ScoreResponse:
    """See Client.score."""
    request = _requests.score(model, texts, sources, per_word=per_word,
                              include_end=include_end,
                              include_begin=include_begin,
                              alternatives=alternatives, ranks=ranks,
                              ngram_lengths=ngram_lengths,
                              keep_going=keep_going)
    return _responses.score(
        await self._call(self._connection.score, request, deadline))

  async def score_stream(
      self, model: str,
      batches: (Iterable[Sequence[Text] | Batch] |
                AsyncIterable[Sequence[Text] | Batch]), *,
      per_word: bool = False, include_end: bool = True,
      include_begin: bool = True, alternatives: int = 0, ranks: bool = False,
      ngram_lengths: bool = False, keep_going: bool = False,
      deadline: float | None = None) -> AsyncIterator[ScoreResponse]:
    """See Client.score_stream; a task iterates over the batches."""
    connection = self._connection
    backlog = AsyncBacklog(
        _score_requests(model, batches, per_word=per_word,
                        include_end=include_end, include_begin=include_begin,
                        alternatives=alternatives, ranks=ranks,
                        ngram_lengths=ngram_lengths, keep_going=keep_going))
    retry = connection.stream_retry(deadline)
    try:
      while True:
        call = connection.score_stream(
            backlog.attempt(), timeout=retry.timeout(),
            metadata=connection.metadata)
        try:
          async for message in call:
            backlog.answer()
            retry.answered()
            yield _responses.score(message)
          backlog.end()
          break
        except grpc.RpcError as error:
          pause = retry.pause(backlog.renumbered(connection.error(error)))
        finally:
          call.cancel()
        await self._pauses.wait(pause)
    finally:
      backlog.close()
    if backlog.failure is not None:
      raise backlog.failure

  async def predict(self, model: str, contexts: Sequence[Text], *,
                    k: int = 0, include_unknown: bool = True,
                    words: Sequence[str] = (), suffixes: Sequence[Text] = (),
                    prefix: str = "",
                    deadline: float | None = None) -> PredictResponse:
    """See Client.predict."""
    request = _requests.predict(model, contexts, k, include_unknown, words,
                                suffixes, prefix)
    return _responses.predict(
        await self._call(self._connection.predict, request, deadline))

  async def rerank(self, models: Sequence[str],
                   candidates: Sequence[Text | Candidate], *,
                   weights: Mapping[str, float] | None = None,
                   normalization: Normalization = Normalization.SUM,
                   alpha: float = 1.0, best: int = 0,
                   source: Text | None = None,
                   reverse_models: Sequence[str] = (),
                   minimum_bayes_risk: MinimumBayesRisk | None = None,
                   deadline: float | None = None) -> RerankResponse:
    """See Client.rerank."""
    request = _requests.rerank(models, candidates, weights or {},
                               normalization, alpha, best, source,
                               reverse_models, minimum_bayes_risk)
    return _responses.rerank(
        await self._call(self._connection.rerank, request, deadline))

  async def rerank_with(self, reranker: str,
                        candidates: Sequence[Text | Candidate], *,
                        best: int = 0, source: Text | None = None,
                        deadline: float | None = None) -> RerankResponse:
    """See Client.rerank_with."""
    request = _requests.rerank_with(reranker, candidates, best, source)
    return _responses.rerank(
        await self._call(self._connection.rerank, request, deadline))

  def generate(self, model: str, prompt: Text = "", *,
               source: Text | None = None, max_words: int = 0,
               temperature: float | None = None, top_k: int = 0,
               top_p: float | None = None,
               repetition_penalty: float | None = None,
               seed: int | None = None, stop_words: Sequence[str] = (),
               allow_unknown: bool = False,
               deadline: float | None = None) -> AsyncGeneration:
    """See Client.generate; use `async for` with the result."""
    request = _requests.generate(model, prompt, source, max_words, temperature,
                                 top_k, top_p, repetition_penalty, seed,
                                 stop_words, allow_unknown)
    return AsyncGeneration(self._connection, self._pauses, request, deadline)

  async def beam_search(self, model: str, prompt: Text = "", *,
                        source: Text | None = None, size: int = 5,
                        best: int = 1, length_alpha: float = 1.0,
                        coverage_beta: float = 0.0, max_words: int = 0,
                        allow_unknown: bool = False,
                        deadline: float | None = None) -> BeamSearchResponse:
    """See Client.beam_search."""
    request = _requests.beam_search(model, prompt, source, size, best,
                                    length_alpha, coverage_beta, max_words,
                                    allow_unknown)
    return _responses.beam_search(
        await self._call(_listed(self._connection.generate), request,
                         deadline))

  def decode(self, model: str, words: Sequence[str] = (), *,
             deadline: float | None = None) -> AsyncDecodeSession:
    """See Client.decode; use `async with` with the result."""
    return AsyncDecodeSession(self._connection, self._pauses, model, words,
                              deadline)

  async def inspect(self, model: str, text: Text = "", *,
                    source: Text | None = None, layers: Ids = (),
                    units: Ids = (), most_variable: int = 0,
                    quantities: Sequence[Quantity] = (),
                    attention: bool = False,
                    deadline: float | None = None) -> InspectResponse:
    """See Client.inspect."""
    request = _requests.inspect(model, text, source, layers, units,
                                most_variable, quantities, attention)
    return _responses.inspect(
        await self._call(self._connection.inspect, request, deadline))

  async def embed(self, model: str, texts: Sequence[Text], *,
                  pooling: Pooling = Pooling.MEAN, normalize: bool = False,
                  deadline: float | None = None) -> EmbedResponse:
    """See Client.embed."""
    request = _requests.embed(model, texts, pooling, normalize)
    return _responses.embed(
        await self._call(self._connection.embed, request, deadline))

  async def tag(self, model: str, sentences: Sequence[Text], *,
                alternatives: int = 0,
                deadline: float | None = None) -> TagResponse:
    """See Client.tag."""
    request = _requests.tag(model, sentences, alternatives)
    return _responses.tag(
        await self._call(self._connection.tag, request, deadline))

  async def classify(self, model: str, texts: Sequence[Text], *, best: int = 0,
                     deadline: float | None = None) -> ClassifyResponse:
    """See Client.classify."""
    request = _requests.classify(model, texts, best)
    return _responses.classify(
        await self._call(self._connection.classify, request, deadline))

  async def vocabulary(self, model: str, *,
                       deadline: float | None = None) -> Vocabulary:
    """See Client.vocabulary."""
    return _responses.vocabulary(
        await self._call(_listed(self._connection.vocabulary),
                         _requests.vocabulary(model), deadline))

  async def list_models(
      self, *, deadline: float | None = None) -> ListModelsResponse:
    """See Client.list_models."""
    pages: list[Any] = []
    token = ""
    while not pages or token:
      pages.append(await self._call(self._connection.list_models,
                                    _requests.list_models(token), deadline))
      token = _responses.next_page_token(pages[-1])
    return _responses.list_models(pages)

  async def get_model(self, model: str, *,
                      deadline: float | None = None) -> ModelInfo:
    """See Client.get_model."""
    return _responses.get_model(await self._call(
        self._connection.get_model, _requests.get_model(model), deadline))

  async def health(self, service: str = "", *,
                   deadline: float | None = None) -> bool:
    """See Client.health."""
    return _responses.health(await self._call(
        self._connection.health, _requests.health(service), deadline))

  async def _call(self, method: Any, request: Any,
                  deadline: float | None) -> Any:
    retry = self._connection.retry(deadline)
    while True:
      try:
        return await method(request, timeout=retry.timeout(),
                            metadata=self._connection.metadata)
      except grpc.RpcError as error:
        pause = retry.pause(self._connection.error(error))
      await self._pauses.wait(pause)


def _listed(method: Any) -> Any:
  """Wraps a streaming method so that it returns the list of all messages."""

  async def call(request: Any, **arguments: Any) -> list[Any]:
    return [message async for message in method(request, **arguments)]

  return call


def _score_requests(
    model: str,
    batches: (Iterable[Sequence[Text] | Batch] |
              AsyncIterable[Sequence[Text] | Batch]),
    **options: Any) -> Iterator[Any] | AsyncIterator[Any]:
  if isinstance(batches, AsyncIterable):
    return (_requests.score_batch(model, batch, **options)
            async for batch in batches)
  return (_requests.score_batch(model, batch, **options) for batch in batches)
