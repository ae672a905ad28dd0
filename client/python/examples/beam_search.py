#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Prints the most probable sentence of a model that a beam search finds.

    beam_search.py --server localhost:50051 --model en --beam 20 the cat

The words on the command line are the beginning of the sentence. Decoders for
translation or speech work in the same way, but add their own scores to those of
the model.
"""

import argparse
import dataclasses
import sys

import lmserve


@dataclasses.dataclass(frozen=True)
class Hypothesis:
  """The beginning of a sentence.

  Attributes:
    log_prob: ln P of its words, including the given ones.
    handle: The handle of its state in the server.
    ids: The ids of its words.
  """

  log_prob: float
  handle: int
  ids: tuple[int, ...]


def read(session, ids):
  """Returns the hypothesis of the words with these ids."""
  hypothesis = Hypothesis(0, session.start.handle, ())
  for word in ids:
    extended = session.extend([hypothesis.handle], [word],
                              release=[hypothesis.handle])
    log_prob = hypothesis.log_prob + float(extended.log_probs[0])
    hypothesis = Hypothesis(log_prob, extended.handles[0],
                            hypothesis.ids + (word,))
  return hypothesis


def best_words(session, handles, k):
  """Returns the k best words of each state, in as many steps as it takes."""
  size = max(1, session.start.most_predictions // k)
  sent = [session.best_later(handles[i:i + size], k)
          for i in range(0, len(handles), size)]
  return [row for pending in sent for row in pending.result()]


def recombine(extended, candidates):
  """Turns candidates into hypotheses and keeps the best of those with one key.

  Args:
    extended: The DecodeExtended of the candidates.
    candidates: Tuples (log_prob, parent hypothesis, word id), best first.

  Returns:
    The hypotheses, best first, and the handles that are not needed any more.
  """
  kept, left_over = {}, []
  for (log_prob, parent, word), handle, key in zip(
      candidates, extended.handles, extended.recombination_keys):
    if key in kept:
      left_over.append(handle)
    else:
      kept[key] = Hypothesis(log_prob, handle, parent.ids + (word,))
  return list(kept.values()), left_over


def search(session, beam, max_words):
  """Searches for the most probable sentence.

  Returns:
    The word ids of the sentence, without </s>, and its ln P, with </s>. The ids
    are None if no sentence of at most max_words words was found.
  """
  start = session.start
  hypotheses = [read(session, start.ids)]
  left_over = []
  best, best_log_prob = None, -float("inf")
  # Two more than the beam, because </s> and <unk> do not extend a hypothesis.
  k = min(beam + 2, start.vocabulary_size, start.most_predictions)
  while hypotheses:
    handles = [hypothesis.handle for hypothesis in hypotheses]
    # Send all steps before waiting: the scores of </s>, and the next words.
    ends = session.extend_later(handles, [start.end_id] * len(handles),
                                scores_only=True, release=left_over)
    rows = best_words(session, handles, k)
    for hypothesis, log_prob in zip(hypotheses,
                                    map(float, ends.result().log_probs)):
      if hypothesis.log_prob + log_prob > best_log_prob:
        best = hypothesis.ids
        best_log_prob = hypothesis.log_prob + log_prob
    # Each word lowers ln P, so only hypotheses above the best sentence can win.
    candidates = [
        (hypothesis.log_prob + float(log_prob), hypothesis, word)
        for hypothesis, row in zip(hypotheses, rows)
        if len(hypothesis.ids) < max_words
        for word, log_prob in zip(*row)
        if word not in (start.end_id, start.unknown_id)
        and hypothesis.log_prob + log_prob > best_log_prob]
    candidates.sort(key=lambda candidate: candidate[0], reverse=True)
    candidates = candidates[:beam]
    extended = session.extend(
        [parent.handle for _, parent, _ in candidates],
        [word for _, _, word in candidates], release=handles)
    hypotheses, left_over = recombine(extended, candidates)
  return best, best_log_prob


def main():
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("--server", default="localhost:50051",
                      help="address of the server [%(default)s]")
  parser.add_argument("--model", required=True,
                      help="NAME, NAME@VERSION or NAME@ALIAS")
  parser.add_argument("--beam", type=int, default=10,
                      help="beam size: hypotheses kept per step "
                      "[%(default)s]")
  parser.add_argument("--max-words", type=int, default=30,
                      help="maximum length of the sentence [%(default)s]")
  parser.add_argument("words", nargs="*", help="beginning of the sentence")
  arguments = parser.parse_args()
  if arguments.beam < 1:
    parser.error("--beam: expected 1 or more")
  try:
    with lmserve.Client(arguments.server) as client:
      with client.decode(arguments.model, arguments.words) as session:
        ids, log_prob = search(session, arguments.beam, arguments.max_words)
      if ids is None:
        sys.exit("beam_search: no sentence found")
      words = ()
      if ids:  # Scoring ids word by word returns the words.
        score = client.score(arguments.model, [ids], per_word=True).scores[0]
        words = score.words.words[:-1]
  except lmserve.LmserveError as error:
    sys.exit(f"beam_search: {error}")
  print(f"{log_prob:.4f}", *words)


if __name__ == "__main__":
  main()
