# SPDX-License-Identifier: Apache-2.0
"""Runs lm_server as a process and trains models for it."""

import os
import pathlib
import signal
import subprocess

PROGRAMS = pathlib.Path(os.environ["LMSERVE_PROGRAMS"])

# An additive unigram model of this text, which has 5 tokens and 4 possible next
# words: P(a) = P(</s>) = 3/9, P(b) = 2/9, P(<unk>) = 1/9.
AB = "a b\na\n"
# The most probable next word is always "a".
LONG = "a " * 300
SENTENCES = "a b c\nc b a\n" * 8


def train_ngram(store, model, text, order=1):
  subprocess.run(
      [PROGRAMS / "lm_trainer", "ngram", "--corpus", "-", "--order", str(order),
       "--smoothing", "additive", "--store", store, "--model", model],
      input=text, text=True, check=True, stdout=subprocess.DEVNULL,
      stderr=subprocess.DEVNULL)


def train_recurrent(store, model, corpus, *arguments):
  corpus.write_text(SENTENCES, encoding="utf-8")
  subprocess.run(
      [PROGRAMS / "lm_trainer", "recurrent", *arguments, "--units", "4",
       "--epochs", "1", "--corpus", corpus, "--valid", corpus, "--store", store,
       "--model", model],
      check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def train_bidirectional(store, model, corpus):
  train_recurrent(store, model, corpus, "--bidirectional")


def train_labels(store, model, corpus, labels, command, *arguments):
  """Trains a tagger or a classifier on labels of the demo grammar.

  Args:
    corpus: The file that the text is written to.
    labels: Of what: words or sentences.
    command: The one of lm_trainer.
  """
  with corpus.open("w", encoding="utf-8") as file:
    subprocess.run(
        [PROGRAMS / "lm_trainer", "demo-corpus", "--labels", labels,
         "--sentences", "300"], check=True, stdout=file)
  subprocess.run(
      [PROGRAMS / "lm_trainer", command, *arguments, "--units", "4", "--layers",
       "1", "--embedding", "4", "--epochs", "1", "--threads", "1", "--corpus",
       corpus, "--valid", corpus, "--store", store, "--model", model],
      check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def train_translation(store, model, source, target):
  """Trains on two parallel files, until the model knows them by heart."""
  subprocess.run(
      [PROGRAMS / "lm_trainer", "translation", "--attention", "--units", "16",
       "--dropout", "0", "--learning-rate", "0.03", "--batch", "4", "--epochs",
       "60", "--threads", "1", "--source", source, "--corpus", target,
       "--valid-source", source, "--valid", target, "--store", store, "--model",
       model],
      check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def tune_reranker(store, model, directory, lists, references, *arguments):
  """Tunes a reranker for chrF on lists of candidates (text, features)."""
  nbest, reference = directory / f"{model}.nbest", directory / f"{model}.txt"
  nbest.write_text("".join(
      f"{i} ||| {text} ||| " +
      " ".join(f"{name}= {value}" for name, value in features.items()) + "\n"
      for i, candidates in enumerate(lists) for text, features in candidates),
                   encoding="utf-8")
  reference.write_text("\n".join(references), encoding="utf-8")
  subprocess.run(
      [PROGRAMS / "lm_trainer", "tune", "--nbest", nbest, "--reference",
       reference, "--metric", "chrf", "--store", store, "--model", model,
       *arguments],
      check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


class LiveServer:
  """Serves a store until the end of the `with` block, then drains."""

  def __init__(self, store, *arguments, listen="127.0.0.1:0"):
    # pylint: disable=consider-using-with
    self._process = subprocess.Popen(
        [PROGRAMS / "lm_server", "--store", store, "--listen", listen,
         "--admin-listen", "", *arguments],
        text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    self.address = self._process.stdout.readline().split()[-1]

  def __enter__(self):
    return self

  def __exit__(self, *error):
    self._process.send_signal(signal.SIGTERM)
    code = self._process.wait(60)
    self._process.stdout.close()
    assert code in (0, -signal.SIGKILL)

  def kill(self):
    self._process.kill()
    self._process.wait(60)
