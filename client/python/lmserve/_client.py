# SPDX-License-Identifier: Apache-2.0
"""The blocking client."""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any

import grpc

from lmserve import _options, _requests, _responses
from lmserve._backlog import Backlog
from lmserve._connection import Connection, Settings
from lmserve._decode import DecodeSession
from lmserve._errors import LmserveError
from lmserve._retry import Pauses
from lmserve._types import (Batch, BeamSearchResponse, Candidate,
                            ClassifyResponse, EmbedResponse, GeneratedWord, Ids,
                            InspectResponse, ListModelsResponse,
                            MinimumBayesRisk, ModelInfo, Normalization, Pooling,
                            PredictResponse, Quantity, RerankResponse,
                            ScoreResponse, TagResponse, Text, Tls, Vocabulary)


class Generation(_responses.GenerationState, Iterator[GeneratedWord]):
  """An iterator over generated words, which yields each as soon as it arrives.

  Iterating raises LmserveError if the call fails.

  Attributes:
    model: The ModelVersion that generates; None before the first word.
    end: A GenerationEnd after the last word; None before.
  """

  def __init__(self, connection: Connection, pauses: Pauses, request: Any,
               deadline: float | None) -> None:
    """Only Client.generate creates one."""
    super().__init__()
    self._connection = connection
    self._pauses = pauses
    self._retry = connection.stream_retry(deadline)
    self._start = functools.partial(connection.generate, request,
                                    metadata=connection.metadata)
    self._has_begun = False
    self._cancelled = False
    self._call = self._start(timeout=self._retry.timeout())

  def __iter__(self) -> Generation:
    return self

  def __next__(self) -> GeneratedWord:
    while not self._cancelled:
      try:
        message = next(self._call)
      except grpc.RpcError as error:
        if self._cancelled:
          break
        self._try_again(self._connection.error(error))
        continue
      self._has_begun = True
      word = self._accept(message)
      if word is not None:
        return word
    raise StopIteration

  def cancel(self) -> None:
    """Cancels the call, which ends the iteration."""
    self._cancelled = True
    self._pauses.wake()
    self._call.cancel()

  def _try_again(self, error: LmserveError) -> None:
    """Starts the call again after a pause, or raises the error."""
    if self._has_begun:
      raise error
    self._pauses.wait(self._retry.pause(error), lambda: self._cancelled)
    if not self._cancelled:
      self._call = self._start(timeout=self._retry.timeout())
    if self._cancelled:  # by another thread, which may not know this call
      self._call.cancel()


