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

// A root that certifies itself.
CertifiedKey MakeRoot(const std::string& name);

// One for "localhost", from a root, in force until so long from now, which may
// be over.
CertifiedKey MakeCertificate(
    const CertifiedKey& root,
    std::chrono::seconds in_force = std::chrono::hours(1));

}  // namespace lmserve

#endif  // LMSERVE_TESTS_SERVER_RPC_CERTIFICATES_H_
