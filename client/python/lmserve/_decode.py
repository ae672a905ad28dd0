# SPDX-License-Identifier: Apache-2.0
"""The blocking decode session."""

from __future__ import annotations

import collections
import functools
import queue
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Generic, TypeVar

import grpc

from lmserve import _requests, _responses
from lmserve._connection import Connection
from lmserve._errors import LmserveError
from lmserve._retry import Pauses
from lmserve._types import DecodedBest, DecodeExtended, DecodeStarted, Ids

T = TypeVar("T")

_NOT_OPEN = "the session is not open: use it in a `with` block"


class Pending(Generic[T]):
  """The result of a step that was sent and may not be answered yet."""

  def __init__(self, session: DecodeSession,
               convert: Callable[[Any], T]) -> None:
    """Only the methods ..._later of DecodeSession create one."""
    self._session = session
    self._convert = convert
    self._results: list[T] = []
    self._failure: LmserveError | None = None

  def result(self) -> T:
    """Waits until this step and all earlier ones are answered.

    Raises:
      LmserveError: This step failed, or the session has ended.
    """
    while not self._results:
      if self._failure is not None:
        self._session._unseen.pop(self, None)  # pylint: disable=protected-access
        raise self._failure
      self._session._receive()  # pylint: disable=protected-access
    return self._results[0]

  def _accept(self, message: Any) -> LmserveError | None:
    """Keeps the result of the step, or returns why it failed."""
    self._failure = _responses.decode_failed(message)
    if self._failure is None:
      self._results.append(self._convert(message))
    return self._failure


