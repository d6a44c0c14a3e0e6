#ifndef WORKER_DATA_EXCLUDED_IDS_H_
#define WORKER_DATA_EXCLUDED_IDS_H_

#include <cstddef>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "worker/data/dataset.h"

namespace g2ll::data {

// Whether a line of a text file of ids can stand for the id: neither empty, nor with
// control characters, `/` or blanks around it, nor longer than a file's name, nor like a row
// of a table (a quote at its start, a comma or semicolon without a blank behind).
bool CanBeListed(std::string_view id);

// Images that a data set leaves out (DatasetOptions::exclude_ids).
class ExcludedIds {
 public:
  // Reads what `entries` name; `held` are the ids of the source's validation and test
  // splits. Errors, which start with `data.excludeIds`: NotFound (no such file or
  // folder), FailedPrecondition (a folder without pictures, a file that cannot be read, a
  // line that is no id), InvalidArgument (an entry of another form). A file without an id
  // leaves nothing out, with a warning.
  static absl::StatusOr<ExcludedIds> Read(const std::vector<std::string>& entries,
                                          const std::vector<std::string>& held);

  // Whether the image is left out; ids are compared as photographs (photograph_id.h).
  bool Contains(std::string_view id) const;

  size_t size() const { return ids_.size(); }

 private:
  absl::Status AddEntry(const std::string& entry, const std::vector<std::string>& held);
  absl::Status AddFolder(const std::string& folder, Split split);
  absl::Status AddTextFile(const std::string& path);
  void Add(std::string_view id);

  std::set<std::string, std::less<>> ids_;
};

namespace internal {
// Logs the counts; the error of RemoveExcluded where `num_left` is 0.
absl::Status JudgeExclusion(const ExcludedIds& excluded, const DatasetOptions& options,
                            size_t num_before, size_t num_left);
}  // namespace internal

// Removes what is left out from `images`, whose ids `id_of` gives, and logs how many
// that were. Error: FailedPrecondition where none is left.
template <typename Image, typename IdOf>
absl::Status RemoveExcluded(const ExcludedIds& excluded, const DatasetOptions& options,
                            std::vector<Image>& images, const IdOf& id_of) {
  if (excluded.size() == 0) return absl::OkStatus();
  const size_t num_before = images.size();
  std::erase_if(images, [&](const Image& image) { return excluded.Contains(id_of(image)); });
  return internal::JudgeExclusion(excluded, options, num_before, images.size());
}

}  // namespace g2ll::data

#endif  // WORKER_DATA_EXCLUDED_IDS_H_
