# SPDX-License-Identifier: Apache-2.0
"""Prints the golden numbers of cache_golden_test.cc, computed by PyTorch.

    pip install torch
    python3 cache_golden.py

A model with caches as the papers describe it, without any of the project's code:
an LSTM of PyTorch, the continuous cache of Grave et al. (2017), and caches of
unigrams and bigrams. The weights are a formula that the test has, too.
"""

import math

import torch

VOCABULARY, EMBEDDING, UNITS = 9, 4, 6
BEGIN, END = 1, 2
HISTORY = 8
THETA, CONTINUOUS = 0.7, 0.3
UNIGRAM_DECAY, UNIGRAM = 0.9, 0.1
BIGRAM_DECAY, BIGRAM = 0.95, 0.15
TEXT = [3, 4, 5, 2, 3, 4, 6, 2, 0, 3, 4, 5, 2, 2, 7, 7, 7, 8, 3, 4, 5, 6, 2, 0, 0,
        8, 4, 5, 3, 2]


def weights(number, *shape):
  """The weights of a tensor as floats, then in double."""
  values = [0.8 * math.sin(1 + 3.7 * number + 0.61 * i)
            for i in range(math.prod(shape))]
  return torch.tensor(values, dtype=torch.float32).double().reshape(shape)


def share(history, word, kernel):
  """The probability of a word under a cache; None if the cache knows nothing."""
  total = sum(kernel)
  if total == 0:
    return None
  return sum(k for k, seen in zip(kernel, history) if seen == word) / total


def main():
  torch.set_default_dtype(torch.float64)
  embedding = torch.nn.Embedding(VOCABULARY, EMBEDDING)
  lstm = torch.nn.LSTM(EMBEDDING, UNITS)
  output = torch.nn.Linear(UNITS, VOCABULARY)
  with torch.no_grad():
    parameters = [embedding.weight, lstm.weight_ih_l0, lstm.weight_hh_l0,
                  lstm.bias_ih_l0, lstm.bias_hh_l0, output.weight, output.bias]
    for number, parameter in enumerate(parameters):
      parameter.copy_(weights(number, *parameter.shape))
    read = torch.tensor([BEGIN] + TEXT[:-1])
    hidden = lstm(embedding(read))[0]  # row t is the state before TEXT[t]
    logits = output(hidden)
    logits[:, BEGIN] = -math.inf
    probabilities = torch.softmax(logits, dim=1)
    for t, word in enumerate(TEXT):
      begin = max(0, t - HISTORY)
      history = TEXT[begin:t]
      p = probabilities[t, word].item()
      similar = [math.exp(THETA * torch.dot(hidden[t], hidden[i]).item())
                 for i in range(begin, t)]
      recent = [UNIGRAM_DECAY ** (t - 1 - i) for i in range(begin, t)]
      after = [BIGRAM_DECAY ** (t - 1 - i)
               if i > begin and TEXT[i - 1] == TEXT[t - 1] else 0.0
               for i in range(begin, t)]
      mixed = p
      for weight, kernel in [(CONTINUOUS, similar), (UNIGRAM, recent),
                             (BIGRAM, after)]:
        found = share(history, word, kernel)
        mixed += weight * ((p if found is None else found) - p)
      print(f"{math.log(mixed):.9f},", end="\n" if t % 5 == 4 else " ")


if __name__ == "__main__":
  main()
