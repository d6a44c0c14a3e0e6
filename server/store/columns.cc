#include "server/store/columns.h"

#include <limits>
#include <nlohmann/json.hpp>

#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"

namespace g2ll::store {
namespace {

using nlohmann::json;

// Bytes that are not UTF-8 become U+FFFD instead of an exception.
std::string Dump(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

json Parse(const std::string& text) { return json::parse(text, nullptr, false); }

// Values of an object; what is missing or of another type is the fallback.
std::string TextAt(const json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

int64_t IntegerAt(const json& object, const char* key, int64_t fallback) {
  const auto found = object.find(key);
  return found != object.end() && found->is_number_integer() ? found->get<int64_t>() : fallback;
}

std::string NumberText(double value) { return absl::StrFormat("%.17g", value); }

double Number(const json& object, const char* key) {
  double value = std::numeric_limits<double>::quiet_NaN();
  const auto found = object.find(key);
  if (found != object.end() && found->is_string() &&
      !absl::SimpleAtod(found->get_ref<const std::string&>(), &value)) {
    return std::numeric_limits<double>::quiet_NaN();
  }
  return value;
}

}  // namespace

std::string ToColumn(const std::map<std::string, std::string>& labels) {
  return Dump(json(labels));
}

std::string ToColumn(const std::map<std::string, double>& metrics) {
  json object = json::object();
  for (const auto& [name, value] : metrics) {
    object[name] = NumberText(value);
  }
  return Dump(object);
}

std::string ToColumn(const std::vector<std::string>& names) { return Dump(json(names)); }

std::string ToColumn(const std::vector<cluster::Dependency>& dependencies) {
  json array = json::array();
  for (const cluster::Dependency& dependency : dependencies) {
    array.push_back({{"name", dependency.name}, {"uid", dependency.uid}});
  }
  return Dump(array);
}

std::string ToColumn(const std::vector<cluster::LineageRecord>& lineage) {
  json array = json::array();
  for (const cluster::LineageRecord& entry : lineage) {
    array.push_back(
        {{"from", entry.from}, {"checkpoint", entry.checkpoint_id}, {"sha256", entry.sha256}});
  }
  return Dump(array);
}

std::string ToColumn(const std::vector<cluster::ExcludedWorker>& excluded) {
  json array = json::array();
  for (const cluster::ExcludedWorker& entry : excluded) {
    array.push_back({{"worker", entry.worker}, {"reason", entry.reason}});
  }
  return Dump(array);
}

std::string ToColumn(const std::vector<cluster::LogSegment>& segments) {
  json array = json::array();
  for (const cluster::LogSegment& segment : segments) {
    array.push_back({{"first", segment.first_seq},
                     {"last", segment.last_seq},
                     {"bytes", segment.bytes},
                     {"firstTime", absl::ToUnixMicros(segment.first_time)},
                     {"lastTime", absl::ToUnixMicros(segment.last_time)}});
  }
  return Dump(array);
}

std::string ToColumn(const cluster::JobProgress& progress) {
  json object = {{"step", progress.step},
                 {"totalSteps", progress.total_steps},
                 {"epoch", NumberText(progress.epoch)},
                 {"imagesPerSecond", NumberText(progress.images_per_second)}};
  if (progress.eta.has_value()) {
    object["etaMilliseconds"] = absl::ToInt64Milliseconds(*progress.eta);
  }
  return Dump(object);
}

std::string ToColumn(const std::optional<cluster::BestMetric>& best) {
  if (!best.has_value()) {
    return "{}";
  }
  return Dump({{"name", best->name}, {"value", NumberText(best->value)}, {"step", best->step}});
}

std::string ToColumn(const std::optional<cluster::FailureRecord>& failure) {
  if (!failure.has_value()) {
    return "{}";
  }
  return Dump({{"class", static_cast<int>(failure->failure_class)},
               {"rank", failure->rank},
               {"exitCode", failure->exit_code},
               {"signal", failure->signal},
               {"message", failure->message},
               {"worker", failure->worker},
               {"reason", failure->reason}});
}

void FromColumn(const std::string& text, std::map<std::string, std::string>* labels) {
  const json object = Parse(text);
  if (!object.is_object()) {
    return;
  }
  for (const auto& [key, value] : object.items()) {
    if (value.is_string()) {
      (*labels)[key] = value.get<std::string>();
    }
  }
}

void FromColumn(const std::string& text, std::map<std::string, double>* metrics) {
  const json object = Parse(text);
  if (!object.is_object()) {
    return;
  }
  for (const auto& [key, value] : object.items()) {
    (*metrics)[key] = Number(object, key.c_str());
  }
}

void FromColumn(const std::string& text, std::vector<std::string>* names) {
  for (const json& value : Parse(text)) {
    if (value.is_string()) {
      names->push_back(value.get<std::string>());
    }
  }
}

void FromColumn(const std::string& text, std::vector<cluster::Dependency>* dependencies) {
  for (const json& value : Parse(text)) {
    if (value.is_object()) {
      dependencies->push_back({TextAt(value, "name"), TextAt(value, "uid")});
    }
  }
}

void FromColumn(const std::string& text, std::vector<cluster::LineageRecord>* lineage) {
  for (const json& value : Parse(text)) {
    if (value.is_object()) {
      lineage->push_back(
          {TextAt(value, "from"), TextAt(value, "checkpoint"), TextAt(value, "sha256")});
    }
  }
}

void FromColumn(const std::string& text, std::vector<cluster::ExcludedWorker>* excluded) {
  for (const json& value : Parse(text)) {
    if (value.is_object()) {
      excluded->push_back({TextAt(value, "worker"), TextAt(value, "reason")});
    }
  }
}

void FromColumn(const std::string& text, std::vector<cluster::LogSegment>* segments) {
  for (const json& value : Parse(text)) {
    if (value.is_object()) {
      segments->push_back({IntegerAt(value, "first", 0), IntegerAt(value, "last", 0),
                           IntegerAt(value, "bytes", 0),
                           absl::FromUnixMicros(IntegerAt(value, "firstTime", 0)),
                           absl::FromUnixMicros(IntegerAt(value, "lastTime", 0))});
    }
  }
}

void FromColumn(const std::string& text, cluster::JobProgress* progress) {
  const json object = Parse(text);
  if (!object.is_object()) {
    return;
  }
  progress->step = IntegerAt(object, "step", 0);
  progress->total_steps = IntegerAt(object, "totalSteps", 0);
  progress->epoch = Number(object, "epoch");
  progress->images_per_second = Number(object, "imagesPerSecond");
  if (object.contains("etaMilliseconds")) {
    progress->eta = absl::Milliseconds(IntegerAt(object, "etaMilliseconds", 0));
  }
}

void FromColumn(const std::string& text, std::optional<cluster::BestMetric>* best) {
  const json object = Parse(text);
  if (object.is_object() && object.contains("name")) {
    *best = cluster::BestMetric{TextAt(object, "name"), Number(object, "value"),
                                IntegerAt(object, "step", 0)};
  }
}

void FromColumn(const std::string& text, std::optional<cluster::FailureRecord>* failure) {
  const json object = Parse(text);
  if (!object.is_object() || !object.contains("class")) {
    return;
  }
  cluster::FailureRecord record;
  record.failure_class = static_cast<cluster::FailureClass>(IntegerAt(object, "class", 10));
  record.rank = static_cast<int32_t>(IntegerAt(object, "rank", -1));
  record.exit_code = static_cast<int32_t>(IntegerAt(object, "exitCode", 0));
  record.signal = static_cast<int32_t>(IntegerAt(object, "signal", 0));
  record.message = TextAt(object, "message");
  record.worker = TextAt(object, "worker");
  record.reason = TextAt(object, "reason");
  *failure = std::move(record);
}

}  // namespace g2ll::store
