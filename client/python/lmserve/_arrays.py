# SPDX-License-Identifier: Apache-2.0
"""The numbers of results, as NumPy arrays if NumPy is installed.

With NumPy, the messages in _PACKED are parsed with each list of numbers as the
bytes that it has in the message. Then an array of numbers of a fixed size needs
no copy, and one of varints is decoded in one go. Without NumPy, protobuf parses
the lists, and they become tuples.

All arrays are read-only.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

from lmserve import _api


def _numpy() -> Any:
  """Returns the module, or None if it is not installed."""
  try:
    return importlib.import_module("numpy")
  except ImportError:
    return None


_NUMPY = _numpy()
_PACKED = ("DecodeExtended", "DecodedBest", "InspectResponse", "InspectedLayer",
           "Embedding")


def response_class(name: str) -> Any:
  """Returns the class of a response whose lists the functions convert.

  Args:
    name: The name of the message, such as lm.v1.DecodeResponse.
  """
  if _NUMPY is None:
    return _api.message_class(name)
  return _api.message_class(name, _api.pool_with_packed_lists(_PACKED))


def floats(values: Any) -> Any:
  """Converts the field of a `repeated float`."""
  return _fixed(values, "<f4")


def bools(values: Any) -> Any:
  """Converts the field of a `repeated bool`."""
  return _fixed(values, "?")


def fixed64s(values: Any) -> Any:
  """Converts the field of a `repeated fixed64`."""
  return _fixed(values, "<u8")


def uint32s(values: Any) -> Any:
  """Converts the field of a `repeated uint32`."""
  return tuple(values) if _NUMPY is None else _varints(values)


def rows(values: Any, count: int) -> Any:
  """Splits what the other functions return into rows of equal length."""
  length = len(values) // max(count, 1)
  if _NUMPY is None:
    return tuple(values[i * length:(i + 1) * length] for i in range(count))
  return values.reshape(count, length)


def float_rows(fields: Sequence[Any]) -> Any:
  """Converts fields of `repeated float` of the same length to an array."""
  if _NUMPY is None:
    return tuple(map(tuple, fields))
  return rows(floats(b"".join(fields)), len(fields))


def shaped(values: Any, *shape: int) -> Any:
  """Returns what the other functions return as an array of this shape."""
  if _NUMPY is not None:
    return values.reshape(shape)
  if len(shape) == 1:
    return values
  return tuple(shaped(row, *shape[1:]) for row in rows(values, shape[0]))


def _fixed(values: Any, kind: str) -> Any:
  """Converts numbers of a fixed size; `kind` is that of NumPy."""
  return tuple(values) if _NUMPY is None else _NUMPY.frombuffer(values, kind)


def _varints(data: bytes) -> Any:
  """Decodes varints of up to 32 bits, all at once."""
  octets = _NUMPY.frombuffer(data, "u1")
  is_last = octets < 0x80  # the last octet of its number
  if is_last.all():
    numbers = octets.astype("u4")
  else:
    ends = _NUMPY.flatnonzero(is_last) + 1
    starts = _NUMPY.concatenate(([0], ends[:-1]))
    places = _NUMPY.arange(len(octets)) - starts.repeat(ends - starts)
    numbers = _NUMPY.bitwise_or.reduceat(
        (octets & 0x7f).astype("u4") << (7 * places).astype("u4"), starts)
  numbers.flags.writeable = False
  return numbers
