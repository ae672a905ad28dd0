// SPDX-License-Identifier: Apache-2.0
//
// Compares the tree of a batch with a map of its distinct prefixes.

#include "models/neural/prefix_tree.h"

#include <cstring>
#include <map>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace lmserve {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAreArray;

using Words = std::vector<WordId>;
// A context: the initial state of a text, and the words after it.
using Context = std::pair<std::string, Words>;

constexpr size_t kStateSize = 4;

// A text of a batch, with the memory of its state and words.
struct Text {
  std::string state;
  Words words;
  bool wants_state = false;
  bool is_scored = true;
};

class Batch {
 public:
  explicit Batch(std::vector<Text> texts) : texts_(std::move(texts)) {
    for (Text& text : texts_) {
      LanguageModel::Query query = {};
      query.state = reinterpret_cast<const std::byte*>(text.state.data());
      query.words = text.words;
      if (text.wants_state) query.next_state = next_state_;
      if (text.is_scored) {
        query.log_probs = absl::MakeSpan(log_probs_).first(text.words.size());
      }
      queries_.push_back(query);
    }
  }
  Batch(const Batch&) = delete;
  Batch& operator=(const Batch&) = delete;

  const std::vector<Text>& texts() const { return texts_; }
  absl::Span<const LanguageModel::Query> queries() const { return queries_; }

 private:
  std::vector<Text> texts_;
  std::vector<float> log_probs_ = std::vector<float>(100);
  std::byte next_state_[kStateSize];
  std::vector<LanguageModel::Query> queries_;
};

Words First(const Words& words, size_t n) {
  return {words.begin(), words.begin() + n};
}

// What the queries need for a context.
struct Need {
  bool state = false;
  bool score = false;
};

std::map<Context, Need> NaiveContexts(const std::vector<Text>& texts) {
  std::map<Context, Need> contexts;
  for (const Text& text : texts) {
    for (size_t t = 0; t <= text.words.size(); ++t) {
      Need& need = contexts[{text.state, First(text.words, t)}];
      const bool is_last = t == text.words.size();
      if (t == 0 || !is_last || text.wants_state) need.state = true;
      if (t > 0 && text.is_scored) need.score = true;
    }
  }
  return contexts;
}

// Returns the context of every node, derived from the paths of the texts.
std::map<PrefixTree::NodeId, Context> ContextsOf(const PrefixTree& tree,
                                                 const Batch& batch) {
  std::map<PrefixTree::NodeId, Context> contexts;
  for (size_t q = 0; q < batch.texts().size(); ++q) {
    const Text& text = batch.texts()[q];
    for (size_t t = 0; t <= text.words.size(); ++t) {
      const Context context = {text.state, First(text.words, t)};
      const auto [found, is_new] = contexts.emplace(tree.node(q, t), context);
      EXPECT_EQ(found->second, context) << "node " << tree.node(q, t);
    }
  }
  return contexts;
}

void ExpectEqualsNaive(std::vector<Text> texts) {
  const Batch batch(std::move(texts));
  const PrefixTree tree(batch.queries(), kStateSize);
  const std::map<Context, Need> needs = NaiveContexts(batch.texts());
  const auto contexts = ContextsOf(tree, batch);
  ASSERT_EQ(tree.size(), needs.size());
  ASSERT_EQ(contexts.size(), needs.size());

  PrefixTree::NodeId next = 0;
  for (size_t depth = 0; depth <= tree.depth(); ++depth) {
    ASSERT_EQ(tree.begin(depth), next);
    ASSERT_LE(tree.begin(depth), tree.states_end(depth));
    ASSERT_LE(tree.states_end(depth), tree.end(depth));
    ASSERT_LT(tree.begin(depth), tree.end(depth));
    for (; next < tree.end(depth); ++next) {
      const auto& [state, words] = contexts.at(next);
      EXPECT_EQ(words.size(), depth);
      EXPECT_EQ(needs.at({state, words}).state, next < tree.states_end(depth));
      if (depth == 0) {
        EXPECT_EQ(std::memcmp(tree.root_state(next), state.data(), kStateSize),
                  0);
      } else {
        EXPECT_EQ(tree.word(next), words.back());
        const Context parent = {state, First(words, depth - 1)};
        EXPECT_EQ(contexts.at(tree.parent(next)), parent);
      }
      std::set<PrefixTree::NodeId> scored;
      for (const auto& [node, context] : contexts) {
        if (context.second.size() != depth + 1 || context.first != state ||
            First(context.second, depth) != words) {
          continue;
        }
        if (needs.at(context).score) scored.insert(node);
      }
      EXPECT_THAT(tree.scored_children(next),
                  UnorderedElementsAreArray(scored));
    }
  }
  EXPECT_EQ(next, tree.size());
}

