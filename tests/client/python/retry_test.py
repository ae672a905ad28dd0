# SPDX-License-Identifier: Apache-2.0
"""Tests of retries: of the pauses, and with a fake server."""

import asyncio
import itertools
import math
import pathlib
import random
import subprocess
import sys
import threading
import time

import fake_server
import grpc
import lmserve
import pytest
from lmserve import _retry

STATUS = grpc.StatusCode
BUSY = {"code": STATUS.RESOURCE_EXHAUSTED,
        "details": fake_server.retry_info(0, 150_000_000)}
NEVER_READY = {"failures": 10**9, "code": STATUS.RESOURCE_EXHAUSTED,
               "details": fake_server.retry_info(60)}


def unavailable(message="going away", retry_after=None):
  return lmserve.LmserveError(STATUS.UNAVAILABLE, message, retry_after)


class Clock:
  """Replaces the time and the randomness of _retry."""

  def __init__(self, monkeypatch, jitter):
    self.now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: self.now)
    monkeypatch.setattr(random, "uniform",
                        lambda low, high: low + jitter * (high - low))

  def pauses(self, retry, error):
    """Yields the pauses of attempts that fail at once."""
    while True:
      pause = retry.pause(error)
      self.now += pause
      yield pause


@pytest.mark.parametrize("jitter, factor", [(0, 0.8), (0.5, 1), (1, 1.2)])
def test_pauses_double_up_to_2_seconds(monkeypatch, jitter, factor):
  clock = Clock(monkeypatch, jitter)
  pauses = clock.pauses(_retry.Retry(0, math.inf), unavailable())
  assert list(itertools.islice(pauses, 8)) == pytest.approx(
      [factor * pause for pause in (0.1, 0.2, 0.4, 0.8, 1.6, 2, 2, 2)])


def test_the_last_attempt_is_made_shortly_before_the_deadline(monkeypatch):
  clock = Clock(monkeypatch, 0.5)
  retry = _retry.Retry(0, 1)
  error = unavailable()
  found = []
  with pytest.raises(lmserve.LmserveError) as raised:
    for pause in clock.pauses(retry, error):
      found.append(pause)
  assert raised.value is error
  assert found == pytest.approx([0.1, 0.2, 0.4, 0.2])
  assert retry.timeout() == pytest.approx(0.1)


@pytest.mark.parametrize("jitter, pause", [(0, 3), (1, 3.6)])
def test_the_server_says_when(monkeypatch, jitter, pause):
  Clock(monkeypatch, jitter)
  for error in (unavailable(retry_after=3), lmserve.LmserveError(
      STATUS.RESOURCE_EXHAUSTED, "busy", 3)):
    assert _retry.Retry(0, 60).pause(error) == pytest.approx(pause)
    with pytest.raises(lmserve.LmserveError):
      _retry.Retry(0, 2.9).pause(error)


def test_streams_are_patient_from_the_first_failure(monkeypatch):
  clock = Clock(monkeypatch, 0.5)
  retry = _retry.Retry(0, None, patience=1)
  assert retry.timeout() is None
  for _ in range(3):
    clock.now += 1000
    assert retry.pause(unavailable()) == pytest.approx(0.1)
    clock.now += 0.95
    with pytest.raises(lmserve.LmserveError):
      retry.pause(unavailable())
    retry.answered()


def test_an_error_that_grpc_has_lost(monkeypatch):
  Clock(monkeypatch, 0.5)
  lost = lmserve.LmserveError(STATUS.INTERNAL, "Internal error from Core")
  assert _retry.Retry(0, 1).pause(lost) == pytest.approx(0.1)
  with pytest.raises(lmserve.LmserveError) as raised:
    _retry.Retry(1, 1).pause(lost)
  assert raised.value is lost
  retry = _retry.Retry(2, 1)
  retry.pause(unavailable())
  with pytest.raises(lmserve.LmserveError, match="going away"):
    retry.pause(lost)


# A client that may try `attempts` times makes `calls` calls. The server fails the
# first `failures` of them. `good`: whether the last call succeeds.
ATTEMPTS = pytest.mark.parametrize("attempts, failures, calls, good", [
    (0, 0, 1, True), (4, 1, 2, True), (4, 3, 4, True), (4, 4, 4, False),
    (1, 1, 1, False), (9, 8, 9, True), (9, 9, 9, False), (0, 11, 12, True),
])


@pytest.fixture(name="hasty")
def make_hasty(monkeypatch):
  monkeypatch.setattr(_retry, "_FIRST_PAUSE", 0.001)
  monkeypatch.setattr(_retry, "_LONGEST_PAUSE", 0.01)


def decode(client):
  with client.decode("en"):
    pass


CALLS = {
    "score": lambda client: client.score("en", ["a"]),
    "list_models": lambda client: client.list_models(),
    "beam_search": lambda client: client.beam_search("en"),
    "generate": lambda client: list(client.generate("en")),
    "score_stream": lambda client: list(client.score_stream("en", [["a"]])),
    "decode": decode,
}


async def async_decode(client):
  async with client.decode("en"):
    pass


