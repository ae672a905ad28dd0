# SPDX-License-Identifier: Apache-2.0
"""Tests of AsyncClient with a real lm_server."""

import asyncio
import functools
import inspect
import math

import lmserve
import pytest

LN2 = math.log(2)
LN3 = math.log(3)
LN9 = math.log(9)


def with_client(test):
  """Runs an asynchronous test in its own event loop, with an AsyncClient."""

  @functools.wraps(test)
  def run(address):
    async def body():
      async with lmserve.AsyncClient(address, deadline=60) as client:
        await test(client)

    asyncio.run(body())

  run.__signature__ = inspect.signature(lambda address: None)
  return run


def approx(value):
  return pytest.approx(value, abs=1e-5)


@with_client
async def test_unary_calls(client):
  ranked = (await client.score("ab", ["a c"], alternatives=1,
                               ranks=True)).scores[0].words
  assert len(ranked.alternatives) == len(ranked.ranks) == 3
  good, failed = (await client.score(
      "ab", ["a", ["a c"]], include_begin=False, include_end=False,
      ngram_lengths=True, keep_going=True)).scores
  assert good.words.ngram_lengths == (1,)
  assert failed.failed.field == "texts[1]"
  async for response in client.score_stream(
      "ab", [[["a c"]]], include_begin=False, include_end=False,
      ngram_lengths=True, keep_going=True):
    assert response.scores[0].failed.field == "texts[0]"
  score = (await client.score("ab", ["a c"], per_word=True)).scores[0]
  assert score.words.words == ("a", "<unk>", "</s>")
  assert score.log_prob == approx(-LN3 - LN9 - LN3)
  response = await client.predict("ab", [["a"]], words=["b"])
  assert response.predictions[0].log_probs == approx((LN2 - LN9,))
  response = await client.rerank(["ab"], ["b", "a"])
  assert [ranked.index for ranked in response.candidates] == [1, 0]
  models = (await client.list_models()).models
  assert [model.name for model in models] == ["ab", "both", "long"]
  assert await client.get_model("long") == models[2]
  assert await client.health()
  assert await client.health("ab")
  vocabulary = await client.vocabulary("ab")
  assert vocabulary[vocabulary.find("b")] == "b"
  prediction = await client.predict("ab", ["a"], prefix="b")
  assert prediction.predictions[0].words == ("b",)


@with_client
async def test_generate(client):
  generation = client.generate("ab", seed=5, max_words=20)
  words = [word async for word in generation]
  assert generation.model == lmserve.ModelVersion("ab", 1)
  assert generation.end.word_count == len(words)
  assert [word async for word in client.generate(
      "ab", seed=5, max_words=20)] == words


@with_client
async def test_generate_can_be_cancelled(client):
  generation = client.generate("long", temperature=0, max_words=10_000)
  await generation.__anext__()
  generation.cancel()
  assert not [word async for word in generation]


@with_client
async def test_generate_can_be_cancelled_while_it_waits(client):
  generation = client.generate("long", temperature=0, max_words=10_000)
  asyncio.get_running_loop().call_later(0.05, generation.cancel)
  assert len([word async for word in generation]) < 10_000


@with_client
async def test_score_stream_of_an_iterable(client):
  batches = [["a"], ["b", "a"]] * 200
  counts = [len(response.scores)
            async for response in client.score_stream("ab", batches)]
  assert counts == [1, 2] * 200


@with_client
async def test_score_stream_answers_before_the_last_batch(client):
  came = asyncio.Event()

  async def batches():
    yield ["a"]
    await asyncio.wait_for(came.wait(), 60)
    yield ["b"]

  found = []
  async for response in client.score_stream("ab", batches()):
    found.append(response.scores[0].log_prob)
    came.set()
  assert found == approx([-2 * LN3, LN2 - LN9 - LN3])


@with_client
async def test_score_stream_can_be_closed_early(client):
  responses = client.score_stream("ab", (["a"] for _ in range(10**9)))
  assert (await responses.__anext__()).scores[0].word_count == 2
  await responses.aclose()


@with_client
async def test_score_stream_raises_what_its_batches_raise(client):
  def batches():
    yield ["a"]
    raise KeyError("a book")

  found = 0
  with pytest.raises(KeyError, match="a book"):
    async for _ in client.score_stream("ab", batches()):
      found += 1
  assert found == 1


@with_client
async def test_tasks_share_a_client(client):
  responses = await asyncio.gather(
      *(client.score("ab", [["a"] * i]) for i in range(1, 100)))
  assert [response.scores[0].word_count for response in responses] == list(
      range(2, 101))


@with_client
async def test_a_call_is_cancelled_with_its_task(client):
  async def read():
    async for _ in client.generate("long", temperature=0, max_words=10_000):
      await asyncio.sleep(0.01)

  task = asyncio.create_task(read())
  await asyncio.sleep(0.1)
  task.cancel()
  with pytest.raises(asyncio.CancelledError):
    await task
  assert await client.health()


@with_client
async def test_errors_have_their_codes(client):
  with pytest.raises(lmserve.LmserveError) as raised:
    await client.score("nobody", ["a"])
  assert raised.value.code.name == "NOT_FOUND"
  with pytest.raises(lmserve.LmserveError) as raised:
    _ = [word async for word in client.generate("both")]
  assert raised.value.code.name == "FAILED_PRECONDITION"
  with pytest.raises(lmserve.LmserveError) as raised:
    _ = [word async for word in client.generate(
        "long", temperature=0, max_words=10_000, deadline=1e-3)]
  assert raised.value.code.name == "DEADLINE_EXCEEDED"
  with pytest.raises(lmserve.LmserveError) as raised:
    async for _ in client.score_stream("ab", [["a"], [["a b"]]]):
      pass
  assert raised.value.code.name == "INVALID_ARGUMENT"
  assert raised.value.message.startswith("request 1: texts[0]")
