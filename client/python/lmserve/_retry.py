# SPDX-License-Identifier: Apache-2.0
"""When a failed call is tried again, and the pauses before it is.

All calls of the API are idempotent: a call that may have been computed already
can be made again without harm.
"""

from __future__ import annotations

import asyncio
import math
import random
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

import grpc

from lmserve._errors import LmserveError

_FIRST_PAUSE = 0.1  # seconds; each pause is twice as long as the one before
_LONGEST_PAUSE = 2.0
_JITTER = 0.2
# A pause is cut so that the last attempt has at least this much time.
_LAST_ATTEMPT = 0.1


class Retry:
  """The attempts of one call, and the time that they have together.

  An error is retried if the server is UNAVAILABLE or if it is too busy and says
  when to try again, with a RetryInfo.
  """

  def __init__(self, attempts: int, deadline: float | None,
               patience: float | None = None) -> None:
    """The time of the call begins now.

    Args:
      attempts: The number of attempts in a row that may fail; 0: no limit.
      deadline: Time limit of all attempts together in seconds; None: no limit.
      patience: How long a failure is retried, in seconds from its first
        occurrence. None: until the deadline.
    """
    self._attempts = attempts
    self._end = time.monotonic() + _limit(deadline)
    self._patience = _limit(patience)
    self.answered()

  def timeout(self) -> float | None:
    """Returns the time limit of the next attempt, or None if it has none."""
    if self._end == math.inf:
      return None
    return max(self._end - time.monotonic(), 0.0)

  def answered(self) -> None:
    """Starts to count again, because the server has answered."""
    self._failures = 0
    self._give_up = self._end
    self._pause = _FIRST_PAUSE
    self._reason: LmserveError | None = None

  def pause(self, error: LmserveError) -> float:
    """Returns how many seconds to wait before the next attempt.

    Args:
      error: The error of the last attempt.

    Raises:
      LmserveError: There is no next attempt. It is the error of the last
        attempt for which the server gave a reason.
    """
    now = time.monotonic()
    if self._failures == 0:
      self._give_up = min(self._end, now + self._patience)
    self._failures += 1
    if self._reason is None or not _has_no_reason(error):
      self._reason = error
    if not _is_temporary(error) or self._failures == self._attempts:
      raise self._reason
    seconds = self._seconds(error.retry_after, self._give_up - now)
    if seconds <= 0:
      raise self._reason
    return seconds

  def _seconds(self, retry_after: float | None, left: float) -> float:
    """Returns the pause; 0 or less if the time that is left is too short."""
    if retry_after is not None:  # and never earlier
      seconds = (max(retry_after, _FIRST_PAUSE) *
                 random.uniform(1, 1 + _JITTER))
      return seconds if seconds < left else 0.0
    seconds = self._pause * random.uniform(1 - _JITTER, 1 + _JITTER)
    self._pause = min(2 * self._pause, _LONGEST_PAUSE)
    return min(seconds, left - _LAST_ATTEMPT)


def _limit(seconds: float | None) -> float:
  return math.inf if seconds is None else seconds


def _is_temporary(error: LmserveError) -> bool:
  return (error.code == grpc.StatusCode.UNAVAILABLE or _is_lost(error) or
          (error.code == grpc.StatusCode.RESOURCE_EXHAUSTED and
           error.retry_after is not None))


def _has_no_reason(error: LmserveError) -> bool:
  return error.code == grpc.StatusCode.DEADLINE_EXCEEDED or _is_lost(error)


def _is_lost(error: LmserveError) -> bool:
  """Returns whether gRPC has lost the server's error.

  From version 1.59 to at least 1.85, grpc.aio replaces the error of a stream by
  this one if it sends a message at the time when the error arrives
  (https://github.com/grpc/grpc/issues/36066).
  """
  return (error.code == grpc.StatusCode.INTERNAL and
          error.message == "Internal error from Core")


def _closed() -> LmserveError:
  return LmserveError(grpc.StatusCode.CANCELLED, "the client is closed")


def _ignore(unused_state: grpc.ChannelConnectivity) -> None:
  """Watches the state of a channel."""


class Pauses:
  """The pauses of all calls of a Client. Thread-safe."""

  def __init__(self, channel: Any) -> None:
    self._channel = channel
    self._changed = threading.Condition()
    self._is_closed = False
    # After a pause, gRPC watches the state for up to 0.2 s more. A program that
    # ended meanwhile without closing the channel would wait forever.
    weakref.finalize(self, channel.close)

  def wait(self, seconds: float,
           is_cancelled: Callable[[], bool] = lambda: False) -> None:
    """Waits for `seconds`, or until the call is cancelled.

    Args:
      seconds: The length of the pause.
      is_cancelled: Returns whether the call is cancelled. Whoever cancels it
        must then call wake.

    Raises:
      LmserveError: The client is closed.
    """
    with self._changed:
      if not self._is_closed:
        # gRPC 1.51 reconnects only while a thread waits for something of gRPC.
        # A thread of gRPC does so as long as the state is watched.
        self._channel.subscribe(_ignore)
        try:
          self._changed.wait_for(lambda: self._is_closed or is_cancelled(),
                                 seconds)
        finally:
          self._channel.unsubscribe(_ignore)
      if self._is_closed:
        raise _closed()

  def wake(self) -> None:
    """Ends the pauses of cancelled calls."""
    with self._changed:
      self._changed.notify_all()

  def close(self) -> None:
    """Ends all pauses with an error."""
    with self._changed:
      self._is_closed = True
      self._changed.notify_all()


class AsyncPauses:
  """The pauses of all calls of an AsyncClient."""

  def __init__(self) -> None:
    self._waiting: set[asyncio.Future[None]] = set()

  async def wait(self, seconds: float) -> None:
    """Waits for `seconds`.

    Raises:
      LmserveError: The client is closed.
    """
    end: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    self._waiting.add(end)
    try:
      await asyncio.wait_for(end, seconds)
    except asyncio.TimeoutError:
      pass
    finally:
      self._waiting.discard(end)

  def close(self) -> None:
    """Ends all pauses with an error."""
    for end in self._waiting:
      if not end.done():
        end.set_exception(_closed())