async def all_of(iterator):
  return [item async for item in iterator]


ASYNC_CALLS = {
    "score": lambda client: client.score("en", ["a"]),
    "beam_search": lambda client: client.beam_search("en"),
    "generate": lambda client: all_of(client.generate("en")),
    "score_stream": lambda client: all_of(
        client.score_stream("en", [["a"]])),
    "decode": async_decode,
}


def call_blocking(method, address, **options):
  with lmserve.Client(address, **options) as client:
    CALLS[method](client)


def call_asyncio(method, address, **options):
  async def body():
    async with lmserve.AsyncClient(address, **options) as client:
      await ASYNC_CALLS[method](client)

  asyncio.run(body())


BOTH = pytest.mark.parametrize("call, method", [
    *((call_blocking, method) for method in CALLS),
    *((call_asyncio, method) for method in ASYNC_CALLS),
])


def error_of(call, *arguments, **options):
  with pytest.raises(lmserve.LmserveError) as raised:
    call(*arguments, **options)
  return raised.value


def test_an_unanswered_batch_does_not_wait_for_the_next_one(hasty):
  """The iteration over the batches waits for the answer to the first one."""
  del hasty
  answered = threading.Event()

  def batches():
    yield ["a"]
    answered.wait()

  with fake_server.FakeServer(failures=1) as server, lmserve.Client(
      server.address) as client:
    responses = client.score_stream("en", batches(), deadline=10)
    try:
      next(responses)
    finally:
      answered.set()
    assert not list(responses)
    assert len(server.calls) == 2


@pytest.mark.parametrize("answers, problem", [
    (0, "the server ended the stream without a response to request 0"),
    (2, "the server sent a response to request 1, which it had not received"),
])
@pytest.mark.parametrize("call", [call_blocking, call_asyncio])
def test_score_stream_counts_the_answers(call, answers, problem):
  with fake_server.FakeServer(answers=answers) as server:
    error = error_of(call, "score_stream", server.address)
  assert (error.code, error.message) == (STATUS.INTERNAL, problem)


@ATTEMPTS
@BOTH
def test_attempts(hasty, call, method, attempts, failures, calls, good):
  del hasty
  with fake_server.FakeServer(failures=failures) as server:
    if good:
      call(method, server.address, attempts=attempts)
    else:
      error = error_of(call, method, server.address, attempts=attempts)
      assert (error.code, error.message) == (STATUS.UNAVAILABLE, "going away")
    assert len(server.calls) == calls


@BOTH
def test_no_other_error_is_retried(call, method):
  for code in STATUS:
    if code in (STATUS.OK, STATUS.UNAVAILABLE):
      continue
    with fake_server.FakeServer(failures=1, code=code) as server:
      assert error_of(call, method, server.address).code == code
      assert len(server.calls) == 1


@BOTH
@pytest.mark.parametrize("code", [0, 2, 10])
def test_a_reset_is_retried_as_an_unavailable_server(hasty, call, method, code):
  del hasty
  with fake_server.ResettingServer(code) as server:
    error = error_of(call, method, server.address, attempts=3)
    assert error.code == STATUS.UNAVAILABLE
    assert f"Received RST_STREAM with error code {code}" in error.message
    assert server.calls == 3


@BOTH
def test_a_reset_for_bad_http_2_is_not_retried(call, method):
  with fake_server.ResettingServer(1) as server:  # PROTOCOL_ERROR
    error = error_of(call, method, server.address)
    assert error.code == STATUS.INTERNAL
    assert server.calls == 1


@BOTH
@pytest.mark.parametrize("message", [
    "Received RST_STREAM with error code 2",
    "Stream removed (RST_STREAM (Received RST_STREAM with error code 2))"])
def test_calls_succeed_after_resets(hasty, call, method, message):
  del hasty
  with fake_server.FakeServer(failures=2, code=STATUS.INTERNAL,
                              message=message) as server:
    call(method, server.address)
    assert len(server.calls) == 3


@BOTH
@pytest.mark.parametrize("message", ["Received RST_STREAM with error code 20",
                                     "Received RST_STREAM", "RST_STREAM"])
def test_other_internal_errors_are_not_retried(call, method, message):
  with fake_server.FakeServer(failures=1, code=STATUS.INTERNAL,
                              message=message) as server:
    error = error_of(call, method, server.address)
    assert (error.code, error.message) == (STATUS.INTERNAL, message)
    assert len(server.calls) == 1


@BOTH
def test_a_busy_server_is_asked_again_when_it_says(call, method):
  with fake_server.FakeServer(failures=2, **BUSY) as server:
    start = time.monotonic()
    call(method, server.address)
    assert 0.3 < time.monotonic() - start < 10
    assert len(server.calls) == 3


@BOTH
def test_a_busy_server_is_not_waited_for_beyond_the_deadline(call, method):
  with fake_server.FakeServer(**NEVER_READY) as server:
    start = time.monotonic()
    error = error_of(call, method, server.address, deadline=50)
    assert time.monotonic() - start < 10
    assert (error.code, error.retry_after) == (STATUS.RESOURCE_EXHAUSTED, 60)
    assert len(server.calls) == 1


