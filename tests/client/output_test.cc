// What reaches a terminal: no escape of a server, tables where there is one, no colours.
#include <gmock/gmock.h>

#include "client/cli/exit_code.h"
#include "google/protobuf/message.h"
#include "tests/client/cli_fixture.h"

namespace g2ll::cli {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using ::testing::HasSubstr;

// Valid UTF-8 that would change a terminal: CSI in both forms, a bell, a new line, a
// carriage return, a tab, a direction override.
constexpr char kHostile[] =
    "x\x1b[31m\xc2\x9b"
    "2J\x07\r\n\ty\x7f";

// Puts the hostile text into every text of a message, with one element in every list.
void Poison(Message* message, int depth) {
  const auto* reflection = message->GetReflection();
  for (int i = 0; i < message->GetDescriptor()->field_count(); ++i) {
    const FieldDescriptor* field = message->GetDescriptor()->field(i);
    const bool is_text = field->type() == FieldDescriptor::TYPE_STRING;
    if (field->is_map() || field->real_containing_oneof() != nullptr) continue;
    if (is_text && field->is_repeated()) {
      reflection->AddString(message, field, kHostile);
    } else if (is_text) {
      reflection->SetString(message, field, kHostile);
    } else if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE && depth > 0) {
      Poison(field->is_repeated() ? reflection->AddMessage(message, field)
                                  : reflection->MutableMessage(message, field),
             depth - 1);
    }
  }
}

class OutputTest : public CliTest {
 protected:
  OutputTest() {
    v1::Job& job = server_.jobs["projects/default/jobs/a"];
    Poison(&job, 4);
    (*job.mutable_labels())[kHostile] = kHostile;
    (*job.mutable_metrics())[kHostile] = 1;
    job.set_state(v1::Job::FAILED);
    Poison(job.mutable_spec()->mutable_pretrain(), 3);
    v1::JobExplanation& why = server_.explanations.emplace_back();
    Poison(&why, 3);
    why.set_job("projects/default/jobs/a");
    why.set_slots_needed(1);
    Poison(&server_.workers["w"], 2);
    Poison(&server_.queues["projects/default/queues/q"], 2);
    Poison(&server_.projects["projects/p"], 2);
    v1::Checkpoint& checkpoint = server_.checkpoints["c"];
    Poison(&checkpoint, 2);
    checkpoint.set_job("projects/default/jobs/a");
    v1::WatchJobsResponse message;
    message.set_type(v1::WatchJobsResponse::CHANGED);
    *message.mutable_job() = job;
    server_.watch_sessions = {{{message}, absl::PermissionDeniedError(kHostile)}};
  }

  static bool IsHarmless(const std::string& text) {
    for (size_t i = 0; i < text.size(); ++i) {
      const auto byte = static_cast<unsigned char>(text[i]);
      const bool is_control = (byte < 0x20 && byte != '\n' && byte != '\t') || byte == 0x7f;
      const bool is_c1 =
          byte == 0xc2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xa0;
      if (is_control || is_c1) return false;
    }
    return true;
  }
};

TEST_F(OutputTest, NothingThatAServerSendsReachesATerminalRaw) {
  const std::vector<std::vector<std::string>> commands = {{"list"},
                                                          {"list", "--watch"},
                                                          {"list", "--all-projects"},
                                                          {"get", "a"},
                                                          {"describe", "a"},
                                                          {"why", "a"},
                                                          {"watch", "a"},
                                                          {"queue"},
                                                          {"queue", "list"},
                                                          {"projects", "list"},
                                                          {"workers", "list"},
                                                          {"workers", "describe", "w"},
                                                          {"checkpoints", "list", "a"},
                                                          {"admin", "info"}};
  for (const bool is_terminal : {false, true}) {
    env_.out_is_terminal = is_terminal;
    for (std::vector<std::string> args : commands) {
      // A live view moves the cursor by itself.
      if (is_terminal && args[0] == "watch") continue;
      args.insert(args.end(), {"-o", ""});
      for (const char* format : {"table", "json", "yaml", "name"}) {
        args.back() = format;
        Run(args);
        EXPECT_FALSE(out_.str().empty()) << args[0] << " " << format << err_.str();
        EXPECT_TRUE(IsHarmless(out_.str())) << args[0] << " " << format << ": " << out_.str();
        EXPECT_TRUE(IsHarmless(err_.str())) << args[0] << " " << format << ": " << err_.str();
      }
    }
  }
}

TEST_F(OutputTest, AnErrorOfTheServerIsEscapedToo) {
  server_.failures["GetJob"] = {absl::PermissionDeniedError(kHostile)};

  EXPECT_EQ(Run({"get", "a"}), kRefused);
  EXPECT_TRUE(IsHarmless(err_.str())) << err_.str();
  EXPECT_THAT(err_.str(), HasSubstr("\\x1b[31m"));
}

TEST_F(OutputTest, ALiveViewEscapesWhatTheServerSends) {
  env_.out_is_terminal = true;

  Run({"watch", "a"});
  EXPECT_EQ(out_.str().find("\x1b[31m"), std::string::npos) << out_.str();
  EXPECT_EQ(out_.str().find('\x07'), std::string::npos);
}

TEST_F(OutputTest, ThereAreNoColoursWithOrWithoutNoColor) {
  env_.out_is_terminal = true;
  for (const char* value : {"", "1"}) {
    env_.variables["NO_COLOR"] = value;
    Run({"list"});
    EXPECT_EQ(out_.str().find('\x1b'), std::string::npos);
    Run({"watch", "a"});
    EXPECT_THAT(out_.str(), ::testing::Not(::testing::ContainsRegex("\x1b\\[[0-9;]*m")));
  }
}

}  // namespace
}  // namespace g2ll::cli
