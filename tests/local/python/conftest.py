# SPDX-License-Identifier: Apache-2.0
"""Models for the tests."""

import os
import pathlib
import random
import subprocess

import pytest

PROGRAMS = pathlib.Path(os.environ.get("LMSERVE_PROGRAMS", "build/release/bin"))

# A trigram model whose backoffs, contexts without words, and pruned suffixes
# matter. <s> has a value of its own, and one word the value that other programs
# take for the probability 0.
ARPA = """\\data\\
ngram 1=9
ngram 2=8
ngram 3=4

\\1-grams:
-1.25\t<unk>\t0
-1.75\t<s>\t-0.3125
-0.8125\t</s>
-0.9375\tthe\t-0.4375
-1.125\tcat\t-0.25
-1.0625\tis\t-0.1875
-1.375\tsmall\t-0.125
-2.5\tcaf\u00e9\u00a0bar
-99\tnever\t-0.5

\\2-grams:
-0.375\t<s> the\t-0.5
-0.5\tthe cat\t-0.25
-0.75\tthe small
-0.4375\tcat is\t-0.0625
-0.625\tis small\t-0.375
-0.3125\tsmall </s>
-1.5\tsmall cat\t-0.75
-0.875\tis the

\\3-grams:
-0.25\t<s> the cat
-0.1875\tthe cat is
-0.3125\tcat is small
-0.125\tis small </s>

\\end\\
"""


@pytest.fixture(scope="session")
def arpa(tmp_path_factory):
  path = tmp_path_factory.mktemp("arpa") / "small.arpa"
  path.write_text(ARPA, encoding="utf-8")
  return str(path)


def write_random_arpa(path, words=40, order=4, seed=1):
  """Writes a model with random n-grams, each of which has its context."""
  chance = random.Random(seed)
  vocabulary = [f"w{i}" for i in range(words)]
  levels = [[("<unk>",), ("<s>",), ("</s>",)] + [(w,) for w in vocabulary]]
  for _ in range(2, order + 1):
    contexts = [n for n in levels[-1] if n[-1] not in ("</s>", "<unk>")]
    level = set()
    for context in chance.sample(contexts, min(len(contexts), 60)):
      for word in chance.sample(vocabulary + ["</s>"], 5):
        level.add(context + (word,))
    levels.append(sorted(level))
  # KenLM wants the suffixes of n-grams, too.
  for k in range(order - 1, 1, -1):
    known = set(levels[k - 1])
    for ngram in levels[k]:
      known.add(ngram[1:])
    levels[k - 1] = sorted(known)
    lower = set(levels[k - 2])
    lower.update(n[:-1] for n in known)
    levels[k - 2] = sorted(lower) if k > 2 else levels[k - 2]
  with open(path, "w", encoding="utf-8") as out:
    out.write("\\data\\\n")
    for k, level in enumerate(levels, 1):
      out.write(f"ngram {k}={len(level)}\n")
    for k, level in enumerate(levels, 1):
      out.write(f"\n\\{k}-grams:\n")
      for ngram in level:
        log10 = -round(chance.uniform(0.05, 3), 4)
        line = f"{log10}\t{' '.join(ngram)}"
        if k < order and ngram[-1] != "</s>":
          line += f"\t{-round(chance.uniform(0, 1), 4)}"
        out.write(line + "\n")
    out.write("\n\\end\\\n")
  return vocabulary


@pytest.fixture(scope="session")
def random_arpa(tmp_path_factory):
  """The path of a random model of order 4, and its words."""
  path = tmp_path_factory.mktemp("arpa") / "random.arpa"
  return str(path), write_random_arpa(path)


def run(*command, text=None):
  return subprocess.run([str(word) for word in command], input=text, text=True,
                        check=True, stdout=subprocess.PIPE).stdout


@pytest.fixture(scope="session")
def store(tmp_path_factory):
  """A store with an n-gram model and networks, named after their families.

  The network lstm is recurrent. The tagger has learned whether a word has the
  letter a, and the classifier whether a sentence has the word "is".
  """
  if not (PROGRAMS / "lm_trainer").exists():
    pytest.skip(f"no lm_trainer in {PROGRAMS}")
  path = tmp_path_factory.mktemp("models") / "store"
  trainer = PROGRAMS / "lm_trainer"
  corpus = path.parent / "corpus.txt"
  text = run(trainer, "demo-corpus", "--sentences", "400")
  corpus.write_text(text, encoding="utf-8")
  run(trainer, "ngram", "--corpus", corpus, "--store", path, "--model", "ngram")
  network = ("--store", path, "--threads", "1", "--embedding", "8")
  small = ("--corpus", corpus, "--valid", corpus, "--epochs", "1", *network)
  run(trainer, "recurrent", "--cell", "lstm", "--layers", "1", "--units", "16",
      "--model", "lstm", *small)
  run(trainer, "window", "--hidden", "16", "--model", "window", *small)
  sentences = [line.split() for line in text.splitlines()]
  words = path.parent / "words.txt"
  words.write_text("\n\n".join(
      "\n".join(f"{word} {label_of(word)}" for word in sentence)
      for sentence in sentences), encoding="utf-8")
  labeled = path.parent / "labeled.txt"
  labeled.write_text("\n".join(
      f"{kind_of(sentence)}\t{' '.join(sentence)}" for sentence in sentences),
                     encoding="utf-8")
  run(trainer, "tagger", "--format", "columns", "--corpus", words, "--valid",
      words, "--model", "tagger", "--epochs", "20", "--units", "16",
      "--character-units", "0", *network)
  run(trainer, "classifier", "--corpus", labeled, "--valid", labeled, "--model",
      "classifier", "--epochs", "20", "--units", "16", *network)
  return str(path)


def label_of(word):
  """The label of a word that the tagger of `store` has learned."""
  return "A" if "a" in word else "other"


def kind_of(words):
  """The label of a sentence that the classifier of `store` has learned."""
  return "is" if "is" in words else "other"
