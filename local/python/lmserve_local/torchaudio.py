# SPDX-License-Identifier: Apache-2.0
"""Any left-to-right model as a language model of torchaudio's ctc_decoder().

    words = ["<unk>", ...]                       # the entries of lm_dict
    lm = DecoderLM(Model.open("store", "lstm"), words)
    decoder = ctc_decoder(lexicon, tokens, lm=lm, lm_dict="words.txt")
"""

from collections.abc import Sequence

from torchaudio.models.decoder import CTCDecoderLM, CTCDecoderLMState

import lmserve_local

__all__ = ["DecoderLM"]


class DecoderLM(CTCDecoderLM):  # type: ignore[misc]
  """A model of lmserve as torchaudio's CTCDecoderLM; its scores are ln P.

  Keeps the states of all hypotheses since the last start(). The caller must keep
  a reference to it as long as the decoder.
  """

  def __init__(self, model: lmserve_local.Model, words: Sequence[str]) -> None:
    """Wraps a model.

    Args:
      model: A left-to-right model.
      words: The word of each index of the decoder: the lines of lm_dict or, for
        decoding without a lexicon, the tokens.
    """
    CTCDecoderLM.__init__(self)
    self._model = model
    self._ids = [model.id(word) for word in words]
    self._end = model.id("</s>")
    self._known: dict[CTCDecoderLMState,
                      tuple[lmserve_local.State, float]] = {}

  def start(self, start_with_nothing: bool) -> CTCDecoderLMState:
    """Returns the state before a text; after <s> unless start_with_nothing."""
    state = CTCDecoderLMState()
    first = lmserve_local.State() if start_with_nothing else self._model.start()
    self._known = {state: (first, 0.0)}
    return state

  def score(self, state: CTCDecoderLMState,
            usr_token_idx: int) -> tuple[CTCDecoderLMState, float]:
    """Reads a word; returns the state after it and ln P."""
    return self._read(state, usr_token_idx, self._ids[usr_token_idx])

  def finish(self, state: CTCDecoderLMState
            ) -> tuple[CTCDecoderLMState, float]:
    """Reads </s>."""
    return self._read(state, len(self._ids), self._end)

  def _read(self, state: CTCDecoderLMState, index: int,
            word: int) -> tuple[CTCDecoderLMState, float]:
    child = state.child(index)
    if child not in self._known:
      log_probs, states = self._model.extend([self._known[state][0]], [word])
      self._known[child] = (states[0], float(log_probs[0]))
    return child, self._known[child][1]
