// SPDX-License-Identifier: Apache-2.0
//
// score_remotely ADDRESS MODEL TEXT: prints ln P(TEXT) by a model of lm_server.

#include <iostream>

#include "lmserve/client/client.h"

int main(int, char** argv) {
  lmserve::ClientOptions options;
  options.address = argv[1];
  const lmserve::Client client(options);
  lm::v1::ScoreRequest request;
  request.set_model(argv[2]);
  request.set_include_end(false);
  request.add_texts()->set_text(argv[3]);
  const auto response = client.Score(request);
  if (!response.ok()) {
    std::cerr << response.status() << "\n";
    return 1;
  }
  std::cout << response->scores(0).log_prob() << "\n";
}
