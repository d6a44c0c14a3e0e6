#include "worker/job/encoder_source.h"

#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <optional>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "proto/common/log.h"
#include "proto/common/spec_access.h"
#include "proto/common/status_macros.h"
#include "worker/checkpoint/checkpoint_directory.h"
#include "worker/checkpoint/tensor_file.h"
#include "worker/evaluate/network_config.h"
#include "worker/finetune/encoder_fit.h"
#include "worker/train/failure.h"

namespace g2ll::job {
namespace {

namespace fs = std::filesystem;
using train::FailureKind;
using train::WithFailure;

std::string ReadIfThere(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(in), {});
}

constexpr char kTeacherFile[] = "teacher_encoder.safetensors";

// Whether the encoder is the teacher's: as asked, else where there is one.
bool IsTeacherTaken(const fs::path& path, v1::SegmentationSpec::Source wanted) {
  if (wanted != v1::SegmentationSpec::SOURCE_UNSPECIFIED) {
    return wanted == v1::SegmentationSpec::TEACHER;
  }
  const bool is_teacher = fs::exists(path / kTeacherFile);
  log::Info("seg.encoder is not given",
            {{"taken", is_teacher ? "teacher" : "student"}, {"checkpoint", path.string()}});
  return is_teacher;
}

absl::StatusOr<EncoderSource> OpenCheckpoint(const fs::path& path,
                                             v1::SegmentationSpec::Source wanted) {
  G2LL_RETURN_IF_ERROR(checkpoint::VerifyCheckpoint(path));
  const bool is_teacher = IsTeacherTaken(path, wanted);
  EncoderSource source;
  const fs::path file = path / (is_teacher ? kTeacherFile : "encoder.safetensors");
  if (!fs::exists(file)) {
    // Another attempt would find no more, so this is not a fault of the storage.
    return WithFailure(
        absl::NotFoundError(absl::StrCat(
            "seg.encoder ", is_teacher ? "teacher" : "student", ": ", file.string(),
            ": no such network in this checkpoint; use ",
            is_teacher ? "seg.encoder student (methods mae and supervised have no teacher) or "
                       : "",
            "another init.from")),
        FailureKind::kConfig);
  }
  source.file = file.string();
  source.config = ReadIfThere(path / "export_config.json");
  G2LL_ASSIGN_OR_RETURN(source.history, train::ParseHistory(ReadIfThere(path / "history.json")));
  return source;
}

absl::StatusOr<EncoderSource> OpenExport(const fs::path& path) {
  std::error_code ignored;  // what cannot be looked at is not there
  if (!fs::exists(path, ignored)) {
    return absl::NotFoundError(
        absl::StrCat(path.string(),
                     ": no such file or folder; init.from takes a checkpoint directory, the "
                     "folder of an exported model or the model.safetensors in it"));
  }
  EncoderSource source;
  const bool is_folder = fs::is_directory(path, ignored);
  source.file = (is_folder ? path / "model.safetensors" : path).string();
  source.config = ReadIfThere((is_folder ? path : path.parent_path()) / "config.json");
  return source;
}

// A checkpoint or an exported model, with the kind of its positions.
absl::StatusOr<EncoderSource> OpenSource(const fs::path& path,
                                         v1::SegmentationSpec::Source wanted) {
  std::error_code ignored;
  const bool is_checkpoint = fs::exists(path / checkpoint::kManifestName, ignored);
  G2LL_ASSIGN_OR_RETURN(EncoderSource source,
                        is_checkpoint ? OpenCheckpoint(path, wanted) : OpenExport(path));
  G2LL_ASSIGN_OR_RETURN(const checkpoint::TensorMap tensors, checkpoint::LoadTensors(source.file));
  const auto positions = tensors.find("pos_embed");
  // Without a table the fit of the encoder says that it is missing.
  source.has_learned_positions =
      positions != tensors.end() && !finetune::HasFixedPositions(positions->second);
  return source;
}

// A path that a user gave stays as wrong as it is, and another attempt would find no more.
// A job's checkpoint was good when it was committed, so its storage has a fault.
FailureKind KindOf(const absl::Status& fault, const v1::JobSpec& spec) {
  const bool is_given = spec::ParseSource(spec::SourceOf(spec)).kind == spec::Source::Kind::kFile;
  return is_given && !absl::IsUnavailable(fault) ? FailureKind::kConfig : FailureKind::kStorage;
}

// What the source says about its network; none where that is nothing of ours.
absl::StatusOr<std::optional<evaluate::NetworkConfig>> ReadConfig(const EncoderSource& source) {
  const auto json = nlohmann::json::parse(source.config, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || !json.contains("imageSize")) return std::nullopt;
  return evaluate::ParseNetworkConfig(source.config,
                                      absl::StrCat(source.file, ": its configuration"));
}

// `imagenet`, `unit`, or `dataset (mean 0.7 0.6 0.5, std 0.1 0.1 0.1)`.
std::string ScaleText(const data::PixelScale& scale) {
  const std::string name(data::NameOf(scale));
  if (name != "dataset") return name;
  return absl::StrCat(name, " (mean ", absl::StrJoin(scale.mean, " "), ", std ",
                      absl::StrJoin(scale.deviation, " "), ")");
}

absl::Status CheckScale(const EncoderSource& source, const data::PixelScale& given,
                        v1::DataSpec::Norm norm) {
  if (norm == v1::DataSpec::DATASET) return absl::OkStatus();  // takes the source's
  const data::PixelScale expected =
      norm == v1::DataSpec::UNIT ? data::kUnitScale : data::kImagenetScale;
  if (given == expected) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("data.norm ", std::string(data::NameOf(expected)), ": the encoder ", source.file,
                   " was trained on pixels scaled by ", ScaleText(given), "; set data.norm ",
                   std::string(data::NameOf(given)),
                   given == data::kUnitScale || given == data::kImagenetScale
                       ? ""
                       : ", which takes over its numbers"));
}

