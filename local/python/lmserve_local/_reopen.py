# SPDX-License-Identifier: Apache-2.0
"""How a pickled model is opened again."""

from lmserve_local import _core


def reopen(store: bytes, name: bytes, map_files: bool,
           literal: bool) -> "_core.Model":
  """Opens a version of a store or, if `store` is empty, the file `name`."""
  return _core._reopen(store, name, map_files, literal)
