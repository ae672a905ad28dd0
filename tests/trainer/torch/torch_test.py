# SPDX-License-Identifier: Apache-2.0
"""Compares trainer/torch with lm_trainer: texts, weights, batches, results.

    torch_test.py PROGRAMS TRAINER [TEST...]

PROGRAMS is the directory of lm_trainer, and TRAINER that of train.py. Exits with
77 if Python, or that of LMSERVE_TORCH_PYTHON, has no PyTorch.
"""

import bz2
import contextlib
import gzip
import io
import json
import lzma
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from unittest import mock

if len(sys.argv) < 3:
  sys.exit(__doc__)
OTHER_PYTHON = os.environ.pop("LMSERVE_TORCH_PYTHON", "")
if OTHER_PYTHON:
  os.execv(OTHER_PYTHON, [OTHER_PYTHON, "-B", *sys.argv])
try:
  import numpy as np
  import torch
except ImportError as import_error:
  print(f"skipped: {import_error}")
  sys.exit(77)

LM_TRAINER = pathlib.Path(sys.argv[1]).resolve() / "lm_trainer"
TRAIN = pathlib.Path(sys.argv[2]).resolve() / "train.py"
sys.path.insert(0, str(TRAIN.parent))

# pylint: disable=wrong-import-position
from lmserve_torch import files, main
from lmserve_torch import options as command_line
from lmserve_torch.text import (BEGIN, TextRules, TrainingError, read_corpus,
                                read_text)

torch.set_num_threads(1)
SMALL = ("--units", "12", "--layers", "2", "--dropout", "0")


def run(*command, expected=0):
  """Returns the standard output and error of a command."""
  result = subprocess.run(
      [str(part) for part in command], text=True, check=False, timeout=600,
      stdout=subprocess.PIPE, stderr=subprocess.PIPE,
      env={**os.environ, "OMP_NUM_THREADS": "1",
           "PYTHONDONTWRITEBYTECODE": "1"})
  if expected is not None and result.returncode != expected:
    raise AssertionError(f"expected exit code {expected}, found "
                         f"{result.returncode}: {command}\n{result.stderr}")
  return result.stdout, result.stderr


def train_command(*options, processes=None):
  """Returns the command of a training, of one process without torchrun."""
  if processes is None:
    return (sys.executable, TRAIN, *options)
  return (sys.executable, "-m", "torch.distributed.run", "--standalone",
          "--nproc-per-node", processes, TRAIN, *options)


def train_here(*options, expected=0):
  """Trains in this process; returns the standard output and error."""
  with (contextlib.redirect_stdout(io.StringIO()) as output,
        contextlib.redirect_stderr(io.StringIO()) as errors):
    code = main.run(command_line.parse([str(option) for option in options]))
  if code != expected:
    raise AssertionError(f"expected exit code {expected}, found {code}: "
                         f"{options}\n{errors.getvalue()}")
  return output.getvalue(), errors.getvalue()


def read_safetensors(path):
  """Returns the tensors of floats of a file, as arrays by name."""
  data = path.read_bytes()
  size = int.from_bytes(data[:8], "little")
  header = json.loads(data[8:8 + size])
  header.pop("__metadata__", None)
  return {name: np.frombuffer(
      data[8 + size:][slice(*tensor["data_offsets"])],
      np.float32).reshape(tensor["shape"]) for name, tensor in header.items()}


