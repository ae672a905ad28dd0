# SPDX-License-Identifier: Apache-2.0
"""The networks of `lm_trainer recurrent`: embeddings, recurrent layers, softmax.

The tensors have the names that `lm_trainer import-torch` expects.
"""

from __future__ import annotations

import argparse
import math

import torch
from torch import nn
from torch.nn import functional

from lmserve_torch.batches import INITIAL_WEIGHTS, NO_TARGET, Random
from lmserve_torch.text import BEGIN, END

# h of all layers and, for an LSTM, c: (layers, streams, units) each.
State = tuple[torch.Tensor, ...]

# The bias of <s>, which no text has inside: its probability is exactly 0, as in
# lm_trainer, and its gradient is 0, so that the bias stays as it is.
NEVER = -1e9

_GATES = {"rnn": 1, "gru": 3, "lstm": 4}


class RecurrentLayers(nn.Module):
  """Layers of RNN, GRU or LSTM cells, with the parameters of torch.nn.LSTM.

  torch.nn.LSTM itself has no dropout of recurrent weights, and keeps the state
  of its other dropout where a checkpoint cannot have it.
  """

  def __init__(self, options: argparse.Namespace) -> None:
    super().__init__()
    self._options = options
    self._run = {"lstm": torch.lstm, "gru": torch.gru,
                 "rnn": (torch.rnn_relu if options.nonlinearity == "relu" else
                         torch.rnn_tanh)}[options.cell]
    rows = _GATES[options.cell] * options.units
    for layer in range(options.layers):
      inputs = options.embedding if layer == 0 else options.units
      for name, shape in (("weight_ih", (rows, inputs)),
                          ("weight_hh", (rows, options.units)),
                          ("bias_ih", (rows,)), ("bias_hh", (rows,))):
        self.register_parameter(f"{name}_l{layer}",
                                nn.Parameter(torch.empty(shape)))

  def weights(self, layer: int) -> list[nn.Parameter]:
    """Returns W_ih, W_hh, b_ih and b_hh of a layer."""
    return [getattr(self, f"{name}_l{layer}")
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]

  def forward(self, x: torch.Tensor,
              state: State) -> tuple[torch.Tensor, State]:
    """Reads (steps, streams, inputs); returns the outputs and the new state."""
    after: list[tuple[torch.Tensor, ...]] = []
    for layer in range(self._options.layers):
      weights: list[torch.Tensor] = list(self.weights(layer))
      weights[1] = functional.dropout(weights[1], self._options.weight_drop,
                                      self.training)
      before = tuple(part[layer:layer + 1].contiguous() for part in state)
      x, *last = self._run(x, before if len(before) > 1 else before[0], weights,
                           True, 1, 0.0, self.training, False, False)
      x = functional.dropout(x, self._options.dropout, self.training)
      after.append(tuple(last))
    return x, tuple(torch.cat(part) for part in zip(*after))


class RecurrentNetwork(nn.Module):
  """A language model: computes the loss of a batch."""

  def __init__(self, options: argparse.Namespace, words: int) -> None:
    """Makes a network of uninitialized weights.

    Args:
      options: The command line.
      words: The size of the vocabulary.
    """
    super().__init__()
    self._options = options
    self.encoder = nn.Embedding(words, options.embedding)
    self.rnn = RecurrentLayers(options)
    self.decoder = nn.Linear(options.units, words)
    if options.tied:
      self.decoder.weight = self.encoder.weight

  def start(self, streams: int) -> State:
    """Returns the state before a text: zeros."""
    zeros = self.decoder.bias.new_zeros(self._options.layers, streams,
                                        self._options.units)
    return (zeros, zeros) if self._options.cell == "lstm" else (zeros,)

  def forward(self, inputs: torch.Tensor, targets: torch.Tensor,
              state: State) -> tuple[torch.Tensor, State]:
    """Returns the loss and the state after the batch.

    Args:
      inputs: Word ids, (steps, streams).
      targets: The words to predict, (steps, streams), or NO_TARGET.
      state: The state before the batch.

    Returns:
      The sum of -ln P over the targets, in double, and the state, through
      which no gradient flows.
    """
    x = functional.dropout(self.encoder(inputs), self._options.dropout,
                           self.training)
    x, state = self.rnn(x, state)
    losses = functional.cross_entropy(
        self.decoder(x).flatten(0, 1).float(), targets.flatten(),
        ignore_index=NO_TARGET, reduction="none")
    return (losses.sum(dtype=torch.float64),
            tuple(part.detach().float() for part in state))

  @torch.no_grad()
  def initialize(self, seed: int) -> None:
    """Sets the weights with which lm_trainer starts for the same seed."""
    options = self._options
    random = Random(seed, INITIAL_WEIGHTS)
    _fill(self.encoder.weight, options.initial_range, random)
    for layer in range(options.layers):
      weights = self.rnn.weights(layer)
      for parameter in weights:
        _fill(parameter, 1 / math.sqrt(options.units), random)
      if options.cell == "lstm":  # gates i f g o
        weights[2][options.units:2 * options.units] += 1
      if options.identity:
        for parameter in weights[1:]:
          parameter.zero_()
        weights[1].fill_diagonal_(1)
    if not options.tied:
      _fill(self.decoder.weight, options.initial_range, random)
    self.decoder.bias.zero_()
    self.decoder.bias[BEGIN] = NEVER

  def published(self) -> dict[str, torch.Tensor]:
    """Returns the state_dict for import-torch, of copies on the CPU."""
    tensors = {name: parameter.detach().to("cpu", torch.float32, copy=True)
               for name, parameter in self.named_parameters()}
    if self._options.stream:  # texts have started after </s> only
      tensors["encoder.weight"][BEGIN] = tensors["encoder.weight"][END]
    return tensors


def _fill(parameter: torch.Tensor, limit: float, random: Random) -> None:
  """Fills a parameter with numbers that are uniform in [-limit, limit)."""
  for part in parameter.view(-1).split(1 << 24):
    part.copy_(torch.from_numpy(random.uniform(len(part), limit)))
