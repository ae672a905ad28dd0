#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures PyTorch on the networks of neural_bench.cc, on one thread.

    torch_bench.py      needs Debian's python3-torch

Prints words per second, to compare with TrainLstm and ScoreLstm on the same
machine.
"""

import time

import torch

torch.set_num_threads(1)


class Lstm(torch.nn.Module):
  """Embedding, LSTM and tied output, as in the word language model example."""

  def __init__(self, words, units):
    super().__init__()
    self.encoder = torch.nn.Embedding(words, units)
    self.rnn = torch.nn.LSTM(units, units, 2)
    self.decoder = torch.nn.Linear(units, words)
    self.decoder.weight = self.encoder.weight

  def forward(self, words, state=None):
    hidden, state = self.rnn(self.encoder(words), state)
    return self.decoder(hidden), state


def words_per_second(words, work, seconds=3):
  """Returns the best rate of repeated calls of work(), which reads `words`."""
  work()
  best = float("inf")
  start = time.monotonic()
  while time.monotonic() - start < seconds:
    begin = time.perf_counter()
    work()
    best = min(best, time.perf_counter() - begin)
  return words / best


def train():
  model = Lstm(10_000, 200)
  optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
  inputs = torch.randint(3, 10_000, (35, 20))
  targets = torch.randint(3, 10_000, (35, 20))

  def step():
    optimizer.zero_grad()
    logits, _ = model(inputs)
    torch.nn.functional.cross_entropy(logits.view(-1, 10_000),
                                      targets.view(-1)).backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 0.25)
    optimizer.step()

  return words_per_second(inputs.numel(), step)


def score(texts, steps):
  model = Lstm(33_278, 650).eval()
  inputs = torch.randint(3, 33_278, (steps, texts))
  targets = torch.randint(3, 33_278, (steps, texts))

  def work():
    with torch.no_grad():
      logits, _ = model(inputs)
      torch.log_softmax(logits, -1).gather(-1, targets.unsqueeze(-1))

  return words_per_second(inputs.numel(), work)


if __name__ == "__main__":
  print(f"PyTorch {torch.__version__}, one thread")
  print(f"TrainLstm          {train():8.0f} words/s")
  print(f"ScoreLstm/texts:1  {score(1, 16):8.0f} words/s")
  print(f"ScoreLstm/texts:64 {score(64, 16):8.0f} words/s")