TEST(PrefixTreeTest, OneText) {
  const Batch batch({{"abcd", {5, 6, 5}}});
  const PrefixTree tree(batch.queries(), kStateSize);
  EXPECT_EQ(tree.size(), 4u);
  EXPECT_EQ(tree.depth(), 3u);
  for (size_t t = 0; t <= 3; ++t) EXPECT_EQ(tree.node(0, t), t);
  EXPECT_THAT(tree.scored_children(1), ElementsAre(2));
  // The state after the last word is not needed.
  EXPECT_EQ(tree.states_end(3), tree.begin(3));
  EXPECT_EQ(tree.states_end(2), tree.end(2));
}

TEST(PrefixTreeTest, SharedBeginnings) {
  const Batch batch({{"abcd", {1, 2, 3}}, {"abcd", {1, 2, 4}}, {"abcd", {1}}});
  const PrefixTree tree(batch.queries(), kStateSize);
  EXPECT_EQ(tree.size(), 5u);
  EXPECT_EQ(tree.node(0, 2), tree.node(1, 2));
  EXPECT_EQ(tree.node(2, 1), tree.node(0, 1));
  EXPECT_NE(tree.node(0, 3), tree.node(1, 3));
  EXPECT_THAT(tree.scored_children(tree.node(0, 2)),
              ElementsAre(tree.node(0, 3), tree.node(1, 3)));
}

// The same words after different states are different contexts.
TEST(PrefixTreeTest, StatesAreRoots) {
  const Batch batch({{"abcd", {1}}, {"abce", {1}}, {"abcd", {2}}});
  const PrefixTree tree(batch.queries(), kStateSize);
  EXPECT_EQ(tree.size(), 5u);
  EXPECT_EQ(tree.end(0), 2u);
  EXPECT_EQ(tree.node(0, 0), tree.node(2, 0));
  EXPECT_NE(tree.node(0, 1), tree.node(1, 1));
}

TEST(PrefixTreeTest, TextsWithoutWords) {
  const Batch batch({{"abcd", {}, true}, {"abcd", {}, false}});
  const PrefixTree tree(batch.queries(), kStateSize);
  EXPECT_EQ(tree.size(), 1u);
  EXPECT_EQ(tree.depth(), 0u);
  EXPECT_EQ(tree.states_end(0), 1u);
  EXPECT_THAT(tree.scored_children(0), IsEmpty());
}

// Two equal texts, of which one needs a score and the other a state.
TEST(PrefixTreeTest, NeedsAddUp) {
  ExpectEqualsNaive({{"abcd", {1, 2}, false, true},
                     {"abcd", {1, 2}, true, false},
                     {"abcd", {1, 3}, false, false}});
}

TEST(PrefixTreeTest, RandomBatches) {
  std::mt19937 random(1);
  const std::vector<std::string> states = {"aaaa", "aaab", "baaa"};
  for (int round = 0; round < 300; ++round) {
    std::vector<Text> texts(1 + random() % 12);
    for (Text& text : texts) {
      text.state = states[random() % (1 + round % 3)];
      text.words.resize(random() % 6);
      // Include a very large id.
      for (WordId& word : text.words) {
        word = random() % 3 == 2 ? 0xFFFFFFFE : random() % 3;
      }
      text.wants_state = random() % 2 == 0;
      text.is_scored = random() % 4 != 0;
    }
    ExpectEqualsNaive(texts);
  }
}

}  // namespace
}  // namespace lmserve
