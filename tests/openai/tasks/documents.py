# SPDX-License-Identifier: Apache-2.0
"""Documents of the tasks, in the language of `lm_trainer demo-corpus`."""

import datasets


def _split(rows):
  return {"test": datasets.Dataset.from_list(rows)}


def agreement(**_):
  """Verbs and nouns that agree with a word a few or many words before."""
  rows = [
      ("the cat near the dog", ["is small .", "are small ."], 0),
      ("the cats near the dog", ["is small .", "are small ."], 1),
      ("the dog that hid the old dogs", ["is clever .", "are clever ."], 0),
      ("the dogs that hid the old dog", ["is clever .", "are clever ."], 1),
      ("i", ["have a book .", "has a book ."], 0),
      ("he", ["have a book .", "has a book ."], 1),
      ("jane is walking", ["home after school .", "house after school ."], 0),
      ("is the cat", ["small ?", "small ."], 0),
      ("as the proctor started the clock the students opened their",
       ["exams .", "books .", "maps ."], 0),
      ("as the librarian started the clock the students opened their",
       ["exams .", "books .", "maps ."], 1),
  ]
  return _split([{"context": context, "choices": choices, "answer": answer}
                 for context, choices, answer in rows])


def texts(**_):
  """Whole texts, one of them with words that no model of the demo knows."""
  return _split([{"text": text} for text in (
      "the cat is small .",
      "jane is walking home after school .",
      "i had the basket in the morning and we have a table .",
      "the quick brown fox jumps over the lazy dog .",
      "paul walked into the room . lucy walked in too . everyone was walking home "
      "after school . paul said hi to lucy .",
  )])


def beginnings(**_):
  """Beginnings of sentences, and how most of the corpus continues."""
  return _split([{"beginning": beginning, "end": end} for beginning, end in (
      ("jane is walking", "home after school"),
      ("give me", "the book"),
      ("the cat near the dog", "is small"),
  )])
