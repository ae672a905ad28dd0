# SPDX-License-Identifier: Apache-2.0
"""Tests of rerankers and minimum Bayes risk, with both clients."""

import math

import fake_server
import live_server
import lmserve
import pytest
from async_client_test import with_client
from errors_test import error_of
from grpc import StatusCode

# Neither of the two features alone ranks both references first.
LISTS = [
    [("a", {"ab": -2.2, "tm": -3}), ("b a", {"ab": -3.7, "tm": -1})],
    [("a a b", {"ab": -4.8, "tm": -1}), ("a b", {"ab": -3.7, "tm": -2})],
]
REFERENCES = ["b a", "a b"]
CANDIDATES = [lmserve.Candidate("a", {"tm": -3}),
              lmserve.Candidate(["b", "a"], {"tm": -1}),
              lmserve.Candidate("a c", {"tm": -0.5})]
# The last two are similar to each other, the first is not.
TEXTS = ["b", "a a a a", "a a a b"]


@pytest.fixture(scope="module", name="address")
def serve(tmp_path_factory):
  """Serves a model and two rerankers that use it."""
  directory = tmp_path_factory.mktemp("rerankers")
  store = directory / "store"
  live_server.train_ngram(store, "ab", live_server.AB)
  tune = live_server.tune_reranker
  tune(store, "mt", directory, LISTS, REFERENCES, "--member", "ab",
       "--normalization", "power", "--alpha", "0.5")
  renamed = [[(text, {"lm": features["ab"]}) for text, features in candidates]
             for candidates in LISTS[1:]]
  tune(store, "alike", directory, renamed, REFERENCES[1:], "--member", "lm=ab",
       "--minimum-bayes-risk", "chrf", "--scale", "0.25")
  with live_server.LiveServer(store) as server:
    yield server.address


def approx(value):
  return pytest.approx(value, abs=1e-5)


def order(response):
  return [ranked.index for ranked in response.candidates]


def test_model_info_describes_a_reranker(client):
  models = client.list_models().models
  assert [(model.name, model.family) for model in models] == [
      ("ab", "ngram"), ("alike", "reranker"), ("mt", "reranker")]
  reranker = client.get_model("mt").reranker
  assert reranker == models[2].reranker
  assert reranker.members == (
      lmserve.RerankerMember("ab@1", "ab", reverse=False),)
  assert reranker.weights.keys() == {"ab", "tm"}
  assert reranker.normalization == lmserve.Normalization.POWER
  assert reranker.alpha == 0.5
  assert reranker.minimum_bayes_risk is None
  assert models[0].reranker is None


def test_a_reranker_has_defaults(client):
  reranker = client.get_model("alike").reranker
  assert reranker.members == (
      lmserve.RerankerMember("ab@1", "lm", reverse=False),)
  assert reranker.normalization == lmserve.Normalization.SUM
  assert reranker.alpha == 1
  assert reranker.minimum_bayes_risk == lmserve.MinimumBayesRisk(
      lmserve.Utility.CHRF, 0.25)


def test_rerank_with_equals_rerank_with_its_settings(client):
  named = client.rerank_with("mt", CANDIDATES)
  assert named.reranker == lmserve.ModelVersion("mt", 1)
  assert named.models == (lmserve.ModelVersion("ab", 1),)
  assert named.feature_names == ("tm", "ab", "ab.unknown", "ab.words",
                                 "ab.end")
  reranker = client.get_model("mt").reranker
  equivalent = client.rerank(
      ["ab"], CANDIDATES, weights=reranker.weights,
      normalization=reranker.normalization, alpha=reranker.alpha)
  assert equivalent.reranker is None
  assert equivalent.weights == named.weights
  assert equivalent.candidates == named.candidates
  assert client.rerank_with("mt@1", CANDIDATES, best=2).candidates == (
      named.candidates[:2])


def test_rerank_by_the_minimum_bayes_risk(client):
  by_score = client.rerank(["ab"], TEXTS)
  assert order(by_score) == [0, 1, 2]
  assert {ranked.expected_utility for ranked in by_score.candidates} == {0}
  for utility in (lmserve.Utility.BLEU, lmserve.Utility.CHRF):
    response = client.rerank(
        ["ab"], TEXTS,
        minimum_bayes_risk=lmserve.MinimumBayesRisk(utility, scale=0.01))
    assert order(response)[2] == 0
    utilities = [ranked.expected_utility for ranked in response.candidates]
    assert 100 > utilities[0] > utilities[1] > utilities[2] > 0
    for ranked in response.candidates:
      assert ranked.score == by_score.candidates[ranked.index].score


def test_candidates_are_weighted_by_probability(client):
  """The utility of equal texts is 100, of texts without common words 0."""
  first, second = client.rerank(
      ["ab"], ["a", "b"],
      minimum_bayes_risk=lmserve.MinimumBayesRisk(scale=2)).candidates
  assert (first.index, second.index) == (0, 1)
  odds = math.exp(2 * (first.score - second.score))
  assert first.expected_utility == approx(100 * odds / (1 + odds))
  assert second.expected_utility == approx(100 / (1 + odds))
  default = client.rerank(
      ["ab"], ["a", "b"], minimum_bayes_risk=lmserve.MinimumBayesRisk())
  assert default.candidates[0].expected_utility == approx(60)


