#include "server/api/list_filter.h"

#include <algorithm>
#include <array>
#include <compare>
#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "proto/common/grpc_status.h"
#include "proto/common/status_macros.h"

namespace g2ll::api {
namespace {

using cluster::JobRecord;

constexpr size_t kMostBytes = 4096;
constexpr int kMostTerms = 64;
constexpr int kDeepest = 16;
constexpr char kFields[] =
    "name, state, kind, queue, priority, create_time, start_time, end_time, labels.KEY";

enum class Op { kEqual, kNotEqual, kLess, kLessEqual, kGreater, kGreaterEqual, kHas };

// Longer operators first, so that `<=` is not read as `<`.
constexpr std::array<std::pair<std::string_view, Op>, 7> kOps = {{{"!=", Op::kNotEqual},
                                                                  {"<=", Op::kLessEqual},
                                                                  {">=", Op::kGreaterEqual},
                                                                  {"=", Op::kEqual},
                                                                  {"<", Op::kLess},
                                                                  {">", Op::kGreater},
                                                                  {":", Op::kHas}}};

template <typename T>
bool Compare(const T& value, Op op, const T& wanted) {
  switch (op) {
    case Op::kEqual:
      return value == wanted;
    case Op::kNotEqual:
      return value != wanted;
    case Op::kLess:
      return value < wanted;
    case Op::kLessEqual:
      return value <= wanted;
    case Op::kGreater:
      return value > wanted;
    case Op::kGreaterEqual:
      return value >= wanted;
    case Op::kHas:
      return false;
  }
  return false;
}

bool CompareText(const std::string& value, Op op, const std::string& wanted) {
  return op == Op::kHas ? absl::StrContains(value, wanted) : Compare(value, op, wanted);
}

std::optional<int> PriorityOf(const std::string& name) {
  const std::string lower = absl::AsciiStrToLower(name);
  if (lower == "low") return static_cast<int>(cluster::Priority::kLow);
  if (lower == "normal") return static_cast<int>(cluster::Priority::kNormal);
  if (lower == "high") return static_cast<int>(cluster::Priority::kHigh);
  return std::nullopt;
}

std::string KindName(cluster::JobKind kind) {
  switch (kind) {
    case cluster::JobKind::kPretrain:
      return "PretrainJob";
    case cluster::JobKind::kFinetune:
      return "FinetuneJob";
    case cluster::JobKind::kEvaluate:
      return "EvaluateJob";
  }
  return "";
}

bool IsStateName(const std::string& name) {
  return std::any_of(cluster::kAllJobStates.begin(), cluster::kAllJobStates.end(),
                     [&](cluster::JobState state) { return cluster::Name(state) == name; });
}

// A recursive descent over the text; the position is that of the next character.
class FilterParser {
 public:
  explicit FilterParser(std::string_view text) : text_(text) {}

  absl::StatusOr<JobFilter> Parse() {
    if (text_.size() > kMostBytes) {
      return Bad(
          absl::StrCat("it has ", text_.size(), " bytes, at most ", kMostBytes, " are allowed"));
    }
    SkipBlanks();
    if (AtEnd()) {
      return JobFilter([](const JobRecord&) { return true; });
    }
    G2LL_ASSIGN_OR_RETURN(JobFilter filter, ParseOr(0));
    if (!AtEnd()) {
      return Bad(absl::StrCat("at ", Place(), ": AND, OR or the end is expected"));
    }
    return filter;
  }

 private:
  static absl::Status Bad(const std::string& what) {
    return net::WithReason(absl::InvalidArgumentError(absl::StrCat("filter: ", what)),
                           "BAD_FILTER");
  }
  std::string Place() const {
    return AtEnd() ? "its end"
                   : absl::StrCat("'", std::string(text_.substr(position_, 20)), "' (character ",
                                  position_ + 1, ")");
  }
  bool AtEnd() const { return position_ >= text_.size(); }
  void SkipBlanks() {
    while (!AtEnd() && absl::ascii_isspace(static_cast<unsigned char>(text_[position_]))) {
      ++position_;
    }
  }
  static bool IsWordCharacter(char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '.' || c == '-' ||
           c == '/' || c == '+' || c == '*';
  }