class TrainerTest(unittest.TestCase):
  """Has a folder with two texts: train and valid."""

  @classmethod
  def setUpClass(cls):
    cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="torch_test"))
    cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
    cls.train, cls.valid = cls.folder / "train.txt", cls.folder / "valid.txt"
    for file, sentences, seed in ((cls.train, 150, 1), (cls.valid, 60, 2)):
      file.write_text(run(LM_TRAINER, "demo-corpus", "--sentences", sentences,
                          "--seed", seed)[0], encoding="utf-8")
    cls.texts = ("--corpus", cls.train, "--valid", cls.valid)
    # A text on which a network gets worse once it knows the order of words.
    cls.reversed = cls.folder / "reversed.txt"
    cls.reversed.write_text("".join(
        " ".join(reversed(line.split())) + "\n"
        for line in cls.valid.read_text(encoding="utf-8").splitlines()),
                            encoding="utf-8")

  def setUp(self):
    self.out = pathlib.Path(tempfile.mkdtemp(dir=self.folder))
    self.store = self.out / "store"

  def train_cpp(self, *options, name="cpp"):
    """Trains with lm_trainer; returns the folder of the version."""
    run(LM_TRAINER, "recurrent", "--threads", "1", "--store", self.store,
        "--model", name, *options)
    return self.store / name / "1"

  def train_torch(self, *options, processes=None, name="torch"):
    """Trains with train.py; returns the folder of the files."""
    options = ("--output", self.out / name, *options)
    if processes is None:
      train_here(*options)
    else:
      run(*train_command(*options, processes=processes))
    return self.out / name

  def weights(self, folder):
    return torch.load(folder / "model.pt", weights_only=True)

  def assert_close(self, first, second, tolerance):
    """Checks that the weights of two folders are equal within a tolerance."""
    expected, found = self.weights(first), self.weights(second)
    self.assertEqual(expected.keys(), found.keys())
    for name, tensor in expected.items():
      difference = (tensor - found[name]).abs().max().item()
      self.assertLessEqual(difference, tolerance, name)


class TextTest(TrainerTest):

  def check_same_words(self, text, *options):
    """Checks that both programs make the same vocabulary and words of a text."""
    self.setUp()
    version = self.train_cpp(*SMALL, "--epochs", "1", "--corpus", text,
                             "--valid", text, *options)
    last = (version / "training.jsonl").read_text().splitlines()[-1]
    parsed = command_line.parse(
        [str(option) for option in ("--corpus", text, "--valid", text,
                                    "--output", "o", *options)])
    rules = TextRules(parsed.markers, parsed.invalid_utf8, parsed.unk,
                      parsed.stream)
    with contextlib.redirect_stderr(io.StringIO()):
      words, ids = read_corpus(str(text), rules, parsed.min_count,
                               parsed.vocabulary)
      self.assertTrue((read_text(str(text), words, rules) == ids).all())
    self.assertEqual(b"".join(word + b"\n" for word in words),
                     (version / "vocabulary.txt").read_bytes())
    self.assertEqual(np.count_nonzero(ids != BEGIN), json.loads(last)["words"])

  def test_words(self):
    text = self.out / "dirty.txt"
    text.write_bytes(
        b"\xef\xbb\xbfb a <UNK> a\r\n\n<s> b c\0d\te  e </s>\n"
        b"\xef\xbb\xbfc\x0bd \xc3\xa4\xc2\xa0\xc3\xa4 <unk> rare\n  \na last")
    words = self.out / "words.txt"
    words.write_text("c\n<unk> <UNK> b\nzebra c <s>\n")
    for options in ((), ("--min-count", "2"), ("--vocabulary", words),
                    ("--unk", "skip"), ("--stream",)):
      with self.subTest(options=options):
        self.check_same_words(text, *options)

  def test_rules(self):
    text = self.out / "rules.txt"
    text.write_bytes(b"a <s> b \xff c\n\xc3( d </s> e a </s>\n")
    for rule in ("skip", "replace"):
      self.check_same_words(text, "--markers", rule, "--invalid-utf8", rule)

  def test_compression(self):
    plain = self.train.read_bytes()
    packed = self.out / "packed"
    contents = {"gz": gzip.compress(plain[:500]) + gzip.compress(plain[500:]),
                "xz": lzma.compress(plain), "bz2": bz2.compress(plain)}
    if shutil.which("zstd"):
      contents["zst"] = subprocess.run(["zstd"], input=plain, check=True,
                                       stdout=subprocess.PIPE).stdout
    rules = TextRules("refuse", "refuse", "keep", False)
    words, ids = read_corpus(str(self.train), rules, 1, None)
    for name, data in contents.items():
      packed.write_bytes(data)
      found = read_corpus(str(packed), rules, 1, None)
      self.assertEqual(found[0], words, name)
      self.assertTrue((found[1] == ids).all(), name)
      packed.write_bytes(data[:-20])
      with self.assertRaisesRegex(TrainingError, "truncated or corrupt"):
        read_corpus(str(packed), rules, 1, None)
    packed.write_bytes(b"\x28\xb5\x2f\xfd")
    with mock.patch.dict(os.environ, PATH=""):
      with self.assertRaisesRegex(TrainingError, "requires the program zstd"):
        read_corpus(str(packed), rules, 1, None)

  def test_refused_texts(self):
    text = self.out / "text"
    for contents, message in (
        (b"a b\na <s> b\n", "line 2: expected words, found the sentence marker"),
        (b"a\n\nb \xff\n", "line 3: invalid UTF-8"),
        (b"\n \n", "expected at least one sentence, found none"),
        ("a b\n".encode("utf-16"), "found UTF-16"),
        ("abc def\n".encode("utf-16-be"), "binary"),
        (b"PK\x03\x04 a\n", "found a zip archive"),
        (b"a b\rc d\re", "found CR alone")):
      text.write_bytes(contents)
      for options in (("--corpus", text, "--valid", self.valid),
                      ("--corpus", self.train, "--valid", text)):
        _, errors = train_here(*options, "--output", self.out / "o", expected=1)
        self.assertIn(f"error: {text}", errors)
        self.assertIn(message, errors)
        run(LM_TRAINER, "recurrent", *options, "--store", self.store,
            "--model", "m", expected=1)
    _, errors = train_here("--corpus", self.out / "none", "--valid", self.valid,
                           "--output", self.out / "o", expected=1)
    self.assertIn("No such file", errors)


