#ifndef LMSERVE_CLIENT_OUTPUT_H_
#define LMSERVE_CLIENT_OUTPUT_H_

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace lmserve {

// A number of JSON, which has no infinity: null.
nlohmann::ordered_json JsonNumber(double value);

// A logarithm or the like for people: four decimals.
std::string Decimal(double value);

// Lines of cells, each column as wide as its widest cell. Numbers stand to the
// right, the last column to the left.
class Table {
 public:
  explicit Table(std::vector<std::string> header) { Add(std::move(header)); }

  void Add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }

  std::string ToString() const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace lmserve

#endif  // LMSERVE_CLIENT_OUTPUT_H_
