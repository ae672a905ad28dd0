// SPDX-License-Identifier: Apache-2.0
#include "models/neural/recurrent_sentence_encoder.h"

#include <algorithm>

#include "models/neural/length_groups.h"
#include "models/neural/pooling.h"
#include "models/neural/recurrent_reader.h"

namespace lmserve {

size_t RecurrentSentenceEncoder::dimensions() const {
  return RecurrentReader(model_.layers, model_.bidirectional).outputs();
}

std::vector<WordId> RecurrentSentenceEncoder::Steps(
    const Sentence& sentence) const {
  std::vector<WordId> steps;
  steps.reserve(sentence.words.size() + 2);
  if (model_.reads_begin) steps.push_back(model_.vocabulary.begin_sentence());
  steps.insert(steps.end(), sentence.words.begin(), sentence.words.end());
  if (model_.reverses_words) {
    std::reverse(steps.begin() + model_.reads_begin, steps.end());
  }
  if (model_.reads_end) steps.push_back(model_.vocabulary.end_sentence());
  return steps;
}

void RecurrentSentenceEncoder::Encode(absl::Span<const Sentence> batch,
                                      Pooling pooling) const {
  std::vector<size_t> lengths;
  for (const Sentence& sentence : batch) {
    lengths.push_back(sentence.words.size() + model_.reads_begin +
                      model_.reads_end);
  }
  RecurrentReader reader(model_.layers, model_.bidirectional);
  const size_t width = reader.outputs();
  const size_t forward = model_.bidirectional
                             ? model_.layers[model_.layers.size() - 2].units()
                             : width;
  ForEachLengthGroup(lengths, [&](absl::Span<const size_t> group) {
    const size_t steps = lengths[group[0]], rows = group.size();
    // <s> is a position only if the layers read nothing else.
    const size_t first = model_.reads_begin && steps > 1 ? 1 : 0;
    const float* states = nullptr;
    if (steps > 0) {
      std::vector<WordId> read(steps * rows);
      for (size_t r = 0; r < rows; ++r) {
        const std::vector<WordId> sentence = Steps(batch[group[r]]);
        for (size_t t = 0; t < steps; ++t) read[t * rows + r] = sentence[t];
      }
      states = reader.Read(model_.inputs(read), steps, rows).data() +
               first * rows * width;
    }
    for (size_t r = 0; r < rows; ++r) {
      PoolStates<float>(pooling,
                        {steps == 0 ? nullptr : states + r * width,
                         steps - first, width, rows * width},
                        forward, batch[group[r]].vector.data());
    }
  });
}

}  // namespace lmserve
