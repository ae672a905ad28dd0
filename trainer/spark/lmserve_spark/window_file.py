# SPDX-License-Identifier: Apache-2.0
"""Writes files of windows, as specified in trainer/counting/FORMAT.md."""

import hashlib
import struct
from typing import BinaryIO

import numpy as np

from lmserve_spark.sentences import END_ID

_MAGIC = b"lmcount1"
_END_MAGIC = b"lmcount."
_ID_BYTES = 5  # the most of an id as varint
_COUNT_BYTES = 9  # of a count, at most 2^56
_MAX_SHORT_COUNT = 7


class WindowWriter:
  """Writes sorted, different windows to a stream, which it does not close.

  Attributes:
    windows: the number of windows so far.
    positions: the sum of their counts.
  """

  def __init__(self, stream: BinaryIO, order: int):
    self._stream = stream
    self._order = order
    self._digest = hashlib.sha256()
    self._first = self._last = np.zeros(order, np.int64)
    self.windows = 0
    self.positions = 0
    self._write(_MAGIC + struct.pack("<II", order, 0))

  def add(self, ids: np.ndarray, counts: np.ndarray) -> None:
    """Adds windows, [n, order], that are after those before; and counts [n]."""
    if len(ids) == 0:
      return
    shared = self._shared(ids)
    if self.windows == 0:
      self._first = ids[0]
      shared[0] = 0
    self._last = ids[-1]
    self.windows += len(ids)
    self.positions += int(counts.sum())

    is_end = ids == END_ID
    lengths = np.where(is_end.any(axis=1), is_end.argmax(axis=1) + 1,
                       self._order)
    columns = np.arange(self._order)
    is_written = (columns >= shared[:, None]) & (columns < lengths[:, None])
    is_short = counts <= _MAX_SHORT_COUNT
    head = (shared | np.where(is_short, counts, 0) << 5).astype(np.uint8)
    id_bytes, is_id_byte = _varints(ids, _ID_BYTES)
    is_id_byte &= is_written[:, :, None]
    count_bytes, is_count_byte = _varints(counts, _COUNT_BYTES)
    is_count_byte &= ~is_short[:, None]

    size = len(ids)
    rows = np.concatenate(
        [head[:, None], id_bytes.reshape(size, -1), count_bytes], axis=1)
    is_used = np.concatenate([
        np.ones((size, 1), bool),
        is_id_byte.reshape(size, -1), is_count_byte
    ], axis=1)
    self._write(rows[is_used].tobytes())

  def finish(self) -> None:
    """Writes the end of the file."""
    self._write(struct.pack("<QQ", self.windows, self.positions))
    self._write(self._first.astype("<u4").tobytes())
    self._write(self._last.astype("<u4").tobytes())
    self._stream.write(self._digest.hexdigest().encode() + _END_MAGIC)

  def _shared(self, ids):
    """Returns how many first ids each window has in common with the last."""
    before = np.concatenate([self._last[None], ids[:-1]])
    return np.cumprod(ids == before, axis=1).sum(axis=1)

  def _write(self, data):
    self._digest.update(data)
    self._stream.write(data)


def _varints(values, size):
  """Returns the bytes of LEB128, [..., size], and which of them are used."""
  shifts = 7 * np.arange(size)
  rest = values[..., None] >> shifts
  is_used = rest > 0
  is_used[..., 0] = True
  is_last = rest < 0x80
  return (rest & 0x7F | np.where(is_last, 0, 0x80)).astype(np.uint8), is_used