@BOTH
def test_the_last_error_is_raised_at_the_deadline(call, method):
  with fake_server.FakeServer(failures=10**9) as server:
    start = time.monotonic()
    error = error_of(call, method, server.address, deadline=0.5)
    assert 0.3 < time.monotonic() - start < 10
    assert (error.code, error.message) == (STATUS.UNAVAILABLE, "going away")
    assert len(server.calls) >= 3


@pytest.mark.parametrize("call", [call_blocking, call_asyncio])
def test_the_last_error_is_raised_if_the_last_attempt_is_too_slow(call):
  class SlowAtLast(fake_server.FakeServer):
    def service(self, handler_call_details):
      if self.calls:
        self.gate.clear()
      return super().service(handler_call_details)

  for method in ("score", "beam_search"):
    with SlowAtLast(failures=1) as server:
      error = error_of(call, method, server.address, deadline=0.6)
      assert (error.code, error.message) == (STATUS.UNAVAILABLE, "going away")
      assert len(server.calls) == 2


def test_no_server_at_all(tmp_path):
  for call in (call_blocking, call_asyncio):
    error = error_of(call, "score", f"unix:{tmp_path}/nobody", deadline=0.5)
    assert error.code == STATUS.UNAVAILABLE
    assert error.message


def test_attempts_must_not_be_negative():
  with pytest.raises(ValueError, match="attempts: expected 0 or more"):
    lmserve.Client(attempts=-1)


def test_closing_a_client_ends_its_pauses():
  with fake_server.FakeServer(**NEVER_READY) as server:
    client = lmserve.Client(server.address, deadline=1000)
    threading.Timer(0.3, client.close).start()
    error = error_of(client.score, "en", ["a"])
    assert (error.code, error.message) == (STATUS.CANCELLED,
                                           "the client is closed")
    assert len(server.calls) == 1


def test_a_generation_can_be_cancelled_during_a_pause():
  with fake_server.FakeServer(**NEVER_READY) as server:
    with lmserve.Client(server.address, deadline=1000) as client:
      generation = client.generate("en")
      threading.Timer(0.3, generation.cancel).start()
      assert not list(generation)
      assert len(server.calls) == 1


@pytest.mark.parametrize("method", ASYNC_CALLS)
def test_a_task_can_be_cancelled_during_a_pause(method):
  async def body(server):
    async with lmserve.AsyncClient(server.address, deadline=1000) as client:
      task = asyncio.create_task(ASYNC_CALLS[method](client))
      await asyncio.sleep(0.3)
      assert len(server.calls) == 1
      start = time.monotonic()
      task.cancel()
      with pytest.raises(asyncio.CancelledError):
        await task
      assert time.monotonic() - start < 10

  with fake_server.FakeServer(**NEVER_READY) as server:
    asyncio.run(body(server))
    assert len(server.calls) == 1


def test_an_asyncio_generation_can_be_cancelled_during_a_pause():
  async def body(server):
    async with lmserve.AsyncClient(server.address, deadline=1000) as client:
      generation = client.generate("en")
      asyncio.get_running_loop().call_later(0.3, generation.cancel)
      assert not [word async for word in generation]

  with fake_server.FakeServer(**NEVER_READY) as server:
    asyncio.run(body(server))


def test_closing_an_asyncio_client_ends_its_pauses():
  async def body(server):
    client = lmserve.AsyncClient(server.address, deadline=1000)
    task = asyncio.create_task(client.score("en", ["a"]))
    await asyncio.sleep(0.3)
    await client.close()
    with pytest.raises(lmserve.LmserveError, match="CANCELLED.*is closed"):
      await task

  with fake_server.FakeServer(**NEVER_READY) as server:
    asyncio.run(body(server))


@pytest.mark.parametrize("method", ["generate", "beam_search", "score_stream",
                                    "decode"])
def test_a_server_that_dies_before_it_answers(method):
  server = subprocess.Popen(  # pylint: disable=consider-using-with
      [sys.executable, "-c",
       "import fake_server; server = fake_server.FakeServer()\n"
       "server.gate.clear(); server.__enter__()\n"
       "print(server.address, flush=True); input()"],
      cwd=pathlib.Path(__file__).parent, stdin=subprocess.PIPE,
      stdout=subprocess.PIPE, text=True)
  killer = threading.Timer(0.2, server.kill)
  try:
    address = server.stdout.readline().strip()
    killer.start()
    assert error_of(call_blocking, method, address, deadline=1,
                    stream_deadline=60).code == STATUS.UNAVAILABLE
  finally:
    server.kill()
    server.communicate()


def test_a_program_that_closes_no_client_ends():
  """The threads of gRPC end with the program; see Pauses."""
  script = """
import lmserve
client = lmserve.Client("localhost:1", deadline=0.5)
try:
  client.health()
except lmserve.LmserveError as error:
  print(error.code.name)
"""
  run = subprocess.run([sys.executable, "-c", script], check=True,
                       capture_output=True, text=True, timeout=60)
  assert run.stdout == "UNAVAILABLE\n"
