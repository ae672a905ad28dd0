# SPDX-License-Identifier: Apache-2.0
"""Threads that call what releases the GIL, all at once, get the same bits."""

import random
import threading
import time

import numpy
import pytest

from lmserve_local import Model, States, kenlm

SECONDS = 2
TEXTS = ["the cat is small .", "is small", "", "zebra the cat"] * 8


def calls_of(model):
  """Pairs of a call and what it returned on one thread, both comparable."""
  states = States([model.start(text) for text in TEXTS])
  words = numpy.arange(len(TEXTS)) % 3 + 3

  def extend():
    log_probs, after = model.extend(states, words)
    return log_probs.tolist(), after

  def extend_lists():
    log_probs, after = model.extend(list(states), words.tolist())
    return log_probs.tolist(), after

  calls = [
      extend,
      extend_lists,
      lambda: model.score_batch(TEXTS, threads=2).tolist(),
      lambda: model.score_words(TEXTS[0]).tolist(),
      lambda: model.next_log_probs(states[:3]).tolist(),
      lambda: [part.tolist() for part in model.top_k(states, 4)],
      lambda: model.rerank(TEXTS, threads=2),
      lambda: model.generate("the", seed=5)[0],
      lambda: model.search("the", beam=3, max_words=5)[0][0],
      lambda: hash(model.start("the cat")),
  ]
  return [(call, call()) for call in calls]


def run_all(*works):
  """Runs functions on threads until SECONDS have passed; raises their errors."""
  errors = []
  end = time.monotonic() + SECONDS

  def run(work, seed):
    draw = random.Random(seed)
    try:
      while time.monotonic() < end and not errors:
        work(draw)
    except BaseException as error:  # of any kind, for the test
      errors.append(error)

  threads = [threading.Thread(target=run, args=(work, seed))
             for seed, work in enumerate(works)]
  for thread in threads:
    thread.start()
  for thread in threads:
    thread.join()
  if errors:
    raise errors[0]


@pytest.mark.parametrize("name", ["ngram", "lstm"])
def test_one_model(store, name):
  calls = calls_of(Model.open(store, name))

  def work(draw):
    call, expected = draw.choice(calls)
    assert call() == expected

  run_all(*[work] * 4)


def test_models_that_others_close(store):
  """A call that runs keeps its model, and later ones fail cleanly."""
  expected = Model.open(store, "ngram").score_batch(TEXTS).tolist()
  models = [Model.open(store, "ngram") for _ in range(3)]

  def score(draw):
    try:
      assert draw.choice(models).score_batch(TEXTS).tolist() == expected
    except ValueError as error:
      assert "closed" in str(error)

  def replace(draw):
    i = draw.randrange(len(models))
    models[i].close()
    models[i] = Model.open(store, "ngram")

  run_all(score, score, replace, replace)


def test_states_of_each_thread(random_arpa):
  """BaseScore() of one model; each thread has states of its own."""
  path, words = random_arpa
  model = kenlm.Model(path)

  def walk(draw_words):
    state, out, scores = kenlm.State(), kenlm.State(), []
    model.BeginSentenceWrite(state)
    for word in draw_words:
      scores.append(model.BaseScore(state, word, out))
      state, out = out, state
    return scores, state

  texts = [random.Random(seed).choices(words, k=50) for seed in range(20)]
  expected = [walk(text) for text in texts]

  def work(draw):
    i = draw.randrange(len(texts))
    assert walk(texts[i]) == expected[i]

  run_all(*[work] * 4)
