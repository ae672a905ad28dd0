# SPDX-License-Identifier: Apache-2.0
"""The program: from the command line to the files for import-torch."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import pathlib
import sys
import warnings

import numpy as np
import torch

from lmserve_torch import files
from lmserve_torch.batches import SentenceBatches, StreamBatches
from lmserve_torch.network import RecurrentNetwork
from lmserve_torch.options import RUN_OPTIONS
from lmserve_torch.processes import Processes
from lmserve_torch.text import TextRules, TrainingError, read_corpus, read_text
from lmserve_torch.training import Training


def run(options: argparse.Namespace) -> int:
  """Trains and returns the exit code."""
  if options.threads:
    torch.set_num_threads(options.threads)
  # float means float: without TensorFloat-32, which cuDNN uses by default.
  torch.backends.cudnn.allow_tf32 = False
  # Weights that dropout has changed are not one block of memory.
  warnings.filterwarnings("ignore", "RNN module weights are not part of single")
  try:
    processes = Processes(options.device)
    _train(options, processes)
    processes.close()
  except TrainingError as error:
    rank = os.environ.get("RANK", "0")
    where = "" if rank == "0" else f" of process {rank}"
    print(f"error{where}: {error}", file=sys.stderr)
    return 1
  return 0


def _train(options: argparse.Namespace, processes: Processes) -> None:
  rules = TextRules(options.markers, options.invalid_utf8, options.unk,
                    options.stream)
  words, corpus = read_corpus(options.corpus, rules, options.min_count,
                              options.vocabulary)
  texts = (corpus, read_text(options.valid, words, rules))
  description = _describe(options, words, *texts)
  processes.check_same("options and texts", json.dumps(description))
  network = RecurrentNetwork(options, len(words))
  network.initialize(options.seed)
  network.to(processes.device)
  sizes = (options.batch, options.steps)
  batches = [StreamBatches(ids, *sizes) if options.stream else
             SentenceBatches(ids, *sizes, options.seed) for ids in texts]
  output = pathlib.Path(options.output)
  if processes.is_first:
    files.make_folder(output)
    print(f"{len(corpus)} words and markers, {len(words)} in the vocabulary; "
          f"{sum(p.numel() for p in network.parameters())} parameters; "
          f"processes: {len(processes)}, on {processes.device.type}",
          file=sys.stderr, flush=True)
  training = Training(network, *batches, options, description, processes)
  if options.resume:
    training.resume()
  training.run()
  if processes.is_first:
    files.replace(output / "vocabulary.txt",
                  b"".join(word + b"\n" for word in words))
    files.replace(output / "training.jsonl", "".join(
        json.dumps(record) + "\n" for record in training.records).encode())
    files.save(output / "model.pt", network.published())
    (output / "checkpoint.pt").unlink(missing_ok=True)
    print(output / "model.pt", flush=True)


def _describe(options: argparse.Namespace, words: list[bytes],
              *texts: np.ndarray) -> dict[str, str]:
  """Returns everything that the result of the training depends on."""
  description = {f"--{name.replace('_', '-')}": str(value)
                 for name, value in vars(options).items()
                 if name not in RUN_OPTIONS}
  if options.schedule == "linear":
    description["--epochs"] = str(options.epochs)
  for name, contents in (("vocabulary", b"\n".join(words)),
                         ("--corpus", texts[0].tobytes()),
                         ("--valid", texts[1].tobytes())):
    description[name] = hashlib.blake2b(contents, digest_size=8).hexdigest()
  return description