  // Takes `word` where it stands as a whole.
  bool Take(std::string_view word) {
    const std::string_view rest = text_.substr(position_);
    if (!rest.starts_with(word)) {
      return false;
    }
    const bool is_word = absl::ascii_isalpha(static_cast<unsigned char>(word.back()));
    if (is_word && rest.size() > word.size() && IsWordCharacter(rest[word.size()])) {
      return false;
    }
    position_ += word.size();
    SkipBlanks();
    return true;
  }

  absl::StatusOr<JobFilter> ParseOr(int depth) {
    G2LL_ASSIGN_OR_RETURN(JobFilter left, ParseAnd(depth));
    while (Take("OR")) {
      G2LL_ASSIGN_OR_RETURN(JobFilter right, ParseAnd(depth));
      left = [left = std::move(left), right = std::move(right)](const JobRecord& job) {
        return left(job) || right(job);
      };
    }
    return left;
  }

  absl::StatusOr<JobFilter> ParseAnd(int depth) {
    G2LL_ASSIGN_OR_RETURN(JobFilter left, ParseTerm(depth));
    while (Take("AND")) {
      G2LL_ASSIGN_OR_RETURN(JobFilter right, ParseTerm(depth));
      left = [left = std::move(left), right = std::move(right)](const JobRecord& job) {
        return left(job) && right(job);
      };
    }
    return left;
  }

  absl::StatusOr<JobFilter> ParseTerm(int depth) {
    if (++terms_ > kMostTerms) {
      return Bad(absl::StrCat("it has more than ", kMostTerms, " terms"));
    }
    if (Take("NOT")) {
      // Not recursive: `NOT NOT ...` must not use up the stack.
      G2LL_ASSIGN_OR_RETURN(JobFilter inner, ParsePrimary(depth));
      return JobFilter([inner = std::move(inner)](const JobRecord& job) { return !inner(job); });
    }
    return ParsePrimary(depth);
  }

  absl::StatusOr<JobFilter> ParsePrimary(int depth) {
    if (!Take("(")) {
      return ParseComparison();
    }
    if (depth >= kDeepest) {
      return Bad(absl::StrCat("brackets stand inside more than ", kDeepest, " others"));
    }
    G2LL_ASSIGN_OR_RETURN(JobFilter inner, ParseOr(depth + 1));
    if (!Take(")")) {
      return Bad(absl::StrCat("at ", Place(), ": a closing bracket is expected"));
    }
    return inner;
  }

  absl::StatusOr<JobFilter> ParseComparison() {
    const std::string place = Place();
    const std::string field = TakeWord();
    if (field.empty()) {
      return Bad(absl::StrCat("at ", place, ": a field is expected, one of ", kFields));
    }
    const std::string op_place = Place();
    std::optional<Op> op;
    for (const auto& [text, candidate] : kOps) {
      if (Take(text)) {
        op = candidate;
        break;
      }
    }
    if (!op.has_value()) {
      return Bad(absl::StrCat("at ", op_place, ": one of = != < <= > >= : is expected after '",
                              field, "'"));
    }
    G2LL_ASSIGN_OR_RETURN(const std::string value, TakeValue(field));
    return Build(field, *op, value);
  }

  std::string TakeWord() {
    const size_t begin = position_;
    while (!AtEnd() && IsWordCharacter(text_[position_])) {
      ++position_;
    }
    std::string word(text_.substr(begin, position_ - begin));
    SkipBlanks();
    return word;
  }

