# SPDX-License-Identifier: Apache-2.0
"""Tests of translation models and beam search, with both clients."""

import asyncio
import itertools
import math

import fake_server
import live_server
import lmserve
import pytest
from async_client_test import with_client
from errors_test import error_of
from grpc import StatusCode

LN2 = math.log(2)
LN3 = math.log(3)
LN9 = math.log(9)

# The translation of a sentence has its words in reverse order.
SOURCES = [" ".join(words) for words in itertools.product(
    ["the", "a"], ["cat", "dog"], ["is"], ["small", "big"])]
SOURCE = "the cat is small"
TARGET = "small is cat the"

# For a reranker: neither model alone ranks both references first.
LISTS = [
    [("b", {"there": -2, "there.words": 2, "back": -1}),
     ("a", {"there": -1, "there.words": 2, "back": -3})],
    [("b", {"there": -2.5, "there.words": 2, "back": -3}),
     ("a", {"there": -3, "there.words": 2, "back": -1})],
]


def reverse(sentence):
  return " ".join(reversed(sentence.split()))


@pytest.fixture(scope="module", name="address")
def serve(tmp_path_factory):
  """Serves translation models of both directions, an n-gram and a reranker."""
  directory = tmp_path_factory.mktemp("translation")
  source, target = directory / "source.txt", directory / "target.txt"
  source.write_text("\n".join(SOURCES), encoding="utf-8")
  target.write_text("\n".join(map(reverse, SOURCES)), encoding="utf-8")
  store = directory / "store"
  live_server.train_translation(store, "there", source, target)
  live_server.train_translation(store, "back", target, source)
  live_server.train_ngram(store, "ab", live_server.AB)
  live_server.tune_reranker(
      store, "both", directory, LISTS, ["a", "a"], "--member", "there",
      "--reverse-member", "back")
  with live_server.LiveServer(store) as server:
    yield server.address


def approx(value):
  return pytest.approx(value, abs=1e-5)


def test_model_info_says_translation(client):
  assert {model.name: model.translation
          for model in client.list_models().models} == {
              "ab": False, "back": True, "both": False, "there": True}
  assert client.get_model("there").translation


def numbers(array):
  """Returns an array, or tuples if NumPy is not installed, as nested lists."""
  if hasattr(array, "tolist"):
    return array.tolist()
  return ([numbers(row) for row in array] if isinstance(array, tuple) else
          array)


def test_inspect(client):
  response = client.inspect("there", TARGET, source=SOURCE, attention=True)
  assert response.model == lmserve.ModelVersion("there", 1)
  assert response.words == ("<s>", *TARGET.split())
  assert response.source_words == (*SOURCE.split(), "</s>")
  encoder, decoder = response.layers
  assert (encoder.reads_source, decoder.reads_source) == (True, False)
  for layer in response.layers:
    assert layer.unit_count == 16
    assert layer.units == tuple(range(16))
    assert set(layer.quantities) == {
        lmserve.Quantity.INPUT_GATE, lmserve.Quantity.FORGET_GATE,
        lmserve.Quantity.OUTPUT_GATE, lmserve.Quantity.NEW_MEMORY,
        lmserve.Quantity.FINAL_MEMORY, lmserve.Quantity.HIDDEN}
    assert len(layer.values) == 6
    i, f, o, n, c, h = (numbers(layer[quantity]) for quantity in (
        lmserve.Quantity.INPUT_GATE, lmserve.Quantity.FORGET_GATE,
        lmserve.Quantity.OUTPUT_GATE, lmserve.Quantity.NEW_MEMORY,
        lmserve.Quantity.FINAL_MEMORY, lmserve.Quantity.HIDDEN))
    for t in range(1, 5):
      for k in range(16):
        assert c[t][k] == approx(f[t][k] * c[t - 1][k] + i[t][k] * n[t][k])
        assert h[t][k] == approx(o[t][k] * math.tanh(c[t][k]))
    with pytest.raises(KeyError):
      layer[lmserve.Quantity.RESET_GATE]  # pylint: disable=pointless-statement
  attention = numbers(response.attention)
  assert [len(row) for row in attention] == [5] * 5
  assert [sum(row) for row in attention] == approx([1] * 5)


