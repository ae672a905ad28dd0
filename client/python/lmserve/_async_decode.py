# SPDX-License-Identifier: Apache-2.0
"""The decode session for asyncio."""

from __future__ import annotations

import asyncio
import collections
import functools
from collections.abc import (AsyncIterator, Awaitable, Callable, Generator,
                             Sequence)
from types import TracebackType
from typing import Any, TypeVar

import grpc
import grpc.aio

from lmserve import _requests, _responses
from lmserve._connection import Connection
from lmserve._errors import LmserveError
from lmserve._retry import AsyncPauses
from lmserve._types import DecodedBest, DecodeExtended, DecodeStarted, Ids

T = TypeVar("T")

_NOT_OPEN = "the session is not open: use it in an `async with` block"


class _Step(asyncio.Future[T]):
  """The result of a step.

  Attributes:
    is_seen: Whether somebody has awaited the result or looked at it.
  """

  is_seen = False

  def __await__(self) -> Generator[Any, None, T]:
    self.is_seen = True
    return super().__await__()

  def result(self) -> T:
    self.is_seen = True
    return super().result()

  def exception(self) -> BaseException | None:
    self.is_seen = True
    return super().exception()

  def fail(self, failure: LmserveError) -> None:
    """Sets an exception that asyncio need not log if it is not seen."""
    self.set_exception(failure)
    super().exception()


