"""The client that blocks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any

import grpc

from lmserve import _requests, _responses
from lmserve._connection import Connection, Settings
from lmserve._decode import DecodeSession
from lmserve._errors import from_rpc_error
from lmserve._types import (Batch, BeamSearchResponse, Candidate,
                            GeneratedWord, ListModelsResponse,
                            MinimumBayesRisk, ModelInfo, Normalization,
                            PredictResponse, RerankResponse, ScoreResponse,
                            Text, Tls)


class Generation(_responses.GenerationState, Iterator[GeneratedWord]):
  """An iterator of generated words, as they come.

  Attributes:
    model: who generates, a ModelVersion; None before the first word.
    end: a GenerationEnd, once there are no more words; None before.
  """

  def __init__(self, call: Any) -> None:
    """Made by Client.generate."""
    super().__init__()
    self._call = call
    self._cancelled = False

  def __iter__(self) -> Generation:
    return self

  def __next__(self) -> GeneratedWord:
    while not self._cancelled:
      try:
        message = next(self._call)
      except grpc.RpcError as error:
        if self._cancelled:
          break
        raise from_rpc_error(error) from error
      word = self._accept(message)
      if word is not None:
        return word
    raise StopIteration

  def cancel(self) -> None:
    """Lets the server stop; the iteration ends."""
    self._cancelled = True
    self._call.cancel()


class Client:
  """A connection to lm_server.

      with lmserve.Client("localhost:50051") as client:
        print(client.score("en", ["the cat is small ."]).scores[0].log_prob)

  `model` is NAME, NAME@VERSION or NAME@ALIAS. A Text is a str, which the model
  splits into words, a list of words or a list of ids of the vocabulary.

  What fails at the server, or on the way, raises LmserveError, with the
  server's own message; a wrong argument TypeError or ValueError, before
  anything is sent.

  Meant to be shared: any number of threads may use one, and their calls share
  its connection, which is made at the first call.
  """

  def __init__(self, address: str = "localhost:50051", *,
               deadline: float = 10.0,
               stream_deadline: float | None = None,
               attempts: int = 4,
               message_bytes: int = 64 << 20,
               tls: Tls | None = None,
               token: str | None = None) -> None:
    """Connects when it is first used.

    Args:
      address: HOST:PORT or unix:PATH.
      deadline: seconds of a call, all its attempts together.
      stream_deadline: seconds of a stream as a whole; None for no end.
      attempts: how often a call is tried while the server is UNAVAILABLE, with
        pauses of about 0.1 s, 0.2 s, ... between; 1 to 5. A stream and
        beam_search, whose answer is one, are tried once, but by AsyncClient.
      message_bytes: the longest message, in either direction.
      tls: how to encrypt; None for not at all.
      token: sent with each call as "authorization: Bearer TOKEN". Without TLS,
        whoever is on the way can read it.
    """
    self._connection = Connection(grpc, Settings(
        address, deadline, stream_deadline, attempts, message_bytes, tls,
        token))

  def close(self) -> None:
    """Closes the connection; running calls are cancelled."""
    self._connection.channel.close()

  def __enter__(self) -> Client:
    return self

  def __exit__(self, kind: type[BaseException] | None,
               error: BaseException | None,
               traceback: TracebackType | None) -> None:
    self.close()

  def score(self, model: str, texts: Sequence[Text], *,
            sources: Sequence[Text] = (), per_word: bool = False,
            no_end: bool = False,
            deadline: float | None = None) -> ScoreResponse:
    """Tells how probable texts are.

    Args:
      model: which model.
      texts: at least one; none may be empty.
      sources: of a translation model, and no other: what the texts translate,
        one for all of them or one a text.
      per_word: fill TextScore.words.
      no_end: the texts are unfinished: do not predict </s>. Not of a
        bidirectional model.
      deadline: in seconds, of this call; None for the client's.
    """
    request = _requests.score(model, texts, sources, per_word, no_end)
    return _responses.score(
        self._call(self._connection.score, request, deadline))

  def score_stream(self, model: str,
                   batches: Iterable[Sequence[Text] | Batch], *,
                   per_word: bool = False, no_end: bool = False,
                   deadline: float | None = None) -> Iterator[ScoreResponse]:
    """Scores a corpus too long for a message.

    A batch is texts or, for a translation model, a Batch with their sources.
    Yields a response a batch, in order, as they come. Batches are taken ahead
    of the responses, on another thread. What they raise is raised here, after
    the responses to the batches before. An error of the server ends the
    stream; its message begins with "request N:", N from 0.
    """
    failure: list[Exception] = []

    def requests() -> Iterator[Any]:
      try:
        for batch in batches:
          yield _requests.score_batch(model, batch, per_word, no_end)
      except Exception as error:  # pylint: disable=broad-except
        failure.append(error)

    call = self._connection.score_stream(
        requests(), **self._connection.stream(deadline))
    try:
      for message in call:
        yield _responses.score(message)
    except grpc.RpcError as error:
      raise from_rpc_error(error) from error
    finally:
      call.cancel()
    if failure:
      raise failure[0]

  def predict(self, model: str, contexts: Sequence[Text], *,
              k: int = 0, exclude_unknown: bool = False,
              words: Sequence[str] = (), suffixes: Sequence[Text] = (),
              deadline: float | None = None) -> PredictResponse:
    """Tells the likeliest next words, or how likely given ones are.

    Args:
      model: which model; not a translation model.
      contexts: at least one; an empty one is the start of a sentence. Of a
        bidirectional model, the words before a gap.
      k: how many next words; 0 stands for 10, or all there are.
      exclude_unknown: leave <unk> out of the best words.
      words: not empty: rate these words; k is not read.
      suffixes: of a bidirectional model: the words after the gap, one text a
        context; no text at all stands for empty ones.
      deadline: in seconds, of this call; None for the client's.
    """
    request = _requests.predict(model, contexts, k, exclude_unknown, words,
                                suffixes)
    return _responses.predict(
        self._call(self._connection.predict, request, deadline))

  def rerank(self, models: Sequence[str],
             candidates: Sequence[Text | Candidate], *,
             weights: Mapping[str, float] | None = None,
             normalization: Normalization = Normalization.SUM,
             alpha: float = 1.0, best: int = 0,
             source: Text | None = None, reverse_models: Sequence[str] = (),
             minimum_bayes_risk: MinimumBayesRisk | None = None,
             deadline: float | None = None) -> RerankResponse:
    """Orders candidates by a log-linear combination of features.

    Args:
      models: each adds four features: its log-probability under its name, its
        unknown words under NAME.unknown, its words under NAME.words, and
        ln P(</s>) under NAME.end.
      candidates: at least one; texts, or Candidates with features of their
        own.
      weights: by feature name; a feature without one has weight 0. None: the
        models' log-probabilities have weight 1 each.
      normalization: of the models' log-probabilities.
      alpha: of Normalization.POWER.
      best: how many to return; 0 stands for all.
      source: what the candidates translate, where translation models are among
        the models, whose features are then given the source.
      reverse_models: translation models the other way; each adds one feature,
        under its name: ln P(source | candidate).
      minimum_bayes_risk: rank by how much a candidate is like all of them;
        None: by the score.
      deadline: in seconds, of this call; None for the client's.
    """
    request = _requests.rerank(models, candidates, weights or {},
                               normalization, alpha, best, source,
                               reverse_models, minimum_bayes_risk)
    return _responses.rerank(
        self._call(self._connection.rerank, request, deadline))

  def rerank_with(self, reranker: str,
                  candidates: Sequence[Text | Candidate], *,
                  best: int = 0, source: Text | None = None,
                  deadline: float | None = None) -> RerankResponse:
    """Orders candidates as a reranker of the model store does.

    It brings the models, the weights and all else that rerank is told;
    get_model(reranker).reranker says what.

    Args:
      reranker: NAME, NAME@VERSION or NAME@ALIAS, as of a model.
      candidates: at least one; texts, or Candidates with all features of their
        own that the reranker has weights for.
      best: how many to return; 0 stands for all.
      source: what the candidates translate, where translation models are among
        the reranker's members, and only there.
      deadline: in seconds, of this call; None for the client's.
    """
    request = _requests.rerank_with(reranker, candidates, best, source)
    return _responses.rerank(
        self._call(self._connection.rerank, request, deadline))

  def generate(self, model: str, prompt: Text = "", *,
               source: Text | None = None, max_words: int = 0,
               temperature: float | None = None, top_k: int = 0,
               top_p: float | None = None,
               repetition_penalty: float | None = None,
               seed: int | None = None, stop_words: Sequence[str] = (),
               allow_unknown: bool = False,
               deadline: float | None = None) -> Generation:
    """Writes on from a prompt.

    Args:
      model: which model; not a bidirectional one.
      prompt: empty: starts a sentence.
      source: what a translation model, and no other, is to translate.
      max_words: how many at most; 0 stands for 100.
      temperature: None for 1; 0 takes the best word.
      top_k: of the k best words only; 0 stands for all.
      top_p: of the fewest words of that mass; None for 1.
      repetition_penalty: divides the odds of used words; None for 1.
      seed: the same seed, the same words; None for one that is drawn.
      stop_words: end the text before such a word.
      allow_unknown: <unk> may be drawn.
      deadline: in seconds, of the whole; None for the client's for streams.
    """
    request = _requests.generate(model, prompt, source, max_words, temperature,
                                 top_k, top_p, repetition_penalty, seed,
                                 stop_words, allow_unknown)
    return Generation(self._connection.generate(
        request, **self._connection.stream(deadline)))

  def beam_search(self, model: str, prompt: Text = "", *,
                  source: Text | None = None, size: int = 5, best: int = 1,
                  length_alpha: float = 1.0, coverage_beta: float = 0.0,
                  max_words: int = 0,
                  allow_unknown: bool = False,
                  deadline: float | None = None) -> BeamSearchResponse:
    """Looks for the likeliest texts; of a translation model, translations.

        found = client.beam_search("de-en", source="ein hund läuft")
        print(found.hypotheses[0].text)

    Args:
      model: which model; not a bidirectional one.
      prompt: how the text begins; the hypotheses do not repeat it.
      source: what a translation model, and no other, is to translate.
      size: hypotheses that are followed.
      best: how many to return, at most size.
      length_alpha: ranks by ln P / n^length_alpha, n the words with </s>; 0:
        by ln P.
      coverage_beta: of a model with attention, how much less what leaves out
        words of the source is worth; 0: no less.
      max_words: cut off after so many; 0 stands for 100.
      allow_unknown: <unk> may be among the words.
      deadline: in seconds, of this call; None for the client's.
    """
    request = _requests.beam_search(model, prompt, source, size, best,
                                    length_alpha, coverage_beta, max_words,
                                    allow_unknown)
    return _responses.beam_search(
        self._call(_only(self._connection.generate), request, deadline))

  def decode(self, model: str, words: Sequence[str] = (), *,
             deadline: float | None = None) -> DecodeSession:
    """Opens a session for a decoder, which keeps its states in the server.

        with client.decode("en", words=["the", "cat"]) as session:
          first = session.extend([session.start.handle], session.start.ids[:1])

    Args:
      model: which model; neither a bidirectional one nor one for translation.
      words: whose ids the decoder would know; they come in session.start.
      deadline: in seconds, of the whole; None for the client's for streams.
    """
    return DecodeSession(self._connection, model, words, deadline)

  def list_models(self, *, deadline: float | None = None) -> ListModelsResponse:
    """Tells what the server has, what it refused, and what it is loading."""
    return _responses.list_models(self._call(
        self._connection.list_models, _requests.list_models(), deadline))

  def get_model(self, model: str, *,
                deadline: float | None = None) -> ModelInfo:
    """Tells about one model or reranker."""
    return _responses.get_model(self._call(
        self._connection.get_model, _requests.get_model(model), deadline))

  def health(self, service: str = "", *,
             deadline: float | None = None) -> bool:
    """Whether the server, or the model of that name, is serving."""
    return _responses.health(self._call(
        self._connection.health, _requests.health(service), deadline))

  def _call(self, method: Any, request: Any, deadline: float | None) -> Any:
    try:
      return method(request, **self._connection.call(deadline))
    except grpc.RpcError as error:
      raise from_rpc_error(error) from error


def _only(method: Any) -> Any:
  """Of a method that streams its answers, one that returns the only answer."""

  def call(request: Any, **arguments: Any) -> Any:
    message, = method(request, **arguments)
    return message

  return call