class EqualityTest(TrainerTest):

  def test_start(self):
    """The same seed gives the same weights."""
    for options in (("--cell", "lstm"), ("--cell", "gru", "--tied"),
                    ("--cell", "rnn", "--identity", "--embedding", "7"),
                    ("--cell", "rnn", "--seed", str(2**64 - 1),
                     "--initial-range", "0.3", "--stream")):
      with self.subTest(options=options):
        self.setUp()
        # Steps of this size change no number but 0.
        options = (*self.texts, *SMALL, *options, "--epochs", "1",
                   "--optimizer", "sgd", "--learning-rate", "1e-30")
        expected = read_safetensors(
            self.train_cpp(*options) / "weights.safetensors")
        found = self.weights(self.train_torch(*options))
        if "decoder.weight" not in found:
          found["decoder.weight"] = found["encoder.weight"]
          # Only the inputs of a stream's <s> are those of </s>.
        self.assertEqual(set(expected), set(found))
        found["decoder.bias"][1] = 0  # of <s>: -1e9 for PyTorch
        for name, tensor in found.items():
          self.assertLessEqual(
              np.abs(expected[name] - tensor.numpy()).max(), 1e-20, name)

  def perplexity(self, model, *options):
    output, _ = run(LM_TRAINER, "evaluate", "--json", "--corpus", self.valid,
                    "--store", self.store, "--model", model, *options)
    return json.loads(output)["perplexity"]

  def check_equal(self, *options, relu=False):
    """Compares every record of both trainings, and the models they publish.

    Returns the records of train.py.
    """
    options = ("--corpus", self.train, *SMALL, *options)
    if "--valid" not in options:
      options = (*options, "--valid", self.valid)
    expected = self.train_cpp(*options)
    found = self.train_torch(*options)
    logs = [[json.loads(line) for line in
             (folder / "training.jsonl").read_text().splitlines()]
            for folder in (expected, found)]
    self.assertEqual(len(logs[0]), len(logs[1]))
    self.assertTrue(any("valid_loss" in record for record in logs[0]))
    for one, other in zip(*logs):
      self.assertEqual(one["step"], other["step"])
      self.assertEqual(one["words"], other["words"])
      self.assertAlmostEqual(one["learning_rate"], other["learning_rate"], 12)
      self.assertEqual("valid_loss" in one, "valid_loss" in other)
      for name in ("train_perplexity", "valid_perplexity", "gradient_norm",
                   "max_gradient_norm"):
        if name in one:
          tolerance = 1e-4 if "perplexity" in name else 1e-2
          self.assertLess(abs(other[name] / one[name] - 1), tolerance,
                          (name, one, other))
    _, warnings = run(
        LM_TRAINER, "import-torch", found / "model.pt", "--vocabulary",
        found / "vocabulary.txt", "--store", self.store, "--model", "imported",
        *(("--nonlinearity", "relu") if relu else ()))
    self.assertNotIn("warning", warnings)
    run(LM_TRAINER, "verify", "--store", self.store, "--model", "imported")
    form = ("--stream",) if "--stream" in options else ()
    one, other = (self.perplexity(model, *form)
                  for model in ("cpp", "imported"))
    self.assertLess(abs(other / one - 1), 1e-4)
    return logs[1]

  def test_lstm(self):
    self.check_equal("--epochs", "3", "--batch", "10")

  def test_gru_of_a_stream(self):
    self.check_equal("--cell", "gru", "--stream", "--steps", "8", "--optimizer",
                     "sgd", "--learning-rate", "4", "--clip", "0.25",
                     "--schedule", "linear", "--epochs", "2", "--batch", "7")

  def test_rnn(self):
    self.check_equal("--cell", "rnn", "--tied", "--weight-decay", "0.1",
                     "--epochs", "3", "--min-count", "3")

  def test_relu_from_the_identity(self):
    self.check_equal("--cell", "rnn", "--nonlinearity", "relu", "--identity",
                     "--optimizer", "sgd", "--learning-rate", "0.05",
                     "--weight-decay", "0.01", "--epochs", "3", relu=True)

  def test_learning_rate_and_patience(self):
    log = self.check_equal("--learning-rate", "0.01", "--epochs", "12",
                           "--decay", "0.3", "--patience", "2", "--batch", "5",
                           "--valid", self.reversed)
    self.assertLess(log[-1]["epoch"], 12)
    self.assertLess(log[-1]["learning_rate"], 0.01)

  def test_average(self):
    log = self.check_equal("--optimizer", "sgd", "--learning-rate", "1",
                           "--epochs", "20", "--average", "1", "--patience",
                           "2", "--batch", "5", "--tied", "--clip", "1",
                           "--valid", self.reversed)
    self.assertLess(log[-1]["epoch"], 20)
    self.assertEqual(log[-1]["learning_rate"], 1)