class DecodeSession:
  """A session in which the server keeps the states of a decoder's hypotheses.

      with client.decode("en", words=["the", "cat"]) as session:
        the, cat = session.start.ids
        first = session.extend([session.start.handle] * 2, [the, cat])
        rows = session.best(first.handles, k=3)
        session.release(first.handles)

  A handle stands for a state. It has one reference when the server returns it;
  the server drops the state when the last reference is released, and all states
  at the end of the session. It then uses the number of the handle for another
  state, so a step with a handle that was released may succeed for a wrong
  hypothesis. A step retains its `retain` before it does anything else, and
  releases its `release` after everything else, which is the cheapest way to
  release handles: `release` waits for an answer of its own.

  The server ends a session without a message for ten minutes with CANCELLED, and
  a server that shuts down ends it with UNAVAILABLE.

  A step that fails raises LmserveError and changes nothing; the session
  continues. The step has a handle or word that does not exist, or more of them
  than a limit of `start` allows, or the server is too busy for it; then
  `retry_after` of the error says when the step may succeed. A step of more than
  `start.most_message_bytes` is not even sent. Any other error, such as
  UNAVAILABLE, ends the session.

  `extend_later`, `best_later` and `release_later` send their steps without
  waiting, so that the server can work while answers are on their way. The
  server does these steps even if one before them has failed. Leaving the `with`
  block waits for their answers, and raises the first failure that no `result()`
  has raised. An exception that leaves the block ends the session at once.

  Not thread-safe.
  """

  def __init__(self, connection: Connection, pauses: Pauses, model: str,
               words: Sequence[str], deadline: float | None) -> None:
    """Only Client.decode creates one."""
    self._connection = connection
    self._pauses = pauses
    self._first = _requests.decode_start(model, words)
    self._deadline = deadline
    self._call: Any = None
    self._requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
    self._pending: collections.deque[Pending[Any]] = collections.deque()
    # The failures that no Pending.result() has raised, oldest first.
    self._unseen: dict[Pending[Any], LmserveError] = {}
    self._failure: LmserveError | None = None
    self._is_open = False
    self._start: DecodeStarted | None = None

  @property
  def start(self) -> DecodeStarted:
    """The facts about the model, inside the `with` block."""
    if self._start is None:
      raise ValueError(_NOT_OPEN)
    return self._start

  def __enter__(self) -> DecodeSession:
    if self._call is not None:
      raise ValueError("a session can be used in one `with` block only")
    retry = self._connection.stream_retry(self._deadline)
    while True:
      try:
        self._open(retry.timeout())
        return self
      except LmserveError as error:
        pause = retry.pause(error)
      self._pauses.wait(pause)

  def __exit__(self, kind: type[BaseException] | None,
               error: BaseException | None,
               traceback: TracebackType | None) -> None:
    self._close(at_once=error is not None)
    if error is None:
      for failure in self._unseen.values():
        raise failure

  def extend(self, handles: Ids, words: Ids, *, scores_only: bool = False,
             retain: Ids = (), release: Ids = ()) -> DecodeExtended:
    """Extends states by a word each, and returns the new states.

    Args:
      handles: The handles of the states; a handle may occur several times.
      words: The id of a word for each handle; not the id of <s>.
      scores_only: Whether to return only the scores, and no new states.
      retain: Handles that get one more reference, before the step.
      release: Handles that lose one reference, after the step.

    Returns:
      A DecodeExtended with the scores and the new handles.
    """
    return self.extend_later(handles, words, scores_only=scores_only,
                             retain=retain, release=release).result()

  def extend_later(self, handles: Ids, words: Ids, *,
                   scores_only: bool = False, retain: Ids = (),
                   release: Ids = ()) -> Pending[DecodeExtended]:
    """Sends the step of extend without waiting for its result."""
    request = _requests.decode_extend(handles, words, scores_only, retain,
                                      release)
    return self._send(request, _responses.decode_extended)

  def best(self, handles: Ids, k: int = 0, *, words: bool = False,
           retain: Ids = (), release: Ids = ()) -> DecodedBest:
    """Returns the k most probable next words of each state.

    Args:
      handles: The handles of the states.
      k: The number of words; 0 means 10.
      words: Whether to fill DecodedBest.words.
      retain: Handles that get one more reference, before the step.
      release: Handles that lose one reference, after the step.

    Returns:
      A DecodedBest, which is a sequence with a BestWords for each handle.
    """
    return self.best_later(handles, k, words=words, retain=retain,
                           release=release).result()

  def best_later(self, handles: Ids, k: int = 0, *, words: bool = False,
                 retain: Ids = (), release: Ids = ()) -> Pending[DecodedBest]:
    """Sends the step of best without waiting for its result."""
    request = _requests.decode_best(handles, k, words, retain, release)
    return self._send(request, functools.partial(
        _responses.decoded_best, len(request.best.handles)))

  def retain(self, handles: Ids) -> None:
    """Adds a reference to each handle."""
    request = _requests.decode_references(handles, ())
    self._send(request, _responses.nothing).result()

  def release(self, handles: Ids) -> None:
    """Releases a reference of each handle."""
    self.release_later(handles).result()

  def release_later(self, handles: Ids) -> Pending[None]:
    """Sends the step of release without waiting for its answer."""
    return self._send(_requests.decode_references((), handles),
                      _responses.nothing)

  def _open(self, timeout: float | None) -> None:
    """Starts a stream and waits until its start is answered."""
    self._requests = queue.SimpleQueue()
    self._pending.clear()
    self._failure = None
    self._call = self._connection.decode(
        iter(self._requests.get, None), timeout=timeout,
        metadata=self._connection.metadata)
    self._is_open = True
    try:
      self._start = self._send(self._first, functools.partial(
          _responses.decode_started, self._connection.message_bytes)).result()
    except BaseException:
      self._close(at_once=True)
      raise

  def _send(self, request: Any, convert: Callable[[Any], T]) -> Pending[T]:
    if not self._is_open:
      raise ValueError(_NOT_OPEN)
    if self._failure is not None:
      raise self._failure
    data = _requests.serialized(
        request, self._connection.message_bytes if self._start is None else
        self._start.most_message_bytes)
    pending = Pending(self, convert)
    self._pending.append(pending)
    self._requests.put(data)
    return pending

  def _receive(self) -> None:
    """Waits for the next answer, which belongs to the oldest pending step."""
    if self._failure is not None:
      raise self._failure
    try:
      message = next(self._call)
    except grpc.RpcError as error:
      self._failure = self._connection.error(error)
      raise self._failure from error
    except StopIteration:
      self._failure = LmserveError(grpc.StatusCode.UNAVAILABLE,
                                   "the server has ended the session")
      raise self._failure from None
    pending = self._pending.popleft()
    failure = pending._accept(message)
    if failure is not None:
      self._unseen[pending] = failure

  def _close(self, at_once: bool) -> None:
    """Ends the stream.

    Args:
      at_once: Whether to cancel the stream. Otherwise waits for all answers and
        until the server ends it.
    """
    self._is_open = False
    self._requests.put(None)
    try:
      if not at_once and self._failure is None:
        while self._pending:
          self._receive()
        next(self._call, None)
    except LmserveError as error:  # of a stream that has broken just now
      self._unseen[self._pending[0]] = error
    except grpc.RpcError:
      pass  # Every step has been answered, so this error affects none.
    finally:
      self._call.cancel()
      if self._failure is None:
        self._failure = LmserveError(grpc.StatusCode.CANCELLED,
                                     "the session is closed")
