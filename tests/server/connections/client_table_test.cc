// SPDX-License-Identifier: Apache-2.0
#include "server/connections/client_table.h"

#include <gtest/gtest.h>

#include <chrono>
#include <utility>
#include <vector>

namespace lmserve {
namespace {

TEST(ClientTableTest, LimitsTheConnectionsOfAClient) {
  ClientTable table({.connections = 10, .connections_per_client = 2});
  ClientTable::Ticket first = table.Enter("a");
  const ClientTable::Ticket second = table.Enter("a");
  EXPECT_TRUE(first);
  EXPECT_TRUE(second);
  EXPECT_FALSE(table.Enter("a"));
  EXPECT_TRUE(table.Enter("b"));
  EXPECT_EQ(table.connections(), 2u);
  first = ClientTable::Ticket();
  EXPECT_TRUE(table.Enter("a"));
}

TEST(ClientTableTest, LimitsTheConnectionsOfAllClients) {
  ClientTable table({.connections = 2});
  const ClientTable::Ticket a = table.Enter("a");
  ClientTable::Ticket b = table.Enter("b");
  EXPECT_FALSE(table.Enter("c"));
  const ClientTable::Ticket moved = std::move(b);
  EXPECT_FALSE(b);  // NOLINT(bugprone-use-after-move): empty after a move
  EXPECT_TRUE(moved);
  EXPECT_EQ(table.connections(), 2u);
}

// A client that comes back owes what it owed.
TEST(ClientTableTest, RemembersDebts) {
  ClientTable table({.control_frames_per_second = 100});
  const auto now = ClientTable::Client::Clock::now();
  ClientTable::Ticket ticket = table.Enter("a");
  ticket.client().Charge(200, now);
  ticket = ClientTable::Ticket();
  ticket = table.Enter("a");
  EXPECT_GT(ticket.client().Pause(now).count(), 500);
  EXPECT_EQ(table.Enter("b").client().Pause(now).count(), 0);
}

TEST(ClientTableTest, LimitsTheStreamsOfAClient) {
  const auto now = ClientTable::Client::Clock::now();
  ClientTable table({.streams_per_client = 2});
  const ClientTable::Ticket one = table.Enter("a");
  const ClientTable::Ticket two = table.Enter("a");
  const ClientTable::Ticket other = table.Enter("b");
  EXPECT_TRUE(one.client().EnterStream(now));
  EXPECT_TRUE(two.client().EnterStream(now));
  EXPECT_FALSE(one.client().EnterStream(now));
  EXPECT_TRUE(other.client().EnterStream(now));
  two.client().LeaveStream();
  EXPECT_TRUE(one.client().EnterStream(now));
}

// Beyond an eighth of its streams, a client opens one each half millisecond,
// unless it is alone.
TEST(ClientTableTest, PacesManyStreamsWhileOthersAreConnected) {
  const auto now = ClientTable::Client::Clock::now();
  ClientTable table({.streams_per_client = 80});
  const ClientTable::Ticket ticket = table.Enter("a");
  ClientTable::Client& client = ticket.client();
  for (int i = 0; i < 12; ++i) EXPECT_TRUE(client.EnterStream(now));
  EXPECT_EQ(client.Pause(now).count(), 0);
  const ClientTable::Ticket other = table.Enter("b");
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(client.EnterStream(now));
  EXPECT_EQ(client.Pause(now).count(), 10);
  EXPECT_EQ(client.Pause(now + std::chrono::milliseconds(4)).count(), 6);
  EXPECT_EQ(client.Pause(now + std::chrono::milliseconds(11)).count(), 0);
  EXPECT_EQ(other.client().Pause(now).count(), 0);
  // What is closed makes room without pauses.
  for (int i = 0; i < 25; ++i) client.LeaveStream();
  const auto later = now + std::chrono::seconds(1);
  EXPECT_TRUE(client.EnterStream(later));
  EXPECT_EQ(client.Pause(later).count(), 0);
}

// After a pause, a quarter of a second's control frames may come at once.
TEST(ClientTableTest, LimitsABurstOfControlFrames) {
  const auto now = ClientTable::Client::Clock::now();
  ClientTable table({.control_frames_per_second = 100});
  const ClientTable::Ticket ticket = table.Enter("a");
  EXPECT_TRUE(ticket.client().Charge(25, now));
  EXPECT_EQ(ticket.client().Pause(now).count(), 0);
  EXPECT_TRUE(ticket.client().Charge(1, now));
  EXPECT_EQ(ticket.client().Pause(now).count(), 10);
  const auto later = now + std::chrono::seconds(10);
  EXPECT_TRUE(ticket.client().Charge(26, later));
  EXPECT_EQ(ticket.client().Pause(later).count(), 10);
}

}  // namespace
}  // namespace lmserve