  absl::StatusOr<std::string> TakeValue(const std::string& field) {
    if (AtEnd() || text_[position_] != '"') {
      const std::string place = Place();
      const size_t begin = position_;
      // A time that is not quoted has colons.
      while (!AtEnd() && (IsWordCharacter(text_[position_]) || text_[position_] == ':')) {
        ++position_;
      }
      std::string word(text_.substr(begin, position_ - begin));
      SkipBlanks();
      if (word.empty()) {
        return Bad(absl::StrCat("at ", place, ": a value for '", field, "' is expected"));
      }
      return word;
    }
    std::string value;
    for (++position_; !AtEnd() && text_[position_] != '"'; ++position_) {
      if (text_[position_] == '\\' && position_ + 1 < text_.size()) {
        ++position_;
      }
      value.push_back(text_[position_]);
    }
    if (AtEnd()) {
      return Bad(absl::StrCat("the quoted value of '", field, "' has no end"));
    }
    ++position_;
    SkipBlanks();
    return value;
  }

  static absl::StatusOr<JobFilter> Build(const std::string& field, Op op,
                                         const std::string& value) {
    if (field == "name") {
      return JobFilter([op, value](const JobRecord& job) {
        return CompareText(job.name, op, value) || (op == Op::kEqual && job.FullName() == value);
      });
    }
    if (field == "queue") {
      return JobFilter(
          [op, value](const JobRecord& job) { return CompareText(job.queue, op, value); });
    }
    if (field == "state" || field == "kind") {
      return BuildName(field, op, value);
    }
    if (field == "priority") {
      const std::optional<int> wanted = PriorityOf(value);
      if (!wanted.has_value() || op == Op::kHas) {
        return Bad(absl::StrCat("priority: given '", value,
                                "', allowed: = != < <= > >= with low, normal or high"));
      }
      return JobFilter([op, wanted = *wanted](const JobRecord& job) {
        return Compare(static_cast<int>(job.priority), op, wanted);
      });
    }
    if (field == "create_time" || field == "start_time" || field == "end_time") {
      return BuildTime(field, op, value);
    }
    if (absl::StartsWith(field, "labels.") && field.size() > 7) {
      return BuildLabel(field.substr(7), op, value);
    }
    return Bad(absl::StrCat("'", field, "' is no field, one of ", kFields, " is"));
  }

  static absl::StatusOr<JobFilter> BuildName(const std::string& field, Op op,
                                             const std::string& value) {
    const bool is_state = field == "state";
    const bool known =
        is_state ? IsStateName(value)
                 : value == "PretrainJob" || value == "FinetuneJob" || value == "EvaluateJob";
    if (!known || (op != Op::kEqual && op != Op::kNotEqual)) {
      return Bad(absl::StrCat(
          field, ": given '", value, "', allowed: = or != with ",
          is_state ? "a state such as RUNNING" : "PretrainJob, FinetuneJob or EvaluateJob"));
    }
    return JobFilter([is_state, op, value](const JobRecord& job) {
      const std::string name =
          is_state ? std::string(cluster::Name(job.state)) : KindName(job.kind);
      return (name == value) == (op == Op::kEqual);
    });
  }

  static absl::StatusOr<JobFilter> BuildTime(const std::string& field, Op op,
                                             const std::string& value) {
    absl::Time wanted;
    std::string error;
    if (op == Op::kHas || !absl::ParseTime(absl::RFC3339_full, value, &wanted, &error)) {
      return Bad(absl::StrCat(field, ": given '", value,
                              "', allowed: = != < <= > >= with a time such as "
                              "\"2026-01-31T12:00:00Z\""));
    }
    return JobFilter([field, op, wanted](const JobRecord& job) {
      const absl::Time time = field == "create_time"  ? job.create_time
                              : field == "start_time" ? job.start_time
                                                      : job.end_time;
      // A time that has not come fits nothing.
      return time != absl::InfinitePast() && Compare(time, op, wanted);
    });
  }

