// SPDX-License-Identifier: Apache-2.0
#include "client/call_starter.h"

namespace lmserve {
namespace {

using std::chrono::milliseconds;

// The time at which a limit that begins now ends; 0 is no limit.
Retry::Clock::time_point EndOf(milliseconds limit) {
  return limit.count() == 0 ? Retry::Clock::time_point::max()
                            : Retry::Clock::now() + limit;
}

std::chrono::system_clock::time_point ToSystemClock(
    Retry::Clock::time_point time) {
  return std::chrono::system_clock::now() +
         std::chrono::duration_cast<std::chrono::system_clock::duration>(
             time - Retry::Clock::now());
}

// Waits until `end`. gRPC 1.51 connects again only while a thread waits for
// something of gRPC, so a thread that sleeps would not find a server that has
// just started.
void WaitUntil(Retry::Clock::time_point end, grpc::Channel* channel) {
  while (Retry::Clock::now() < end) {
    channel->WaitForStateChange(channel->GetState(/*try_to_connect=*/true),
                                ToSystemClock(end));
  }
}

}  // namespace

CallStarter::CallStarter(const ClientOptions& options, grpc::Channel* channel)
    : options_(options),
      authorization_(options.token.empty() ? "" : "Bearer " + options.token),
      channel_(channel) {}

CallStarter::Prepared CallStarter::Prepare(const CallOptions& call,
                                           milliseconds limit) {
  return {call, EndOf(call.deadline.value_or(limit))};
}

void CallStarter::Begin(const Prepared& prepared,
                        grpc::ClientContext* context) const {
  if (prepared.deadline != Retry::Clock::time_point::max()) {
    context->set_deadline(ToSystemClock(prepared.deadline));
  }
  if (!authorization_.empty()) {
    context->AddMetadata("authorization", authorization_);
  }
  const auto& priority =
      prepared.call.priority ? prepared.call.priority : options_.priority;
  if (priority.has_value()) {
    context->AddMetadata("lm-priority", *priority == CallPriority::kBulk
                                            ? "bulk"
                                            : "interactive");
  }
  for (const auto* metadata : {&options_.metadata, &prepared.call.metadata}) {
    for (const auto& [name, value] : *metadata) {
      context->AddMetadata(name, value);
    }
  }
}

Retry CallStarter::Attempts(Retry::Clock::time_point deadline) const {
  const bool has_deadline = deadline != Retry::Clock::time_point::max();
  return Retry(
      {.attempts = options_.attempts,
       .deadline = has_deadline ? deadline : EndOf(options_.deadline),
       .on_retry = options_.on_retry,
       .wait_until = [channel = channel_](Retry::Clock::time_point end) {
         WaitUntil(end, channel);
       }});
}

}  // namespace lmserve
