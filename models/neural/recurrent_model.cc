// SPDX-License-Identifier: Apache-2.0
#include "models/neural/recurrent_model.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/memory/memory.h"

namespace lmserve {
namespace {

// The maximum number of words in one pass through the network, which limits
// memory.
constexpr size_t kMaxWords = 2048;

// The size of the pointer at the start of a decoder's state, in bytes and
// floats.
constexpr size_t kPointerBytes = sizeof(void*);
constexpr size_t kPointerFloats = kPointerBytes / sizeof(float);

}  // namespace

// One pass of a batch through the network: computes the states of the nodes of
// a prefix tree, layer by layer. A row is a node whose state is needed. Rows
// have the order of the nodes in the tree, so the roots come first.
class RecurrentModel::Pass {
 public:
  // `visit` gets the values of the first node of each depth from 1 on, in each
  // layer, with the depth as the step.
  Pass(const RecurrentModel& model, const PrefixTree& tree,
       std::optional<StepVisit> visit)
      : model_(model),
        tree_(tree),
        visit_(visit),
        states_(model.layers_.size()) {
    size_t rows = 0;
    for (size_t d = 0; d <= tree.depth(); ++d) {
      first_row_.push_back(rows);
      rows += tree.states_end(d) - tree.begin(d);
    }
    rows_ = rows;
    if (model.is_decoder_) FindSources();
  }

  // Computes the states of all rows.
  void Run() {
    std::vector<float> inputs = Embed();
    for (size_t i = 0; i < states_.size(); ++i) {
      ReadRoots(i);
      RunLayer(i, i == 0 ? inputs.data() : AfterRoots(i - 1));
    }
  }

  // Returns h of the last layer in a node of the given depth whose state was
  // computed.
  const float* Last(size_t depth, PrefixTree::NodeId node) const {
    return states_.back().h.data() +
           Row(depth, node) * model_.layers_.back().units();
  }

  // Returns, for every scored node, ln P of its last word after its parent,
  // indexed by node.
  std::vector<float> ScoreNodes() const {
    const size_t features = model_.layers_.back().units();
    std::vector<float> x;
    std::vector<const EncodedSource*> sources;  // one for each row of x
    std::vector<size_t> begin;  // index of the first target of each row of x
    std::vector<PrefixTree::NodeId> nodes;
    std::vector<WordId> words;
    for (size_t d = 0; d <= tree_.depth(); ++d) {
      for (auto node = tree_.begin(d); node < tree_.states_end(d); ++node) {
        const auto children = tree_.scored_children(node);
        if (children.empty()) continue;
        const float* h = Last(d, node);
        x.insert(x.end(), h, h + features);
        if (model_.is_decoder_) sources.push_back(sources_[Row(d, node)]);
        begin.push_back(nodes.size());
        nodes.insert(nodes.end(), children.begin(), children.end());
      }
    }
    words.reserve(nodes.size());
    for (auto node : nodes) words.push_back(tree_.word(node));
    begin.push_back(nodes.size());
    model_.ApplyAttention(sources, &x);

    std::vector<float> found(nodes.size());
    std::vector<OutputLayer::Targets> targets;
    for (size_t i = 0; i + 1 < begin.size(); ++i) {
      targets.push_back({absl::MakeConstSpan(words).subspan(
                             begin[i], begin[i + 1] - begin[i]),
                         found.data() + begin[i]});
    }
    model_.output_.Score(x.data(), targets);
    std::vector<float> log_probs(tree_.size());
    for (size_t i = 0; i < nodes.size(); ++i) log_probs[nodes[i]] = found[i];
    return log_probs;
  }

  // Writes the state of a node, which has the given depth.
  void WriteState(size_t depth, PrefixTree::NodeId node,
                  std::byte* state) const {
    if (model_.is_decoder_) {
      const EncodedSource* source = sources_[Row(depth, node)];
      std::memcpy(state, &source, kPointerBytes);
      state += kPointerBytes;
    }
    for (const LayerStates& layer : states_) {
      for (const std::vector<float>* values : {&layer.h, &layer.c}) {
        const size_t bytes = values->size() / rows_ * sizeof(float);
        if (bytes == 0) continue;
        std::memcpy(state,
                    reinterpret_cast<const std::byte*>(values->data()) +
                        Row(depth, node) * bytes,
                    bytes);
        state += bytes;
      }
    }
  }

 private:
  struct LayerStates {
    std::vector<float> h;  // (rows, units)
    std::vector<float> c;  // (rows, units) for an LSTM, otherwise empty
  };

