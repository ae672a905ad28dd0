# SPDX-License-Identifier: Apache-2.0
"""Shallow fusion: a model of lmserve beside a model of transformers.

    model = Model.open("store", "tokens")   # its words are the tokenizer's tokens
    tokens = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
    output = big.generate(**inputs, logits_processor=LogitsProcessorList(
        [LogitsProcessor(model, tokens, weight=0.3)]))
"""

from collections.abc import Sequence
from typing import Any, Optional

import numpy
import torch
import transformers

import lmserve_local

__all__ = ["LogitsProcessor"]


class LogitsProcessor(transformers.LogitsProcessor):  # type: ignore[misc]
  """Adds weight * ln P of a left-to-right model to the scores of the tokens.

  Keeps the states of the hypotheses of the last step, so each step reads one
  token of each.
  """

  def __init__(self, model: lmserve_local.Model, tokens: Sequence[str],
               weight: float, end: Optional[int] = None) -> None:
    """Wraps a model.

    Args:
      model: A left-to-right model.
      tokens: The word of the model for each token id.
      weight: The weight of ln P.
      end: The token id that stands for </s>; None: what `tokens` says.
    """
    self._model = model
    self._ids = numpy.array([model.id(token) for token in tokens])
    if end is not None:
      self._ids[end] = model.id("</s>")
    self._weight = weight
    self._states: dict[tuple[int, ...], lmserve_local.State] = {}

  def __call__(self, input_ids: Any, scores: Any) -> Any:
    """Returns the scores, [n, tokens], with those of the model added."""
    rows = [tuple(row) for row in input_ids.tolist()]
    self._states = {row: self._state(row) for row in set(rows)}
    log_probs = self._model.next_log_probs([self._states[row] for row in rows])
    # A token that the model finds impossible stays possible for the other one.
    added = numpy.maximum(log_probs[:, self._ids], -100.0)
    width = min(scores.shape[1], added.shape[1])
    result = scores.clone()
    result[:, :width] += self._weight * torch.from_numpy(
        added[:, :width]).to(scores)
    return result

  def _state(self, row: tuple[int, ...]) -> lmserve_local.State:
    """Returns the state after the tokens of a hypothesis."""
    known = len(row)
    while known > 0 and row[:known] not in self._states:
      known -= 1
    state = self._states[row[:known]] if known > 0 else self._model.start()
    for token in row[known:]:
      _, states = self._model.extend([state], [int(self._ids[token])])
      state = states[0]
    return state
