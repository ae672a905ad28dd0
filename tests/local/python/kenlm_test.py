# SPDX-License-Identifier: Apache-2.0
"""The contract of the module kenlm, by numbers worked out from the ARPA file."""

import bz2
import copy
import gzip
import lzma
import os
import pathlib
import pickle
import sys
import threading

import pytest

import lmserve_local
from lmserve_local import kenlm
from conftest import write_random_arpa

SOURCE = pathlib.Path(os.environ.get("LMSERVE_SOURCE", "."))


@pytest.fixture(scope="module")
def model(arpa):
  return kenlm.Model(arpa)


def close(value):
  return pytest.approx(value, abs=1e-6, rel=1e-6)


def read(model, words, start="begin"):
  """Returns the scores of words, and the last state."""
  state, other = kenlm.State(), kenlm.State()
  if start == "begin":
    model.BeginSentenceWrite(state)
  elif start == "null":
    model.NullContextWrite(state)
  scores = []
  for word in words:
    scores.append(model.BaseScore(state, word, other))
    state, other = other, state
  return scores, state


def test_scores_of_words_seen_and_unseen(model):
  scores, _ = read(model, "the cat is small </s>".split())
  assert scores == [close(x) for x in
                    (-0.375, -0.25, -0.1875, -0.3125, -0.125)]
  # "is the" is a bigram; "the x" backs off.
  scores, _ = read(model, "is the x".split(), "null")
  assert scores == [close(-1.0625), close(-0.875), close(-0.4375 - 1.25)]


def test_score_is_the_sum_of_the_words(model):
  assert model.score("the cat is small") == close(-1.25)
  assert model.score("the cat is small", bos=False, eos=False) == close(
      -0.9375 - 0.5 - 0.1875 - 0.3125)
  assert model.score("", bos=True, eos=False) == 0
  assert model.score(b"the cat is small") == model.score("the cat is small")


def test_perplexity_counts_the_end(model):
  assert model.perplexity("the cat is small") == close(10 ** (1.25 / 5))
  assert model.perplexity("") == close(10 ** -model.score(""))


def test_full_scores(model):
  assert list(model.full_scores("the cat x")) == [
      (close(-0.375), 2, False), (close(-0.25), 3, False),
      (close(-0.25 - 0.25 - 1.25), 1, True), (close(-0.8125), 1, False)]
  assert len(list(model.full_scores("the cat x", eos=False))) == 3
  iterator = model.full_scores("the")
  assert next(iterator)[1] == 2


def test_base_full_score(model):
  state, out = kenlm.State(), kenlm.State()
  model.BeginSentenceWrite(state)
  full = model.BaseFullScore(state, "x", out)
  assert (full.log_prob, full.ngram_length, full.oov) == (
      close(-0.3125 - 1.25), 1, True)
  assert "1" in repr(full)


def test_the_begin_marker_as_a_word_has_the_value_of_the_file(model):
  state, out, begin = kenlm.State(), kenlm.State(), kenlm.State()
  model.NullContextWrite(state)
  assert model.BaseScore(state, "<s>", out) == close(-1.75)
  model.BeginSentenceWrite(begin)
  assert out == begin
  # After another word, with its back-off weight.
  model.BaseScore(state, "the", state)
  assert model.BaseScore(state, "<s>", out) == close(-0.4375 - 1.75)
  assert out == begin
  assert model.score("<s>", bos=False, eos=False) == close(-1.75)


def test_99_is_a_log_probability(model):
  assert read(model, ["never"], "null")[0] == [close(-99)]
  assert read(model, ["the", "never"], "null")[0][1] == close(-99.4375)


def test_unknown_words_and_the_vocabulary(model):
  assert "the" in model and "<s>" in model and "</s>" in model
  assert "x" not in model and "<unk>" not in model and "" not in model
  assert b"the" in model
  scores, _ = read(model, ["<unk>"], "null")
  assert scores == [close(-1.25)]


def test_texts_are_split_at_ascii_space_only(model):
  word = "caf\u00e9\u00a0bar"
  assert word in model
  assert model.score(word, bos=False, eos=False) == close(-2.5)
  assert model.score(" the\t\v\f\r\n cat ", bos=False, eos=False) == close(
      -0.9375 - 0.5)
  assert [oov for _, _, oov in model.full_scores("a\x00b \x1c", eos=False)] == [
      True, True]


