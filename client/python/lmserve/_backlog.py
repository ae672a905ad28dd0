# SPDX-License-Identifier: Apache-2.0
"""The requests of score_stream, which is continued after a failure.

The server answers requests in their order, so the client knows which ones have
no answer. A new attempt sends these again, and then new ones.
"""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import grpc

from lmserve._errors import LmserveError


class _Backlog:
  """What both kinds of streams know.

  Attributes:
    answered: The number of requests that are answered.
    failure: What the iteration over the requests raised, or None.
  """

  def __init__(self) -> None:
    self.answered = 0
    self.failure: Exception | None = None
    self._unanswered: dict[int, Any] = {}  # by position, from 0
    self._taken = 0  # the number of requests so far
    self._is_complete = False
    self._attempt = 0
    self._first = 0  # the position of the attempt's first request

  def _begin(self) -> None:
    self._attempt += 1
    self._first = self.answered

  def answer(self) -> None:
    """Notes that the server has answered the next request.

    Raises:
      LmserveError: The server cannot have received that request.
    """
    if self.answered >= self._taken:
      raise LmserveError(
          grpc.StatusCode.INTERNAL, "the server sent a response to request "
          f"{self.answered}, which it had not received")
    self._unanswered.pop(self.answered, None)
    self.answered += 1

  def end(self) -> None:
    """Notes that the server has ended the stream without an error.

    Raises:
      LmserveError: A request was not sent or has no answer.
    """
    if not self._is_complete or self.answered < self._taken:
      raise LmserveError(
          grpc.StatusCode.INTERNAL, "the server ended the stream without a "
          f"response to request {self.answered}")

  def _add(self, request: Any) -> None:
    self._unanswered[self._taken] = request
    self._taken += 1

  def renumbered(self, error: LmserveError) -> LmserveError:
    """Counts the N of "request N:" from the first request of all attempts."""
    error.message = re.sub(
        r"^request (\d+):",
        lambda match: f"request {int(match[1]) + self._first}:", error.message)
    return error


class Backlog(_Backlog):
  """The requests of Client.score_stream. Thread-safe.

  gRPC iterates over the requests of each attempt in a thread of its own. The
  thread of an attempt that has failed may still wait for the next request when
  the next attempt begins.
  """

  def __init__(self, requests: Iterator[Any]) -> None:
    super().__init__()
    self._requests = requests
    self._taking = threading.Lock()  # held while `_requests` runs

  def attempt(self) -> Iterator[Any]:
    """Returns the requests of the next attempt; the one before gets no more."""
    self._begin()
    return self._sent(self._attempt, self.answered)

  def _sent(self, attempt: int, position: int) -> Iterator[Any]:
    while (request := self._get(attempt, position)) is not None:
      yield request
      position += 1

  def _get(self, attempt: int, position: int) -> Any:
    """Returns the request at the position; None: there is no more to send."""
    # Requests that were taken before do not wait for the next one.
    if position >= self._taken:
      with self._taking:
        if position >= self._taken and attempt == self._attempt:
          self._take()
    request = self._unanswered.get(position)
    return request if attempt == self._attempt else None

  def _take(self) -> None:
    if self._is_complete:
      return
    try:
      self._add(next(self._requests))
    except StopIteration:
      self._is_complete = True
    except Exception as error:  # pylint: disable=broad-except
      self._is_complete = True
      self.failure = error


class AsyncBacklog(_Backlog):
  """The requests of AsyncClient.score_stream."""

  def __init__(self, requests: Iterator[Any] | AsyncIterator[Any]) -> None:
    super().__init__()
    self._requests = requests
    self._taking: asyncio.Task[None] | None = None

  def attempt(self) -> AsyncIterator[Any]:
    """Returns the requests of the next attempt; the one before gets no more."""
    self._begin()
    return self._sent(self._attempt, self.answered)

  def close(self) -> None:
    """Ends all attempts and cancels the iteration over the requests."""
    self._attempt += 1
    if self._taking is not None:
      self._taking.cancel()

  async def _sent(self, attempt: int, position: int) -> AsyncIterator[Any]:
    while True:
      if position >= self._taken and not self._is_complete:
        await self._wait_for_next()
      if attempt != self._attempt or position not in self._unanswered:
        return
      yield self._unanswered[position]
      position += 1

  async def _wait_for_next(self) -> None:
    if isinstance(self._requests, Iterator):
      await self._take()
      return
    # A task of its own, because cancelling one attempt must not end the
    # iteration, which the next attempt continues.
    if self._taking is None:
      self._taking = asyncio.create_task(self._take())
    await asyncio.wait({self._taking})

  async def _take(self) -> None:
    try:
      if isinstance(self._requests, Iterator):
        self._add(next(self._requests))
      else:
        self._add(await self._requests.__anext__())
    except (StopIteration, StopAsyncIteration):
      self._is_complete = True
    except Exception as error:  # pylint: disable=broad-except
      self._is_complete = True
      self.failure = error
    finally:
      self._taking = None
