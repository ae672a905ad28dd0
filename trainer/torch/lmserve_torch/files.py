# SPDX-License-Identifier: Apache-2.0
"""Files that are complete or do not exist."""

from __future__ import annotations

import io
import os
import pathlib
from typing import Any

import torch

from lmserve_torch.text import TrainingError


def make_folder(path: pathlib.Path) -> None:
  """Makes a folder, with its parents, unless it exists."""
  try:
    path.mkdir(parents=True, exist_ok=True)
  except OSError as error:
    raise TrainingError(f"{path}: {error.strerror}") from error


def replace(path: pathlib.Path, contents: bytes | memoryview) -> None:
  """Writes a file; after a crash it has either the old or the new contents."""
  temporary = path.with_name(path.name + ".tmp")
  try:
    with temporary.open("wb") as file:
      file.write(contents)
      file.flush()
      os.fsync(file.fileno())
    temporary.replace(path)
  except OSError as error:
    raise TrainingError(f"{path}: {error.strerror}") from error


def save(path: pathlib.Path, contents: dict[str, Any]) -> None:
  """Writes a file of torch.save() as replace() does."""
  buffer = io.BytesIO()
  torch.save(contents, buffer)
  replace(path, buffer.getbuffer())


def load(path: pathlib.Path) -> dict[str, Any]:
  """Reads a file of save().

  From PyTorch 2.6 on, executes no code that the file may contain; see
  CVE-2025-32434.
  """
  try:
    return torch.load(path, map_location="cpu", weights_only=True)
  except OSError as error:
    raise TrainingError(f"{path}: expected the checkpoint of a training that "
                        f"was interrupted: {error.strerror}") from error
  except Exception as error:  # a damaged file can raise almost any
    raise TrainingError(f"{path}: expected a checkpoint, found another file or "
                        "a damaged one") from error