  size_t Row(size_t depth, PrefixTree::NodeId node) const {
    return first_row_[depth] + (node - tree_.begin(depth));
  }
  size_t roots() const { return tree_.end(0); }

  const float* AfterRoots(size_t layer) const {
    return states_[layer].h.data() + roots() * model_.layers_[layer].units();
  }

  // Sets the source of each row to the source of its root.
  void FindSources() {
    for (size_t root = 0; root < roots(); ++root) {
      sources_.push_back(SourceOf(tree_.root_state(root)));
    }
    for (size_t d = 1; d <= tree_.depth(); ++d) {
      for (auto node = tree_.begin(d); node < tree_.states_end(d); ++node) {
        sources_.push_back(sources_[Row(d - 1, tree_.parent(node))]);
      }
    }
  }

  // Returns the embeddings of the last words of all rows except the roots.
  std::vector<float> Embed() const {
    const size_t size = model_.embedding_->cols;
    if (size == 0) return {};
    std::vector<float> embedded((rows_ - roots()) * size);
    float* to = embedded.data();
    for (size_t d = 1; d <= tree_.depth(); ++d) {
      for (auto node = tree_.begin(d); node < tree_.states_end(d); ++node) {
        model_.embedding_->CopyRow(tree_.word(node), to);
        to += size;
      }
    }
    return embedded;
  }

  // Copies the states of layer i from the roots to their rows.
  void ReadRoots(size_t i) {
    const RecurrentLayer& layer = model_.layers_[i];
    const size_t bytes = layer.units() * sizeof(float);
    LayerStates& states = states_[i];
    states.h.resize(rows_ * layer.units());
    if (layer.has_cell_state()) states.c.resize(rows_ * layer.units());
    const size_t offset = model_.StateOffset(i) * sizeof(float);
    for (size_t root = 0; root < roots(); ++root) {
      const std::byte* state = tree_.root_state(root) + offset;
      std::memcpy(states.h.data() + root * layer.units(), state, bytes);
      if (!layer.has_cell_state()) continue;
      std::memcpy(states.c.data() + root * layer.units(), state + bytes, bytes);
    }
  }

  // Computes the states of layer i, one depth of the tree after the other.
  // `inputs` has the inputs of all rows except the roots.
  void RunLayer(size_t i, const float* inputs) {
    const RecurrentLayer& layer = model_.layers_[i];
    const size_t units = layer.units();
    LayerStates& states = states_[i];
    std::vector<float> projected((rows_ - roots()) * layer.gates());
    layer.Project(inputs, rows_ - roots(), projected.data(), &scratch_);
    if (i == 0 && model_.is_decoder_) AddSourceGates(projected.data());
    for (size_t d = 1; d <= tree_.depth(); ++d) {
      const size_t rows = tree_.states_end(d) - tree_.begin(d);
      if (rows == 0) return;
      float* h = states.h.data() + first_row_[d] * units;
      float* c =
          states.c.empty() ? nullptr : states.c.data() + first_row_[d] * units;
      float* input =
          projected.data() + (first_row_[d] - roots()) * layer.gates();
      // The gates replace the inputs, which nothing reads again.
      float* gates = visit_.has_value() ? input : nullptr;
      layer.Step(
          input, GatherParents(d, states.h, units, &old_h_),
          c == nullptr ? nullptr : GatherParents(d, states.c, units, &old_c_),
          rows, gates, h, c, &scratch_);
      if (visit_.has_value()) (*visit_)(i, d, layer.Name(gates, h, c));
    }
  }

  // Adds the gates of the sources to the projected inputs of all rows except
  // the roots.
  void AddSourceGates(float* projected) const {
    for (size_t row = roots(); row < rows_; ++row) {
      for (float gate : sources_[row]->gates) *projected++ += gate;
    }
  }

  // Returns the rows of `values` of the parents of all rows of a depth, as one
  // contiguous matrix.
  const float* GatherParents(size_t depth, const std::vector<float>& values,
                             size_t units, std::vector<float>* gathered) {
    const auto begin = tree_.begin(depth), end = tree_.states_end(depth);
    const auto parent_row = [&](PrefixTree::NodeId node) {
      return values.data() + Row(depth - 1, tree_.parent(node)) * units;
    };
    if (end - begin == 1) return parent_row(begin);
    gathered->resize((end - begin) * units);
    for (auto node = begin; node < end; ++node) {
      std::copy_n(parent_row(node), units,
                  gathered->data() + (node - begin) * units);
    }
    return gathered->data();
  }