  static absl::StatusOr<JobFilter> BuildLabel(const std::string& key, Op op,
                                              const std::string& value) {
    if (op != Op::kEqual && op != Op::kNotEqual && op != Op::kHas) {
      return Bad(absl::StrCat("labels.", key, ": allowed are = and !=, and :* for 'has it'"));
    }
    return JobFilter([key, op, value](const JobRecord& job) {
      const auto label = job.labels.find(key);
      if (label == job.labels.end()) {
        return op == Op::kNotEqual;
      }
      if (op == Op::kHas) {
        return value == "*" || label->second == value;
      }
      return (label->second == value) == (op == Op::kEqual);
    });
  }

  const std::string_view text_;
  size_t position_ = 0;
  int terms_ = 0;
};

std::strong_ordering CompareTimes(absl::Time a, absl::Time b) {
  return a < b ? std::strong_ordering::less
               : (b < a ? std::strong_ordering::greater : std::strong_ordering::equal);
}

std::strong_ordering CompareBy(const JobRecord& a, const JobRecord& b, OrderKey::Field field) {
  switch (field) {
    case OrderKey::Field::kCreateTime:
      return CompareTimes(a.create_time, b.create_time);
    case OrderKey::Field::kStartTime:
      return CompareTimes(a.start_time, b.start_time);
    case OrderKey::Field::kEndTime:
      return CompareTimes(a.end_time, b.end_time);
    case OrderKey::Field::kName:
      return a.name <=> b.name;
    case OrderKey::Field::kState:
      return static_cast<int>(a.state) <=> static_cast<int>(b.state);
    case OrderKey::Field::kPriority:
      return static_cast<int>(a.priority) <=> static_cast<int>(b.priority);
  }
  return std::strong_ordering::equal;
}

std::optional<OrderKey::Field> FieldOf(std::string_view name) {
  if (name == "create_time") return OrderKey::Field::kCreateTime;
  if (name == "start_time") return OrderKey::Field::kStartTime;
  if (name == "end_time") return OrderKey::Field::kEndTime;
  if (name == "name") return OrderKey::Field::kName;
  if (name == "state") return OrderKey::Field::kState;
  if (name == "priority") return OrderKey::Field::kPriority;
  return std::nullopt;
}

}  // namespace

absl::StatusOr<JobFilter> ParseFilter(std::string_view text) { return FilterParser(text).Parse(); }

absl::StatusOr<std::vector<OrderKey>> ParseOrder(std::string_view text) {
  constexpr size_t kMostKeys = 6;
  const std::string bounded(text.substr(0, kMostBytes));
  if (absl::StripAsciiWhitespace(bounded).empty()) {
    return std::vector<OrderKey>{{OrderKey::Field::kCreateTime, true}};
  }
  std::vector<OrderKey> order;
  for (const absl::string_view part : absl::StrSplit(bounded, ',')) {
    const std::vector<std::string> words =
        absl::StrSplit(part, absl::ByAnyChar(" \t"), absl::SkipEmpty());
    const std::optional<OrderKey::Field> field =
        words.empty() ? std::nullopt : FieldOf(words.front());
    const bool has_direction = words.size() == 2 && (words[1] == "desc" || words[1] == "asc");
    if (!field.has_value() || (words.size() != 1 && !has_direction) || order.size() == kMostKeys) {
      return net::WithReason(
          absl::InvalidArgumentError(absl::StrCat(
              "order_by: given '", std::string(part.substr(0, 100)),
              "', allowed: create_time, start_time, end_time, name, state and priority, each "
              "once and with ' desc' where wanted, separated by commas")),
          "BAD_ORDER_BY");
    }
    order.push_back({*field, has_direction && words[1] == "desc"});
  }
  return order;
}

bool ComesBefore(const JobRecord& a, const JobRecord& b, const std::vector<OrderKey>& order) {
  for (const OrderKey& key : order) {
    const std::strong_ordering compared = CompareBy(a, b, key.field);
    if (compared != std::strong_ordering::equal) {
      return (compared == std::strong_ordering::less) != key.descending;
    }
  }
  return a.uid < b.uid;
}

}  // namespace g2ll::api
