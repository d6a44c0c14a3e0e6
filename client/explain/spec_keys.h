#ifndef CLIENT_EXPLAIN_SPEC_KEYS_H_
#define CLIENT_EXPLAIN_SPEC_KEYS_H_

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"

// What every key of a job file means. Pure functions over the .proto files' comments and
// the tables of defaults and ranges that the service itself goes by.
namespace g2ll::explain {

// The default of a key in each recipe. An empty text leaves it unset.
struct DefaultRow {
  std::vector<std::string> methods;  // of a PretrainJob; empty for other kinds
  std::string paper;
  std::string plus;
  std::string smoke;
  std::string source;  // section of the paper or reason
};

// A key of a group, for a listing.
struct KeyLine {
  std::string key;      // whole: `PretrainJob.spec.mask.gamma`
  std::string type;     // as Key::type
  std::string meaning;  // first sentence
};

// One key.
struct Key {
  std::string key;      // whole: `PretrainJob.spec.mask.gamma`
  std::string type;     // `group`, `number`, `whole number`, `text`, `list of texts`, ...
  std::string meaning;  // sentences
  std::string unit;     // of numbers and times; empty for others
  std::string allowed;  // what may stand there
  // Of a key that takes one of some words: each with its meaning.
  std::vector<std::pair<std::string, std::string>> choices;
  std::vector<DefaultRow> defaults;
  std::vector<KeyLine> keys;  // of a group, with those below its own groups
};

// Explains KIND, KIND.spec.PATH or KIND.metadata.KEY. KIND is `PretrainJob` or `pretrain`
// in any case; `spec.` may be left out. Error: NotFound with one line that names the
// nearest known key.
absl::StatusOr<Key> Explain(std::string_view key);

// Every key of every kind, whole, for completion.
std::vector<std::string> AllKeys();

}  // namespace g2ll::explain

#endif  // CLIENT_EXPLAIN_SPEC_KEYS_H_