def test_inspect_returns_what_is_selected(client):
  all_layers = client.inspect("there", TARGET, source=SOURCE)
  assert all_layers.attention is None
  layer, = client.inspect(
      "there", TARGET, source=SOURCE, layers=[1], units=[3, 0],
      quantities=[lmserve.Quantity.HIDDEN]).layers
  assert (layer.layer, layer.units, layer.quantities) == (
      1, (3, 0), (lmserve.Quantity.HIDDEN,))
  expected = numbers(all_layers.layers[1][lmserve.Quantity.HIDDEN])
  assert numbers(layer[lmserve.Quantity.HIDDEN]) == [
      [row[3], row[0]] for row in expected]
  most = client.inspect("there", source=SOURCE, most_variable=3).layers
  assert [len(layer.units) for layer in most] == [3, 3]


def test_inspect_fails(client):
  error = error_of(client.inspect, "ab", "a")
  assert error.code == StatusCode.FAILED_PRECONDITION
  assert "recurrent" in error.message
  error = error_of(client.inspect, "there", "a", source="a", layers=[2])
  assert (error.code, error.field) == (StatusCode.INVALID_ARGUMENT, "layers[0]")
  with pytest.raises(TypeError, match=r"quantities\[0\]: expected Quantity"):
    client.inspect("there", "a", source="a", quantities=["hidden"])


@pytest.mark.parametrize("source", [SOURCE, SOURCE.split()])
def test_beam_search_translates(client, source):
  response = client.beam_search("there", source=source)
  assert response.model == lmserve.ModelVersion("there", 1)
  hypothesis, = response.hypotheses
  assert hypothesis.text == TARGET
  assert hypothesis.words == tuple(TARGET.split())
  assert hypothesis.ended
  assert len(hypothesis.ids) == 4
  assert len(hypothesis.log_probs) == 5
  assert hypothesis.log_prob == approx(sum(hypothesis.log_probs))
  assert hypothesis.score == approx(hypothesis.log_prob / 5)


@pytest.mark.parametrize("length_alpha", [0, 0.6, 1])
def test_hypotheses_come_best_first(client, length_alpha):
  hypotheses = client.beam_search("there", source=SOURCE, size=20, best=10,
                                  length_alpha=length_alpha).hypotheses
  assert len({hypothesis.words for hypothesis in hypotheses}) == 10
  scores = [hypothesis.score for hypothesis in hypotheses]
  assert scores == sorted(scores, reverse=True)
  assert scores == approx([
      hypothesis.log_prob / len(hypothesis.log_probs)**length_alpha
      for hypothesis in hypotheses])


def test_scores_are_those_of_hypotheses(client):
  hypotheses = client.beam_search(
      "there", source=SOURCE, size=20, best=10).hypotheses
  for texts in ([hypothesis.text for hypothesis in hypotheses],
                [hypothesis.ids for hypothesis in hypotheses]):
    for sources in ([SOURCE], [SOURCE] * 10):
      response = client.score("there", texts, sources=sources, per_word=True)
      for score, hypothesis in zip(response.scores, hypotheses):
        assert score.log_prob == approx(hypothesis.log_prob)
        assert score.words.log_probs == approx(hypothesis.log_probs)


def test_each_text_has_its_own_source(client):
  texts = list(map(reverse, SOURCES))
  scores = client.score("there", texts, sources=SOURCES).scores
  for text, source, score in zip(texts, SOURCES, scores):
    alone, = client.score("there", [text], sources=[source]).scores
    assert score.log_prob == approx(alone.log_prob)
  wrong = client.score("there", texts, sources=SOURCES[::-1]).scores
  assert wrong[0].log_prob < scores[0].log_prob - 1


def test_hypotheses_can_be_cut_off(client):
  hypothesis, = client.beam_search(
      "there", source=SOURCE, max_words=2).hypotheses
  assert (hypothesis.text, hypothesis.ended) == ("small is", False)
  score, = client.score("there", [hypothesis.words], sources=[SOURCE],
                        include_end=False).scores
  assert score.log_prob == approx(hypothesis.log_prob)


def test_hypotheses_do_not_repeat_the_prompt(client):
  hypothesis, = client.beam_search(
      "there", "small is", source=SOURCE).hypotheses
  assert hypothesis.text == "cat the"
  assert len(hypothesis.log_probs) == 3


