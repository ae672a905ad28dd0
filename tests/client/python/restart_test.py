# SPDX-License-Identifier: Apache-2.0
"""Tests with a real lm_server that is killed and started again."""

import asyncio
import threading
import time

import live_server
import lmserve
import pytest
import readme_test
from grpc import StatusCode
from retry_test import all_of


class RestartingServer:
  """A real server that can be killed and started again at its address."""

  def __init__(self, store):
    self._store = store
    self._server = live_server.LiveServer(store)
    self.address = self._server.address
    self._starter = threading.Thread(target=self._start)

  def __enter__(self):
    return self

  def __exit__(self, *error):
    self._starter.join()
    self._server.__exit__(*error)

  def restart(self):
    """Kills the server, which starts again after half a second."""
    self._server.kill()
    self._server.__exit__(None, None, None)
    self._starter.start()

  def _start(self):
    time.sleep(0.5)
    self._server = live_server.LiveServer(self._store, listen=self.address)


@pytest.fixture(name="restarting")
def serve(store):
  with RestartingServer(store) as server:
    yield server


@pytest.mark.parametrize("is_known", [False, True])
def test_a_single_thread_finds_a_server_soon(restarting, is_known):
  """gRPC 1.51 does not reconnect while no thread waits for it."""
  with lmserve.Client(restarting.address, deadline=30) as client:
    if is_known:
      client.health()
    restarting.restart()
    start = time.monotonic()
    assert client.health()
    assert time.monotonic() - start < 5


def decode_a_step(client):
  with client.decode("ab", ["a"]) as session:
    return len(session.extend([session.start.handle],
                              session.start.ids).handles)


async def decode_a_step_of_asyncio(client):
  async with client.decode("ab", ["a"]) as session:
    return len((await session.extend([session.start.handle],
                                     session.start.ids)).handles)


def test_a_restart_costs_no_error(restarting):
  with lmserve.Client(restarting.address, deadline=30) as client:
    assert client.health()
    restarting.restart()
    found = []
    threads = [threading.Thread(target=lambda call=call: found.append(
        call())) for call in (
            lambda: len(client.score("ab", ["a"]).scores),
            lambda: len(list(client.generate("long", temperature=0,
                                             max_words=1))),
            lambda: len(client.beam_search("ab").hypotheses),
            lambda: len(list(client.score_stream("ab", [["a"]]))),
            lambda: decode_a_step(client))]
    for thread in threads:
      thread.start()
    for thread in threads:
      thread.join()
    assert found == [1] * 5


def test_a_restart_costs_no_error_of_asyncio(restarting):
  async def body():
    async with lmserve.AsyncClient(restarting.address,
                                   deadline=30) as client:
      assert await client.health()
      restarting.restart()
      score, words, hypotheses, responses, handles = await asyncio.gather(
          client.score("ab", ["a"]),
          all_of(client.generate("long", temperature=0, max_words=1)),
          client.beam_search("ab"),
          all_of(client.score_stream("ab", [["a"]])),
          decode_a_step_of_asyncio(client))
      assert len(score.scores) == len(words) == len(responses) == handles == 1
      assert len(hypotheses.hypotheses) == 1

  asyncio.run(body())


# Batches that differ, so that a lost or repeated one is noticed.
BATCHES = [[["a"] * (1 + i % 7)] * (1 + i % 3) for i in range(500)]
COUNTS = [[len(text) + 1 for text in batch] for batch in BATCHES]


def counts_of(response):
  return [score.word_count for score in response.scores]


def test_score_stream_continues_after_a_restart(restarting):
  with lmserve.Client(restarting.address, deadline=30) as client:
    found = []
    for response in client.score_stream("ab", iter(BATCHES)):
      found.append(counts_of(response))
      if len(found) == 200:
        restarting.restart()
    assert found == COUNTS