absl::Status CompareWithJob(const EncoderSource& source, const evaluate::NetworkConfig& config,
                            const v1::FinetuneSpec& spec) {
  G2LL_RETURN_IF_ERROR(CheckScale(source, config.input.scale, spec.data().norm()));
  const model::VitOptions& vit = config.network.vit;
  if (vit.learned_pos != source.has_learned_positions) {
    return absl::FailedPreconditionError(absl::StrCat(
        source.file, ": pos_embed is ",
        source.has_learned_positions ? "a trained table" : "the fixed table of sines and cosines",
        ", but its configuration says positions ", vit.learned_pos ? "learned" : "sincos2d"));
  }
  // Heads leave no trace in the shapes; another width is told by them.
  if (vit.dim == spec.model().dim() && vit.heads != spec.model().heads()) {
    return absl::FailedPreconditionError(
        absl::StrCat(source.file, ": the encoder has ", vit.heads, " heads where model.heads is ",
                     spec.model().heads(), "; set model.heads ", vit.heads));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<EncoderSource> OpenEncoderSource(const trainer::v1::Assignment& assignment) {
  const v1::FinetuneSpec& spec = assignment.spec().finetune();
  if (assignment.source_path().empty()) {
    EncoderSource none;
    none.has_learned_positions = spec.model().positions() == v1::ModelSpec::LEARNED;
    return none;
  }
  if (spec.seg().decoder() == v1::SegmentationSpec::UNET) {
    return WithFailure(absl::InvalidArgumentError(
                           "seg.decoder unet has no encoder to start from; set init.from none"),
                       FailureKind::kConfig);
  }
  const fs::path path = fs::path(assignment.storage_root()) / assignment.source_path();
  absl::StatusOr<EncoderSource> source = OpenSource(path, spec.seg().encoder());
  if (!source.ok()) {
    return WithFailure(source.status(), KindOf(source.status(), assignment.spec()));
  }
  const auto config = ReadConfig(*source);
  if (!config.ok()) {
    return WithFailure(config.status(), KindOf(config.status(), assignment.spec()));
  }
  if (config->has_value()) {
    const absl::Status fits = CompareWithJob(*source, **config, spec);
    if (!fits.ok()) return WithFailure(fits, FailureKind::kConfig);
  } else {
    log::Warning("the encoder says nothing about its pixel scaling and heads",
                 {{"encoder", source->file}});
  }
  return source;
}

}  // namespace g2ll::job