class Client:
  """A connection to lm_server.

      with lmserve.Client("localhost:50051") as client:
        print(client.score("en", ["the cat is small ."]).scores[0].log_prob)

  `model` is NAME, NAME@VERSION or NAME@ALIAS. A Text is a str, which the model
  splits into words; a list of words; or a list of word ids.

  All methods raise LmserveError if the call fails, and TypeError or ValueError
  for a wrong argument before anything is sent.

  A call that finds the server UNAVAILABLE is tried again until its deadline,
  after pauses of 0.1 s, 0.2 s, ... 2 s, up to 20 % shorter or longer. So is a
  call that finds the server too busy, after the time that the server asks for
  (LmserveError.retry_after). Other errors are not retried. If the time is over,
  the last error of the server is raised. This is safe because calls are
  idempotent: to make one twice changes nothing.

  - generate is tried again until its first word, and decode until its start is
    answered.
  - score_stream continues on a new stream with the batches that are not yet
    answered.
  - Streams are tried again for up to `deadline` seconds without an answer, even
    if they have no stream_deadline.

  Any number of threads may use one client at the same time; their calls share
  its connection, which is opened by the first call.
  """

  def __init__(self, address: str = "localhost:50051", *,
               deadline: float = 10.0,
               stream_deadline: float | None = None,
               attempts: int = 0,
               message_bytes: int = 64 << 20,
               tls: Tls | None = None,
               token: str | None = None,
               health_service: str | None = None) -> None:
    """Creates a client without connecting yet.

    Args:
      address: HOST:PORT, [IPV6]:PORT or unix:PATH of the server, for one
        connection; or dns:///HOST:PORT or ipv4:ADDRESS:PORT,..., which spreads
        calls over all addresses of the name or of the list (round robin).
      deadline: Time limit of a call in seconds, all its attempts together, and
        of the attempts to begin or continue a stream. math.inf: no limit.
      stream_deadline: Time limit of a whole stream in seconds. None: no limit.
      attempts: How many attempts in a row may fail until the error is raised;
        1: nothing is retried. 0: as many as the deadline allows.
      message_bytes: The size of the largest message, sent or received.
      tls: How to encrypt the connection. None: not encrypted.
      token: Sent with each call as "authorization: Bearer TOKEN". Without TLS,
        the network can read it.
      health_service: The name of a model, or of another service that the
        health of the server knows. Calls then go only to those addresses that
        report it as SERVING, and wait, until their deadline, if none does.
        None: to all addresses.

    Raises:
      ValueError: The address has no port, or a limit is not positive.
    """
    self._connection = Connection(grpc, Settings(
        address, deadline, stream_deadline, attempts, message_bytes, tls,
        token, health_service))
    self._pauses = Pauses(self._connection.channel)

  def with_options(self, *, deadline: float | None = None,
                   stream_deadline: float | None = None,
                   metadata: (Mapping[str, str] |
                              Iterable[tuple[str, str]]) = (),
                   priority: str | None = None) -> Client:
    """Returns a client with other options that shares the connection.

        client.with_options(priority="bulk", deadline=60).score(...)

    It costs a microsecond, so it can be made for a single call. close closes
    the connection of both clients, so close only one of them, at the end.

    Args:
      deadline: Replaces the deadline. None: the same.
      stream_deadline: Replaces the stream_deadline. None: the same. math.inf:
        no limit.
      metadata: Sent with each call, such as {"x-request-id": "7"}: a mapping or
        pairs of names and values. Replaces metadata of the same names and is
        added to all other metadata of this client.
      priority: "interactive" or "bulk". The server computes interactive work
        first. None: the same; at first, score_stream is bulk and all other
        calls are interactive.

    Raises:
      ValueError: A name or value of the metadata, or the priority, is not
        valid.
    """
    other = copy.copy(self)
    other._connection = self._connection.with_options(  # pylint: disable=protected-access
        deadline, stream_deadline, _options.metadata(metadata, priority))
    return other

  def close(self) -> None:
    """Closes the connection and cancels running calls."""
    self._pauses.close()
    self._connection.channel.close()

  def __enter__(self) -> Client:
    return self

  def __exit__(self, kind: type[BaseException] | None,
               error: BaseException | None,
               traceback: TracebackType | None) -> None:
    self.close()

  def score(self, model: str, texts: Sequence[Text], *,
            sources: Sequence[Text] = (), per_word: bool = False,
            include_end: bool = True, include_begin: bool = True,
            alternatives: int = 0, ranks: bool = False,
            ngram_lengths: bool = False, keep_going: bool = False,
            deadline: float | None = None) -> ScoreResponse:
    """Computes the log-probabilities of texts.

    Args:
      model: The model.
      texts: At least one text. Of an empty text only </s> is scored, if at all.
      sources: The source texts, for a translation model only: one for each
        text, or a single one for all.
      per_word: Whether to fill TextScore.words.
      include_end: Whether to score </s>. False: the texts are unfinished; not
        for bidirectional models, which never score it.
      include_begin: Whether the texts are read after <s>. False: the first word
        of each is scored without context; only for n-gram models and mixtures
        of them.
      alternatives: How many of the most probable words in the place of each
        word to return, in WordScores.alternatives.
      ranks: Whether to fill WordScores.ranks and WordScores.entropies.
      ngram_lengths: Whether to fill WordScores.ngram_lengths; only for n-gram
        models.
      keep_going: Whether a text that breaks a rule fails alone, with
        TextScore.failed. False: the call raises LmserveError.
      deadline: Time limit in seconds. None: the client's deadline.

    Returns:
      A ScoreResponse with a TextScore for each text.
    """
    request = _requests.score(model, texts, sources, per_word=per_word,
                              include_end=include_end,
                              include_begin=include_begin,
                              alternatives=alternatives, ranks=ranks,
                              ngram_lengths=ngram_lengths,
                              keep_going=keep_going)
    return _responses.score(
        self._call(self._connection.score, request, deadline))

  def score_stream(self, model: str,
                   batches: Iterable[Sequence[Text] | Batch], *,
                   per_word: bool = False, include_end: bool = True,
                   include_begin: bool = True, alternatives: int = 0,
                   ranks: bool = False, ngram_lengths: bool = False,
                   keep_going: bool = False,
                   deadline: float | None = None) -> Iterator[ScoreResponse]:
    """Scores a corpus that is too long for one message.

    Args:
      model: The model.
      batches: Lists of texts or, for a translation model, Batches of texts and
        sources. Another thread iterates over them, ahead of the responses. If
        the iteration raises an exception, score_stream raises it after the
        responses to the batches before it.
      per_word: Whether to fill TextScore.words.
      include_end: Whether to score </s>; see score.
      include_begin: Whether the texts are read after <s>; see score.
      alternatives: How many alternatives of each word to return; see score.
      ranks: Whether to return ranks and entropies; see score.
      ngram_lengths: Whether to return lengths of n-grams; see score.
      keep_going: Whether a text may fail alone; see score.
      deadline: Time limit of the stream in seconds. None: the client's
        stream_deadline.

    Yields:
      A ScoreResponse for each batch, in order.

    Raises:
      LmserveError: The server failed. If it rejected a batch, the message
        begins with "request N:", where N counts batches from 0.
    """
    connection = self._connection
    backlog = Backlog(
        _requests.score_batch(model, batch, per_word=per_word,
                              include_end=include_end,
                              include_begin=include_begin,
                              alternatives=alternatives, ranks=ranks,
                              ngram_lengths=ngram_lengths,
                              keep_going=keep_going)
        for batch in batches)
    retry = connection.stream_retry(deadline)
    while True:
      call = connection.score_stream(
          backlog.attempt(), timeout=retry.timeout(),
          metadata=connection.metadata)
      try:
        for message in call:
          backlog.answer()
          retry.answered()
          yield _responses.score(message)
        backlog.end()
        break
      except grpc.RpcError as error:
        pause = retry.pause(backlog.renumbered(connection.error(error)))
      finally:
        call.cancel()
      self._pauses.wait(pause)
    if backlog.failure is not None:
      raise backlog.failure

  def predict(self, model: str, contexts: Sequence[Text], *,
              k: int = 0, include_unknown: bool = True,
              words: Sequence[str] = (), suffixes: Sequence[Text] = (),
              prefix: str = "",
              deadline: float | None = None) -> PredictResponse:
    """Predicts the next words of contexts.

    Args:
      model: The model; not a translation model.
      contexts: At least one context; an empty one is the start of a sentence.
        For a bidirectional model, the words before the predicted one.
      k: The number of words to return, the most probable ones; 0 means 10, or
        the whole vocabulary if it is smaller.
      include_unknown: Whether <unk> may be among the k words.
      words: If not empty, return the probabilities of these words instead and
        ignore k.
      suffixes: The words after the predicted one, for a bidirectional model
        only: one text for each context. Empty: all suffixes are empty.
      prefix: Return only words that begin with these letters; not together
        with `words`.
      deadline: Time limit in seconds. None: the client's deadline.

    Returns:
      A PredictResponse with a NextWords for each context.
    """
    request = _requests.predict(model, contexts, k, include_unknown, words,
                                suffixes, prefix)
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
    """Ranks candidates by a log-linear combination of features.

    Args:
      models: Models that score the candidates. Each model NAME adds four
        features to a candidate: its log-probability, NAME; the number of its
        unknown words, NAME.unknown; the number of its words, NAME.words; and
        ln P(</s>), NAME.end.
      candidates: At least one: a text, or a Candidate with features of its own.
      weights: The weights by feature name; other features have weight 0. None:
        the log-probability of each model has weight 1.
      normalization: How the log-probabilities of the models are normalized.
      alpha: The exponent of Normalization.POWER.
      best: The number of candidates to return; 0 means all.
      source: The source text that the candidates translate, if there are
        translation models. Their features are computed given the source.
      reverse_models: Translation models from the language of the candidates
        into that of the source. Each adds one feature, its name:
        ln P(source | candidate).
      minimum_bayes_risk: Rank by the similarity to all candidates. None: rank
        by score.
      deadline: Time limit in seconds. None: the client's deadline.

    Returns:
      A RerankResponse with the candidates, best first.
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
    """Ranks candidates with a reranker of the model store.

    The reranker defines the models, the weights and the other arguments of
    rerank; get_model(reranker).reranker describes them.

    Args:
      reranker: NAME, NAME@VERSION or NAME@ALIAS.
      candidates: At least one: a text, or a Candidate. A Candidate must have
        all features that the reranker has weights for, except those of its
        members.
      best: The number of candidates to return; 0 means all.
      source: The source text that the candidates translate; only for rerankers
        that have translation models.
      deadline: Time limit in seconds. None: the client's deadline.

    Returns:
      A RerankResponse with the candidates, best first.
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
    """Generates a text that continues a prompt, word by word.

    Args:
      model: The model; not a bidirectional one.
      prompt: The beginning of the text. Empty: a new sentence.
      source: The text to translate, for a translation model only.
      max_words: The maximum number of words; 0 means 100.
      temperature: Above 1 makes rare words more likely, below 1 less likely; 0
        always takes the most probable word. None: 1.
      top_k: Sample from the k most probable words only; 0 means all.
      top_p: Sample only from the fewest words with at least this total
        probability. None: 1.
      repetition_penalty: Divides the odds of words that the text already has.
        None: 1.
      seed: The seed of the sampling; the same seed gives the same text. None: a
        random one.
      stop_words: The text ends before any of these words.
      allow_unknown: Whether the text may have <unk>.
      deadline: Time limit of the stream in seconds. None: the client's
        stream_deadline.

    Returns:
      A Generation, which iterates over the words.
    """
    request = _requests.generate(model, prompt, source, max_words, temperature,
                                 top_k, top_p, repetition_penalty, seed,
                                 stop_words, allow_unknown)
    return Generation(self._connection, self._pauses, request, deadline)

  def beam_search(self, model: str, prompt: Text = "", *,
                  source: Text | None = None, size: int = 5, best: int = 1,
                  length_alpha: float = 1.0, coverage_beta: float = 0.0,
                  max_words: int = 0,
                  allow_unknown: bool = False,
                  deadline: float | None = None) -> BeamSearchResponse:
    """Searches for the most probable texts, or translations of a source text.

        found = client.beam_search("de-en", source="ein hund läuft")
        print(found.hypotheses[0].text)

    Args:
      model: The model; not a bidirectional one.
      prompt: The beginning of the text; the hypotheses do not repeat it.
      source: The text to translate, for a translation model only.
      size: The beam size: how many hypotheses each step keeps.
      best: The number of hypotheses to return, at most `size`.
      length_alpha: Rank by ln P / n^length_alpha, where n is the number of
        words, </s> included; 0 ranks by ln P.
      coverage_beta: The weight of the penalty for words of the source that the
        translation leaves out; for models with attention. 0: no penalty.
      max_words: The maximum number of words; 0 means 100.
      allow_unknown: Whether the texts may have <unk>.
      deadline: Time limit in seconds. None: the client's deadline.

    Returns:
      A BeamSearchResponse with the hypotheses, best first.
    """
    request = _requests.beam_search(model, prompt, source, size, best,
                                    length_alpha, coverage_beta, max_words,
                                    allow_unknown)
    return _responses.beam_search(
        self._call(_listed(self._connection.generate), request, deadline))

  def decode(self, model: str, words: Sequence[str] = (), *,
             deadline: float | None = None) -> DecodeSession:
    """Opens a session for a decoder; the server keeps its states.

        with client.decode("en", words=["the", "cat"]) as session:
          first = session.extend([session.start.handle], session.start.ids[:1])

    Args:
      model: The model; neither a bidirectional nor a translation model.
      words: Words whose ids the decoder needs; session.start has them.
      deadline: Time limit of the stream in seconds. None: the client's
        stream_deadline.

    Returns:
      A DecodeSession for a `with` block.
    """
    return DecodeSession(self._connection, self._pauses, model, words,
                         deadline)

  def inspect(self, model: str, text: Text = "", *,
              source: Text | None = None, layers: Ids = (), units: Ids = (),
              most_variable: int = 0, quantities: Sequence[Quantity] = (),
              attention: bool = False,
              deadline: float | None = None) -> InspectResponse:
    """Returns the gates and states of a recurrent model while it reads a text.

        response = client.inspect("lstm", "the cat is small", most_variable=8)
        response.layers[-1][lmserve.Quantity.HIDDEN]  # (words, units)

    Args:
      model: A recurrent, bidirectional or translation model.
      text: What the model reads; for a translation model, the translation.
      source: What the text translates, for a translation model only.
      layers: The layers to return, from 0 in the order of the computation.
        Empty: all.
      units: The units of each layer to return, from 0. Empty: all, or
        `most_variable`.
      most_variable: Return this many units of each layer, those whose hidden
        state has the largest variance over the words. 0: those in `units`.
      quantities: The quantities to return. Empty: all that the model has.
      attention: Whether to return the attention of a translation model.
      deadline: Time limit in seconds. None: the client's deadline.

    Returns:
      An InspectResponse with an InspectedLayer for each layer.
    """
    request = _requests.inspect(model, text, source, layers, units,
                                most_variable, quantities, attention)
    return _responses.inspect(
        self._call(self._connection.inspect, request, deadline))

  def embed(self, model: str, texts: Sequence[Text], *,
            pooling: Pooling = Pooling.MEAN, normalize: bool = False,
            deadline: float | None = None) -> EmbedResponse:
    """Returns a vector for each text, made of the states of a recurrent model.

        vectors = client.embed("lstm", texts, normalize=True).vectors
        similarities = vectors @ vectors.T  # cosines, with NumPy

    Args:
      model: A recurrent, bidirectional or translation model, a tagger or a
        classifier. A translation model embeds source texts.
      texts: At least one text; each may be empty.
      pooling: How the states at the words become one vector.
      normalize: Whether to divide each vector by its Euclidean norm.
      deadline: Time limit in seconds. None: the client's deadline.

    Returns:
      An EmbedResponse with an array of vectors.
    """
    request = _requests.embed(model, texts, pooling, normalize)
    return _responses.embed(
        self._call(self._connection.embed, request, deadline))

  def tag(self, model: str, sentences: Sequence[Text], *,
          alternatives: int = 0, deadline: float | None = None) -> TagResponse:
    """Labels the words of sentences.

        sentence, = client.tag("pos", ["the cat is small"]).sentences
        list(zip(sentence.words, sentence.labels))

    Args:
      model: A tagger.
      sentences: At least one sentence; each may be empty.
      alternatives: How many of the most probable labels of each word to return,
        in TaggedSentence.alternatives.
      deadline: Time limit in seconds. None: the client's deadline.

    Returns:
      A TagResponse with a TaggedSentence for each sentence.
    """
    request = _requests.tag(model, sentences, alternatives)
    return _responses.tag(self._call(self._connection.tag, request, deadline))

  def classify(self, model: str, texts: Sequence[Text], *, best: int = 0,
               deadline: float | None = None) -> ClassifyResponse:
    """Labels texts.

        text, = client.classify("tone", ["the cat is small"]).texts
        text.labels[0], math.exp(text.log_probs[0])

    Args:
      model: A classifier.
      texts: At least one text; each may be empty.
      best: The number of labels to return for each text, the most probable
        ones; 0 means all.
      deadline: Time limit in seconds. None: the client's deadline.

    Returns:
      A ClassifyResponse with a ClassifiedText for each text.
    """
    request = _requests.classify(model, texts, best)
    return _responses.classify(
        self._call(self._connection.classify, request, deadline))

  def vocabulary(self, model: str, *,
                 deadline: float | None = None) -> Vocabulary:
    """Returns all words of a model.

        vocabulary = client.vocabulary("en")
        assert vocabulary[vocabulary.find("cat")] == "cat"

    Args:
      model: The model; not a reranker.
      deadline: Time limit in seconds. None: the client's deadline.

    Returns:
      A Vocabulary, which is a sequence of words by id.
    """
    return _responses.vocabulary(
        self._call(_listed(self._connection.vocabulary),
                   _requests.vocabulary(model), deadline))

  def list_models(self, *, deadline: float | None = None) -> ListModelsResponse:
    """Lists the versions that the server has, refused, loads or waits for."""
    pages: list[Any] = []
    token = ""
    while not pages or token:
      pages.append(self._call(self._connection.list_models,
                              _requests.list_models(token), deadline))
      token = _responses.next_page_token(pages[-1])
    return _responses.list_models(pages)

  def get_model(self, model: str, *,
                deadline: float | None = None) -> ModelInfo:
    """Describes one model or reranker."""
    return _responses.get_model(self._call(
        self._connection.get_model, _requests.get_model(model), deadline))

  def health(self, service: str = "", *,
             deadline: float | None = None) -> bool:
    """Returns whether the server ("") or the model of this name is serving.

    Raises:
      LmserveError: NOT_FOUND if there is no such model.
    """
    return _responses.health(self._call(
        self._connection.health, _requests.health(service), deadline))

  def _call(self, method: Any, request: Any, deadline: float | None) -> Any:
    retry = self._connection.retry(deadline)
    while True:
      try:
        return method(request, timeout=retry.timeout(),
                      metadata=self._connection.metadata)
      except grpc.RpcError as error:
        pause = retry.pause(self._connection.error(error))
      self._pauses.wait(pause)


def _listed(method: Any) -> Any:
  """Wraps a streaming method so that it returns the list of all messages."""

  def call(request: Any, **arguments: Any) -> list[Any]:
    return list(method(request, **arguments))

  return call
