# SPDX-License-Identifier: Apache-2.0
"""Tests of AsyncDecodeSession with a real lm_server."""

import asyncio
import math

import live_server
import lmserve
import pytest
from async_client_test import with_client
from decode_test import listed
from grpc import StatusCode

LN2 = math.log(2)
LN3 = math.log(3)
LN9 = math.log(9)


def approx(values):
  return pytest.approx(values, abs=1e-5)


@with_client
async def test_steps(client):
  async with client.decode("ab", ["a", "b"]) as session:
    start = session.start
    assert start.model == lmserve.ModelVersion("ab", 1)
    first = await session.extend([start.handle] * 2, start.ids)
    assert first.log_probs == approx((-LN3, LN2 - LN9))
    prediction = (await client.predict("ab", ["a"], k=3)).predictions[0]
    rows = await session.best(first.handles, 3, retain=first.handles)
    assert listed(rows) == listed([(prediction.ids, prediction.log_probs)] * 2)
    await session.retain(first.handles)
    for _ in range(3):
      await session.release(first.handles)
    with pytest.raises(lmserve.LmserveError, match="INVALID_ARGUMENT: release"):
      await session.release(first.handles)
    best = await session.best([start.handle], 5, words=True)
    assert set(best.words[0]) == {"a", "b", "</s>", "<unk>", ""}


@with_client
async def test_steps_sent_ahead(client):
  async with client.decode("ab", ["b"]) as session:
    handle, b = session.start.handle, session.start.ids[0]
    sent = [session.extend([handle] * (1 + i % 3), [b] * (1 + i % 3))
            for i in range(500)]
    assert len((await session.best([handle], 2))[0].ids) == 2
    assert [len((await one).handles) for one in sent] == [
        1 + i % 3 for i in range(500)]


def test_a_step_that_is_too_large_is_not_sent(address):
  async def body():
    async with lmserve.AsyncClient(address, deadline=60,
                                   message_bytes=2000) as client:
      async with client.decode("ab") as session:
        with pytest.raises(lmserve.LmserveError, match="best: expected at most "
                           r"2000 bytes \(most_message_bytes\), found 20"):
          await session.best([session.start.handle] * 2000)
        assert await session.best([session.start.handle], 1)

  asyncio.run(body())


@with_client
async def test_tasks_share_a_session(client):
  async def decode(session, length):
    handle = session.start.handle
    for _ in range(length):
      extended = await session.extend([handle] * length,
                                      session.start.ids * length)
      assert len(extended.handles) == length
      handle = extended.handles[-1]

  async with client.decode("ab", ["a"]) as session:
    await asyncio.gather(*(decode(session, length) for length in range(30)))


@with_client
async def test_cancelling_a_step_does_not_shift_the_results(client):
  async with client.decode("ab", ["a"]) as session:
    handle, a = session.start.handle, session.start.ids[0]
    cancelled = asyncio.ensure_future(session.extend([handle], [a]))
    cancelled.cancel()
    assert len((await session.extend([handle] * 2, [a] * 2)).handles) == 2


@with_client
async def test_a_step_that_fails_leaves_the_others_alone(client):
  async with client.decode("ab", ["a"]) as session:
    handle, a = session.start.handle, session.start.ids[0]
    steps = [session.extend([handle], [99 if i % 2 else a])
             for i in range(100)]
    results = await asyncio.gather(*steps, return_exceptions=True)
    for i, result in enumerate(results):
      if i % 2:
        assert isinstance(result, lmserve.LmserveError)
        assert result.message.startswith("extend.words[0]: ")
      else:
        assert len(result.handles) == 1


@with_client
async def test_wrong_arguments_and_errors(client):
  with pytest.raises(TypeError, match="words: expected a list"):
    client.decode("ab", "the cat")
  for model, code in (("nobody", "NOT_FOUND"), ("both", "FAILED_PRECONDITION")):
    with pytest.raises(lmserve.LmserveError, match=f"{code}: request 0: "):
      async with client.decode(model):
        pytest.fail("started")
  async with client.decode("ab") as session:
    for wrong in ("a", [1.5], ["a"], None):
      with pytest.raises(TypeError, match=r"^handles(\[0\])?: expected"):
        session.best(wrong)
    assert await session.best([session.start.handle], 1)


