#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures lmserve, PyTorch and ONNX Runtime on the same networks, in turn.

    peers_bench.py --bench build/bench/bin/lmserve_bench [--rounds 3]
        [--seconds 1] [--filter REGEX]

Scoring: texts of 16 words, of which 1, 8 or 64 are one batch, by an LSTM of 2
layers of 650 units over 33,278 words with a full, tied softmax. Training: one
update with 20 streams of 35 words of an LSTM of 2 layers over 10,000 words,
with clipping and SGD. All weights are random, because they do not change the
time.

Each round measures every program for some seconds, one after the other, so that
a change of the machine's speed meets all of them. Prints a table in Markdown:
words per second, the median of the rounds, and lmserve's rate divided by it,
which is the median of the rounds' ratios. lmserve uses one thread.
`scripts/compare` installs what this needs.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np
import onnx
import onnxruntime
import torch
from onnxruntime import quantization

WORDS, UNITS, STEPS = 33_278, 650, 16  # of scoring
TRAINED_WORDS, STREAMS, TRAINED_STEPS = 10_000, 20, 35
BATCHES = (1, 8, 64)
PRECISIONS = {"float": 0, "bf16": 1, "int8": 2}  # of ScoreLstm


def rate(words, work, seconds):
  """Returns the words per second of the fastest call of work()."""
  work()
  best = float("inf")
  end = time.monotonic() + seconds
  while time.monotonic() < end:
    begin = time.perf_counter()
    work()
    best = min(best, time.perf_counter() - begin)
  return words / best


class Lmserve:
  """Runs lmserve_bench."""

  def __init__(self, program):
    self._program = program

  def rate(self, name, seconds):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    output = subprocess.run(
        [self._program, f"--benchmark_filter=^{name}$",
         f"--benchmark_min_time={seconds}", "--benchmark_format=json"],
        check=True, capture_output=True, text=True, env=environment).stdout
    run = json.loads(output)["benchmarks"][0]
    if run.get("error_occurred"):
      return None
    return run["items_per_second"]

  def score(self, precision, texts, seconds):
    return self.rate(f"ScoreLstm/precision:{PRECISIONS[precision]}/"
                     f"texts:{texts}", seconds)

  def train(self, units, precision, seconds):
    return self.rate(f"TrainLstm/units:{units}/bf16:{int(precision == 'bf16')}",
                     seconds)


class Lstm(torch.nn.Module):
  """Embedding, LSTM and tied output, as in the word language model example."""

  def __init__(self, words, units):
    super().__init__()
    self.encoder = torch.nn.Embedding(words, units)
    self.rnn = torch.nn.LSTM(units, units, 2)
    self.decoder = torch.nn.Linear(units, words)
    self.decoder.weight = self.encoder.weight

  def forward(self, words):
    hidden, _ = self.rnn(self.encoder(words))
    return self.decoder(hidden)


class PyTorch:
  """The same in PyTorch; int8 is its dynamic quantization."""

  def __init__(self):
    model = Lstm(WORDS, UNITS).eval()
    self._models = {"float": model}
    self._models["bf16"] = Lstm(WORDS, UNITS).eval().to(torch.bfloat16)
    try:
      self._models["int8"] = torch.ao.quantization.quantize_dynamic(
          Lstm(WORDS, UNITS).eval(), {torch.nn.LSTM, torch.nn.Linear})
    except (AttributeError, RuntimeError) as error:
      print(f"PyTorch without int8: {error}", file=sys.stderr)

  def score(self, precision, texts, threads, seconds):
    if precision not in self._models:
      return None
    torch.set_num_threads(threads)
    model = self._models[precision]
    inputs = torch.randint(3, WORDS, (STEPS, texts))
    targets = torch.randint(3, WORDS, (STEPS, texts, 1))

    def work():
      with torch.inference_mode():
        torch.log_softmax(model(inputs).float(), -1).gather(-1, targets)

    return rate(STEPS * texts, work, seconds)

  def train(self, units, threads, seconds):
    torch.set_num_threads(threads)
    model = Lstm(TRAINED_WORDS, units)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    shape = (TRAINED_STEPS, STREAMS)
    inputs = torch.randint(3, TRAINED_WORDS, shape)
    targets = torch.randint(3, TRAINED_WORDS, shape)

    def work():
      optimizer.zero_grad()
      torch.nn.functional.cross_entropy(
          model(inputs).view(-1, TRAINED_WORDS), targets.view(-1)).backward()
      torch.nn.utils.clip_grad_norm_(model.parameters(), 0.25)
      optimizer.step()

    return rate(inputs.numel(), work, seconds)


