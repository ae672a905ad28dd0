// SPDX-License-Identifier: Apache-2.0
#include "trainer/neural/tensor_names.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "models/neural/network_weights.h"
#include "models/quoted.h"

namespace lmserve {
namespace {

constexpr absl::string_view kLayer = "{L}";
constexpr absl::string_view kPrefix = "prefix";
constexpr absl::string_view kIgnore = "ignore";
constexpr size_t kMostBytes = 1 << 20;

// The modules of which many checkpoints exist.
struct PresetText {
  absl::string_view name;
  absl::string_view text;
};

constexpr PresetText kPresets[] = {
    // The example word_language_model of PyTorch, also in DataParallel.
    {"word_language_model", R"(
prefix = module.
encoder.weight = encoder.weight
decoder.weight = decoder.weight
decoder.bias = decoder.bias
rnn.weight_ih_l{L} = rnn.weight_ih_l{L}
rnn.weight_hh_l{L} = rnn.weight_hh_l{L}
rnn.weight_hr_l{L} = rnn.weight_hr_l{L}
rnn.bias_ih_l{L} = rnn.bias_ih_l{L}
rnn.bias_hh_l{L} = rnn.bias_hh_l{L}
rnn.weight_ih_l{L}_reverse = rnn.weight_ih_l{L}_reverse
rnn.weight_hh_l{L}_reverse = rnn.weight_hh_l{L}_reverse
rnn.weight_hr_l{L}_reverse = rnn.weight_hr_l{L}_reverse
rnn.bias_ih_l{L}_reverse = rnn.bias_ih_l{L}_reverse
rnn.bias_hh_l{L}_reverse = rnn.bias_hh_l{L}_reverse
)"},
    // AWD-LSTM (Merity et al. 2017): a module for each layer, with weight-drop.
    {"awd-lstm", R"(
prefix = module.
encoder.weight = encoder.weight
decoder.weight = decoder.weight
decoder.bias = decoder.bias
rnn.weight_ih_l{L} = rnns.{L}.weight_ih_l0 | rnns.{L}.module.weight_ih_l0
rnn.weight_hh_l{L} = rnns.{L}.weight_hh_l0_raw | rnns.{L}.module.weight_hh_l0_raw | rnns.{L}.weight_hh_l0 | rnns.{L}.module.weight_hh_l0
rnn.bias_ih_l{L} = rnns.{L}.bias_ih_l0 | rnns.{L}.module.bias_ih_l0
rnn.bias_hh_l{L} = rnns.{L}.bias_hh_l0 | rnns.{L}.module.bias_hh_l0
)"},
    // The LSTM decoder of fairseq without an encoder (lstm_lm).
    {"fairseq", R"(
encoder.weight = decoder.embed_tokens.weight
decoder.weight = decoder.fc_out.weight
decoder.bias = decoder.fc_out.bias
rnn.weight_ih_l{L} = decoder.layers.{L}.weight_ih
rnn.weight_hh_l{L} = decoder.layers.{L}.weight_hh
rnn.bias_ih_l{L} = decoder.layers.{L}.bias_ih
rnn.bias_hh_l{L} = decoder.layers.{L}.bias_hh
)"},
    // Modules of tutorials with torchtext: embedding, one recurrent module, and
    // a linear one, under the names that are usual.
    {"torchtext", R"(
prefix = module.
encoder.weight = embedding.weight | embeddings.weight | embed.weight | word_embeddings.weight
decoder.weight = fc.weight | linear.weight | out.weight | fc_out.weight
decoder.bias = fc.bias | linear.bias | out.bias | fc_out.bias
rnn.weight_ih_l{L} = rnn.weight_ih_l{L} | lstm.weight_ih_l{L} | gru.weight_ih_l{L}
rnn.weight_hh_l{L} = rnn.weight_hh_l{L} | lstm.weight_hh_l{L} | gru.weight_hh_l{L}
rnn.weight_hr_l{L} = rnn.weight_hr_l{L} | lstm.weight_hr_l{L}
rnn.bias_ih_l{L} = rnn.bias_ih_l{L} | lstm.bias_ih_l{L} | gru.bias_ih_l{L}
rnn.bias_hh_l{L} = rnn.bias_hh_l{L} | lstm.bias_hh_l{L} | gru.bias_hh_l{L}
)"},
};

bool IsKnownName(absl::string_view name) {
  if (name == kEmbeddingTensor || name == kOutputTensor ||
      name == kOutputBiasTensor) {
    return true;
  }
  absl::ConsumeSuffix(&name, "_reverse");
  for (absl::string_view known :
       {"weight_ih", "weight_hh", "weight_hr", "bias_ih", "bias_hh"}) {
    if (name == absl::StrCat("rnn.", known, "_l", kLayer)) return true;
  }
  return false;
}

// Returns what {L} stands for if a name has the form of a pattern: a number
// without leading zeros, or nothing if the pattern has no {L}.
std::optional<absl::string_view> Match(absl::string_view pattern,
                                       absl::string_view name) {
  const size_t at = pattern.find(kLayer);
  if (at == absl::string_view::npos) {
    if (pattern != name) return std::nullopt;
    return absl::string_view();
  }
  if (!absl::ConsumePrefix(&name, pattern.substr(0, at)) ||
      !absl::ConsumeSuffix(&name, pattern.substr(at + kLayer.size()))) {
    return std::nullopt;
  }
  const bool is_number =
      !name.empty() && name.size() <= 3 &&
      std::all_of(name.begin(), name.end(), absl::ascii_isdigit) &&
      (name.size() == 1 || name[0] != '0');
  if (!is_number) return std::nullopt;
  return name;
}

absl::Status BadRule(size_t line, absl::string_view expected,
                     absl::string_view found) {
  return absl::InvalidArgumentError(absl::StrCat(
      "line ", line, ": expected ", expected, ", found ", Quoted(found)));
}

}  // namespace

absl::StatusOr<TensorNames> TensorNames::Parse(absl::string_view text) {
  if (text.size() > kMostBytes) {
    return absl::InvalidArgumentError(absl::StrCat(
        "expected at most ", kMostBytes, " bytes, found ", text.size()));
  }
  TensorNames names;
  size_t line = 0;
  for (absl::string_view row : absl::StrSplit(text, '\n')) {
    ++line;
    row = absl::StripAsciiWhitespace(row.substr(0, row.find('#')));
    if (row.empty()) continue;
    const size_t equals = row.find('=');
    if (equals == absl::string_view::npos) {
      return BadRule(line, "NAME = NAME | NAME", row);
    }
    const absl::string_view name =
        absl::StripAsciiWhitespace(row.substr(0, equals));
    Rule rule = {name == kIgnore ? std::string() : std::string(name), {}};
    for (absl::string_view pattern :
         absl::StrSplit(row.substr(equals + 1), '|')) {
      pattern = absl::StripAsciiWhitespace(pattern);
      const bool has_layer = absl::StrContains(pattern, kLayer);
      if (pattern.empty() || pattern.find_first_of(" \t") != pattern.npos) {
        return BadRule(line, "a name", pattern);
      }
      if (name != kIgnore && has_layer != absl::StrContains(name, kLayer)) {
        return BadRule(line, absl::StrCat(kLayer, " in both names or in none"),
                       pattern);
      }
      rule.patterns.emplace_back(pattern);
    }
    if (name == kPrefix) {
      names.prefixes_ = std::move(rule.patterns);
      continue;
    }
    if (name != kIgnore && !IsKnownName(name)) {
      return BadRule(line,
                     "encoder.weight, decoder.weight, decoder.bias or a tensor "
                     "of rnn, such as rnn.weight_hh_l{L}",
                     name);
    }
    for (const Rule& other : names.rules_) {
      if (name != kIgnore && other.name == name) {
        return BadRule(line, "a name that has no rule yet", name);
      }
    }
    names.rules_.push_back(std::move(rule));
  }
  return names;
}

absl::StatusOr<TensorNames> TensorNames::Preset(absl::string_view name) {
  for (const PresetText& preset : kPresets) {
    if (preset.name == name) return Parse(preset.text);
  }
  return absl::InvalidArgumentError(
      absl::StrCat("expected ", absl::StrJoin(PresetNames(), ", "), ", found ",
                   Quoted(name)));
}

std::vector<std::string> TensorNames::PresetNames() {
  std::vector<std::string> names;
  for (const PresetText& preset : kPresets) names.emplace_back(preset.name);
  return names;
}

absl::StatusOr<TensorFile::Tensors> TensorNames::Rename(
    const TensorFile::Tensors& tensors) const {
  TensorFile::Tensors renamed;
  // For each new name, the rank of its tensor among the names of its rule.
  std::map<std::string, size_t> ranks;
  for (const auto& [full_name, tensor] : tensors) {
    absl::string_view name = full_name;
    for (const std::string& prefix : prefixes_) {
      if (absl::ConsumePrefix(&name, prefix)) break;
    }
    bool is_known = false;
    for (const Rule& rule : rules_) {
      for (size_t rank = 0; rank < rule.patterns.size(); ++rank) {
        const auto layer = Match(rule.patterns[rank], name);
        if (!layer.has_value()) continue;
        is_known = true;
        if (rule.name.empty()) break;
        const std::string to =
            absl::StrReplaceAll(rule.name, {{kLayer, *layer}});
        const auto known = ranks.find(to);
        if (known == ranks.end() || rank < known->second) {
          ranks[to] = rank;
          renamed[to] = tensor;
        } else if (rank == known->second) {
          return absl::InvalidArgumentError(
              absl::StrCat("tensor ", Quoted(full_name),
                           ": expected one tensor for ", to, ", found two"));
        }
        break;
      }
    }
    if (is_known) continue;
    return absl::InvalidArgumentError(absl::StrCat(
        "tensor ", Quoted(full_name),
        ": expected a tensor that a name stands for (see --names); without "
        "this one the network would be another one"));
  }
  return renamed;
}

}  // namespace lmserve