@with_client
async def test_a_session_is_open_only_inside_its_with(client):
  session = client.decode("ab")
  for step in (lambda: session.start, lambda: session.best([0])):
    with pytest.raises(ValueError, match="in an `async with` block"):
      step()
  async with session:
    await session.best([session.start.handle])
  with pytest.raises(ValueError, match="not open"):
    session.best([0])


@with_client
async def test_leaving_waits_for_the_steps_sent_ahead(client):
  async with client.decode("ab") as session:
    handle = session.start.handle
    late = [session.best([handle], 1) for _ in range(100)]
    session.release([handle])
  assert [len(await step) for step in late] == [1] * 100


@with_client
async def test_leaving_raises_the_first_failure_that_nobody_has_seen(client):
  with pytest.raises(lmserve.LmserveError, match="extend.words.*94"):
    async with client.decode("ab", ["a"]) as session:
      handle = session.start.handle
      for see in (lambda step: step, asyncio.shield, asyncio.gather,
                  lambda step: asyncio.wait_for(step, 60)):
        with pytest.raises(lmserve.LmserveError, match="99"):
          await see(session.extend([handle], [99]))
      seen = session.extend([handle], [95])
      session.extend([handle], [94])
      good = session.extend([handle], session.start.ids)
      session.release([93])
      await asyncio.wait([seen])
      assert "95" in str(seen.exception())
  assert len((await good).handles) == 1


@with_client
async def test_leaving_with_an_exception_raises_this_one(client):
  with pytest.raises(KeyError):
    async with client.decode("ab") as session:
      session.release([96])
      late = session.best([session.start.handle])
      raise KeyError("a book")
  with pytest.raises(lmserve.LmserveError, match="CANCELLED.*is closed"):
    await late


@with_client
async def test_failures_that_were_seen_are_not_kept(client):
  async with client.decode("ab") as session:
    for _ in range(10):
      with pytest.raises(lmserve.LmserveError):
        await session.release([96])
    cancelled = session.release([96])
    cancelled.cancel()
    await session.best([session.start.handle])
    assert len(session._failed) == 1


def test_leaving_raises_the_failure_of_a_session_once(store):
  async def body(server):
    async with lmserve.AsyncClient(server.address, deadline=60) as client:
      left = False
      with pytest.raises(lmserve.LmserveError):
        async with client.decode("ab") as unseen:
          async with client.decode("ab") as seen:
            server.kill()
            seen.release([seen.start.handle])
            unseen.release([unseen.start.handle])
            with pytest.raises(lmserve.LmserveError):
              await seen.best([seen.start.handle])
            seen.release([seen.start.handle])
          left = True
      assert left, "only the other session raised"

  with live_server.LiveServer(store) as server:
    asyncio.run(body(server))


def test_leaving_ends_the_stream(store):
  async def body(address):
    async with lmserve.AsyncClient(address, deadline=60) as client:
      # The server reports the end of a call before it admits the next one, so
      # some calls find it busy and are tried again.
      for _ in range(20):
        async with client.decode("ab") as session:
          await session.best([session.start.handle])
      await client.score("ab", ["a"])
      async with client.decode("ab"):
        await is_busy(address)

  async def is_busy(address):
    async with lmserve.AsyncClient(address, attempts=1) as client:
      for call in (client.decode("ab").__aenter__,
                   lambda: client.score("ab", ["a"])):
        with pytest.raises(lmserve.LmserveError) as raised:
          await call()
        assert raised.value.code == StatusCode.RESOURCE_EXHAUSTED
        assert raised.value.retry_after == pytest.approx(0.1)

  with live_server.LiveServer(store, "--max-calls", "1") as server:
    asyncio.run(body(server.address))


@with_client
async def test_a_session_ends_with_its_task(client):
  entered = asyncio.Event()

  async def decode():
    async with client.decode("ab") as session:
      entered.set()
      while True:
        await session.best([session.start.handle])

  task = asyncio.create_task(decode())
  await entered.wait()
  await asyncio.sleep(0.05)
  task.cancel()
  with pytest.raises(asyncio.CancelledError):
    await task
  assert await client.health()


@with_client
async def test_leaving_a_session_can_be_cancelled(client):
  inside = asyncio.Event()

  async def decode():
    async with client.decode("ab") as session:
      # The server never learns of the end, so leaving the session waits.
      session._requests = asyncio.Queue()
      inside.set()

  task = asyncio.create_task(decode())
  await inside.wait()
  await asyncio.sleep(0.05)
  assert not task.done()
  task.cancel()
  with pytest.raises(asyncio.CancelledError):
    await task
  assert await client.health()
