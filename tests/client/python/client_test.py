# SPDX-License-Identifier: Apache-2.0
"""Tests of Client with a real lm_server."""

import math
import threading

import fake_server
import grpc
import live_server
import lmserve
import pytest

LN2 = math.log(2)
LN3 = math.log(3)
LN9 = math.log(9)


def approx(value):
  return pytest.approx(value, abs=1e-5)


def test_score(client):
  response = client.score("ab", ["a c", "b"], per_word=True)
  assert response.model == lmserve.ModelVersion("ab", 1)
  first, second = response.scores
  assert first.log_prob == approx(-LN3 - LN9 - LN3)
  assert (first.word_count, first.unknown_count) == (3, 1)
  assert first.known_log_prob == approx(-LN3 - LN3)
  assert first.perplexity == approx(math.exp((LN3 + LN9 + LN3) / 3))
  assert first.known_perplexity == approx(3)
  assert first.words.words == ("a", "<unk>", "</s>")
  assert first.words.log_probs == approx((-LN3, -LN9, -LN3))
  assert first.words.unknown == (False, True, False)
  assert second.log_prob == approx(LN2 - LN9 - LN3)


def test_score_with_alternatives_and_ranks(client):
  plain = client.score("ab", ["a b"], per_word=True).scores[0].words
  assert (plain.alternatives, plain.ranks, plain.entropies) == ((), (), ())
  words = client.score("ab", ["a b"], alternatives=2,
                       ranks=True).scores[0].words
  assert words.log_probs == plain.log_probs
  predicted = client.predict("ab", ["", "a", "a b"], k=2).predictions
  assert words.alternatives == predicted
  every = client.predict("ab", ["", "a", "a b"], k=100).predictions
  for i, best in enumerate(every):
    assert words.ranks[i] == best.words.index(words.words[i]) + 1
    assert words.entropies[i] == approx(
        -sum(math.exp(value) * value for value in best.log_probs))
  only = next(client.score_stream("ab", [["a b"]], ranks=True))
  assert only.scores[0].words.ranks == words.ranks
  assert only.scores[0].words.alternatives == ()


def test_score_without_words_and_end(client):
  score = client.score("ab", ["a"], include_end=False).scores[0]
  assert (score.word_count, score.words) == (1, None)
  assert score.log_prob == approx(-LN3)


def test_score_without_the_beginning(client):
  # A unigram model has no context, so that <s> makes no difference.
  plain, without = (
      client.score("ab", ["a b"], include_begin=include).scores[0].log_prob
      for include in (True, False))
  assert plain == without
  for options in ({"include_begin": False}, {"ngram_lengths": True}):
    with pytest.raises(lmserve.LmserveError) as raised:
      client.score("both", ["a"], **options)
    assert raised.value.code == grpc.StatusCode.FAILED_PRECONDITION
    assert "bidirectional" in raised.value.message


def test_score_with_lengths_of_ngrams(client):
  words = client.score("ab", ["a zebra"], ngram_lengths=True).scores[0].words
  assert words.words == ("a", "<unk>", "</s>")
  assert words.ngram_lengths == (1, 1, 1)
  plain = client.score("ab", ["a zebra"], per_word=True).scores[0].words
  assert plain.log_probs == words.log_probs
  assert plain.ngram_lengths == ()


def test_a_text_may_fail_alone(client):
  texts = ["a", ["a b"], "b"]
  with pytest.raises(lmserve.LmserveError) as raised:
    client.score("ab", texts)
  alone = client.score("ab", ["a", "b"]).scores
  scores = client.score("ab", texts, keep_going=True).scores
  assert (scores[0], scores[2]) == alone
  failed = scores[1].failed
  assert (failed.code, failed.message, failed.field) == (
      raised.value.code, raised.value.message, raised.value.field)
  assert failed.field == "texts[1]"
  assert math.isnan(scores[1].log_prob) and math.isnan(scores[1].perplexity)
  assert (scores[1].word_count, scores[1].words) == (0, None)
  responses = list(client.score_stream("ab", [texts, ["a <s>"], ["b"]],
                                       keep_going=True))
  assert responses[0].scores[0::2] == alone
  assert responses[1].scores[0].failed.field == "texts[0]"
  assert responses[2].scores == (alone[1],)