  const RecurrentModel& model_;
  const PrefixTree& tree_;
  const std::optional<StepVisit> visit_;
  std::vector<size_t> first_row_;  // the first row of each depth
  size_t rows_ = 0;
  std::vector<const EncodedSource*> sources_;  // by row; decoders only
  std::vector<LayerStates> states_;
  std::vector<float> old_h_, old_c_;
  RecurrentLayer::Scratch scratch_;
};

absl::StatusOr<std::unique_ptr<RecurrentModel>> RecurrentModel::Create(
    Vocabulary vocabulary, absl::string_view bytes) {
  absl::StatusOr<RecurrentParts> parts =
      ReadRecurrentParts(bytes, vocabulary, /*bidirectional=*/false);
  if (!parts.ok()) return parts.status();
  return absl::WrapUnique(
      new RecurrentModel(std::move(vocabulary), *std::move(parts)));
}

RecurrentModel::RecurrentModel(Vocabulary vocabulary, RecurrentParts parts)
    : vocabulary_(std::move(vocabulary)),
      embedding_(std::move(parts.embedding)),
      layers_(std::move(parts.layers)),
      output_(std::move(parts.output)),
      start_(StateOffset(layers_.size())) {
  auto* state = reinterpret_cast<std::byte*>(start_.data());
  const WordId begin = vocabulary_.begin_sentence();
  const Query read = {state, {&begin, 1}, state, {}};
  Score({&read, 1});
}

RecurrentModel::RecurrentModel(Vocabulary vocabulary, RecurrentParts parts,
                               std::optional<SourceAttention> attention)
    : vocabulary_(std::move(vocabulary)),
      embedding_(std::move(parts.embedding)),
      layers_(std::move(parts.layers)),
      output_(std::move(parts.output)),
      is_decoder_(true),
      attention_(std::move(attention)),
      start_(StateOffset(layers_.size())) {}

std::vector<float> RecurrentModel::StateBefore(
    absl::Span<const float> before, const EncodedSource* source) const {
  std::vector<float> state(start_.size());
  std::memcpy(state.data(), &source, kPointerBytes);
  std::copy(before.begin(), before.end(), state.begin() + kPointerFloats);
  return state;
}

void RecurrentModel::StartFrom(absl::Span<const float> before,
                               EncodedSource* source) const {
  source->start = StateBefore(before, source);
  auto* state = reinterpret_cast<std::byte*>(source->start.data());
  const WordId begin = vocabulary_.begin_sentence();
  const Query read = {state, {&begin, 1}, state, {}};
  Score({&read, 1});
}

const EncodedSource* RecurrentModel::SourceOf(const std::byte* state) {
  const EncodedSource* source = nullptr;
  std::memcpy(&source, state, kPointerBytes);
  return source;
}

void RecurrentModel::ComputeAttention(const std::byte* state,
                                      absl::Span<float> weights) const {
  std::vector<float> h(layers_.back().units());
  CopyHidden(state, h.data());
  attention_->ComputeWeights(*SourceOf(state), h.data(), weights);
}

void RecurrentModel::CopyHidden(const std::byte* state, float* h) const {
  const size_t offset = StateOffset(layers_.size() - 1) * sizeof(float);
  std::memcpy(h, state + offset, layers_.back().units() * sizeof(float));
}

void RecurrentModel::ApplyAttention(
    absl::Span<const EncodedSource* const> sources,
    std::vector<float>* rows) const {
  if (attention_.has_value()) attention_->Apply(sources, rows);
}

size_t RecurrentModel::StateOffset(size_t layer) const {
  size_t floats = is_decoder_ ? kPointerFloats : 0;
  for (size_t i = 0; i < layer; ++i) floats += StateFloats(layers_[i]);
  return floats;
}

size_t RecurrentModel::state_size() const {
  return start_.size() * sizeof(float);
}

void RecurrentModel::Start(std::byte* state) const {
  std::memcpy(state, start_.data(), state_size());
}

void RecurrentModel::Score(absl::Span<const Query> batch) const {
  ScoreWithHidden(batch, nullptr);
}

void RecurrentModel::ScoreWithHidden(absl::Span<const Query> batch,
                                     float* hidden) const {
  std::vector<Query> group;
  size_t words = 0;
  const auto score_group = [&] {
    if (!group.empty()) ScoreGroup(group, hidden);
    if (hidden != nullptr) hidden += words * hidden_size();
    group.clear();
    words = 0;
  };
  for (const Query& query : batch) {
    if (words + query.words.size() > kMaxWords) score_group();
    if (query.words.size() > kMaxWords) {
      ScoreInParts(query, hidden);
      if (hidden != nullptr) hidden += query.words.size() * hidden_size();
      continue;
    }
    group.push_back(query);
    words += query.words.size();
  }
  score_group();
}

void RecurrentModel::ScoreInParts(const Query& query, float* hidden) const {
  std::vector<std::byte> state(query.state, query.state + state_size());
  for (size_t begin = 0; begin < query.words.size(); begin += kMaxWords) {
    Query part = query;
    part.state = state.data();
    part.words = query.words.subspan(begin, kMaxWords);
    part.next_state = state.data();
    if (!query.log_probs.empty()) {
      part.log_probs = query.log_probs.subspan(begin, kMaxWords);
    }
    ScoreGroup({&part, 1}, hidden);
    if (hidden != nullptr) hidden += part.words.size() * hidden_size();
  }
  if (query.next_state != nullptr) {
    std::memcpy(query.next_state, state.data(), state_size());
  }
}

void RecurrentModel::ScoreGroup(absl::Span<const Query> group, float* hidden,
                                std::optional<StepVisit> visit) const {
  const PrefixTree tree(group, state_size());
  Pass pass(*this, tree, visit);
  pass.Run();
  for (size_t q = 0; hidden != nullptr && q < group.size(); ++q) {
    for (size_t t = 0; t < group[q].words.size(); ++t) {
      hidden =
          std::copy_n(pass.Last(t, tree.node(q, t)), hidden_size(), hidden);
    }
  }
  const std::vector<float> log_probs = pass.ScoreNodes();
  for (size_t q = 0; q < group.size(); ++q) {
    const Query& query = group[q];
    for (size_t t = 0; t < query.log_probs.size(); ++t) {
      query.log_probs[t] = log_probs[tree.node(q, t + 1)];
    }
    if (query.next_state == nullptr) continue;
    const size_t depth = query.words.size();
    pass.WriteState(depth, tree.node(q, depth), query.next_state);
  }
}

// Reads <s> and the words from a state on.
class RecurrentModel::TextReading final : public Reading {
 public:
  TextReading(const RecurrentModel& model, std::vector<float> state,
              absl::Span<const WordId> words, size_t part_words)
      : model_(model),
        part_words_(std::min(part_words, kMaxWords)),
        state_(std::move(state)),
        words_({model.vocabulary_.begin_sentence()}) {
    words_.insert(words_.end(), words.begin(), words.end());
  }

