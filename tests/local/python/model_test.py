# SPDX-License-Identifier: Apache-2.0
"""lmserve_local.Model over an ARPA file and over models of a store."""

import math
import os
import shutil
import subprocess
import sys
import threading

import numpy
import pytest

from lmserve_local import Model, State, kenlm

LN10 = math.log(10)


@pytest.fixture(scope="module")
def model(arpa):
  return Model.from_arpa(arpa)


@pytest.fixture(params=["ngram", "lstm", "window"])
def stored(request, store):
  return Model.open(store, request.param)


def test_scores_are_natural_logarithms(model):
  assert model.score("the cat is small") == pytest.approx(-1.25 * LN10)
  assert model.score("the cat", bos=False, eos=False) == pytest.approx(
      (-0.9375 - 0.5) * LN10)
  words = model.score_words("the cat")
  assert words.dtype == numpy.float32 and words.shape == (3,)
  assert model.score("the cat") == pytest.approx(float(words.sum()))
  assert model.score("") == pytest.approx((-0.3125 - 0.8125) * LN10)


def test_attributes(model, arpa, store):
  assert (model.name, model.version, model.family, model.kind,
          model.order) == (arpa, 0, "ngram", "left-to-right", 3)
  assert model.vocabulary_size == len(model.words()) == 9
  assert model.word(model.id("cat")) == "cat" and "cat" in model
  assert model.id("x") == model.id("<unk>") and "x" not in model
  with pytest.raises(IndexError, match="below 9"):
    model.word(9)
  stored = Model.open(store, "ngram@1")
  assert (stored.name, stored.version) == ("ngram", 1)
  assert "ngram@1" in repr(stored) and arpa in repr(model)


def test_batches_have_the_bits_of_single_texts(stored):
  texts = ["the cat is small .", "", "small", "is the cat . x"] * 9
  single = [stored.score(text) for text in texts]
  for threads in (1, 2, 5, 100):
    batch = stored.score_batch(texts, threads=threads)
    assert batch.dtype == numpy.float64 and batch.tolist() == single
  assert stored.score_batch([]).shape == (0,)
  assert stored.score_batch(iter(texts[:2])).tolist() == single[:2]


def test_extend_gives_the_scores_of_the_text(stored):
  text = "the cat is small ."
  states, total = [stored.start()], []
  for word in text.split() + ["</s>"]:
    log_probs, states = stored.extend(states, [word])
    assert log_probs.dtype == numpy.float32 and log_probs.shape == (1,)
    total.append(float(log_probs[0]))
  assert total == pytest.approx(stored.score_words(text).tolist(), rel=1e-5,
                                abs=1e-5)
  by_words, _ = stored.extend([stored.start("the")], ["cat"])
  by_ids, _ = stored.extend([stored.start("the")],
                            numpy.array([stored.id("cat")]))
  assert by_words == by_ids


def test_extend_leaves_the_states_alone(stored):
  before = stored.start("the")
  copy = State.__copy__(before)
  _, (after,) = stored.extend((before,), ("cat",))
  assert before == copy and after == stored.start("the cat")


def test_rows_are_distributions(stored):
  states = [stored.start(), stored.start("the"), stored.start("the cat")]
  rows = stored.next_log_probs(states)
  assert rows.dtype == numpy.float32
  assert rows.shape == (3, stored.vocabulary_size)
  assert numpy.exp(rows.astype(float)).sum(1) == pytest.approx([1] * 3,
                                                               abs=1e-3)
  assert numpy.isneginf(rows[:, stored.id("<s>")]).all()
  for word in ("cat", "is", "</s>"):
    log_probs, _ = stored.extend(states, [word] * 3)
    assert rows[:, stored.id(word)] == pytest.approx(log_probs, rel=1e-5,
                                                     abs=1e-5)
  out = numpy.zeros_like(rows)
  result = stored.next_log_probs(states, out=out)
  assert (out == rows).all() and result is out


def test_out_is_checked(model):
  state = model.start()
  for out in (numpy.zeros((2, 9), numpy.float32),
              numpy.zeros((1, 8), numpy.float32)):
    with pytest.raises(ValueError, match=r"shape \(1, 9\)"):
      model.next_log_probs([state], out=out)
  for out in (numpy.zeros((1, 9)), numpy.zeros((9,), numpy.float32),
              numpy.zeros((1, 18), numpy.float32)[:, ::2]):
    with pytest.raises(TypeError):
      model.next_log_probs([state], out=out)


def test_top_k_is_the_head_of_the_row(stored):
  states = [stored.start(), stored.start("the")]
  ids, log_probs = stored.top_k(states, 4)
  assert ids.dtype == numpy.int32 and log_probs.dtype == numpy.float32
  assert ids.shape == log_probs.shape == (2, 4)
  rows = stored.next_log_probs(states)
  expected = -numpy.sort(-rows, axis=1)[:, :4]
  assert log_probs == pytest.approx(expected, rel=1e-5)
  best = stored.predict("the", 4)
  assert [word for word, _ in best] == [stored.word(int(i)) for i in ids[1]]
  for k in (0, stored.vocabulary_size + 1):
    with pytest.raises(ValueError, match="k: expected 1 to"):
      stored.top_k(states, k)


