// SPDX-License-Identifier: Apache-2.0
#include "server/connections/client_table.h"

#include <gtest/gtest.h>

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
  ClientTable table({.streams_per_client = 2});
  const ClientTable::Ticket one = table.Enter("a");
  const ClientTable::Ticket two = table.Enter("a");
  const ClientTable::Ticket other = table.Enter("b");
  EXPECT_TRUE(one.client().EnterStream());
  EXPECT_TRUE(two.client().EnterStream());
  EXPECT_FALSE(one.client().EnterStream());
  EXPECT_TRUE(other.client().EnterStream());
  two.client().LeaveStream();
  EXPECT_TRUE(one.client().EnterStream());
}

}  // namespace
}  // namespace lmserve
