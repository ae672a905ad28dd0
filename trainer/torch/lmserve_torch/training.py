# SPDX-License-Identifier: Apache-2.0
"""The training loop, step for step that of lm_trainer.

trainer/neural/network_trainer.h defines what each option means.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import pathlib
import sys
import time
from typing import Any

import torch

from lmserve_torch import files
from lmserve_torch.batches import (DROPOUT, Batch, Random, SentenceBatches,
                                   StreamBatches)
from lmserve_torch.network import RecurrentNetwork, State
from lmserve_torch.processes import Processes
from lmserve_torch.text import TrainingError

Batches = SentenceBatches | StreamBatches

_RECORDS_PER_EPOCH = 20
_SECONDS_BETWEEN_LINES = 30


@dataclasses.dataclass
class Progress:
  """Where a training is.

  Attributes:
    epoch: The current epoch, from 1.
    batch: The next batch of the epoch, from 0.
    step: The number of steps done.
    words: Words predicted so far.
    seconds: Training time so far.
    best_epoch: The epoch of best_valid_loss; 0: no epoch has ended yet.
    average_epoch: The first epoch that averages the weights, or 0.
    averaged: The number of steps after which weights were averaged.
  """
  learning_rate: float
  epoch: int = 1
  batch: int = 0
  step: int = 0
  words: int = 0
  seconds: float = 0.0
  best_valid_loss: float = math.inf
  best_epoch: int = 0
  average_epoch: int = 0
  averaged: int = 0


@dataclasses.dataclass
class Interval:
  """Sums over the steps since the last record."""
  start: float = dataclasses.field(default_factory=time.monotonic)
  steps: int = 0
  words: int = 0
  loss: float = 0.0
  norms: float = 0.0
  max_norm: float = 0.0
  clipped: int = 0


class Training:
  """One training, in all processes at once."""

  def __init__(self, network: RecurrentNetwork, training: Batches,
               validation: Batches, options: argparse.Namespace,
               description: dict[str, str], processes: Processes) -> None:
    """Prepares a training.

    Args:
      network: Is on the device and has its initial weights.
      training: The batches to train on.
      validation: Those that choose the best epoch.
      options: The command line.
      description: The options and texts on which the result depends.
      processes: The processes, which all make this object.
    """
    self._network = network
    self._wrapped = processes.wrap(network)
    self._training = training
    self._validation = validation
    self._options = options
    self._description = description
    self._processes = processes
    self._checkpoint = pathlib.Path(options.output) / "checkpoint.pt"
    self._parameters = list(network.parameters())
    self._optimizer = self._make_optimizer()
    self._average = self._copies() if options.average > 0 else []
    self._best = self._copies() if processes.is_first else []
    self._progress = Progress(options.learning_rate)
    self._state: State | None = None
    self._interval = Interval()
    self._printed = 0.0
    self._written = time.monotonic()
    self.records: list[dict[str, Any]] = []  # as in training.jsonl

  def run(self) -> None:
    """Trains; then the network of the first process has the best weights."""
    while (self._progress.epoch <= self._options.epochs and
           not self._out_of_patience()):
      self._run_epoch()
    if self._processes.is_first:
      _copy(self._best, self._parameters)

  def resume(self) -> None:
    """Continues from the checkpoint, which all processes read."""
    path = self._checkpoint
    checkpoint = files.load(path)
    try:
      found = checkpoint["description"]
      for name, expected in self._description.items():
        if found.get(name) != expected:
          raise TrainingError(
              f"{path}: the checkpoint is of another training: {name}: expected "
              f"{expected}, found {found.get(name)}")
      self._progress = Progress(**checkpoint["progress"])
      self.records = checkpoint["records"]
      _copy(checkpoint["values"], self._parameters)
      _copy(checkpoint["average"], self._average)
      if self._processes.is_first:
        _copy(checkpoint["best"], self._best)
      self._optimizer.load_state_dict(checkpoint["optimizer"])
      if checkpoint["state"]:
        own = self._processes.part(checkpoint["state"][0].shape[1])
        self._state = tuple(_streams(part, own).to(self._processes.device)
                            for part in checkpoint["state"])
    except (KeyError, TypeError, AttributeError, ValueError,
            RuntimeError) as error:
      raise TrainingError(f"{path}: expected a checkpoint of this program, "
                          f"found another file: {error}") from error
    self._processes.check_same("checkpoint", f"step {self._progress.step}")

  def _make_optimizer(self) -> torch.optim.Optimizer:
    """Weight decay is decoupled from the gradient and applies to matrices."""
    groups = [
        {"params": [p for p in self._parameters if p.dim() > 1],
         "weight_decay": self._options.weight_decay},
        {"params": [p for p in self._parameters if p.dim() == 1],
         "weight_decay": 0.0}]
    if self._options.optimizer == "adam":
      return torch.optim.AdamW(groups, betas=(0.9, 0.999), eps=1e-8)
    return torch.optim.SGD(groups)  # without momentum, decay is decoupled

  def _copies(self) -> list[torch.Tensor]:
    return [parameter.detach().clone() for parameter in self._parameters]

  def _averages(self) -> bool:
    return self._progress.average_epoch > 0

  def _out_of_patience(self) -> bool:
    progress = self._progress
    if self._options.patience == 0 or progress.best_epoch == 0:
      return False
    since = max(progress.best_epoch, progress.average_epoch - 1)
    return progress.epoch - 1 - since >= self._options.patience

  def _fraction_done(self) -> float:
    progress = self._progress
    epochs = progress.epoch - 1 + progress.batch / len(self._training)
    return epochs / self._options.epochs

  def _learning_rate(self) -> float:
    if self._options.schedule == "plateau":
      return self._progress.learning_rate
    return self._progress.learning_rate * (1 - self._fraction_done())

  def _run_epoch(self) -> None:
    progress = self._progress
    self._training.start_epoch(progress.epoch)
    batches = len(self._training)
    between = max(1, batches // _RECORDS_PER_EPOCH)
    self._interval = Interval()
    self._network.train()
    while progress.batch < batches:
      is_due = self._step(self._training[progress.batch])
      progress.batch += 1
      if progress.batch == batches:
        break
      if (batches - progress.batch) % between == 0:
        self._record()
      if is_due:
        self._write()
    self._end_epoch()

  def _step(self, batch: Batch) -> bool:
    """Makes one step. Returns whether a checkpoint is due, in all processes."""
    options, progress, interval = self._options, self._progress, self._interval
    torch.manual_seed(int(Random(options.seed, DROPOUT, progress.step,
                                 self._processes.rank).draw(1)[0] >> 1))
    words = batch.words
    loss = self._run(self._wrapped, batch)
    # The gradients become means over the processes.
    (loss * (len(self._processes) / words)).backward()
    is_due = (self._processes.is_first and
              time.monotonic() - self._written >= options.checkpoint_seconds)
    total, is_due = self._processes.sum(loss.detach(), is_due)
    self._check_finite("loss", total / words)
    gradients = [parameter.grad for parameter in self._parameters]
    # A sum of squares in float would be 1e-4 too small.
    norm = torch.stack([torch.linalg.vector_norm(g, dtype=torch.float64)
                        for g in gradients]).norm().item()
    self._check_finite("norm of the gradient", norm)
    clipped = 0 < options.clip < norm
    if clipped:
      for gradient in gradients:
        gradient.mul_(options.clip / norm)
    for group in self._optimizer.param_groups:
      group["lr"] = self._learning_rate()
    self._optimizer.step()
    self._optimizer.zero_grad()
    progress.step += 1
    progress.words += words
    if self._averages():
      progress.averaged += 1
      for mean, parameter in zip(self._average, self._parameters):
        mean.lerp_(parameter.detach(), 1 / progress.averaged)
    interval.steps += 1
    interval.words += words
    interval.loss += total
    interval.norms += norm
    interval.max_norm = max(interval.max_norm, norm)
    interval.clipped += clipped
    return is_due > 0

  def _run(self, network: torch.nn.Module, batch: Batch) -> torch.Tensor:
    """Returns the loss of this process's part and advances the state."""
    device = self._processes.device
    part = batch.part(self._processes.part(batch.inputs.shape[1]))
    if self._state is None or not self._options.stream:
      self._state = self._network.start(part.inputs.shape[1])
    with torch.autocast(device.type, torch.bfloat16,
                        enabled=self._options.products == "bf16"):
      loss, self._state = network(torch.from_numpy(part.inputs).to(device),
                                  torch.from_numpy(part.targets).to(device),
                                  self._state)
    return loss

  def _end_epoch(self) -> None:
    options, progress = self._options, self._progress
    interval_end = time.monotonic()
    result = self._average if self._averages() else self._parameters
    loss = self._validate(result)
    self._check_finite("validation loss", loss)
    self._record(loss, interval_end)
    if loss < progress.best_valid_loss:
      progress.best_valid_loss = loss
      progress.best_epoch = progress.epoch
      if self._processes.is_first:
        _copy(result, self._best)
    elif not self._averages():
      if 0 < options.average <= progress.epoch - progress.best_epoch:
        progress.average_epoch = progress.epoch + 1
      elif options.schedule == "plateau":
        progress.learning_rate *= options.decay
    progress.batch = 0
    progress.epoch += 1
    self._write()

  @torch.no_grad()
  def _validate(self, weights: list[torch.Tensor]) -> float:
    """Returns the mean of -ln P of the words of the validation text."""
    kept = self._copies() if weights is self._average else self._parameters
    _copy(weights, self._parameters)
    self._network.eval()
    self._state = None
    self._validation.start_epoch(1)
    loss = torch.zeros((), dtype=torch.float64, device=self._processes.device)
    words = 0
    for i in range(len(self._validation)):
      batch = self._validation[i]
      loss += self._run(self._network, batch)
      words += batch.words
    self._state = None
    _copy(kept, self._parameters)
    return self._processes.sum(loss)[0] / words

  def _record(self, valid_loss: float | None = None,
              end: float | None = None) -> None:
    """Adds a record of the steps since the last one, which ended at a time."""
    interval, progress = self._interval, self._progress
    now = time.monotonic()
    progress.seconds += now - interval.start
    rate = interval.words / max((end or now) - interval.start, 1e-9)
    loss = interval.loss / max(interval.words, 1)
    steps = max(interval.steps, 1)
    record = {
        "epoch": progress.epoch, "step": progress.step,
        "seconds": progress.seconds, "words": progress.words,
        "words_per_second": rate,
        "learning_rate": self._optimizer.param_groups[0]["lr"],
        "train_loss": loss, "train_perplexity": perplexity(loss)}
    line = (f"epoch {progress.epoch}/{self._options.epochs}  {rate:7.0f} "
            f"words/s  perplexity {perplexity(loss):9.2f}")
    if valid_loss is not None:
      record["valid_loss"] = valid_loss
      record["valid_perplexity"] = perplexity(valid_loss)
      line += f"  valid {perplexity(valid_loss):9.2f}"
    record |= {"gradient_norm": interval.norms / steps,
               "max_gradient_norm": interval.max_norm,
               "clipped_share": interval.clipped / steps,
               "layer_gradient_norms": {}, "note": ""}
    self.records.append(record)
    self._interval = Interval()
    if not self._processes.is_first or (
        valid_loss is None and
        progress.seconds < self._printed + _SECONDS_BETWEEN_LINES):
      return
    self._printed = progress.seconds
    print(f"{line}  rate {record['learning_rate']:g}  gradient "
          f"{record['gradient_norm']:.3g}  {100 * self._fraction_done():.0f} % "
          "done", file=sys.stderr, flush=True)

  def _write(self) -> None:
    """Writes a checkpoint. All processes must call this."""
    state = []
    if self._state is not None and self._options.stream:
      state = [self._whole(part) for part in self._state]
    self._written = time.monotonic()
    if not self._processes.is_first:
      return
    files.save(self._checkpoint, {
        "description": self._description,
        "progress": dataclasses.asdict(self._progress),
        "records": self.records,
        "values": [parameter.detach() for parameter in self._parameters],
        "best": self._best,
        "average": self._average,
        "optimizer": self._optimizer.state_dict(),
        "state": state})

  def _whole(self, part: torch.Tensor) -> torch.Tensor:
    """Returns the states (layers, streams, units) of all processes' streams."""
    streams = self._training[0].inputs.shape[1]
    own = self._processes.part(streams)
    whole = part.new_zeros(part.shape[0], streams, part.shape[2])
    whole[:, own] = part[:, :own.stop - own.start]
    self._processes.add_up(whole)
    return whole

  def _check_finite(self, what: str, number: float) -> None:
    progress = self._progress
    if not math.isfinite(number):
      raise TrainingError(
          f"epoch {progress.epoch}, step {progress.step + 1}: the {what} is "
          f"{number}; nothing is written. Try a smaller learning rate or clip; "
          f"the last good checkpoint is {self._checkpoint}")


def perplexity(loss: float) -> float:
  """Returns exp(loss), or a large number where that is too large for a float."""
  return math.exp(min(loss, 700))


def _streams(state: torch.Tensor, own: slice) -> torch.Tensor:
  """Returns some streams of a state or, instead of none, zeros for one."""
  if own.start == own.stop:
    return torch.zeros_like(state[:, :1])
  return state[:, own].contiguous()


@torch.no_grad()
def _copy(sources: list[torch.Tensor], targets: list[torch.Tensor]) -> None:
  """Copies the numbers of tensors; fails unless they have the same shapes."""
  for source, target in zip(sources, targets, strict=True):
    if source.shape != target.shape:
      raise ValueError(f"expected a tensor of {list(target.shape)}, found "
                       f"{list(source.shape)}")
    target.copy_(source)