def test_a_text_is_a_string_or_words_or_ids(client):
  known = client.predict("ab", [""], words=["a", "b"]).predictions[0]
  texts = ["a b", ["a", "b"], ("a", "b"), known.ids, list(known.ids)]
  scores = client.score("ab", texts).scores
  assert len(scores) == 5
  assert set(scores) == {scores[0]}
  assert scores[0].unknown_count == 0


def test_score_stream(client):
  texts = ["a", "b", "a b a", "c"]
  log_probs = [-2 * LN3, LN2 - LN9 - LN3, LN2 - LN9 - 3 * LN3, -LN9 - LN3]
  batches = ([texts[i % 4], texts[(i + 1) % 4]] for i in range(1000))
  found = []
  for response in client.score_stream("ab", batches):
    assert response.model.version == 1
    found += [score.log_prob for score in response.scores]
  expected = [log_probs[(i + j) % 4] for i in range(1000) for j in range(2)]
  assert found == approx(expected)


def test_score_stream_without_batches(client):
  assert not list(client.score_stream("ab", []))


def test_score_stream_answers_before_the_last_batch(client):
  came = threading.Event()

  def batches():
    yield ["a"]
    assert came.wait(60)
    yield ["b"]

  responses = client.score_stream("ab", batches())
  next(responses)
  came.set()
  next(responses)
  assert not list(responses)


def test_score_stream_can_be_closed_early(client):
  responses = client.score_stream("ab", (["a"] for _ in range(10**9)))
  assert next(responses).scores[0].log_prob == approx(-2 * LN3)
  responses.close()


def test_predict(client):
  response = client.predict("ab", ["a", ""], k=4)
  assert response.model.name == "ab"
  for prediction in response.predictions:
    assert set(prediction.words[:2]) == {"a", "</s>"}
    assert prediction.words[2:] == ("b", "<unk>")
    assert len(prediction.ids) == 4
    assert prediction.log_probs == approx((-LN3, -LN3, LN2 - LN9, -LN9))
  known = client.predict("ab", [""], include_unknown=False).predictions[0]
  assert set(known.words) == {"a", "b", "</s>"}


def test_predict_given_words(client):
  rated = client.predict("ab", ["a"], words=["b", "a"]).predictions[0]
  assert rated.words == ("b", "a")
  assert rated.log_probs == approx((LN2 - LN9, -LN3))


def test_predict_words_with_a_prefix(client):
  for prefix, words in (("b", ("b",)), ("<u", ("<unk>",)), ("x", ())):
    found = client.predict("ab", ["a"], prefix=prefix).predictions[0]
    assert found.words == words
  with pytest.raises(lmserve.LmserveError, match="INVALID_ARGUMENT: prefix"):
    client.predict("ab", ["a"], prefix="b", words=["b"])


def test_predict_fills_a_gap(client):
  response = client.predict("both", ["a"], suffixes=["c"], k=2)
  gap = response.predictions[0]
  other = client.predict("both", ["a"], suffixes=["b c"], k=2).predictions[0]
  assert len(gap.words) == 2
  assert gap.log_probs != other.log_probs


def test_rerank(client):
  candidates = [lmserve.Candidate("a", {"tm": -3}),
                lmserve.Candidate(["b"], {"tm": -1})]
  response = client.rerank(["ab"], candidates, weights={"ab": 1, "tm": 2})
  assert response.models == (lmserve.ModelVersion("ab", 1),)
  assert response.feature_names == ("tm", "ab", "ab.unknown", "ab.words",
                                    "ab.end")
  assert response.weights == (2, 1, 0, 0, 0)
  first, second = response.candidates
  assert (first.index, second.index) == (1, 0)
  assert second.score == approx(-2 * LN3 - 6)
  assert second.features == approx((-3, -2 * LN3, 0, 2, -LN3))


def test_rerank_normalizes(client):
  texts = ["a a", "b"]
  by_sum = client.rerank(["ab"], texts, best=1)
  by_mean = client.rerank(
      ["ab"], texts, normalization=lmserve.Normalization.MEAN)
  by_power = client.rerank(
      ["ab"], texts, normalization=lmserve.Normalization.POWER, alpha=2)
  assert [ranked.index for ranked in by_sum.candidates] == [1]
  assert by_mean.candidates[0].index == 0
  assert by_mean.candidates[0].score == approx(-LN3)
  assert by_power.candidates[0].score == approx(-LN3 / 3)


