"""The session of a decoder that blocks."""

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
from lmserve._errors import LmserveError, from_rpc_error
from lmserve._types import BestWords, DecodeExtended, DecodeStarted, Ids

T = TypeVar("T")


class Pending(Generic[T]):
  """The result of a step that was sent, and may not have come yet."""

  def __init__(self, session: DecodeSession,
               convert: Callable[[Any], T]) -> None:
    """Made by DecodeSession.extend_later and best_later."""
    self._session = session
    self._convert = convert
    self._results: list[T] = []

  def result(self) -> T:
    """Waits for it, and for those of the steps before."""
    while not self._results:
      self._session._receive()  # pylint: disable=protected-access
    return self._results[0]

  def _accept(self, message: Any) -> None:
    self._results.append(self._convert(message))


class DecodeSession:
  """The states of a decoder's hypotheses, kept in the server by handle.

      with client.decode("en", words=["the", "cat"]) as session:
        the, cat = session.start.ids
        first = session.extend([session.start.handle] * 2, [the, cat])
        rows = session.best(first.handles, k=3)
        session.release(first.handles)

  A handle has one reference when it is given out; without any it is gone, and
  so are all with the session. What retains is done before a step, what
  releases after it. The first error ends the session; its message begins with
  "request N:", N from 0, which is the start.

  `extend_later` and `best_later` send their steps without waiting, so that the
  server has work while answers are on their way. One thread at a time.

  Attributes:
    start: a DecodeStarted, inside of the `with`.
  """

  start: DecodeStarted

  def __init__(self, connection: Connection, model: str, words: Sequence[str],
               deadline: float | None) -> None:
    """Made by Client.decode."""
    self._connection = connection
    self._first = _requests.decode_start(model, words)
    self._deadline = deadline
    self._call: Any = None
    self._requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
    self._pending: collections.deque[Pending[Any]] = collections.deque()
    self._failure: LmserveError | None = None
    self._is_open = False

  def __enter__(self) -> DecodeSession:
    if self._call is not None:
      raise ValueError("a session is for one `with`")
    self._call = self._connection.decode(
        iter(self._requests.get, None),
        **self._connection.stream(self._deadline))
    self._is_open = True
    try:
      self.start = self._send(self._first, _responses.decode_started).result()
    except BaseException:
      self._close(at_once=True)
      raise
    return self

  def __exit__(self, kind: type[BaseException] | None,
               error: BaseException | None,
               traceback: TracebackType | None) -> None:
    self._close(at_once=error is not None or bool(self._pending))

  def extend(self, handles: Ids, words: Ids, *, scores_only: bool = False,
             retain: Ids = (), release: Ids = ()) -> DecodeExtended:
    """Moves states on: each of handles by the word whose id is beside it.

    Args:
      handles: of states, any number, in any order, more than once too.
      words: as many ids of words; not of <s>.
      scores_only: give out no handles.
      retain: handles that get a reference more, before.
      release: handles that lose one, after.
    """
    return self.extend_later(handles, words, scores_only=scores_only,
                             retain=retain, release=release).result()

  def extend_later(self, handles: Ids, words: Ids, *,
                   scores_only: bool = False, retain: Ids = (),
                   release: Ids = ()) -> Pending[DecodeExtended]:
    """Sends what extend does, and does not wait."""
    request = _requests.decode_extend(handles, words, scores_only, retain,
                                      release)
    return self._send(request, _responses.decode_extended)

  def best(self, handles: Ids, k: int = 0, *, retain: Ids = (),
           release: Ids = ()) -> tuple[BestWords, ...]:
    """Tells the k likeliest next words of each state; 0 stands for 10."""
    return self.best_later(handles, k, retain=retain,
                           release=release).result()

  def best_later(self, handles: Ids, k: int = 0, *, retain: Ids = (),
                 release: Ids = ()) -> Pending[tuple[BestWords, ...]]:
    """Sends what best does, and does not wait."""
    request = _requests.decode_best(handles, k, retain, release)
    return self._send(request, functools.partial(
        _responses.decoded_best, len(request.best.handles)))

  def retain(self, handles: Ids) -> None:
    """Gives each of handles a reference more."""
    request = _requests.decode_references(handles, ())
    self._send(request, _responses.nothing).result()

  def release(self, handles: Ids) -> None:
    """Takes a reference from each of handles."""
    request = _requests.decode_references((), handles)
    self._send(request, _responses.nothing).result()

  def _send(self, request: Any, convert: Callable[[Any], T]) -> Pending[T]:
    if not self._is_open:
      raise ValueError("the session is not open")
    if self._failure is not None:
      raise self._failure
    pending = Pending(self, convert)
    self._pending.append(pending)
    self._requests.put(request)
    return pending

  def _receive(self) -> None:
    """Waits for the next answer, which is of the oldest step pending."""
    if self._failure is not None:
      raise self._failure
    try:
      message = next(self._call)
    except grpc.RpcError as error:
      self._failure = from_rpc_error(error)
      raise self._failure from error
    except StopIteration:
      self._failure = LmserveError(grpc.StatusCode.UNAVAILABLE,
                                   "the server has ended the session")
      raise self._failure from None
    self._pending.popleft()._accept(message)

  def _close(self, at_once: bool) -> None:
    """Lets the server end the stream, or, where answers are to come, ends it."""
    self._is_open = False
    self._requests.put(None)
    try:
      if not at_once and self._failure is None:
        next(self._call, None)
    except grpc.RpcError:
      pass  # All answers have come.
    finally:
      self._call.cancel()
      if self._failure is None:
        self._failure = LmserveError(grpc.StatusCode.CANCELLED,
                                     "the session is closed")
