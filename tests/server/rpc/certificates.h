// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TESTS_SERVER_RPC_CERTIFICATES_H_
#define LMSERVE_TESTS_SERVER_RPC_CERTIFICATES_H_

#include <chrono>
#include <string>

namespace lmserve {

// A certificate and its key, in PEM.
struct CertifiedKey {
  std::string certificate;
  std::string key;
};

// Makes a root certificate, which signs itself.
CertifiedKey MakeRoot(const std::string& name);

// Makes a certificate for "localhost" that `root` signs. It is valid for
// `validity` from now; a negative value makes an expired one.
CertifiedKey MakeCertificate(
    const CertifiedKey& root,
    std::chrono::seconds validity = std::chrono::hours(1));

}  // namespace lmserve

#endif  // LMSERVE_TESTS_SERVER_RPC_CERTIFICATES_H_
