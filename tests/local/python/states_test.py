# SPDX-License-Identifier: Apache-2.0
"""States are values: they compare, hash, copy and pickle, alone and in arrays."""

import copy
import pickle

import numpy
import pytest

from lmserve_local import Model, State, States


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


@pytest.fixture
def states(model):
  return States(map(model.start, ("the", "the cat", "the", "")))


def test_an_array_extends_as_its_states_do(model, states):
  words = ["cat", "is", "small", "the"]
  expected, after = model.extend(list(states), words)
  for given in (words, [model.id(word) for word in words],
                numpy.array([model.id(word) for word in words], numpy.int32),
                numpy.array([model.id(word) for word in words], numpy.int64),
                numpy.array([model.id(word) for word in words], numpy.uint16)):
    log_probs, extended = model.extend(states, given)
    assert isinstance(extended, States)
    assert (log_probs == expected).all() and list(extended) == after
  assert states[0] == model.start("the")  # they did not change
  assert (model.next_log_probs(states) ==
          model.next_log_probs(list(states))).all()
  for ours, theirs in zip(model.top_k(states, 3), model.top_k(list(states), 3)):
    assert (ours == theirs).all()


def test_arrays_are_indexed(model, states):
  assert len(states) == 4 and states[-1] == model.start()
  assert list(states[1:3]) == [states[1], states[2]]
  assert list(states[::-2]) == [states[3], states[1]]
  # What a beam search does: hypotheses continue others, some of them twice.
  for key in ([1, 1, 0, -1], numpy.array([1, 1, 0, 3])):
    assert list(states[key]) == [states[1], states[1], states[0], states[3]]
  assert len(states[[]]) == len(states[4:]) == 0
  for bad in (4, -5, [0, 4]):
    with pytest.raises(IndexError, match="of 4 states"):
      states[bad]
  for bad in (1.5, [1.5], "a", [True]):
    with pytest.raises(TypeError):
      states[bad]


def test_arrays_are_values(model, states):
  again = States(states)
  assert again == states and hash(again) == hash(states) and again != states[1:]
  assert states != list(states)
  for other in (copy.copy(states), copy.deepcopy(states),
                pickle.loads(pickle.dumps(states))):
    assert other is not states and other == states
    assert (model.next_log_probs(other) == model.next_log_probs(states)).all()
  rows = states.to_numpy()
  assert rows.dtype == numpy.uint8 and rows.shape[0] == 4
  assert rows[1].tobytes() == bytes(states[1])
  # "the" is there twice.
  _, places = numpy.unique(rows, axis=0, return_index=True)
  assert len(states[places]) == 3
  assert "4 of" in repr(states)


def test_an_array_of_no_states(model):
  none = States([])
  assert len(none) == 0 and none == States([]) and list(none) == []
  assert pickle.loads(pickle.dumps(none)) == none
  log_probs, after = model.extend(none, [])
  assert len(log_probs) == 0 and isinstance(after, States)
  assert model.next_log_probs(none).shape == (0, model.vocabulary_size)


def test_arrays_have_states_of_one_model(store):
  ngram, lstm = (Model.open(store, name) for name in ("ngram", "lstm"))
  with pytest.raises(TypeError, match=r"states\[0\]: expected a State"):
    States([None])
  with pytest.raises(ValueError, match=r"states\[1\]"):
    States([ngram.start(), lstm.start()])
  with pytest.raises(ValueError, match=r"states\[0\].*State\(\)"):
    States([State()])
  with pytest.raises(ValueError, match="another model"):
    ngram.extend(States([lstm.start()]), ["the"])
  with pytest.raises(ValueError, match="expected one for each of the 1 states"):
    ngram.extend(States([ngram.start()]), numpy.array([1, 2]))
  with pytest.raises(IndexError, match=r"words\[0\]"):
    ngram.extend(States([ngram.start()]), numpy.array([-1]))
  with pytest.raises(ValueError, match="whole states"):
    States.__new__(States).__setstate__((1, 4, b"12345"))


def test_models_pickle_as_their_version(model, store):
  again = pickle.loads(pickle.dumps(model))
  assert (again.name, again.version) == (model.name, model.version)
  assert again.score("the cat") == model.score("the cat")


def test_a_closed_model_does_not_pickle(store):
  model = Model.open(store, "ngram")
  model.close()
  with pytest.raises(ValueError, match="closed"):
    pickle.dumps(model)
