# SPDX-License-Identifier: Apache-2.0
"""The command line. Options have the names and defaults of lm_trainer."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable

_DESCRIPTION = """\
Train an RNN, GRU or LSTM language model with PyTorch, as `lm_trainer recurrent`
does, in one process or, started by torchrun, in several on one or more machines:

  torchrun --nproc-per-node 4 trainer/torch/train.py --cell lstm --tied \\
    --corpus text.xz --valid valid.xz --output lstm
  lm_trainer import-torch lstm/model.pt --vocabulary lstm/vocabulary.txt \\
    --store store --model lstm

The standard output has the name of the file with the network. Exit codes: 0, 1
if the training failed, 2 for a wrong command line; torchrun itself exits with 1.
"""


class _HelpFormatter(argparse.RawDescriptionHelpFormatter):
  """Adds the default, where there is one, to each help text."""

  def _get_help_string(self, action: argparse.Action) -> str | None:
    return action.help + ("" if action.default in (None, False, "==SUPPRESS==")
                          else " [%(default)s]")


def _number(kind: type, low: float, high: float = math.inf,
            is_open: bool = False) -> Callable[[str], float]:
  """Returns a parser of numbers from low, or above it, to high."""

  def parse_number(text: str) -> float:
    try:
      number = kind(text)
    except ValueError:
      number = math.nan
    if low <= number <= high and number < math.inf and not (
        is_open and number == low):
      return number
    bounds = (f"from {low} to {high}" if high < math.inf else
              f"above {low}" if is_open else f"of at least {low}")
    raise argparse.ArgumentTypeError(
        f"expected a{' whole' if kind is int else ''} number {bounds}, found "
        f"'{text}'")

  return parse_number


_COUNT = {"type": _number(int, 1), "metavar": "N"}
_COUNT_OR_0 = {"type": _number(int, 0), "metavar": "N"}
_POSITIVE = {"type": _number(float, 0, is_open=True), "metavar": "X"}
_NOT_NEGATIVE = {"type": _number(float, 0), "metavar": "X"}
_SHARE = {"type": _number(float, 0, 0.99), "metavar": "X"}
_SWITCH = {"action": "store_true"}
_FILE = {"metavar": "FILE"}
_WORD_RULE = {"choices": ("refuse", "skip", "replace"), "default": "refuse"}

# By group: the options with their help texts.
_OPTIONS = {
    "text": [
        ("--corpus", {**_FILE, "required": True}, "text to train on, one "
         "sentence per line, plain or compressed (.gz, .xz, .bz2, .zst)"),
        ("--valid", {**_FILE, "required": True}, "validation text: the weights "
         "of the epoch with the lowest loss on it are written, and the loss "
         "also controls the learning rate and when training stops"),
        ("--vocabulary", _FILE, "file with the words that the model knows; all "
         "other words become <unk>"),
        ("--min-count", {**_COUNT, "default": 1}, "words that occur less often "
         "become <unk>"),
        ("--markers", _WORD_RULE, "words <s> and </s> inside a line: refuse the "
         "text, skip them like white space, or replace them by <unk>"),
        ("--invalid-utf8", _WORD_RULE, "words that are not valid UTF-8: the "
         "same"),
        ("--unk", {"choices": ("keep", "skip", "refuse"), "default": "keep"},
         "words <unk> and <UNK> of a text: keep them, skip them like white "
         "space, or refuse the text"),
        ("--stream", _SWITCH, "read the text as one stream: the state is kept "
         "from one sentence to the next"),
    ],
    "network": [
        ("--cell", {"choices": ("rnn", "gru", "lstm"), "default": "lstm"},
         "recurrent cell"),
        ("--nonlinearity", {"choices": ("tanh", "relu"), "default": "tanh"},
         "of --cell rnn"),
        ("--identity", _SWITCH, "with --cell rnn: initialize the recurrent "
         "weights with the identity matrix"),
        ("--layers", {**_COUNT, "default": 2}, "number of recurrent layers"),
        ("--units", {**_COUNT, "default": 200}, "units per layer"),
        ("--embedding", _COUNT, "size of a word embedding (default: the number "
         "of units)"),
        ("--tied", _SWITCH, "use the word embeddings as the output weights, "
         "too"),
        ("--initial-range", {**_POSITIVE, "default": 0.1}, "embeddings and "
         "output weights are initially uniform in [-X, X]"),
        ("--dropout", {**_SHARE, "default": 0.2}, "dropout rate of the "
         "embeddings and of every layer's output"),
        ("--weight-drop", {**_SHARE, "default": 0.0}, "dropout rate of the "
         "recurrent weights"),
    ],
    "training": [
        ("--batch", {**_COUNT, "default": 20}, "maximum number of texts in a "
         "batch, which the processes share"),
        ("--steps", {**_COUNT, "default": 35}, "words of each stream per update "
         "(truncated backpropagation through time)"),
        ("--epochs", {**_COUNT, "default": 6}, "passes over the text"),
        ("--optimizer", {"choices": ("sgd", "adam"), "default": "adam"},
         "optimizer"),
        ("--learning-rate", {**_POSITIVE, "default": 0.002}, "initial learning "
         "rate, for a loss that is the mean over the words of a batch"),
        ("--clip", {**_NOT_NEGATIVE, "default": 1.0}, "maximum norm of the "
         "gradient; longer gradients are scaled down to it; 0: no limit"),
        ("--weight-decay", {**_NOT_NEGATIVE, "default": 0.0}, "each update "
         "reduces the weights by this fraction times the learning rate"),
        ("--schedule", {"choices": ("plateau", "linear"), "default": "plateau"},
         "how the learning rate decreases: whenever the validation loss does "
         "not improve, or with every batch, down to 0 at the end of the last "
         "epoch"),
        ("--decay", {"type": _number(float, 0, 1), "metavar": "X",
                     "default": 0.5}, "with --schedule plateau: factor of the "
         "learning rate after an epoch without improvement"),
        ("--average", {**_COUNT_OR_0, "default": 0}, "after this many epochs in "
         "a row without improvement, begin to average the weights over all "
         "later steps; 0: never"),
        ("--patience", {**_COUNT_OR_0, "default": 5}, "stop after this many "
         "epochs in a row without improvement, counted again once --average "
         "begins; 0: never"),
        ("--seed", {"type": _number(int, 0, 2**64 - 1), "metavar": "N",
                    "default": 1}, "seed of the initial weights and the order of "
         "the batches, which are those of lm_trainer, and of the dropout, which "
         "is not"),
        ("--products", {"choices": ("float", "bf16"), "default": "float"},
         "precision of the operands of the matrix products"),
    ],
    "run": [
        ("--output", {"metavar": "FOLDER", "required": True}, "folder for "
         "model.pt, vocabulary.txt and training.jsonl, and for checkpoint.pt "
         "during the training"),
        ("--resume", _SWITCH, "continue an interrupted training from its "
         "checkpoint; the number of processes may be another one"),
        ("--checkpoint-seconds", {**_NOT_NEGATIVE, "default": 60.0}, "time "
         "between checkpoints; one is also written after each epoch"),
        ("--device", {"choices": ("auto", "cpu", "cuda"), "default": "auto"},
         "where the processes compute: auto is cuda, with a GPU for each "
         "process, if there is one"),
        ("--threads", _COUNT, "processor threads of each process (default: "
         "PyTorch's choice; 1 with torchrun)"),
    ],
}

# Options that may differ when a training is resumed.
RUN_OPTIONS = ("corpus", "valid", "vocabulary", "output", "resume",
               "checkpoint_seconds", "device", "threads", "epochs")


def parse(arguments: list[str]) -> argparse.Namespace:
  """Returns the options; ends the program with 2 if they are wrong."""
  parser = argparse.ArgumentParser(
      prog="train.py", description=_DESCRIPTION, allow_abbrev=False,
      formatter_class=_HelpFormatter)
  for name, group_options in _OPTIONS.items():
    group = parser.add_argument_group(name)
    for option, settings, help_text in group_options:
      group.add_argument(option, help=help_text, **settings)
  options = parser.parse_args(arguments)
  options.embedding = options.embedding or options.units
  if options.tied and options.embedding != options.units:
    parser.error(f"--tied: expected --embedding {options.units}, the size of "
                 f"the last layer's output, found {options.embedding}")
  if options.identity and options.cell != "rnn":
    parser.error(f"--identity: expected --cell rnn, found {options.cell}")
  return options
