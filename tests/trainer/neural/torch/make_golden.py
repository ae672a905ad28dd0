# SPDX-License-Identifier: Apache-2.0
"""Writes the files of this folder: checkpoints as PyTorch users have them.

    pip install torch
    python3 make_golden.py

Each checkpoint is a small network with weights that follow a formula, saved as
the program that it imitates saves it. golden.json has for each one how to import
it, a text, and ln P of each word of the text, which PyTorch computed in double.
"""

import collections
import json
import math
import pathlib

import torch

FOLDER = pathlib.Path(__file__).parent
WORDS = ["the", "cat", "is", "small", "dog", "<unk>", "<eos>"]
TEXT = ["the", "cat", "is", "small", "<eos>", "dog", "is", "is", "the"]
FAIRSEQ_WORDS = ["<s>", "<pad>", "</s>", "<unk>"] + WORDS[:5]


def fill(module):
  """Sets the parameters to floats that follow a formula; then to double."""
  with torch.no_grad():
    for number, parameter in enumerate(module.parameters()):
      values = [0.7 * math.sin(1 + 2.9 * number + 0.67 * i)
                for i in range(parameter.numel())]
      parameter.copy_(torch.tensor(values).reshape(parameter.shape))
  return module.double()


def as_type(state_dict, dtype=torch.float32):
  return collections.OrderedDict(
      (name, tensor.detach().to(dtype)) for name, tensor in state_dict.items())


class Model(torch.nn.Module):
  """The example word_language_model: encoder, rnn, decoder."""

  def __init__(self, rnn, embedding, features, tied=False, words=len(WORDS)):
    super().__init__()
    self.encoder = torch.nn.Embedding(words, embedding)
    self.rnn = rnn
    self.decoder = torch.nn.Linear(features, words)
    if tied:
      self.decoder.weight = self.encoder.weight

  def forward(self, ids):
    return self.decoder(self.rnn(self.encoder(ids))[0])


class Stack(torch.nn.Module):
  """A module for each layer, as in AWD-LSTM."""

  def __init__(self, sizes):
    super().__init__()
    self.layers = torch.nn.ModuleList(
        torch.nn.LSTM(a, b) for a, b in zip(sizes, sizes[1:]))

  def forward(self, x):
    for layer in self.layers:
      x = layer(x)[0]
    return x, None


class Cells(torch.nn.Module):
  """A cell for each layer, as in fairseq."""

  def __init__(self, inputs, units, layers):
    super().__init__()
    self.layers = torch.nn.ModuleList(
        torch.nn.LSTMCell(inputs if i == 0 else units, units)
        for i in range(layers))

  def forward(self, xs):
    for layer in self.layers:
      h = c = torch.zeros(layer.hidden_size, dtype=torch.double)
      outputs = []
      for x in xs:
        h, c = layer(x, (h, c))
        outputs.append(h)
      xs = torch.stack(outputs)
    return xs, None


def log_probs(model, words, start, never=None):
  ids = [words.index(word) for word in TEXT_OF[len(words)]]
  read = torch.tensor([words.index(start)] + ids[:-1])
  with torch.no_grad():
    logits = model(read)
    if never is not None:
      logits[:, words.index(never)] = -math.inf
    found = torch.log_softmax(logits, dim=1)
  return [found[t, word].item() for t, word in enumerate(ids)]


TEXT_OF = {len(WORDS): TEXT,
           len(FAIRSEQ_WORDS): ["</s>" if w == "<eos>" else w for w in TEXT]}


def rounded(model, dtype):
  """The model with parameters that were rounded to another type."""
  with torch.no_grad():
    for parameter in model.parameters():
      parameter.copy_(parameter.to(dtype).double())
  return model