def test_a_beam_search_without_a_source(client):
  def found(**arguments):
    response = client.beam_search("ab", ["b"], size=20, best=20, max_words=1,
                                  length_alpha=0, **arguments)
    return {(hypothesis.text, hypothesis.ended): hypothesis.log_prob
            for hypothesis in response.hypotheses}

  known = found()
  assert known == approx({("", True): -LN3, ("a", False): -LN3,
                          ("b", False): LN2 - LN9})
  assert found(allow_unknown=True) == approx({**known, ("<unk>", False): -LN9})


def test_generate_translates(client):
  generation = client.generate("there", source=SOURCE, temperature=0)
  assert " ".join(word.word for word in generation) == TARGET
  score, = client.score("there", [TARGET], sources=[SOURCE]).scores
  assert generation.end.log_prob == approx(score.log_prob)


def test_score_stream_takes_sources(client):
  texts = list(map(reverse, SOURCES))
  expected = client.score("there", texts, sources=SOURCES).scores
  responses = client.score_stream("there", (
      lmserve.Batch([text], [source]) for text, source in zip(texts, SOURCES)))
  found = [response.scores[0].log_prob for response in responses]
  assert found == approx([score.log_prob for score in expected])


def test_rerank_with_both_directions(client):
  candidates = [*map(reverse, SOURCES), "small"]
  response = client.rerank(
      ["there"], candidates, source=SOURCE, reverse_models=["back"],
      weights={"there": 1, "back": 0.5}, best=3)
  assert response.models == (lmserve.ModelVersion("there", 1),
                             lmserve.ModelVersion("back", 1))
  assert response.feature_names == ("there", "there.unknown", "there.words",
                                    "there.end", "back")
  assert len(response.candidates) == 3
  assert candidates[response.candidates[0].index] == TARGET
  for ranked in response.candidates:
    text = candidates[ranked.index]
    there, = client.score("there", [text], sources=[SOURCE],
                          per_word=True).scores
    back, = client.score("back", [SOURCE], sources=[text]).scores
    assert ranked.features == approx(
        (there.log_prob, 0, there.word_count, there.words.log_probs[-1],
         back.log_prob))
    assert ranked.score == approx(there.log_prob + back.log_prob / 2)


def test_rerank_by_a_reverse_model_alone(client):
  response = client.rerank([], ["big is dog a", TARGET], source=SOURCE,
                           reverse_models=["back"])
  assert response.feature_names == ("back",)
  assert [ranked.index for ranked in response.candidates] == [1, 0]


def test_a_reranker_can_have_members_of_both_directions(client):
  reranker = client.get_model("both").reranker
  assert reranker.members == (
      lmserve.RerankerMember("there@1", "there", reverse=False),
      lmserve.RerankerMember("back@1", "back", reverse=True))
  candidates = list(map(reverse, SOURCES))
  named = client.rerank_with("both", candidates, source=SOURCE)
  equivalent = client.rerank(["there"], candidates, source=SOURCE,
                             reverse_models=["back"],
                             weights=reranker.weights)
  assert named.models == equivalent.models
  assert named.candidates == equivalent.candidates
  assert candidates[named.candidates[0].index] == TARGET


@pytest.mark.parametrize("field, call", [
    ("sources", lambda client: client.score("there", ["a"])),
    ("source", lambda client: client.generate("there")),
    ("source", lambda client: client.beam_search("there")),
    ("source", lambda client: client.rerank(["there"], ["a"])),
    ("source", lambda client: client.rerank(
        [], ["a"], reverse_models=["back"])),
    ("source", lambda client: client.rerank_with("both", ["a"])),
    ("sources", lambda client: client.score("ab", ["a"], sources=["a"])),
    ("source", lambda client: client.generate("ab", source="a")),
    ("source", lambda client: client.beam_search("ab", source="a")),
    ("source", lambda client: client.rerank(["ab"], ["a"], source="a")),
    ("reverse_models", lambda client: client.rerank(
        [], ["a"], source="a", reverse_models=["ab"])),
    ("sources", lambda client: client.score(
        "there", ["a"], sources=["a", "a"])),
    ("sources[1]", lambda client: client.score(
        "there", ["a", "a"], sources=["a", ""])),
    ("source", lambda client: client.beam_search("there", source="")),
    ("beam_search.size", lambda client: client.beam_search("ab", size=0)),
    ("beam_search.best", lambda client: client.beam_search("ab", best=6)),
    ("beam_search.length_alpha", lambda client: client.beam_search(
        "ab", length_alpha=-1)),
    ("request 0: sources", lambda client: client.score_stream(
        "there", [["a"]])),
])
def test_a_field_that_breaks_a_rule(client, field, call):
  error = error_of(call, client)
  assert error.code == StatusCode.INVALID_ARGUMENT
  assert error.message.startswith(f"{field}: ")


