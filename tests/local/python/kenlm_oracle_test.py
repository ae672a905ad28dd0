# SPDX-License-Identifier: Apache-2.0
"""Every call beside PyPI's kenlm, on random sentences.

Skips unless a module kenlm is installed beside the package: its source
distribution needs cmake and a compiler, so no test installs it. By hand:
`pip install kenlm==0.3.0` in a virtual environment with the wheel and pytest.
"""

import os
import random

import pytest

import lmserve_local.kenlm as ours
from conftest import write_random_arpa

kenlm = pytest.importorskip("kenlm", reason="PyPI's kenlm is not installed")
if kenlm is ours:
  pytest.skip("kenlm is ours", allow_module_level=True)


def close(value):
  return pytest.approx(value, abs=1e-6, rel=1e-6)


@pytest.fixture(scope="module", params=range(6))
def pair(request, tmp_path_factory):
  """A random model of order 2 to 5 in both modules, and its words."""
  path = tmp_path_factory.mktemp("oracle") / f"{request.param}.arpa"
  words = write_random_arpa(path, words=30, order=2 + request.param % 4,
                            seed=request.param)
  return kenlm.Model(str(path)), ours.Model(str(path)), words


def sentences(words, count, seed=3):
  chance = random.Random(seed)
  more = words + ["<unk>", "zzz", "\u00e9t\u00e9"]
  for _ in range(count):
    yield [chance.choice(more) for _ in range(chance.randrange(0, 14))]


def test_sentences(pair):
  theirs, model, words = pair
  for sentence in sentences(words, 300):
    text = " ".join(sentence)
    for bos in (True, False):
      for eos in (True, False):
        assert model.score(text, bos, eos) == close(
            theirs.score(text, bos, eos))
        ours_full = list(model.full_scores(text, bos=bos, eos=eos))
        theirs_full = list(theirs.full_scores(text, bos=bos, eos=eos))
        assert [x[1:] for x in ours_full] == [x[1:] for x in theirs_full]
        assert [x[0] for x in ours_full] == [close(x[0]) for x in theirs_full]
    assert model.perplexity(text) == pytest.approx(theirs.perplexity(text),
                                                   rel=1e-5)


def test_states(pair):
  """Scores word by word; states are equal where KenLM's are."""
  theirs, model, words = pair
  seen = {}
  for sentence in sentences(words, 200, seed=4):
    for null in (True, False):
      a, b = kenlm.State(), ours.State()
      (theirs.NullContextWrite if null else theirs.BeginSentenceWrite)(a)
      (model.NullContextWrite if null else model.BeginSentenceWrite)(b)
      for word in sentence + ["</s>"]:
        after, mine = kenlm.State(), ours.State()
        full = theirs.BaseFullScore(a, word, after)
        found = model.BaseFullScore(b, word, mine)
        assert found.log_prob == close(full.log_prob)
        assert (found.ngram_length, found.oov) == (full.ngram_length, full.oov)
        assert model.BaseScore(b, word, ours.State()) == found.log_prob
        # One state of ours for each of theirs, and the reverse.
        assert seen.setdefault(after, mine) == mine
        assert seen.setdefault(mine, after) == after
        a, b = after, mine
  assert len(seen) > 20


def test_the_begin_marker_as_a_word(pair):
  theirs, model, words = pair
  for word in words[:10]:
    a, b = kenlm.State(), ours.State()
    theirs.NullContextWrite(a)
    model.NullContextWrite(b)
    for next_word in (word, "<s>", word):
      after, mine = kenlm.State(), ours.State()
      assert model.BaseScore(b, next_word, mine) == close(
          theirs.BaseScore(a, next_word, after))
      a, b = after, mine


def test_the_vocabulary_and_attributes(pair):
  theirs, model, words = pair
  for word in words + ["<unk>", "<s>", "</s>", "zzz", ""]:
    assert (word in model) == (word in theirs)
  assert model.order == theirs.order
  assert model.path == theirs.path
  assert repr(model) == repr(theirs)


def test_names():
  public = {name for name in dir(kenlm) if name[0].isupper()}
  assert public <= set(dir(ours)) | {"Vocabulary", "FullScoreReturn"}
  for name in ("LAZY", "POPULATE_OR_LAZY", "POPULATE_OR_READ", "READ",
               "PARALLEL_READ"):
    assert getattr(ours.LoadMethod, name) == getattr(kenlm.LoadMethod, name)
  for name in ("ALL", "EXPENSIVE", "NONE"):
    assert getattr(ours.ARPALoadComplain, name) == getattr(
        kenlm.ARPALoadComplain, name)
  assert ours.Config().load_method == kenlm.Config().load_method


def test_errors(tmp_path):
  for module in (kenlm, ours):
    with pytest.raises(OSError, match="Cannot read model"):
      module.Model(os.fspath(tmp_path / "nothing.arpa"))
