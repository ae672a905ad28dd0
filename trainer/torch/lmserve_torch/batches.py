# SPDX-License-Identifier: Apache-2.0
"""The batches of a text, the same and in the same order as lm_trainer's."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from lmserve_torch.text import BEGIN, END

NO_TARGET = -100  # where nothing is predicted

# Purposes of random numbers.
INITIAL_WEIGHTS, BATCH_ORDER, DROPOUT = 0, 1, 3

_GAMMA = 0x9E3779B97F4A7C15
_MASK = (1 << 64) - 1


class Random:
  """The random numbers of lm_trainer (trainer/neural/random.h).

  They depend on a seed, a purpose and indices such as the epoch. The generator
  is SplitMix64 (Steele, Lea and Flood 2014).
  """

  def __init__(self, seed: int, purpose: int, *indices: int) -> None:
    self._state = seed
    for part in (purpose, *indices):
      self._state = int(self.draw(1)[0]) ^ part

  def draw(self, count: int) -> np.ndarray:
    """Returns the next numbers, of 64 bits each."""
    z = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(_GAMMA)
    z += np.uint64(self._state)
    self._state = (self._state + count * _GAMMA) & _MASK
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))

  def uniform(self, count: int, limit: float) -> np.ndarray:
    """Returns floats that are uniform in [-limit, limit)."""
    uniform = (self.draw(count) >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return (limit * (2 * uniform - 1)).astype(np.float32)

  def shuffle(self, items: list[Any]) -> None:
    """Puts a list into a random order."""
    bounds = np.arange(len(items), 1, -1, dtype=np.uint64)
    others = (self.draw(len(bounds)) % bounds).tolist()
    for i, other in zip(range(len(items) - 1, 0, -1), others):
      items[i], items[other] = items[other], items[i]


@dataclasses.dataclass
class Batch:
  """The data of one step, or a process's part of it.

  Attributes:
    inputs: Word ids, (steps, streams).
    targets: The words to predict, (steps, streams), or NO_TARGET.
  """
  inputs: np.ndarray
  targets: np.ndarray

  @property
  def words(self) -> int:
    """The number of words to predict."""
    return int(np.count_nonzero(self.targets != NO_TARGET))

  def part(self, bounds: slice) -> Batch:
    """Returns some streams or, instead of none, one without targets."""
    if bounds.start == bounds.stop:
      return Batch(self.inputs[:, :1], np.full_like(self.targets[:, :1],
                                                    NO_TARGET))
    return Batch(self.inputs[:, bounds], self.targets[:, bounds])


class StreamBatches:
  """A text as one stream, for truncated backpropagation through time.

  The text is cut into `streams` pieces that are read side by side; each batch
  has the next `steps` words of every piece.
  """

  def __init__(self, ids: np.ndarray, streams: int, steps: int) -> None:
    self._words = np.concatenate([np.array([END], ids.dtype), ids[ids != BEGIN]])
    self._steps = steps
    self._streams = min(streams, len(self._words) - 1)
    self._length = -(-(len(self._words) - 1) // self._streams)

  def start_epoch(self, epoch: int) -> None:
    """The batches are the same in every epoch."""

  def __len__(self) -> int:
    return -(-self._length // self._steps)

  def __getitem__(self, i: int) -> Batch:
    begin = i * self._steps
    end = min(begin + self._steps, self._length)
    places = (np.arange(begin, end)[:, None] +
              self._length * np.arange(self._streams))
    is_past = places + 1 >= len(self._words)  # beyond the text
    targets = self._words[np.where(is_past, -1, places + 1)]
    return Batch(self._words[np.where(is_past, -1, places)].astype(np.int64),
                 np.where(is_past, NO_TARGET, targets).astype(np.int64))


class SentenceBatches:
  """Batches of whole sentences of the same length, in random order.

  A batch has at most `streams` sentences with at most `streams * steps` words.
  """

  def __init__(self, ids: np.ndarray, streams: int, steps: int,
               seed: int) -> None:
    self._ids = ids
    self._streams = streams
    self._steps = steps
    self._seed = seed
    self._begins = np.flatnonzero(ids == BEGIN)
    # Words to predict in each sentence, including </s>.
    self._lengths = np.flatnonzero(ids == END) - self._begins
    self._batches: list[np.ndarray] = []  # indices of sentences

  def start_epoch(self, epoch: int) -> None:
    """Makes the batches of an epoch, which depend on it and the seed only."""
    random = Random(self._seed, BATCH_ORDER, epoch)
    order = list(range(len(self._begins)))
    random.shuffle(order)
    sentences = np.array(order)
    lengths = self._lengths[sentences]
    by_length = np.argsort(lengths, kind="stable")
    bounds = np.flatnonzero(np.diff(lengths[by_length])) + 1
    self._batches = []
    for group in np.split(sentences[by_length], bounds):
      most = self._streams * self._steps // self._lengths[group[0]]
      most = min(max(most, 1), self._streams)
      self._batches += np.split(group, range(most, len(group), most))
    random.shuffle(self._batches)

  def __len__(self) -> int:
    return len(self._batches)

  def __getitem__(self, i: int) -> Batch:
    sentences = self._batches[i]
    places = (np.arange(self._lengths[sentences[0]])[:, None] +
              self._begins[sentences])
    return Batch(self._ids[places].astype(np.int64),
                 self._ids[places + 1].astype(np.int64))