def test_a_source_may_fail_alone(client):
  scores = client.score("there", ["a", "a"], sources=["a", ""],
                        keep_going=True).scores
  assert scores[0] == client.score("there", ["a"], sources=["a"]).scores[0]
  assert scores[1].failed.field == "sources[1]"


@with_client
async def test_asyncio_scores_are_those_of_hypotheses(client):
  response = await client.beam_search("there", source=SOURCE, size=20, best=10)
  assert response.model == lmserve.ModelVersion("there", 1)
  assert response.hypotheses[0].text == TARGET
  ranks = [hypothesis.score for hypothesis in response.hypotheses]
  assert ranks == sorted(ranks, reverse=True)
  texts = [hypothesis.words for hypothesis in response.hypotheses]
  scores = (await client.score("there", texts, sources=[SOURCE])).scores
  assert [score.log_prob for score in scores] == approx(
      [hypothesis.log_prob for hypothesis in response.hypotheses])


@with_client
async def test_asyncio_translates_at_once(client):
  responses = await asyncio.gather(
      *(client.beam_search("there", source=source) for source in SOURCES))
  assert [response.hypotheses[0].text for response in responses] == list(
      map(reverse, SOURCES))


@with_client
async def test_asyncio_has_the_same_arguments(client):
  words = [word.word async for word in client.generate(
      "there", source=SOURCE, temperature=0)]
  assert " ".join(words) == TARGET
  response = await client.rerank(
      ["there"], ["big is dog a", TARGET], source=SOURCE,
      reverse_models=["back"])
  assert [ranked.index for ranked in response.candidates] == [1, 0]
  assert response.feature_names[-1] == "back"
  assert (await client.rerank_with(
      "both", ["big is dog a", TARGET],
      source=SOURCE)).candidates[0].index == 1
  response = await client.beam_search(
      "there", "small", source=SOURCE, size=2, best=2, length_alpha=0,
      max_words=1, allow_unknown=True)
  assert response.hypotheses[0].words == ("is",)
  batches = [lmserve.Batch([TARGET] * 2, [SOURCE])] * 3
  assert [len(response.scores) async for response in client.score_stream(
      "there", batches)] == [2] * 3
  assert (await client.get_model("there")).translation


@with_client
async def test_asyncio_errors_name_the_field(client):
  for field, call in (
      ("sources", client.score("there", ["a"])),
      ("source", client.beam_search("there")),
      ("source", client.beam_search("ab", source="a")),
      ("sources", client.score("there", ["a"], sources=["a", "a"])),
      ("reverse_models", client.rerank([], ["a"], source="a",
                                       reverse_models=["ab"]))):
    with pytest.raises(lmserve.LmserveError) as raised:
      await call
    assert raised.value.code == StatusCode.INVALID_ARGUMENT
    assert raised.value.message.startswith(f"{field}: ")


def test_a_beam_search_is_cancelled_with_its_task():
  async def body(server):
    async with lmserve.AsyncClient(server.address, deadline=60) as client:
      task = asyncio.create_task(client.beam_search("en"))
      while not server.calls:
        await asyncio.sleep(0.01)
      task.cancel()
      with pytest.raises(asyncio.CancelledError):
        await task

  with fake_server.FakeServer() as server:
    server.gate.clear()
    asyncio.run(body(server))


def test_coverage_ranks_too(client):
  plain = client.beam_search("there", source=SOURCE, best=3)
  covered = client.beam_search("there", source=SOURCE, best=3,
                               coverage_beta=0.5)
  assert [found.score for found in covered.hypotheses] != [
      found.score for found in plain.hypotheses]
  with pytest.raises(lmserve.LmserveError) as raised:
    client.beam_search("there", source=SOURCE, coverage_beta=-1.0)
  assert raised.value.message.startswith("beam_search.coverage_beta: ")