def test_a_reranker_can_have_a_minimum_bayes_risk(client):
  reranker = client.get_model("alike").reranker
  named = client.rerank_with("alike", TEXTS)
  equivalent = client.rerank(
      ["ab"], TEXTS, weights={"ab": reranker.weights["lm"]},
      minimum_bayes_risk=reranker.minimum_bayes_risk)
  assert named.feature_names == ("lm", "lm.unknown", "lm.words", "lm.end")
  assert named.candidates == equivalent.candidates
  assert named.candidates[0].expected_utility > 0


@pytest.mark.parametrize("code, message, call", [
    (StatusCode.NOT_FOUND, "reranker: model 'nobody' ",
     lambda client: client.rerank_with("nobody", CANDIDATES)),
    (StatusCode.NOT_FOUND, "reranker: ",
     lambda client: client.rerank_with("mt@2", CANDIDATES)),
    (StatusCode.FAILED_PRECONDITION, "reranker: 'ab' is a model",
     lambda client: client.rerank_with("ab", CANDIDATES)),
    (StatusCode.FAILED_PRECONDITION, "'mt' is a reranker",
     lambda client: client.rerank(["mt"], CANDIDATES)),
    (StatusCode.FAILED_PRECONDITION, "'mt' is a reranker",
     lambda client: client.score("mt", ["a"])),
    (StatusCode.INVALID_ARGUMENT,
     "reranker 'mt': weights[tm]: expected one of the features",
     lambda client: client.rerank_with("mt", ["a", "b"])),
    (StatusCode.INVALID_ARGUMENT, "candidates[1].features: ",
     lambda client: client.rerank_with("mt", [*CANDIDATES[:1], "b"])),
    (StatusCode.INVALID_ARGUMENT, "candidates: ",
     lambda client: client.rerank_with("mt", [])),
    (StatusCode.INVALID_ARGUMENT, "source: ",
     lambda client: client.rerank_with("mt", CANDIDATES, source="a")),
    (StatusCode.INVALID_ARGUMENT, "minimum_bayes_risk.scale: ",
     lambda client: client.rerank(
         ["ab"], TEXTS,
         minimum_bayes_risk=lmserve.MinimumBayesRisk(scale=-1))),
    (StatusCode.INVALID_ARGUMENT, "minimum_bayes_risk.utility: ",
     lambda client: client.rerank(
         ["ab"], TEXTS, minimum_bayes_risk=lmserve.MinimumBayesRisk(
             lmserve.Utility.UNKNOWN))),
])
def test_rerank_errors(client, code, message, call):
  error = error_of(call, client)
  assert error.code == code
  assert error.message.startswith(message)


def test_an_empty_reranker_name(client):
  with pytest.raises(ValueError, match="^reranker: "):
    client.rerank_with("", TEXTS)


def test_values_that_only_newer_servers_have():
  # models { reranker { normalization: 9 minimum_bayes_risk { utility: 9 } } }
  answer = b"\x0a\x08\x6a\x06\x18\x09\x2a\x02\x08\x09"
  with fake_server.FakeServer(answer=answer) as server:
    with lmserve.Client(server.address, deadline=60) as client:
      reranker = client.list_models().models[0].reranker
  assert reranker.normalization == lmserve.Normalization.UNKNOWN
  assert reranker.minimum_bayes_risk.utility == lmserve.Utility.UNKNOWN


@with_client
async def test_asyncio_reranks_with_a_reranker(client):
  named = await client.rerank_with("mt", CANDIDATES, best=2)
  assert named.reranker == lmserve.ModelVersion("mt", 1)
  reranker = (await client.get_model("mt")).reranker
  equivalent = await client.rerank(
      ["ab"], CANDIDATES, weights=reranker.weights,
      normalization=reranker.normalization, alpha=reranker.alpha, best=2)
  assert equivalent.candidates == named.candidates
  response = await client.rerank(
      ["ab"], TEXTS,
      minimum_bayes_risk=lmserve.MinimumBayesRisk(lmserve.Utility.CHRF, 0.01))
  assert order(response)[2] == 0
  assert response.candidates[0].expected_utility > 0
  models = (await client.list_models()).models
  assert [model.reranker is None for model in models] == [True, False, False]


@with_client
async def test_asyncio_errors(client):
  for code, call in (
      (StatusCode.NOT_FOUND, client.rerank_with("nobody", CANDIDATES)),
      (StatusCode.FAILED_PRECONDITION, client.rerank_with("ab", CANDIDATES)),
      (StatusCode.FAILED_PRECONDITION, client.rerank(["mt"], CANDIDATES)),
      (StatusCode.INVALID_ARGUMENT, client.rerank_with("mt", ["a"]))):
    with pytest.raises(lmserve.LmserveError) as raised:
      await call
    assert raised.value.code == code
  with pytest.raises(ValueError):
    await client.rerank_with("", TEXTS)
