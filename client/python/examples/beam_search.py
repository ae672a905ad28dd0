#!/usr/bin/env python3
"""Writes the likeliest sentence of a model, as far as a beam search finds it.

    beam_search.py --server localhost:50051 --model en --beam 20 the cat

The arguments are how the sentence begins. What a decoder of translation or
speech does is the same, with scores of its own added to those of the model.
"""

import argparse
import dataclasses
import sys

import lmserve


@dataclasses.dataclass(frozen=True)
class Hypothesis:
  """A beginning of a sentence.

  Attributes:
    log_prob: of its words, those that were given included.
    handle: of the state that the server keeps for it.
    ids: of its words.
  """

  log_prob: float
  handle: int
  ids: tuple[int, ...]


def read(session, ids):
  """The hypothesis of the words that were given."""
  hypothesis = Hypothesis(0, session.start.handle, ())
  for word in ids:
    extended = session.extend([hypothesis.handle], [word],
                              release=[hypothesis.handle])
    hypothesis = Hypothesis(hypothesis.log_prob + extended.log_probs[0],
                            extended.handles[0], hypothesis.ids + (word,))
  return hypothesis


def recombine(extended, candidates):
  """Makes hypotheses of candidates, best first, and of those with the same
  future keeps the best; tells which handles are left over."""
  kept, left_over = {}, []
  for (log_prob, parent, word), handle, key in zip(
      candidates, extended.handles, extended.recombination_keys):
    if key in kept:
      left_over.append(handle)
    else:
      kept[key] = Hypothesis(log_prob, handle, parent.ids + (word,))
  return list(kept.values()), left_over


def search(session, beam, max_words):
  """Returns the likeliest sentence found: ids without </s>, and ln P with it.

  It may be None, where no sentence of so few words is possible.
  """
  start = session.start
  hypotheses = [read(session, start.ids)]
  left_over = []
  best, best_log_prob = None, -float("inf")
  # Of the likeliest next words </s> and <unk> make no hypotheses.
  k = min(beam + 2, start.vocabulary_size)
  while hypotheses:
    handles = [hypothesis.handle for hypothesis in hypotheses]
    # Sent at once: how each hypothesis ends, and how it goes on.
    ends = session.extend_later(handles, [start.end_id] * len(handles),
                                scores_only=True, release=left_over)
    rows = session.best(handles, k)
    for hypothesis, log_prob in zip(hypotheses, ends.result().log_probs):
      if hypothesis.log_prob + log_prob > best_log_prob:
        best = hypothesis.ids
        best_log_prob = hypothesis.log_prob + log_prob
    # A hypothesis loses with each word: only a better one may still win.
    candidates = [
        (hypothesis.log_prob + log_prob, hypothesis, word)
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
  parser.add_argument("--server", default="localhost:50051")
  parser.add_argument("--model", required=True)
  parser.add_argument("--beam", type=int, default=10,
                      help="hypotheses of a length [%(default)s]")
  parser.add_argument("--max-words", type=int, default=30,
                      help="words of the sentence at most [%(default)s]")
  parser.add_argument("words", nargs="*", help="how the sentence begins")
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
      if ids:  # Ids become words where they are scored.
        score = client.score(arguments.model, [ids], per_word=True).scores[0]
        words = score.words.words[:-1]
  except lmserve.LmserveError as error:
    sys.exit(f"beam_search: {error}")
  print(f"{log_prob:.4f}", *words)


if __name__ == "__main__":
  main()
