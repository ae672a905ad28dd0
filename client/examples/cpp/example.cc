// SPDX-License-Identifier: Apache-2.0
//
// Scores, generates and decodes with a model of lm_server.
//
//   example localhost:50051 ca.pem TOKEN

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <iterator>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lmserve/client/client.h"

namespace {

constexpr char kModel[] = "en";

// Makes a unary call, of low priority and with metadata of its own.
absl::Status Score(const lmserve::Client& client) {
  lm::v1::ScoreRequest request;
  request.set_model(kModel);
  request.add_texts()->set_text("the cat is small .");
  const auto response =
      client.Score(request, {.priority = lmserve::CallPriority::kBulk,
                             .metadata = {{"x-request-id", "example-1"}}});
  if (!response.ok()) return response.status();
  std::printf("score %.4f\n", response->scores(0).log_prob());
  return absl::OkStatus();
}

// Reads a stream and prints each word as soon as it arrives.
absl::Status Generate(const lmserve::Client& client) {
  lm::v1::GenerateRequest request;
  request.set_model(kModel);
  request.mutable_prompt()->set_text("the cat");
  request.set_max_words(5);
  request.set_temperature(0);
  std::printf("generate");
  const auto print = [](const lm::v1::GenerateResponse& message) {
    if (message.has_word()) std::printf(" %s", message.word().word().c_str());
    std::fflush(stdout);
    return true;  // go on
  };
  const absl::Status status = client.Generate(request, print);
  std::printf("\n");
  return status;
}

// Sends a request of a decode session and waits for its answer. The session
// stays usable after a step that failed, but not after an error of the stream.
absl::StatusOr<lm::v1::DecodeResponse> Step(
    lmserve::DecodeStream& stream, const lm::v1::DecodeRequest& request) {
  stream.Send(
      request);  // if the stream has ended, Receive() returns the reason
  absl::StatusOr<lm::v1::DecodeResponse> response = stream.Receive();
  if (response.ok() && response->has_failed()) {
    return absl::Status(
        static_cast<absl::StatusCode>(response->failed().code()),
        response->failed().message());
  }
  return response;
}

// Prints ln P(the cat) and the words that may follow. The server keeps the
// state of each hypothesis; the client refers to it by a handle.
absl::Status Decode(const lmserve::Client& client) {
  const std::unique_ptr<lmserve::DecodeStream> stream = client.Decode();
  lm::v1::DecodeRequest start;
  start.mutable_start()->set_model(kModel);
  start.mutable_start()->add_words("the");
  start.mutable_start()->add_words("cat");
  const auto started = Step(*stream, start);
  if (!started.ok()) return started.status();

  uint32_t handle = started->started().handle();
  double log_prob = 0;
  for (const uint32_t word : started->started().ids()) {
    lm::v1::DecodeRequest extend;
    extend.mutable_extend()->add_handles(handle);
    extend.mutable_extend()->add_words(word);
    extend.add_release(handle);
    const auto response = Step(*stream, extend);
    if (!response.ok()) return response.status();
    handle = response->extended().handles(0);
    log_prob += response->extended().log_probs(0);
  }

  lm::v1::DecodeRequest best;
  best.mutable_best()->add_handles(handle);
  best.mutable_best()->set_k(3);
  best.mutable_best()->set_words(true);
  const auto response = Step(*stream, best);
  if (!response.ok()) return response.status();
  std::printf("decode %.4f", log_prob);
  for (const std::string& word : response->best().words()) {
    std::printf(" %s", word.c_str());
  }
  std::printf("\n");
  return absl::OkStatus();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::cerr << "usage: example ADDRESS CA_CERTIFICATE TOKEN\n";
    return 2;
  }
  std::ifstream file(argv[2]);
  const std::string root(std::istreambuf_iterator<char>(file), {});
  // The client retries: see the section on retries. Threads may share it.
  const lmserve::Client client({.address = argv[1],
                                .deadline = std::chrono::seconds(5),
                                .stream_deadline = std::chrono::minutes(1),
                                .tls = lmserve::ClientTls{.root = root},
                                .token = argv[3]});
  for (const auto call : {Score, Generate, Decode}) {
    if (const absl::Status status = call(client); !status.ok()) {
      std::cerr << "example: " << status << "\n";
      return 1;
    }
  }
}