def main():
  golden = {}

  def add(name, saved, model, names="word_language_model", state_dict=(),
          vocabulary="words.txt", activation="tanh", protocol=2):
    torch.save(saved, FOLDER / f"{name}.pt", pickle_protocol=protocol)
    is_fairseq = names == "fairseq"
    words = FAIRSEQ_WORDS if is_fairseq else WORDS
    golden[name] = {
        "names": names, "state_dict": list(state_dict),
        "vocabulary": vocabulary, "activation": activation,
        "text": TEXT_OF[len(words)],
        "log_probs": log_probs(model, words, "</s>" if is_fairseq else "<eos>",
                               "<s>" if is_fairseq else None)}

  (FOLDER / "words.txt").write_text("\n".join(WORDS) + "\n")
  (FOLDER / "words.json").write_text(
      json.dumps({word: id for id, word in enumerate(WORDS)}) + "\n")
  (FOLDER / "dict.txt").write_text(
      "".join(f"{word} {9 - i}\n" for i, word in enumerate(WORDS[:5])))
  torch.save(WORDS, FOLDER / "words.pt")

  # Tied, in DataParallel, as parameters and not as plain tensors.
  model = fill(Model(torch.nn.LSTM(5, 5, 2), 5, 5, tied=True))
  add("word_language_model",
      collections.OrderedDict(
          (f"module.{name}", torch.nn.Parameter(tensor.float()))
          for name, tensor in model.state_dict().items()), model)

  # Layers of different widths, with the raw names of weight-drop; what dropout
  # left of the recurrent weights is there, too.
  model = fill(Model(Stack([4, 7, 6, 4]), 4, 4, tied=True))
  saved = collections.OrderedDict()
  for name, tensor in as_type(model.state_dict()).items():
    name = name.replace("rnn.layers.", "rnns.")
    if "weight_hh_l0" in name:
      saved[name.replace("weight_hh_l0", "weight_hh_l0_raw")] = tensor
      dropped = tensor.clone()
      dropped[::2] = 0
      saved[name.replace("weight_hh_l0", "module.weight_hh_l0")] = dropped
    else:
      if name.startswith("rnns."):
        name = name.replace(".weight", ".module.weight").replace(
            ".bias", ".module.bias")
      saved[name] = tensor
  add("awd_lstm", saved, model, names="awd-lstm")

  # Projections, under the names of tutorials; words as a list of torch.save().
  model = fill(Model(torch.nn.LSTM(4, 6, 2, proj_size=3), 4, 3))
  saved = as_type(model.state_dict())
  add("projections",
      collections.OrderedDict(
          (name.replace("encoder", "embedding").replace("rnn", "lstm")
           .replace("decoder", "fc"), tensor)
          for name, tensor in saved.items()),
      model, names="torchtext", vocabulary="words.pt")

  # A projection whose output is tied to the embedding.
  model = fill(Model(torch.nn.LSTM(4, 6, 1, proj_size=4), 4, 4, tied=True))
  saved = as_type(model.state_dict())
  del saved["decoder.weight"]
  add("tied_projection", saved, model)

  # A checkpoint of half precision without biases; words as JSON.
  model = rounded(fill(Model(torch.nn.GRU(4, 6, 2, bias=False), 4, 6)),
                  torch.float16)
  add("half", {"epoch": 3, "best": 1.5, "arguments": ["--half", None, True],
               "model": as_type(model.state_dict(), torch.float16)}, model,
      state_dict=["model"], vocabulary="words.json")

  # bfloat16, in two dictionaries, with protocol 4.
  model = rounded(fill(Model(torch.nn.RNN(4, 6, nonlinearity="relu"), 4, 6)),
                  torch.bfloat16)
  add("bfloat16", {"a": {"b": as_type(model.state_dict(), torch.bfloat16)}},
      model, state_dict=["a", "b"], activation="relu", protocol=4)

  # Views of other tensors: transposed, and parts of one.
  model = fill(Model(torch.nn.LSTM(4, 5), 4, 5))
  saved = as_type(model.state_dict())
  together = torch.cat([saved["rnn.bias_ih_l0"], saved["rnn.bias_hh_l0"]])
  saved["rnn.bias_ih_l0"] = together[:20]
  saved["rnn.bias_hh_l0"] = together[20:]
  saved["rnn.weight_hh_l0"] = saved["rnn.weight_hh_l0"].t().contiguous().t()
  saved["decoder.weight"] = saved["decoder.weight"].double()
  add("views", saved, model)

  # The decoder of fairseq.
  model = fill(Model(Cells(4, 5, 2), 4, 5, words=len(FAIRSEQ_WORDS)))
  saved = collections.OrderedDict()
  for name, tensor in as_type(model.state_dict()).items():
    name = (name.replace("encoder.weight", "decoder.embed_tokens.weight")
            if name.startswith("encoder") else
            name.replace("decoder.", "decoder.fc_out.")
            .replace("rnn.layers.", "decoder.layers."))
    saved[name] = tensor
  add("fairseq", {"model": saved, "last_optimizer_state": None}, model,
      names="fairseq", state_dict=["model"], vocabulary="dict.txt")

  (FOLDER / "golden.json").write_text(json.dumps(golden, indent=1) + "\n")


if __name__ == "__main__":
  main()