class ProcessesTest(TrainerTest):

  def test_processes_share_a_batch(self):
    """There can be more processes than sentences in a batch."""
    for processes, options in (
        (2, ("--batch", "6")),
        (3, ("--stream", "--steps", "9", "--batch", "5", "--min-count", "2")),
        (3, ("--stream", "--steps", "9", "--batch", "2", "--cell", "rnn"))):
      options = (*self.texts, *SMALL, *options, "--tied", "--epochs", "2",
                 "--optimizer", "sgd", "--learning-rate", "0.3", "--average",
                 "1", "--device", "cpu")
      self.setUp()
      one = self.train_torch(*options)
      several = self.train_torch(*options, processes=processes, name="several")
      self.assert_close(one, several, 2e-5)
      logs = [[json.loads(line) for line in
               (folder / "training.jsonl").read_text().splitlines()]
              for folder in (one, several)]
      for expected, found in zip(*logs, strict=True):
        self.assertEqual(expected["words"], found["words"])
        self.assertAlmostEqual(expected["train_loss"], found["train_loss"], 5)

  def test_other_texts_or_options(self):
    """Machines whose files differ do not train together."""
    launcher = self.out / "launch.py"
    launcher.write_text(
        "import os, sys\n"
        f"arguments = ['--output', '{self.out}/o', '--valid', '{self.valid}',\n"
        f"  '--corpus', ['{self.train}', '{self.valid}'][\n"
        "  int(os.environ['RANK'])]]\n"
        "os.execv(sys.executable,\n"
        f"         [sys.executable, '{TRAIN}', *arguments])\n")
    _, errors = run(sys.executable, "-m", "torch.distributed.run",
                    "--standalone", "--nproc-per-node", "2", launcher,
                    expected=1)
    self.assertIn("options and texts: expected in all processes", errors)