def test_generate(stored):
  words, log_probs, ended = stored.generate("the", max_words=8, seed=5)
  assert (words, ended) == stored.generate("the", max_words=8, seed=5)[::2]
  assert len(log_probs) == len(words) + ended
  assert stored.generate(temperature=0, max_words=5, seed=1)[0] == (
      stored.generate(temperature=0, max_words=5, seed=2)[0])
  assert stored.generate(max_words=0)[0] == []
  for bad in ({"temperature": -1.0}, {"top_p": 0.0},
              {"repetition_penalty": 0.0}, {"max_words": -1}):
    with pytest.raises(ValueError, match=next(iter(bad))):
      stored.generate(**bad)


def test_search(stored):
  best, *_ = stored.search(beam=4, best=2, max_words=12)
  words, log_prob, score, ended = best
  assert score == log_prob
  if ended:
    assert stored.score(" ".join(words)) == pytest.approx(log_prob, rel=1e-4)
  with pytest.raises(ValueError, match="beam"):
    stored.search(beam=0)


def test_rerank(model):
  order = model.rerank(["x x x", "the cat is small", "the small"])
  assert [index for index, _ in order] == [1, 2, 0]
  assert order[0][1] == pytest.approx(-1.25 * LN10)
  _, mean = model.rerank(["the cat is small"], alpha=1.0)[0]
  assert mean == pytest.approx(-1.25 * LN10 / 5)


def test_null_states(model, store):
  log_probs, _ = model.extend([State()], ["the"])
  assert log_probs[0] == pytest.approx(-0.9375 * LN10)
  with pytest.raises(ValueError, match="only there"):
    Model.open(store, "lstm").next_log_probs([State()])


def test_what_is_refused(model, store):
  with pytest.raises(ValueError, match="no sentence marker"):
    model.score("the <s>")
  with pytest.raises(TypeError, match="expected a str"):
    model.score(b"the")
  with pytest.raises(TypeError, match="found a str"):
    model.score_batch("the")
  with pytest.raises(ValueError, match="words: expected one for each"):
    model.extend([model.start()], ["a", "b"])
  with pytest.raises(IndexError):
    model.extend([model.start()], [99])
  with pytest.raises(IndexError, match="words\\[0\\]: .* found -1000000000000"):
    model.extend([model.start()], [-10**30])
  for state in (None, "the", b"", model):
    with pytest.raises(TypeError, match="states\\[1\\]: expected a State"):
      model.extend([model.start(), state], ["a", "b"])
  with pytest.raises(ValueError, match="another model"):
    model.extend([Model.open(store, "lstm").start()], ["the"])
  with pytest.raises(ValueError, match="threads"):
    model.score_batch(["a"], threads=0)
  with pytest.raises(ValueError, match="read sources"):
    model.score("the", source="der")
  with pytest.raises(ValueError, match="^alpha: expected a finite number"):
    model.rerank(["the", "cat"], alpha=math.nan)
  with pytest.raises(ValueError, match="^length_alpha: .* found -inf"):
    model.search(length_alpha=-math.inf)


def test_opening_says_what_is_wrong(store, tmp_path):
  with pytest.raises(FileNotFoundError, match="ngram"):
    Model.open(store, "nothing")
  with pytest.raises(FileNotFoundError):
    Model.from_arpa(tmp_path / "nothing.arpa")
  broken = tmp_path / "broken.arpa"
  broken.write_text("\\data\\\nngram 1=1\n\n\\1-grams:\nx\tthe\n")
  with pytest.raises(ValueError, match="line 5"):
    Model.from_arpa(broken)


def test_paths_need_not_be_utf8(arpa, tmp_path):
  path = os.fsencode(tmp_path) + b"/caf\xe9.arpa"
  with pytest.raises(FileNotFoundError, match=r"caf\\xe9.arpa: no such file"):
    Model.from_arpa(path)
  with pytest.raises(OSError, match=r"caf\\xe9.arpa: no such file"):
    kenlm.Model(path)
  shutil.copyfile(arpa, path)
  model = Model.from_arpa(path)
  assert os.fsencode(model.name) == path
  assert r"caf\xe9.arpa" in repr(model)
  assert Model.from_arpa(model.name).score("the") == model.score("the")


# The stacks of all threads do not fit into the memory that is left.
MANY_THREADS = """
import resource, sys
from lmserve_local import Model
model = Model.from_arpa(sys.argv[1])
with open("/proc/self/statm") as file:
  used = int(file.read().split()[0]) * resource.getpagesize()
limit = used + (256 << 20)
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
texts = ["the cat", "is", "small"] * 1000
assert list(model.score_batch(texts, threads=3000)) == [
    model.score(text) for text in texts]
"""


def test_more_threads_than_the_system_starts(arpa):
  subprocess.run([sys.executable, "-c", MANY_THREADS, arpa], check=True)


def test_context_manager(arpa):
  with Model.from_arpa(arpa) as model:
    assert not model.closed and model.score("the") < 0
  assert model.closed
  with pytest.raises(ValueError, match="closed"):
    model.score("the")


def test_copied_files_give_the_same_scores(store):
  mapped = Model.open(store, "ngram")
  copied = Model.open(store, "ngram", map_files=False)
  assert mapped.score("the cat is .") == copied.score("the cat is .")


def test_threads(stored):
  texts = ["the cat is small .", "is small"] * 20
  expected = stored.score_batch(texts).tolist()
  state = stored.start("the")
  row = stored.next_log_probs([state]).tolist()
  errors = []

  def work():
    for _ in range(10):
      if stored.score_batch(texts, threads=2).tolist() != expected:
        errors.append("score_batch")
      if stored.next_log_probs([state]).tolist() != row:
        errors.append("next_log_probs")

  threads = [threading.Thread(target=work) for _ in range(4)]
  for thread in threads:
    thread.start()
  for thread in threads:
    thread.join()
  assert not errors
