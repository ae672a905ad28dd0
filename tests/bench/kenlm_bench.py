# SPDX-License-Identifier: Apache-2.0
"""Times lmserve_local beside PyPI's kenlm on one ARPA file, in one process.

    python tests/bench/kenlm_bench.py MODEL.arpa TEXT [--rounds 15] [--cpu]

The Python that runs it needs the packages lmserve-local and kenlm, which
`scripts/bench kenlm` installs before it runs it. The two alternate in each round,
and each line is the median of the rounds and of their ratios. --cpu measures
processor time, for a machine that other programs keep busy; it says nothing about
threads.
"""

import argparse
import multiprocessing
import pathlib
import statistics
import time

import kenlm
import numpy

import lmserve_local
from lmserve_local import States
from lmserve_local import kenlm as ours


def seconds(work, clock):
  start = clock()
  work()
  return clock() - start


def compare(title, theirs, mine, items, options):
  """Prints the medians for `items` items, and how much less time ours takes."""
  clock = time.process_time if options.cpu else time.perf_counter
  pairs = []
  theirs()
  mine()
  for i in range(options.rounds):
    if i % 2:
      b, a = seconds(mine, clock), seconds(theirs, clock)
    else:
      a, b = seconds(theirs, clock), seconds(mine, clock)
    pairs.append((a, b))
  a = statistics.median(pair[0] for pair in pairs) / items * 1e9
  b = statistics.median(pair[1] for pair in pairs) / items * 1e9
  ratio = statistics.median(a / b for a, b in pairs)
  print(f"| {title} | {a:.0f} | {b:.0f} | {ratio:.2f} |")


def walk(module, model, sentences):
  """Scores sentences word by word, as a decoder does."""
  states = module.State(), module.State()

  def work():
    state, out = states
    score = model.BaseScore
    for sentence in sentences:
      model.BeginSentenceWrite(state)
      for word in sentence:
        score(state, word, out)
        state, out = out, state
  return work


def proportional_kilobytes():
  text = pathlib.Path("/proc/self/smaps_rollup").read_text(encoding="ascii")
  return int(text.split("\nPss:")[1].split()[0])


def child(model, barrier, queue):
  model.score("the of and")
  barrier.wait()
  queue.put(proportional_kilobytes())
  barrier.wait()


def workers_megabytes(model, count=8):
  """Memory of forked workers together, shared pages counted once."""
  context = multiprocessing.get_context("fork")
  barrier, queue = context.Barrier(count), context.Queue()
  processes = [context.Process(target=child, args=(model, barrier, queue))
               for _ in range(count)]
  for process in processes:
    process.start()
  total = sum(queue.get() for _ in processes)
  for process in processes:
    process.join()
  return total / 1024


def main():
  parser = argparse.ArgumentParser()
  parser.add_argument("arpa")
  parser.add_argument("text")
  parser.add_argument("--rounds", type=int, default=15)
  parser.add_argument("--cpu", action="store_true")
  options = parser.parse_args()
  theirs = kenlm.Model(options.arpa)
  model = ours.Model(options.arpa)
  native = model.model
  with open(options.text, encoding="utf-8") as file:
    lines = [line for line in map(str.strip, file) if line][:1000]
  sentences = [line.split() for line in lines]
  words = sum(map(len, sentences))
  calls = words + len(sentences)
  print(f"{len(lines)} sentences, {words} words, vocabulary "
        f"{native.vocabulary_size}, order {model.order}\n")
  print("| | kenlm, ns | lmserve_local, ns | ratio |\n| --- | --- | --- | --- |")
  compare("`BaseScore`, a call", walk(kenlm, theirs, sentences),
          walk(ours, model, sentences), words, options)
  compare("`score`, a word",
          lambda: [theirs.score(line) for line in lines],
          lambda: [model.score(line) for line in lines], calls, options)
  for threads in (1, 2):
    compare(f"`score_batch`, {threads} threads, a word",
            lambda: [theirs.score(line) for line in lines],
            lambda: native.score_batch(lines, threads=threads), calls,
            options)
  vocabulary = native.words()
  begin = kenlm.State()
  theirs.BeginSentenceWrite(begin)
  out = kenlm.State()
  row = numpy.empty((1, len(vocabulary)), numpy.float32)
  start = native.start()
  compare("whole vocabulary, a word",
          lambda: [theirs.BaseScore(begin, word, out) for word in vocabulary],
          lambda: native.next_log_probs([start], out=row), len(vocabulary),
          options)
  # A decoder's step: each of its hypotheses is continued by a word.
  hypotheses = 5000
  states = States([start] * hypotheses)
  ids = numpy.arange(hypotheses, dtype=numpy.int32) % len(vocabulary)
  asked = [vocabulary[i] for i in ids]
  outs = [kenlm.State() for _ in asked]
  compare("`extend` of 5,000 states, a state",
          lambda: [theirs.BaseScore(begin, word, out)
                   for word, out in zip(asked, outs)],
          lambda: native.extend(states, ids), hypotheses, options)
  print(f"\nmemory of 8 forked workers: {workers_megabytes(model):.0f} MB, of "
        f"this process alone: {proportional_kilobytes() / 1024:.0f} MB")
  print(f"lmserve_local {lmserve_local.__version__}")


if __name__ == "__main__":
  main()