class AsyncDecodeSession:
  """A DecodeSession for `async with`.

      async with client.decode("en", words=["the", "cat"]) as session:
        the, cat = session.start.ids
        first = await session.extend([session.start.handle] * 2, [the, cat])
        rows = await session.best(first.handles, k=3)

  A method sends its step when it is called, and returns an awaitable for the
  result. So a task, or several tasks, can send many steps before awaiting the
  first; a `release` need not be awaited at all. Cancelling the await of a step
  does not cancel the step. Leaving the `async with` block waits for all
  answers, and raises the first failure that nobody has awaited. An exception
  that leaves the block ends the session at once.
  """

  def __init__(self, connection: Connection, pauses: AsyncPauses, model: str,
               words: Sequence[str], deadline: float | None) -> None:
    """Only AsyncClient.decode creates one."""
    self._connection = connection
    self._pauses = pauses
    self._first = _requests.decode_start(model, words)
    self._deadline = deadline
    self._call: Any = None
    self._reader: asyncio.Task[None] | None = None
    self._requests: asyncio.Queue[Any] = asyncio.Queue()
    self._pending: collections.deque[
        tuple[_Step[Any], Callable[[Any], Any]]] = collections.deque()
    # The first failure that nobody has seen, and those after it.
    self._failed: collections.deque[
        tuple[_Step[Any], LmserveError]] = collections.deque()
    self._failure: LmserveError | None = None
    self._is_open = False
    self._start: DecodeStarted | None = None

  @property
  def start(self) -> DecodeStarted:
    """The facts about the model, inside the `async with` block."""
    if self._start is None:
      raise ValueError(_NOT_OPEN)
    return self._start

  async def __aenter__(self) -> AsyncDecodeSession:
    if self._call is not None:
      raise ValueError("a session can be used in one `async with` block only")
    retry = self._connection.stream_retry(self._deadline)
    while True:
      try:
        await self._open(retry.timeout())
        return self
      except LmserveError as error:
        pause = retry.pause(error)
      await self._pauses.wait(pause)

  async def __aexit__(self, kind: type[BaseException] | None,
                      error: BaseException | None,
                      traceback: TracebackType | None) -> None:
    await self._close(at_once=error is not None)
    if error is None:
      self._raise_unseen()

  def extend(self, handles: Ids, words: Ids, *, scores_only: bool = False,
             retain: Ids = (), release: Ids = ()) -> Awaitable[DecodeExtended]:
    """See DecodeSession.extend."""
    request = _requests.decode_extend(handles, words, scores_only, retain,
                                      release)
    return self._send(request, _responses.decode_extended)

  def best(self, handles: Ids, k: int = 0, *, words: bool = False,
           retain: Ids = (), release: Ids = ()) -> Awaitable[DecodedBest]:
    """See DecodeSession.best."""
    request = _requests.decode_best(handles, k, words, retain, release)
    return self._send(request, functools.partial(
        _responses.decoded_best, len(request.best.handles)))

  def retain(self, handles: Ids) -> Awaitable[None]:
    """See DecodeSession.retain."""
    return self._send(_requests.decode_references(handles, ()),
                      _responses.nothing)

  def release(self, handles: Ids) -> Awaitable[None]:
    """See DecodeSession.release."""
    return self._send(_requests.decode_references((), handles),
                      _responses.nothing)

  async def _open(self, timeout: float | None) -> None:
    """Starts a stream and waits until its start is answered."""
    self._requests = asyncio.Queue()
    self._failure = None
    self._call = self._connection.decode(
        self._sent(self._requests), timeout=timeout,
        metadata=self._connection.metadata)
    self._reader = asyncio.create_task(self._receive())
    self._is_open = True
    try:
      self._start = await self._send(self._first, functools.partial(
          _responses.decode_started, self._connection.message_bytes))
    except BaseException:
      await self._close(at_once=True)
      raise

  def _send(self, request: Any,
            convert: Callable[[Any], T]) -> Awaitable[T]:
    if not self._is_open:
      raise ValueError(_NOT_OPEN)
    data = _requests.serialized(
        request, self._connection.message_bytes if self._start is None else
        self._start.most_message_bytes)
    step: _Step[T] = _Step(loop=asyncio.get_running_loop())
    if self._failure is not None:
      self._fail(step, self._failure)
      return step
    self._pending.append((step, convert))
    self._requests.put_nowait(data)
    return step

  async def _sent(self, requests: asyncio.Queue[Any]) -> AsyncIterator[Any]:
    while (request := await requests.get()) is not None:
      yield request

  async def _receive(self) -> None:
    """Passes each answer to the oldest pending step, until the stream ends."""
    failure = LmserveError(grpc.StatusCode.UNAVAILABLE,
                           "the server has ended the session")
    try:
      async for message in self._call:
        step, convert = self._pending.popleft()
        error = _responses.decode_failed(message)
        if error is not None:
          self._fail(step, error)
        elif not step.done():
          step.set_result(convert(message))
    except grpc.RpcError as error:
      failure = self._connection.error(error)
    except asyncio.CancelledError:
      failure = LmserveError(grpc.StatusCode.CANCELLED, "the session is closed")
    self._failure = failure
    for step, _ in self._pending:
      self._fail(step, failure)
    self._pending.clear()

  def _fail(self, step: _Step[Any], failure: LmserveError) -> None:
    """Gives a step its failure, and keeps it until somebody has seen it."""
    if step.done():  # cancelled
      return
    step.fail(failure)
    # The failure of the session, which many steps share, is kept in any case.
    while self._failure is None and self._failed and self._failed[0][0].is_seen:
      self._failed.popleft()
    self._failed.append((step, failure))

  def _raise_unseen(self) -> None:
    """Raises the first failure that nobody has seen."""
    seen = {failure for step, failure in self._failed if step.is_seen}
    for _, failure in self._failed:
      if failure not in seen:
        raise failure

  async def _close(self, at_once: bool) -> None:
    """Ends the stream.

    Args:
      at_once: Whether to cancel the stream. Otherwise waits for all answers and
        until the server ends it.
    """
    self._is_open = False
    self._requests.put_nowait(None)
    assert self._reader is not None
    try:
      # `await self._reader` would pass a cancellation on to the reader, which
      # does not raise it again.
      if not at_once:
        await asyncio.wait({self._reader})
    finally:
      self._call.cancel()
      await asyncio.wait({self._reader})