def test_score_stream_counts_on_after_a_restart(restarting):
  with lmserve.Client(restarting.address, deadline=30) as client:
    batches = BATCHES[:400] + [[["a b"]]] + BATCHES[400:]
    found = 0
    with pytest.raises(lmserve.LmserveError) as raised:
      for _ in client.score_stream("ab", batches):
        found += 1
        if found == 200:
          restarting.restart()
    assert raised.value.message.startswith("request 400: texts[0]")


@pytest.mark.parametrize("form", ["list", "iterator", "asynchronous iterator"])
def test_score_stream_of_asyncio_continues_after_a_restart(restarting, form):
  async def batches():
    for batch in BATCHES:
      await asyncio.sleep(0)
      yield batch

  async def body():
    found = []
    async with lmserve.AsyncClient(restarting.address,
                                   deadline=30) as client:
      given = {"list": BATCHES, "iterator": iter(BATCHES),
               "asynchronous iterator": batches()}[form]
      async for response in client.score_stream("ab", given):
        found.append(counts_of(response))
        if len(found) == 200:
          restarting.restart()
    assert found == COUNTS

  asyncio.run(body())


def test_batches_that_come_late_survive_a_restart(restarting):
  """The iteration over the batches waits while the stream is replaced."""
  came = threading.Event()

  def batches():
    yield ["a"]
    came.wait()
    yield ["a a"]

  with lmserve.Client(restarting.address, deadline=30) as client:
    responses = client.score_stream("ab", batches())
    assert counts_of(next(responses)) == [2]
    restarting.restart()
    threading.Timer(2, came.set).start()
    assert [counts_of(response) for response in responses] == [[3]]


def test_batches_of_asyncio_that_come_late_survive_a_restart(restarting):
  async def batches(came):
    yield ["a"]
    await came.wait()
    yield ["a a"]

  async def body():
    came = asyncio.Event()
    async with lmserve.AsyncClient(restarting.address,
                                   deadline=30) as client:
      responses = client.score_stream("ab", batches(came))
      assert counts_of(await responses.__anext__()) == [2]
      restarting.restart()
      asyncio.get_running_loop().call_later(2, came.set)
      assert [counts_of(response) async for response in responses] == [[3]]

  asyncio.run(body())


def test_words_that_were_generated_are_not_generated_again(restarting):
  with lmserve.Client(restarting.address, deadline=30) as client:
    generation = client.generate("long", temperature=0, max_words=10_000)
    next(generation)
    restarting.restart()
    with pytest.raises(lmserve.LmserveError) as raised:
      list(generation)
    assert raised.value.code == StatusCode.UNAVAILABLE


def restart_in_the_middle(restarting, client):
  """Returns a client for README.md whose server restarts after three steps."""
  extend = lmserve.DecodeSession.extend
  steps = 0

  class Session(lmserve.DecodeSession):
    """A session that counts its steps."""

    def extend(self, *arguments, **keywords):
      nonlocal steps
      steps += 1
      if steps == 4:
        restarting.restart()
      return extend(self, *arguments, **keywords)

  client.decode = lambda model, words: Session(
      client._connection, client._pauses, model, words, None)
  return client


def test_a_decoder_reads_its_words_again_after_a_restart(restarting):
  """Runs the functions of the README."""
  block, = (block for block in readme_test.BLOCKS if "def replay" in block)
  names = {"lmserve": lmserve}
  exec(block.partition("client = ")[0], names)  # pylint: disable=exec-used
  words = ["a", "b", "a", "a", "b", "a"]
  with lmserve.Client(restarting.address, deadline=30) as client:
    expected = names["log_probs"](client, "ab@1", words)
    with client.decode("ab", words) as session:
      texts = [(), session.start.ids[:1], session.start.ids]
      handles = names["replay"](session, texts)
      assert len(set(handles)) == 3
      session.release(handles)
    restart_in_the_middle(restarting, client)
    assert names["log_probs"](client, "ab@1", words) == expected
  assert len(expected) == 6
