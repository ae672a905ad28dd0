# SPDX-License-Identifier: Apache-2.0
"""The metadata of calls, checked before they are made."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

_NAME = re.compile(r"[a-z0-9_.-]+")
_VALUE = re.compile(r"[!-~]([ -~]*[!-~])?|")
_PRIORITY = "lm-priority"
_PRIORITIES = ("interactive", "bulk")


def metadata(values: Mapping[str, str] | Iterable[tuple[str, str]],
             priority: str | None) -> tuple[tuple[str, str], ...]:
  """Converts the arguments of with_options to the metadata of a call.

  Raises:
    TypeError: The values are neither a mapping nor pairs of str.
    ValueError: A name, a value or the priority is not valid.
  """
  if isinstance(values, str):
    raise TypeError(f"metadata: expected a mapping or pairs, found {values!r}")
  pairs = values.items() if isinstance(values, Mapping) else values
  checked = tuple(map(_checked, pairs))
  if priority is None:
    return checked
  if priority not in _PRIORITIES:
    raise ValueError(f"priority: expected {' or '.join(_PRIORITIES)}, "
                     f"found {priority!r}")
  return (*checked, (_PRIORITY, priority))


def _checked(pair: tuple[str, str]) -> tuple[str, str]:
  try:
    name, value = pair
  except (TypeError, ValueError) as error:
    raise TypeError(f"metadata: expected pairs of str, found {pair!r}"
                    ) from error
  if not isinstance(name, str) or not isinstance(value, str):
    raise TypeError(f"metadata: expected names and values of type str, "
                    f"found {name!r}: {value!r}")
  if not _NAME.fullmatch(name):
    raise ValueError(f"metadata: expected a name of a-z 0-9 _ . -, "
                     f"found {name!r}")
  if name.startswith("grpc-") or name.endswith("-bin"):
    raise ValueError("metadata: expected a name that neither begins with grpc- "
                     f"nor ends with -bin, found {name!r}")
  if name == _PRIORITY:
    raise ValueError(f"metadata: {name} is set by the argument priority")
  if not _VALUE.fullmatch(value):
    raise ValueError(f"metadata: expected a value of {name} in printable ASCII "
                     f"without spaces around it, found {value!r}")
  return name, value
