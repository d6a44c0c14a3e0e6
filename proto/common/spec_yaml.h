#ifndef PROTO_COMMON_SPEC_YAML_H_
#define PROTO_COMMON_SPEC_YAML_H_

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "g2ll/v1/spec.pb.h"
#include "proto/common/yaml_tree.h"

// Job files: YAML documents that map strictly onto JobSpec of spec.proto.
namespace g2ll::spec {

// Largest job file; look at a file's size before reading it.
inline constexpr size_t kMaxJobFileBytes = kMaxYamlBytes;

// One job of a file, without defaults.
struct JobDocument {
  std::string kind;  // `PretrainJob`, `FinetuneJob` or `EvaluateJob`
  std::string name;
  std::string project = "default";
  std::map<std::string, std::string> labels;
  v1::JobSpec spec;
  int line = 1;  // of the document
  // Line of every key that the file has, by its path: `spec.mask.gamma`.
  std::map<std::string, int> lines;

  // Line of `field`, or of the nearest group around it that the file has.
  int LineOf(std::string_view field) const;
};

// One fault of a file.
struct Fault {
  int line = 1;         // from 1; 0: an override, not the file
  std::string key;      // `spec.mask.gama`
  std::string given;    // what stands there
  std::string allowed;  // what may stand there
  std::string nearest;  // known key that was probably meant; may be empty

  // `job.yaml:7: spec.mask.gama: given an unknown key, allowed: ...; did you mean gamma?`
  // One line; control characters are escaped.
  std::string ToString(std::string_view file) const;
};

// A value that replaces one of the file: `spec.train.epochs=3`. It goes to every
// document whose job reads this key, with a kind as prefix only to those of this kind,
// and nowhere if the file has none.
struct Override {
  // Begins with `spec.` or `metadata.`, or with the kind of job that it is for in
  // place of `spec`: `pretrain.data.source`.
  std::string path;
  std::string value;  // YAML
};

// Jobs of a file in order. With faults the jobs may not be used.
struct JobFile {
  std::vector<JobDocument> jobs;
  std::vector<Fault> faults;
};

// Maps a job file. All faults of all documents are found, except that nothing
// after a fault of YAML itself is looked at. Time and memory are bounded.
JobFile ParseJobFile(std::string_view text, const std::vector<Override>& overrides = {});

// A job as a job file that ParseJobFile reads back to the same spec. Fields that
// `sources` (SourcesOfDefaults) names get a comment `# default: SOURCE`; those that
// it leaves unset get only that comment.
std::string FormatJobFile(std::string_view name, std::string_view project,
                          const std::map<std::string, std::string>& labels, const v1::JobSpec& spec,
                          const std::map<std::string, std::string>& sources = {});

}  // namespace g2ll::spec

#endif  // PROTO_COMMON_SPEC_YAML_H_