class Killed(BaseException):
  """Ends a training like a signal."""


class ResumeTest(TrainerTest):

  def interrupt(self, checkpoints, *options):
    """Kills a training after it has written some checkpoints."""
    written = 0

    def save(path, contents):
      nonlocal written
      files.save(path, contents)
      written += 1
      if written == checkpoints:
        raise Killed

    files_of_training = mock.Mock(wraps=files)
    files_of_training.save = save
    with (mock.patch("lmserve_torch.training.files", files_of_training),
          self.assertRaises(Killed)):
      train_here("--output", self.out / "torch", "--checkpoint-seconds", "0",
                 *options)

  def test_resume(self):
    for options in (("--dropout", "0.2", "--weight-drop", "0.1"),
                    ("--stream", "--steps", "5", "--average", "1", "--valid",
                     self.reversed, "--optimizer", "sgd", "--learning-rate",
                     "2", "--dropout", "0")):
      with self.subTest(options=options):
        self.setUp()
        options = (*self.texts, "--units", "8", *options, "--epochs", "4",
                   "--device", "cpu")
        whole = self.train_torch(*options, name="whole")
        self.interrupt(3, *options)
        self.interrupt(40, "--resume", *options)
        # Another number of processes goes on, with another rounding.
        shutil.copytree(self.out / "torch", self.out / "several")
        parts = self.train_torch("--resume", *options)
        self.assert_close(whole, parts, 0)
        self.assertFalse((parts / "checkpoint.pt").exists())
        logs = [[json.loads(line) for line in
                 (folder / "training.jsonl").read_text().splitlines()]
                for folder in (whole, parts)]
        for expected, found in zip(*logs, strict=True):
          self.assertEqual(expected["words"], found["words"])
          self.assertEqual(expected.get("valid_loss"), found.get("valid_loss"))
        if "--stream" in options:
          several = self.train_torch("--resume", *options, processes=2,
                                     name="several")
          self.assert_close(whole, several, 1e-4)

  def test_a_write_that_fails_keeps_the_file(self):
    path = self.out / "file"
    files.replace(path, b"old")
    with mock.patch("os.fsync", side_effect=OSError(28, "No space")):
      with self.assertRaisesRegex(TrainingError, "file: No space"):
        files.replace(path, b"new")
    self.assertEqual(path.read_bytes(), b"old")

  def test_wrong_checkpoints(self):
    options = ("--output", self.out / "torch", *self.texts, *SMALL)
    path = self.out / "torch" / "checkpoint.pt"

    def check(message, *more):
      _, errors = train_here(*options, "--resume", *more, expected=1)
      self.assertIn(f"error: {path}: {message}", errors)

    check("expected the checkpoint of a training")
    self.interrupt(1, *options)
    check("the checkpoint is of another training: --seed: expected 7, found 1",
          "--seed", "7")
    data = path.read_bytes()
    for damaged in (b"", b"text\n", data[:len(data) // 2]):
      path.write_bytes(damaged)
      check("expected a checkpoint, found another file")
    torch.save({"a": torch.zeros(1)}, path)
    check("expected a checkpoint of this program")


class CommandLineTest(TrainerTest):

  def test_output(self):
    output, errors = run(*train_command(
        *self.texts, *SMALL, "--output", self.out / "o", "--epochs", "1"))
    self.assertEqual(output, f"{self.out / 'o' / 'model.pt'}\n")
    self.assertIn("epoch 1/1", errors)
    self.assertEqual(sorted(path.name for path in (self.out / "o").iterdir()),
                     ["model.pt", "training.jsonl", "vocabulary.txt"])

  def test_wrong_command_lines(self):
    for options, message in (
        (("--units", "0"), "--units: expected a whole number of at least 1"),
        (("--units", "x"), "found 'x'"),
        (("--dropout", "1"), "expected a number from 0 to 0.99, found '1'"),
        (("--learning-rate", "nan"), "expected a number above 0"),
        (("--clip", "inf"), "found 'inf'"),
        (("--cell", "cnn"), "--cell"),
        (("--tied", "--embedding", "5"), "--tied: expected --embedding 200"),
        (("--identity",), "--identity: expected --cell rnn"),
        (("--unit", "5"), "unrecognized arguments: --unit"),
        (("--nothing",), "unrecognized arguments: --nothing")):
      _, errors = run(*train_command(*self.texts, "--output", self.out / "o",
                                     *options), expected=2)
      self.assertIn(message, errors)

  def test_names_and_defaults_are_those_of_lm_trainer(self):
    """The help of lm_trainer has defaults as in --cell {rnn,gru,lstm}=lstm."""
    expected = run(LM_TRAINER, "recurrent", "--help")[0]
    parsed = vars(command_line.parse(["--corpus", "a", "--valid", "b",
                                      "--output", "c"]))
    for name, default in parsed.items():
      if name in ("output", "device"):
        continue
      option = "--" + name.replace("_", "-")
      self.assertIn(f" {option} ", expected)
      shown = re.search(f"^  {option} [^\n]*?=(\\S+)", expected, re.M)
      if shown and name != "threads":
        self.assertEqual(shown[1], str(default).removesuffix(".0"), option)

  def test_training_that_diverges(self):
    _, errors = train_here(
        *self.texts, *SMALL, "--output", self.out / "o", "--optimizer", "sgd",
        "--learning-rate", "1e38", "--clip", "0", expected=1)
    self.assertRegex(errors, "error: epoch 1, step [0-9]+: the .* is (nan|inf)")
    self.assertFalse((self.out / "o" / "model.pt").exists())

  def test_bf16(self):
    found = self.train_torch(*self.texts, *SMALL, "--products", "bf16",
                             "--epochs", "2", "--device", "cpu")
    exact = self.train_torch(*self.texts, *SMALL, "--epochs", "2", "--device",
                             "cpu", name="exact")
    losses = [json.loads((folder / "training.jsonl").read_text()
                         .splitlines()[-1])["valid_loss"]
              for folder in (found, exact)]
    self.assertNotEqual(losses[0], losses[1])
    self.assertLess(abs(losses[0] / losses[1] - 1), 0.02)

  def test_files_that_cannot_be_written(self):
    _, errors = train_here(*self.texts, *SMALL, "--output", self.train / "o",
                           expected=1)
    self.assertIn("Not a directory", errors)

  @unittest.skipIf(torch.cuda.is_available(), "there is a GPU")
  def test_no_gpu(self):
    _, errors = train_here(*self.texts, "--output", self.out / "o", "--device",
                           "cuda", expected=1)
    self.assertIn("--device cuda: expected a GPU", errors)


if __name__ == "__main__":
  unittest.main(argv=[sys.argv[0], *sys.argv[3:]])
