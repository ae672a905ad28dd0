# SPDX-License-Identifier: Apache-2.0
"""Prints torch_labels_golden.h: what PyTorch computes with a tagger, a classifier
and sentence vectors whose weights are those of Weight() in
torch_labels_golden_test.cc.

  python3 torch_labels_golden.py > torch_labels_golden.h
  clang-format -i torch_labels_golden.h

Needs PyTorch 2. The sums of the conditional random field are over all label
sequences, without the forward algorithm."""

import itertools
import math

import torch

VOCABULARY, LABELS, EMBEDDING, UNITS, LAYERS = 7, 4, 5, 4, 2
CHARACTER_EMBEDDING, CHARACTER_UNITS = 3, 2
# Word ids, and how the words are spelled; 0 is <unk>.
SENTENCE = [(3, "the"), (0, "unseen"), (5, "cat"), (6, "."), (3, "the")]

torch.set_default_dtype(torch.float64)


def fill(name, tensor):
  """Sets a tensor to 0.6 sin(i + 1.7 n), where i is the index of a number and n
  is the sum of the bytes of the name."""
  offset = 1.7 * sum(name.encode())
  numbers = torch.sin(torch.arange(tensor.numel()) + offset) * 0.6
  # The weights are stored as single precision.
  numbers = numbers.float().double()
  with torch.no_grad():
    tensor.copy_(numbers.reshape(tensor.shape))
  return tensor


def fill_module(prefix, module):
  for name, parameter in module.named_parameters():
    fill(prefix + name, parameter)
  return module


def characters(cell, words):
  embedding = fill_module("characters.encoder.",
                          torch.nn.Embedding(256, CHARACTER_EMBEDDING))
  layer = fill_module(
      "characters.rnn.",
      cell(CHARACTER_EMBEDDING, CHARACTER_UNITS, bidirectional=True))
  rows = []
  for word in words:
    ids = torch.tensor(list(word.encode()))
    _, state = layer(embedding(ids))
    h = state[0] if isinstance(state, tuple) else state
    rows.append(torch.cat([h[0], h[1]]))
  return torch.stack(rows)


def states(cell, with_characters):
  ids = torch.tensor([word for word, _ in SENTENCE])
  x = fill_module("encoder.", torch.nn.Embedding(VOCABULARY, EMBEDDING))(ids)
  if with_characters:
    x = torch.cat([x, characters(cell, [word for _, word in SENTENCE])], 1)
  rnn = cell(x.shape[1], UNITS, LAYERS, bidirectional=True)
  return fill_module("rnn.", rnn)(x)[0]


def logits(features):
  return fill_module("decoder.", torch.nn.Linear(2 * UNITS, LABELS))(features)


def pool(h, pooling):
  if pooling == "max":
    return h.max(0).values
  if pooling == "mean":
    return h.mean(0)
  return torch.cat([h[-1, :UNITS], h[0, UNITS:]])


def marginals(e):
  """ln P of each word and label under the conditional random field."""
  transitions = fill("crf.transitions", torch.zeros(LABELS, LABELS))
  start = fill("crf.start_transitions", torch.zeros(LABELS))
  end = fill("crf.end_transitions", torch.zeros(LABELS))
  total, sums = 0.0, torch.zeros(e.shape)
  best, best_labels = -math.inf, None
  for labels in itertools.product(range(LABELS), repeat=len(e)):
    score = start[labels[0]] + end[labels[-1]]
    score = score + sum(e[t, y] for t, y in enumerate(labels))
    for a, b in zip(labels, labels[1:]):
      score = score + transitions[a, b]
    total += math.exp(score)
    for t, y in enumerate(labels):
      sums[t, y] += math.exp(score)
    if score > best:
      best, best_labels = score, labels
  return (sums / total).log(), best_labels


def show(name, tensor):
  numbers = [f"{x:.8f}" for x in tensor.flatten().tolist()]
  print(f"inline constexpr double {name}[] = {{")
  for i in range(0, len(numbers), 6):
    print("    " + ", ".join(numbers[i:i + 6]) + ",")
  print("};")


print("// SPDX-License-Identifier: Apache-2.0")
print("//")
print(f"// Made by torch_labels_golden.py with PyTorch {torch.__version__.split('+')[0]}.")
print("#ifndef LMSERVE_TESTS_MODELS_NEURAL_TORCH_LABELS_GOLDEN_H_")
print("#define LMSERVE_TESTS_MODELS_NEURAL_TORCH_LABELS_GOLDEN_H_")
print()
print("#include <cstddef>")
print()
print("namespace lmserve {")
print()
with torch.no_grad():
  for cell_name, cell in (("Lstm", torch.nn.LSTM), ("Gru", torch.nn.GRU)):
    e = logits(states(cell, with_characters=True))
    show(f"k{cell_name}Tagger", torch.log_softmax(e, 1))
    crf, best = marginals(e)
    show(f"k{cell_name}Crf", crf)
    print(f"inline constexpr size_t k{cell_name}CrfLabels[] = {{"
          + ", ".join(map(str, best)) + "};")
    h = states(cell, with_characters=False)
    for pooling in ("max", "mean", "last"):
      vector = pool(h, pooling)
      show(f"k{cell_name}Vector_{pooling}", vector)
      show(f"k{cell_name}Classifier_{pooling}",
           torch.log_softmax(logits(vector), 0))
print()
print("}  // namespace lmserve")
print()
print("#endif  // LMSERVE_TESTS_MODELS_NEURAL_TORCH_LABELS_GOLDEN_H_")