def test_in_and_out_may_be_the_same_state(model):
  state, out = kenlm.State(), kenlm.State()
  model.BeginSentenceWrite(state)
  model.BaseScore(state, "the", out)
  model.BaseScore(state, "the", state)
  assert state == out


def test_a_fresh_state_is_the_empty_context(model):
  null = kenlm.State()
  model.NullContextWrite(null)
  assert null == kenlm.State() and hash(null) == hash(kenlm.State())
  assert model.BaseScore(kenlm.State(), "the", null) == close(-0.9375)


def test_states_are_values(model):
  _, state = read(model, ["the", "cat"])
  _, same = read(model, ["is", "the", "cat"], "null")
  _, other = read(model, ["the", "small"])
  # "the cat" is all that matters after both.
  assert state == same and hash(state) == hash(same) and state != other
  assert (state < other) != (other < state) and state <= same
  assert state != "the cat"
  for duplicate in (copy.copy(state), copy.deepcopy(state),
                    copy.deepcopy({"a": [state]})["a"][0],
                    pickle.loads(pickle.dumps(state))):
    assert duplicate == state and duplicate is not state
    assert model.BaseScore(duplicate, "is", kenlm.State()) == close(-0.1875)


def test_states_of_other_models_are_refused(model, random_arpa):
  other = kenlm.Model(random_arpa[0])
  state = kenlm.State()
  other.BeginSentenceWrite(state)
  with pytest.raises(ValueError, match="another model"):
    model.BaseScore(state, "the", kenlm.State())
  model.BeginSentenceWrite(state)
  fingerprint, data = state.__getstate__()
  forged = kenlm.State.__new__(kenlm.State)
  forged.__setstate__((fingerprint, data + b"\0\0\0\1"))
  with pytest.raises(ValueError, match="another model"):
    model.BaseScore(forged, "the", kenlm.State())


def test_types(model):
  with pytest.raises(TypeError):
    model.BaseScore(kenlm.State(), b"the", kenlm.State())
  with pytest.raises(TypeError):
    model.score(7)
  with pytest.raises(TypeError):
    model.BaseScore(None, "the", kenlm.State())
  with pytest.raises(UnicodeEncodeError):
    model.BaseScore(kenlm.State(), "\ud800", kenlm.State())


def test_attributes(model, arpa):
  assert model.order == 3
  assert model.path == os.path.abspath(arpa).encode()
  assert repr(model) == f"<Model from {os.path.basename(arpa).encode()}>"
  assert kenlm.LanguageModel is kenlm.Model
  assert kenlm.Model.__module__ == "lmserve_local.kenlm"


def test_paths(arpa, monkeypatch):
  monkeypatch.chdir(os.path.dirname(arpa))
  name = os.path.basename(arpa)
  for path in (name, name.encode(), pathlib.Path(name)):
    assert kenlm.Model(path).path == arpa.encode()


def test_config(arpa):
  config = kenlm.Config()
  assert config.load_method == kenlm.LoadMethod.POPULATE_OR_READ == 2
  config.load_method = kenlm.LoadMethod.LAZY
  config.show_progress = False
  config.arpa_complain = kenlm.ARPALoadComplain.NONE
  assert kenlm.Model(arpa, config).order == 3
  assert kenlm.Model(arpa, config=config).order == 3


def test_errors_are_oserrors(tmp_path):
  for name, content in (("missing.arpa", None), ("broken.arpa", b"nothing"),
                        ("probing.bin", b"mmap lm http://kheafield.com/code")):
    path = tmp_path / name
    if content is not None:
      path.write_bytes(content)
    with pytest.raises(OSError, match="Cannot read model .*" + name):
      kenlm.Model(str(path))


def test_models_pickle_by_path(model):
  again = pickle.loads(pickle.dumps(model))
  assert again.path == model.path
  assert again.score("the cat") == model.score("the cat")
  # States are those of any object that has opened the same file.
  _, state = read(model, ["the"])
  assert again.BaseScore(state, "cat", kenlm.State()) == close(-0.5 + 0.25)