def test_generate(client):
  generation = client.generate("ab", seed=5, max_words=20)
  assert (generation.model, generation.end) == (None, None)
  words = list(generation)
  assert generation.model == lmserve.ModelVersion("ab", 1)
  assert (generation.end.word_count, generation.end.seed) == (len(words), 5)
  assert {word.word for word in words} <= {"a", "b"}
  assert list(client.generate("ab", seed=5, max_words=20)) == words


def test_generate_returns_why_it_ended(client):
  def reason(**arguments):
    generation = client.generate("long", temperature=0, **arguments)
    for word in generation:
      assert word.log_prob == approx(math.log(301 / 304))
    return generation.end.reason

  assert reason(max_words=3) == lmserve.EndReason.MAX_WORDS
  assert reason(stop_words=["a"]) == lmserve.EndReason.STOP_WORD


def test_generate_sends_every_option(client):
  generation = client.generate(
      "ab", ["a"], max_words=5, temperature=0.5, top_k=3, top_p=0.9,
      repetition_penalty=1.5, seed=0, stop_words=["b"], allow_unknown=True)
  list(generation)
  assert generation.end.seed == 0


def test_generate_can_be_cancelled(client):
  generation = client.generate("long", temperature=0, max_words=10_000)
  next(generation)
  generation.cancel()
  assert not list(generation)


def test_models(client):
  response = client.list_models()
  assert [model.name for model in response.models] == ["ab", "both", "long"]
  assert (response.refused, response.loading) == ((), ())
  model = client.get_model("ab@1")
  assert model == response.models[0]
  assert (model.name, model.version, model.is_default) == ("ab", 1, True)
  assert (model.family, model.vocabulary_size) == ("ngram", 5)
  assert model.properties["smoothing"] == "additive"
  assert model.file_bytes > 0
  assert model.load_seconds > 0
  assert model.reranker is None
  assert not model.bidirectional
  assert client.get_model("both").bidirectional


def test_versions_that_are_being_loaded():
  answer = b"\x1a\x06\x0a\x02en\x10\x07"  # loading { name: "en" version: 7 }
  with fake_server.FakeServer(answer=answer) as server:
    with lmserve.Client(server.address, deadline=60) as client:
      assert client.list_models().loading == (lmserve.ModelVersion("en", 7),)


def test_vocabulary(client):
  vocabulary = client.vocabulary("ab")
  assert vocabulary.model == lmserve.ModelVersion("ab", 1)
  assert set(vocabulary) == {"<unk>", "<s>", "</s>", "a", "b"}
  assert len(vocabulary) == 5
  assert vocabulary.words == tuple(vocabulary)
  for i, word in enumerate(vocabulary):
    assert vocabulary.find(word) == i
    assert vocabulary[i] == word
  assert vocabulary.find("zebra") is None
  assert "a" in vocabulary and "zebra" not in vocabulary
  with client.decode("ab", ["b"]) as session:
    assert session.start.ids == (vocabulary.find("b"),)
    assert session.start.vocabulary_key == vocabulary.key
  with pytest.raises(lmserve.LmserveError, match="NOT_FOUND"):
    client.vocabulary("nobody")


def test_a_vocabulary_of_several_messages(tmp_path):
  words = [f"word-{i:06}" * 10 for i in range(40_000)]
  live_server.train_ngram(tmp_path, "many", "\n".join(words))
  with live_server.LiveServer(tmp_path) as server:
    with lmserve.Client(server.address) as client:
      vocabulary = client.vocabulary("many")
      assert len(vocabulary) == 40_003
      assert set(words) <= set(vocabulary)


def test_health(client):
  assert client.health()
  assert client.health("ab")


def test_threads_share_a_client(client):
  log_probs = [None] * 8

  def score(i):
    for _ in range(50):
      log_probs[i] = client.score("ab", [["a"] * i + ["b"]]).scores[0].log_prob

  threads = [threading.Thread(target=score, args=(i,)) for i in range(8)]
  for thread in threads:
    thread.start()
  for thread in threads:
    thread.join()
  assert log_probs == approx([LN2 - LN9 - (i + 1) * LN3 for i in range(8)])
