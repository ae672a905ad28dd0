# SPDX-License-Identifier: Apache-2.0
"""The argument and result types of the clients' methods.

The classes and fields have the same names as the messages in
proto/lm/v1/language_model.proto, whose comments have the details.
Log-probabilities are natural logarithms.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, SupportsIndex, Union

from lmserve._errors import LmserveError

# A str, which the model splits into words; a list of words, which it takes as
# they are; or a list of ids of the model's vocabulary.
Text = Union[str, Sequence[str], Sequence[int]]

# Handles or word ids: a list, a tuple, an array.array, a NumPy array, ...
Ids = Iterable[SupportsIndex]

# Numbers in the results of a decode session, of inspect or of embed: a read-only
# NumPy array, or a tuple if NumPy is not installed.
Array = Any


@dataclasses.dataclass(frozen=True)
class Tls:
  """The TLS settings of a connection.

  A str or path is the path of a PEM file; bytes are the contents of one.

  Attributes:
    root_certificates: The root certificates to trust. None: those that gRPC
      comes with.
    private_key: The private key of the client, for a server that requires
      client certificates.
    certificate_chain: The certificate of the client, which belongs to
      `private_key`.
    server_name: The name that the server's certificate must have. None: the
      host of the address.
  """

  root_certificates: str | os.PathLike[str] | bytes | None = None
  private_key: str | os.PathLike[str] | bytes | None = (
      dataclasses.field(default=None, repr=False))
  certificate_chain: str | os.PathLike[str] | bytes | None = None
  server_name: str | None = None


class Normalization(enum.Enum):
  """What rerank divides a model's log-probability of n words by.

  UNKNOWN occurs only in a Reranker, if its server is newer than this package.
  """

  MEAN = 1  # n
  POWER = 2  # n^alpha
  SUM = 3  # 1
  UNKNOWN = -1

  @classmethod
  def _missing_(cls, value: Any) -> Normalization:
    """Returns UNKNOWN for a value that only newer servers have."""
    return cls.SUM if value == 0 else cls.UNKNOWN  # 0 is the default


class Utility(enum.Enum):
  """How similar two texts are, from 0 to 100.

  The values equal those of sacrebleu's sentence-level metrics. UNKNOWN occurs
  only in a Reranker, if its server is newer than this package.
  """

  CHRF = 1
  BLEU = 2  # of words separated by white space
  UNKNOWN = -1

  @classmethod
  def _missing_(cls, value: Any) -> Utility:
    """Returns UNKNOWN for a value that only newer servers have."""
    return cls.BLEU if value == 0 else cls.UNKNOWN  # 0 is the default


@dataclasses.dataclass(frozen=True)
class MinimumBayesRisk:
  """Ranks candidates by their similarity to all candidates, not by score.

  A candidate's rank is its expected utility: the mean of its utility with each
  candidate, where a candidate of score s has a weight proportional to
  exp(scale * s).

  Attributes:
    utility: The measure of similarity.
    scale: The scale of the scores; 0 means 1.
  """

  utility: Utility = Utility.BLEU
  scale: float = 1.0


@dataclasses.dataclass(frozen=True)
class Candidate:
  """A text to rerank.

  Attributes:
    text: The text.
    features: Its own features by name, such as the score of the system that
      proposed it. All candidates of a call must have the same names.
  """

  text: Text
  features: Mapping[str, float] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Batch:
  """Texts to score under a translation model.

  Attributes:
    texts: The translations.
    sources: The source texts: one for each text, or a single one for all.
  """

  texts: Sequence[Text]
  sources: Sequence[Text]


@dataclasses.dataclass(frozen=True)
class ModelVersion:
  """A version of a model.

  Attributes:
    name: The name of the model.
    version: The number of the version.
  """

  name: str
  version: int


@dataclasses.dataclass(frozen=True)
class WordScores:
  """The scores of the words of a text, as tuples of the same length.

  Attributes:
    words: The words; the last one is </s> if it was scored. An unknown word is
      "<unk>".
    log_probs: ln P of each word.
    unknown: Whether the word was scored as <unk>.
    alternatives: The most probable words in the place of each word, best first;
      empty unless `alternatives` was set.
    ranks: The place of each word among all words by probability, from 1; empty
      unless `ranks` was set.
    entropies: The entropy, in nats, of the distribution that each word was
      drawn from; empty unless `ranks` was set.
    ngram_lengths: The number of words of the n-gram that gave each word its
      probability; empty unless `ngram_lengths` was set.
  """

  words: tuple[str, ...]
  log_probs: tuple[float, ...]
  unknown: tuple[bool, ...]
  alternatives: tuple[NextWords, ...] = ()
  ranks: tuple[int, ...] = ()
  entropies: tuple[float, ...] = ()
  ngram_lengths: tuple[int, ...] = ()


@dataclasses.dataclass(frozen=True)
class TextScore:
  """The score of a text.

  A bidirectional model scores each word given all other words of the text, and
  does not score </s>: log_prob is then the pseudo-log-likelihood, which is not
  comparable with the log-probability of a left-to-right model.

  Attributes:
    log_prob: The sum of the log-probabilities of all words, </s> included.
    word_count: The number of words, </s> included.
    unknown_count: The number of words that were scored as <unk>.
    known_log_prob: The sum without the words scored as <unk>.
    perplexity: exp(-log_prob / word_count).
    known_perplexity: The perplexity of the known words; 0 if there are none.
    words: The score of each word if `per_word`, `alternatives`, `ranks` or
      `ngram_lengths` was set, else None.
    failed: Why the text has no score; only with `keep_going`. The numbers of
      such a text are NaN, and its counts 0.
  """

  log_prob: float
  word_count: int
  unknown_count: int
  known_log_prob: float
  perplexity: float
  known_perplexity: float
  words: WordScores | None = None
  failed: LmserveError | None = None


@dataclasses.dataclass(frozen=True)
class ScoreResponse:
  """The result of score.

  Attributes:
    model: The version that answered.
    scores: One for each text, in the order of the texts.
  """

  model: ModelVersion
  scores: tuple[TextScore, ...]


@dataclasses.dataclass(frozen=True)
class NextWords:
  """The next words of a context, as tuples of the same length.

  Attributes:
    words: The most probable words, best first, or the requested words in their
      own order.
    ids: The id of each word.
    log_probs: ln P of each word.
  """

  words: tuple[str, ...]
  ids: tuple[int, ...]
  log_probs: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class PredictResponse:
  """The result of predict.

  Attributes:
    model: The version that answered.
    predictions: One for each context, in the order of the contexts.
  """

  model: ModelVersion
  predictions: tuple[NextWords, ...]


@dataclasses.dataclass(frozen=True)
class RankedCandidate:
  """A ranked candidate.

  Attributes:
    index: The position of the candidate in the request, from 0.
    score: The sum of weights times features.
    features: The features, in the order of RerankResponse.feature_names.
    expected_utility: What candidates are ranked by with a minimum Bayes risk;
      0 without.
  """

  index: int
  score: float
  features: tuple[float, ...]
  expected_utility: float = 0.0


@dataclasses.dataclass(frozen=True)
class RerankResponse:
  """The result of rerank and rerank_with.

  Attributes:
    models: The versions that scored the candidates: `models` and then
      `reverse_models`, or the members of the reranker.
    feature_names: The candidates' own features by name, then the models'.
    weights: The weight of each feature.
    candidates: The candidates, best first.
    reranker: The version of the reranker if one answered, else None.
  """

  models: tuple[ModelVersion, ...]
  feature_names: tuple[str, ...]
  weights: tuple[float, ...]
  candidates: tuple[RankedCandidate, ...]
  reranker: ModelVersion | None = None


@dataclasses.dataclass(frozen=True)
class GeneratedWord:
  """A generated word.

  Attributes:
    word: The word.
    id: Its id.
    log_prob: ln P of the word under the model, not changed by the sampling
      options.
  """

  word: str
  id: int
  log_prob: float


class EndReason(enum.Enum):
  """Why the generation ended."""

  UNSPECIFIED = 0
  END_OF_SENTENCE = 1
  MAX_WORDS = 2
  STOP_WORD = 3
  NO_WORD = 4  # the model gives every allowed word probability 0

  @classmethod
  def _missing_(cls, value: Any) -> EndReason:
    """Returns UNSPECIFIED for a reason that only newer servers have."""
    return cls.UNSPECIFIED


@dataclasses.dataclass(frozen=True)
class GenerationEnd:
  """The last message of a generation.

  Attributes:
    reason: Why it ended.
    word_count: The number of generated words.
    log_prob: ln P of these words under the model, and of </s> if it was drawn.
    seed: The seed, whether it was given or drawn.
  """

  reason: EndReason
  word_count: int
  log_prob: float
  seed: int


@dataclasses.dataclass(frozen=True)
class Hypothesis:
  """A text that a beam search found.

  Attributes:
    words: The words after the prompt, without </s>.
    ids: The id of each word.
    log_probs: ln P of each word and, if `ended`, of </s>.
    log_prob: The sum of `log_probs`.
    score: What hypotheses are ranked by.
    ended: Whether the text ended with </s>; otherwise it reached max_words.
  """

  words: tuple[str, ...]
  ids: tuple[int, ...]
  log_probs: tuple[float, ...]
  log_prob: float
  score: float
  ended: bool

  @property
  def text(self) -> str:
    """The words, joined by spaces."""
    return " ".join(self.words)


@dataclasses.dataclass(frozen=True)
class BeamSearchResponse:
  """The result of beam_search.

  Attributes:
    model: The version that answered.
    hypotheses: The texts that were found, best first.
  """

  model: ModelVersion
  hypotheses: tuple[Hypothesis, ...]


@dataclasses.dataclass(frozen=True)
class Vocabulary(Sequence[str]):
  """The words of a model: a sequence that has each word at its id.

  A list or an array of ids as the index gives the list of their words.

  Attributes:
    model: The version of the model.
    key: A key that is equal for models with equal vocabularies.
    words: The words in the order of their ids.
  """

  model: ModelVersion
  key: int
  words: tuple[str, ...] = dataclasses.field(repr=False)

  def __len__(self) -> int:
    return len(self.words)

  def __getitem__(self, index: Any) -> Any:
    if isinstance(index, (int, slice)) or not isinstance(index, Iterable):
      return self.words[index]
    return [self.words[i] for i in index]

  def __contains__(self, word: object) -> bool:
    return word in self._ids

  def find(self, word: str) -> int | None:
    """Returns the id of a word, or None if the vocabulary does not have it."""
    return self._ids.get(word)

  @functools.cached_property
  def _ids(self) -> dict[str, int]:
    return {word: i for i, word in enumerate(self.words)}


@dataclasses.dataclass(frozen=True)
class DecodeStarted:
  """The facts about its model that a decode session starts with.

  Attributes:
    model: The version that answers during the whole session.
    handle: The handle of the initial state, in which only <s> was read.
    vocabulary_size: The number of words; all ids are below it.
    vocabulary_key: A key that is equal for models with equal vocabularies.
    unknown_id: The id of <unk>.
    end_id: The id of </s>.
    ids: The ids of the requested words; unknown_id for a word that is not in
      the vocabulary.
    most_handles: The maximum number of handles of the session at a time.
    most_extensions: The maximum number of handles of an extend.
    most_predictions: The maximum of k times the number of handles of a best.
    most_message_bytes: The maximum size of a step, in bytes of its message; at
      most the message_bytes of the client. A handle or word takes up to 5
      bytes.
  """

  model: ModelVersion
  handle: int
  vocabulary_size: int
  vocabulary_key: int
  unknown_id: int
  end_id: int
  ids: tuple[int, ...]
  most_handles: int
  most_extensions: int
  most_predictions: int
  most_message_bytes: int


@dataclasses.dataclass(frozen=True, eq=False)
class DecodeExtended:
  """The result of extend, as arrays with an element for each handle and word.

  Attributes:
    handles: The handles of the new states; empty with `scores_only`. uint32.
    log_probs: ln P of each word in its state. float32.
    unknown: Whether the word is <unk>. bool.
    recombination_keys: Keys of the new states. States with the same key give
      every continuation the same probability. Empty with `scores_only`. uint64.
  """

  handles: Array
  log_probs: Array
  unknown: Array
  recombination_keys: Array


class BestWords(NamedTuple):
  """The most probable next words of a state, best first.

  If fewer than k words are possible, the others have log-probability -infinity.

  Attributes:
    ids: The ids of the words. uint32.
    log_probs: ln P of each word. float32.
  """

  ids: Array
  log_probs: Array


@dataclasses.dataclass(frozen=True, eq=False)
class DecodedBest(Sequence[BestWords]):
  """The result of best: a BestWords for each handle.

  Attributes:
    ids: The ids of all words, as an array of shape (handles, k). uint32.
    log_probs: ln P of each word, as an array of this shape. float32.
    words: The words in k columns, as tuples of str; "" for a word with
      log-probability -infinity. Empty unless `words` was set.
  """

  ids: Array
  log_probs: Array
  words: tuple[tuple[str, ...], ...] = ()

  def __len__(self) -> int:
    return len(self.ids)

  def __getitem__(self, index: Any) -> Any:
    if isinstance(index, slice):
      return DecodedBest(self.ids[index], self.log_probs[index],
                         self.words[index])
    return BestWords(self.ids[index], self.log_probs[index])

  def __iter__(self) -> Iterator[BestWords]:
    return map(BestWords, self.ids, self.log_probs)


class Quantity(enum.Enum):
  """What a recurrent cell computes at each word for each of its units.

  With x the input, h' and c' the previous states, and biases left out:

      LSTM  i, f, o = sigmoid(W x + U h')   n = tanh(W x + U h')
            c = f * c' + i * n              h = o * tanh(c)
      GRU   z, r = sigmoid(W x + U h')      n = tanh(W x + r * U h')
            h = (1 - z) * n + z * h'
      RNN   h = f(W x + U h'), where f is sigmoid, tanh or ReLU
  """

  UNKNOWN = 0  # one that only newer servers have
  INPUT_GATE = 1  # i
  FORGET_GATE = 2  # f
  OUTPUT_GATE = 3  # o
  UPDATE_GATE = 4  # z
  RESET_GATE = 5  # r
  NEW_MEMORY = 6  # n
  FINAL_MEMORY = 7  # c
  HIDDEN = 8  # h

  @classmethod
  def _missing_(cls, value: Any) -> Quantity:
    """Returns UNKNOWN for a quantity that only newer servers have."""
    return cls.UNKNOWN


@dataclasses.dataclass(frozen=True, eq=False)
class InspectedLayer:
  """What a layer, in one direction, computed at each of its words.

  layer[Quantity.HIDDEN] is the array of one quantity, of shape (words, units).

  Attributes:
    layer: The number of the layer, from 0.
    depth: 0 for a layer that reads the embeddings of words.
    is_backward: Whether it reads from the last word to the first.
    reads_source: Whether its words are InspectResponse.source_words.
    reverses_words: Whether it reads the words of the source in reverse and then
      </s>. The values are in the order of source_words nevertheless.
    unit_count: The number of units of the layer.
    units: The units in `values`.
    quantities: The quantities in `values`.
    values: An array of shape (quantities, words, units). float32.
  """

  layer: int
  depth: int
  is_backward: bool
  reads_source: bool
  reverses_words: bool
  unit_count: int
  units: tuple[int, ...]
  quantities: tuple[Quantity, ...]
  values: Array

  def __getitem__(self, quantity: Quantity) -> Array:
    if quantity not in self.quantities:
      raise KeyError(quantity)
    return self.values[self.quantities.index(quantity)]


@dataclasses.dataclass(frozen=True, eq=False)
class InspectResponse:
  """The result of inspect.

  Attributes:
    model: The version that answered.
    words: The words that the layers read: <s>, the words of the text and, for a
      bidirectional model, </s>. "<unk>" for an unknown word.
    source_words: The words that the layers of an encoder read: those of the
      source and </s>. Empty if the model does not translate.
    layers: The layers, in the order of the request.
    attention: An array of shape (words, source_words), whose row t has the
      weights with which the model predicts the word after words[t]. float32.
      None unless it was asked for and the model has attention.
  """

  model: ModelVersion
  words: tuple[str, ...]
  source_words: tuple[str, ...]
  layers: tuple[InspectedLayer, ...]
  attention: Array | None


class Pooling(enum.Enum):
  """How the states of a model at the words of a text become one vector.

  The vector of a model with layers in both directions is that of the forward
  layer, followed by that of the backward layer.
  """

  MAX = 1  # the greatest value of each unit
  MEAN = 2  # the mean of each unit
  LAST = 3  # the state after all words


@dataclasses.dataclass(frozen=True, eq=False)
class EmbedResponse:
  """The result of embed.

  Attributes:
    model: The version that answered.
    vectors: An array of shape (texts, dimensions). float32.
    word_counts: The number of words of each text.
    unknown_counts: How many of them were read as <unk>.
  """

  model: ModelVersion
  vectors: Array
  word_counts: tuple[int, ...]
  unknown_counts: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class LabelScores:
  """Labels, the most probable first, and their log-probabilities."""

  labels: tuple[str, ...]
  log_probs: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class TaggedSentence:
  """The labels of a sentence, in tuples with one element per word.

  Attributes:
    words: The words as they were sent.
    labels: Their labels: together, the most probable sequence of labels.
    unknown: Whether the vocabulary of the model lacks the word.
    log_probs: ln P of each of the labels, given the sentence. Empty unless
      alternatives were asked for.
    alternatives: The most probable labels of each word. Empty unless they were
      asked for.
  """

  words: tuple[str, ...]
  labels: tuple[str, ...]
  unknown: tuple[bool, ...]
  log_probs: tuple[float, ...] = ()
  alternatives: tuple[LabelScores, ...] = ()


@dataclasses.dataclass(frozen=True)
class TagResponse:
  """The result of tag.

  Attributes:
    model: The version that answered.
    sentences: One for each sentence of the request.
  """

  model: ModelVersion
  sentences: tuple[TaggedSentence, ...]


@dataclasses.dataclass(frozen=True)
class ClassifiedText:
  """The labels of a text.

  Attributes:
    labels: The labels, the most probable first.
    log_probs: ln P of each label, given the text.
    word_count: The number of words of the text.
    unknown_count: How many of them were read as <unk>.
  """

  labels: tuple[str, ...]
  log_probs: tuple[float, ...]
  word_count: int
  unknown_count: int


@dataclasses.dataclass(frozen=True)
class ClassifyResponse:
  """The result of classify.

  Attributes:
    model: The version that answered.
    texts: One for each text of the request.
  """

  model: ModelVersion
  texts: tuple[ClassifiedText, ...]


@dataclasses.dataclass(frozen=True)
class RerankerMember:
  """A model of a reranker.

  Attributes:
    model: NAME, NAME@VERSION or NAME@ALIAS.
    feature: The name of its features, in place of the model's name in
      Client.rerank.
    reverse: Whether it is a reverse model; see reverse_models of Client.rerank.
  """

  model: str
  feature: str
  reverse: bool


@dataclasses.dataclass(frozen=True)
class Reranker:
  """How a reranker of the model store ranks candidates.

  Attributes:
    members: The models.
    weights: The weights by feature name; other features have weight 0. Empty:
      the log-probability of each member has weight 1.
    normalization: How the log-probabilities of the members are normalized.
    alpha: The exponent of Normalization.POWER.
    minimum_bayes_risk: How candidates are compared with each other. None:
      candidates are ranked by score.
  """

  members: tuple[RerankerMember, ...]
  weights: Mapping[str, float]
  normalization: Normalization
  alpha: float
  minimum_bayes_risk: MinimumBayesRisk | None


@dataclasses.dataclass(frozen=True)
class ModelInfo:
  """A version of a model, or of a reranker, that the server has.

  Attributes:
    name: The name of the model.
    version: The number of the version.
    aliases: The aliases that point to this version.
    is_default: Whether the name alone means this version.
    family: The kind of model: "ngram", ..., or "reranker".
    properties: The architecture and the training, for people to read.
    vocabulary_size: The number of words; 0 for a reranker.
    state_bytes: The size of a state in bytes; 0 for a model without states.
    file_bytes: The size of the files in bytes.
    bidirectional: Whether the model predicts words from both sides; it cannot
      generate.
    load_seconds: The time that loading took, including the verification.
    translation: Whether this is a translation model, which requires sources.
    reranker: What the reranker consists of; None for a model. Only
      Client.rerank_with accepts the name of a reranker.
    tagger: Whether this is a tagger, for Client.tag.
    classifier: Whether this is a classifier, for Client.classify.
    labels: The labels of a tagger or a classifier. Empty in a list if the
      description is long; Client.get_model returns them.
    embedding_dimensions: The length of the vectors of Client.embed; 0 if the
      model has none.
  """

  name: str
  version: int
  aliases: tuple[str, ...]
  is_default: bool
  family: str
  properties: Mapping[str, str]
  vocabulary_size: int
  state_bytes: int
  file_bytes: int
  bidirectional: bool
  load_seconds: float
  translation: bool
  reranker: Reranker | None = None
  tagger: bool = False
  classifier: bool = False
  labels: tuple[str, ...] = ()
  embedding_dimensions: int = 0


@dataclasses.dataclass(frozen=True)
class RefusedVersion:
  """A version that failed to load, or is not complete yet.

  Attributes:
    name: The name of the model.
    version: The number of the version.
    reason: The error message.
  """

  name: str
  version: int
  reason: str


@dataclasses.dataclass(frozen=True)
class ListModelsResponse:
  """The result of list_models.

  Attributes:
    models: The versions that the server has, by name and version.
    refused: The versions that failed to load.
    loading: The versions that the server is loading now.
    incomplete: The versions that someone may still be copying to the store of
      the server, and what is missing.
  """

  models: tuple[ModelInfo, ...]
  refused: tuple[RefusedVersion, ...]
  loading: tuple[ModelVersion, ...]
  incomplete: tuple[RefusedVersion, ...] = ()
