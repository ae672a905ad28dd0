# SPDX-License-Identifier: Apache-2.0
"""States are values: they compare, hash, copy and pickle."""

import copy
import pickle

import pytest

from lmserve_local import Model, State


@pytest.fixture(params=["ngram", "lstm", "window"])
def model(request, store):
  return Model.open(store, request.param)


def test_equal_texts_have_equal_states(model):
  state, same, other = map(model.start, ("the cat", "the cat", "the small"))
  assert state == same and hash(state) == hash(same)
  assert state != other and len({state, same, other}) == 2
  assert sorted([other, state]) == sorted([state, other])
  assert (state < other) == (other > state)
  assert state.__eq__(1) is NotImplemented
  with pytest.raises(TypeError):
    state < 1


@pytest.mark.parametrize("duplicate", [
    copy.copy, copy.deepcopy, lambda s: pickle.loads(pickle.dumps(s)),
    lambda s: pickle.loads(pickle.dumps(s, protocol=2))])
def test_duplicates(model, duplicate):
  state = model.start("the cat")
  again = duplicate(state)
  assert again is not state and again == state
  assert hash(again) == hash(state) and bytes(again) == bytes(state)
  a, _ = model.extend([state], ["is"])
  b, _ = model.extend([again], ["is"])
  assert a == b


def test_states_outlive_their_model(store):
  state = Model.open(store, "lstm").start("the")
  again = Model.open(store, "lstm")
  log_probs, _ = again.extend([state], ["cat"])
  assert log_probs == again.extend([again.start("the")], ["cat"])[0]


def test_a_fresh_state():
  state = State()
  assert state == State() and bytes(state) == b"" and "0 bytes" in repr(state)
  assert pickle.loads(pickle.dumps(state)) == state


def test_models_pickle_as_their_version(model, store):
  again = pickle.loads(pickle.dumps(model))
  assert (again.name, again.version) == (model.name, model.version)
  assert again.score("the cat") == model.score("the cat")


def test_a_closed_model_does_not_pickle(store):
  model = Model.open(store, "ngram")
  model.close()
  with pytest.raises(ValueError, match="closed"):
    pickle.dumps(model)