def make_onnx(path):
  """Writes the network that scores: ids and targets to ln P."""
  helper, kind = onnx.helper, onnx.TensorProto
  random = np.random.default_rng(1)

  def weights(name, *shape):
    values = random.uniform(-0.1, 0.1, shape).astype(np.float32)
    return onnx.numpy_helper.from_array(values, name)

  initializers = [weights("embedding", WORDS, UNITS),
                  weights("output", UNITS, WORDS), weights("bias", WORDS),
                  onnx.numpy_helper.from_array(np.array([1]), "direction"),
                  onnx.numpy_helper.from_array(np.array([2]), "last")]
  nodes = [helper.make_node("Gather", ["embedding", "ids"], ["x0"])]
  for layer in range(2):
    for name, shape in (("w", (1, 4 * UNITS, UNITS)),
                        ("r", (1, 4 * UNITS, UNITS)), ("b", (1, 8 * UNITS))):
      initializers.append(weights(f"{name}{layer}", *shape))
    nodes += [
        helper.make_node("LSTM", [f"x{layer}", f"w{layer}", f"r{layer}",
                                  f"b{layer}"], [f"y{layer}"],
                         hidden_size=UNITS),
        helper.make_node("Squeeze", [f"y{layer}", "direction"],
                         [f"x{layer + 1}"])]
  nodes += [
      helper.make_node("MatMul", ["x2", "output"], ["products"]),
      helper.make_node("Add", ["products", "bias"], ["logits"]),
      helper.make_node("LogSoftmax", ["logits"], ["log_probs"], axis=2),
      helper.make_node("Unsqueeze", ["targets", "last"], ["indices"]),
      helper.make_node("GatherElements", ["log_probs", "indices"], ["scores"],
                       axis=2)]
  graph = helper.make_graph(
      nodes, "lstm",
      [helper.make_tensor_value_info(name, kind.INT64, [STEPS, "texts"])
       for name in ("ids", "targets")],
      [helper.make_tensor_value_info("scores", kind.FLOAT,
                                     [STEPS, "texts", 1])], initializers)
  model = helper.make_model(
      graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
  onnx.checker.check_model(model)
  onnx.save(model, path)


class OnnxRuntime:
  """The same in ONNX Runtime; int8 is its dynamic quantization."""

  def __init__(self, directory):
    paths = {"float": os.path.join(directory, "float.onnx"),
             "int8": os.path.join(directory, "int8.onnx")}
    make_onnx(paths["float"])
    quantization.quantize_dynamic(paths["float"], paths["int8"])
    self._paths = paths
    self._sessions = {}

  def score(self, precision, texts, threads, seconds):
    if precision not in self._paths:
      return None
    if (precision, threads) not in self._sessions:
      options = onnxruntime.SessionOptions()
      options.intra_op_num_threads = threads
      options.inter_op_num_threads = 1
      self._sessions[precision, threads] = onnxruntime.InferenceSession(
          self._paths[precision], options,
          providers=["CPUExecutionProvider"])
    session = self._sessions[precision, threads]
    random = np.random.default_rng(2)
    feed = {name: random.integers(3, WORDS, (STEPS, texts))
            for name in ("ids", "targets")}
    return rate(STEPS * texts, lambda: session.run(None, feed), seconds)


class Table:
  """Collects the rates of the rounds."""

  def __init__(self):
    self._rows = {}

  def add(self, task, program, value, own):
    if value is None or own is None:
      return
    rates, ratios = self._rows.setdefault((task, program), ([], []))
    rates.append(value)
    ratios.append(own / value)

  def print(self):
    print("| | program | words/s | rate of lmserve / this rate |")
    print("| --- | --- | --- | --- |")
    for (task, program), (rates, ratios) in self._rows.items():
      ratio = "" if program.startswith("lmserve") else \
          f"{statistics.median(ratios):.2f}"
      print(f"| {task} | {program} | {statistics.median(rates):,.0f} | {ratio} |")


def main():
  parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
  parser.add_argument("--bench", required=True)
  parser.add_argument("--rounds", type=int, default=3)
  parser.add_argument("--seconds", type=float, default=1)
  parser.add_argument("--filter", default="")
  arguments = parser.parse_args()
  threads = sorted({1, os.cpu_count()})
  seconds = arguments.seconds
  lmserve, pytorch, table = Lmserve(arguments.bench), PyTorch(), Table()
  with tempfile.TemporaryDirectory() as directory:
    runtime = OnnxRuntime(directory)
    peers = {f"PyTorch {torch.__version__}": pytorch,
             f"ONNX Runtime {onnxruntime.__version__}": runtime}
    for _ in range(arguments.rounds):
      for precision in PRECISIONS:
        for texts in BATCHES:
          task = f"score, {precision}, {texts} texts"
          if not re.search(arguments.filter, task):
            continue
          own = lmserve.score(precision, texts, seconds)
          table.add(task, "lmserve", own, own)
          for name, peer in peers.items():
            for count in threads:
              table.add(task, f"{name}, {count} threads",
                        peer.score(precision, texts, count, seconds), own)
      for units in (200, 650):
        task = f"train, 2 x {units}"
        if not re.search(arguments.filter, task):
          continue
        own = lmserve.train(units, "float", seconds)
        table.add(task, "lmserve", own, own)
        table.add(task, "lmserve, bf16 products",
                  lmserve.train(units, "bf16", seconds), own)
        for count in threads:
          table.add(task, f"PyTorch {torch.__version__}, {count} threads",
                    pytorch.train(units, count, seconds), own)
  table.print()


if __name__ == "__main__":
  main()