  size_t next_words() const override {
    return std::min(part_words_, words_.size() - read_);
  }

  void ReadPart(Observer* observer) override {
    auto* state = reinterpret_cast<std::byte*>(state_.data());
    const size_t count = next_words();
    const Query part = {
        state, absl::MakeConstSpan(words_).subspan(read_, count), state, {}};
    model_.ScoreGroup(
        {&part, 1}, /*hidden=*/nullptr,
        [&](size_t layer, size_t depth, const CellValues& values) {
          observer->OnStep(layer, read_ + depth - 1, values);
        });
    read_ += count;
  }

 private:
  const RecurrentModel& model_;
  const size_t part_words_;
  std::vector<float> state_;
  std::vector<WordId> words_;
  size_t read_ = 0;
};

std::unique_ptr<RecurrentModel::Reading> RecurrentModel::ReadFrom(
    std::vector<float> before, absl::Span<const WordId> words,
    size_t part_words) const {
  return std::make_unique<TextReading>(*this, std::move(before), words,
                                       part_words);
}

std::unique_ptr<RecurrentModel::Reading> RecurrentModel::Read(
    const Text& text, size_t part_words) const {
  return ReadFrom(std::vector<float>(start_.size()), text.words, part_words);
}

std::vector<RecurrentModel::Layer> RecurrentModel::layers() const {
  std::vector<Layer> layers;
  for (const RecurrentLayer& layer : layers_) {
    layers.push_back({.depth = layers.size(),
                      .is_backward = false,
                      .reads_source = false,
                      .reverses_words = false,
                      .reads_begin = true,
                      .reads_end = false,
                      .units = layer.units(),
                      .quantities = layer.quantities()});
  }
  return layers;
}

void RecurrentModel::Distribution(absl::Span<const std::byte* const> states,
                                  float* log_probs) const {
  const size_t features = layers_.back().units();
  std::vector<float> x(states.size() * features);
  std::vector<const EncodedSource*> sources;
  for (size_t i = 0; i < states.size(); ++i) {
    if (is_decoder_) sources.push_back(SourceOf(states[i]));
    CopyHidden(states[i], x.data() + i * features);
  }
  ApplyAttention(sources, &x);
  output_.Distribution(x.data(), states.size(), log_probs);
}

}  // namespace lmserve