def test_compressed_files(arpa, tmp_path, model):
  text = pathlib.Path(arpa).read_bytes()
  for name, module in (("gz", gzip), ("xz", lzma), ("bz2", bz2)):
    path = tmp_path / f"model.arpa.{name}"
    path.write_bytes(module.compress(text))
    assert kenlm.Model(str(path)).score("the cat") == model.score("the cat")


def test_orders_above_16(tmp_path):
  path = tmp_path / "long.arpa"
  words = write_random_arpa(path, words=30, order=20)
  model = kenlm.Model(str(path))
  assert model.order == 20
  assert model.score(" ".join(words)) < 0


def test_kenlm_tries():
  tries = SOURCE / "tests" / "ngram_files" / "kenlm"
  found = sorted(tries.glob("tiny*.trie"))
  if not found:
    pytest.skip(f"no tries in {tries}")
  expected = None
  for path in found:
    model = kenlm.Model(str(path))
    assert model.score("a b") < 0
    if "quant" not in path.name:
      expected = expected or model.score("a b c")
      assert model.score("a b c") == close(expected)


def test_probing_tables_are_refused_with_the_way_out():
  path = SOURCE / "tests" / "ngram_files" / "kenlm" / "tiny.probing"
  if not path.exists():
    pytest.skip(f"no {path}")
  with pytest.raises(OSError, match="trie"):
    kenlm.Model(str(path))


def test_models_of_a_store(store):
  for name in ("ngram", "lstm", "window"):
    by_name = kenlm.Model(f"{store}/{name}")
    for path in (f"{store}/{name}@1", f"{store}/{name}/1", f"{store}/{name}/"):
      assert kenlm.Model(path).score("the cat") == by_name.score("the cat")
    native = lmserve_local.Model.open(store, name)
    assert by_name.score("the cat is small .") == pytest.approx(
        native.score("the cat is small .") / 2.302585092994046, rel=1e-5)
    assert by_name.order == (native.order or 1)
    again = pickle.loads(pickle.dumps(by_name))
    assert again.score("the cat") == by_name.score("the cat")


def test_a_network_says_that_it_needs_a_beginning(store):
  model = kenlm.Model(f"{store}/lstm")
  with pytest.raises(ValueError, match="only after <s>"):
    model.NullContextWrite(kenlm.State())
  scores, _ = read(model, "the cat </s>".split())
  assert sum(scores) == pytest.approx(model.score("the cat"), rel=1e-5)


def test_a_trained_model_gives_the_begin_marker_a_finite_value(store):
  model = kenlm.Model(f"{store}/ngram")
  state = kenlm.State()
  model.NullContextWrite(state)
  assert -200 < model.BaseScore(state, "<s>", state) <= -99


def test_the_model_behind(model):
  native = model.model
  assert isinstance(native, lmserve_local.Model)
  state = native.start("the")
  assert model.BaseScore(state, "cat", kenlm.State()) == close(-0.25)
  row = native.next_log_probs([state])[0]
  for word in ("cat", "small", "x", "</s>"):
    assert row[native.id(word)] / 2.302585092994046 == pytest.approx(
        model.BaseScore(state, word, kenlm.State()), rel=1e-6)
  assert pickle.loads(pickle.dumps(native)).score("the") == native.score("the")


def test_install_as_kenlm():
  sys.modules.pop("kenlm", None)
  lmserve_local.install_as_kenlm()
  try:
    import kenlm as found  # pylint: disable=import-outside-toplevel
    assert found is kenlm
    lmserve_local.install_as_kenlm()  # twice is no error
    sys.modules["kenlm"] = sys
    with pytest.raises(RuntimeError, match="not imported yet"):
      lmserve_local.install_as_kenlm()
  finally:
    sys.modules.pop("kenlm", None)


def test_threads_get_the_same_scores(random_arpa):
  path, words = random_arpa
  model = kenlm.Model(path)
  texts = [" ".join(words[i:i + 7]) for i in range(len(words) - 7)]
  expected = [model.score(text) for text in texts]
  found = [None] * 8

  def score(i):
    found[i] = [[model.score(text) for text in texts] for _ in range(50)]

  threads = [threading.Thread(target=score, args=(i,)) for i in range(8)]
  for thread in threads:
    thread.start()
  for thread in threads:
    thread.join()
  assert all(scores == [expected] * 50 for scores in found)
