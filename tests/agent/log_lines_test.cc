#include "worker/agent/log_lines.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace g2ll::agent {
namespace {

std::vector<std::string> Messages(const std::vector<LogLine>& lines) {
  std::vector<std::string> messages;
  for (const LogLine& line : lines) messages.push_back(line.message);
  return messages;
}

TEST(LogLineSplitterTest, JoinsPiecesAndLeavesOutEmptyLines) {
  LogLineSplitter splitter;

  EXPECT_THAT(Messages(splitter.Feed("one\n\r\ntw")), testing::ElementsAre("one"));
  EXPECT_THAT(Messages(splitter.Feed("o\nthree")), testing::ElementsAre("two"));
  EXPECT_THAT(Messages(splitter.Finish()), testing::ElementsAre("three"));
  EXPECT_TRUE(splitter.Finish().empty());
}

TEST(LogLineSplitterTest, TakesLevelAndTextOfTheTextFormat) {
  LogLineSplitter splitter;
  const std::string line =
      log::FormatLine(log::Format::kText, log::Level::kWarning, 0, "disk is low", {{"free", 3}});

  const auto lines = splitter.Feed(line + "\n");

  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0].level, log::Level::kWarning);
  EXPECT_EQ(lines[0].message, "disk is low free=3");
}

TEST(LogLineSplitterTest, TakesLevelOfTheJsonFormat) {
  LogLineSplitter splitter;
  const std::string line = log::FormatLine(log::Format::kJson, log::Level::kError, 0, "broken", {});

  const auto lines = splitter.Feed(line + "\n");

  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0].level, log::Level::kError);
  EXPECT_EQ(lines[0].message, line);
}

TEST(LogLineSplitterTest, LinesOfOtherProgramsAreInfo) {
  LogLineSplitter splitter;

  const auto lines = splitter.Feed("[W socket.cpp:12] Warning: x\n");

  EXPECT_EQ(lines[0].level, log::Level::kInfo);
}

TEST(LogLineSplitterTest, EscapesControlCharactersAndBadUtf8) {
  LogLineSplitter splitter;

  EXPECT_THAT(Messages(splitter.Feed("\x1b[31mred\t\xff\xc3\xa9\n")),
              testing::ElementsAre("\\x1b[31mred\\t\\xff\xc3\xa9"));
}

TEST(LogLineSplitterTest, LongLineBecomesSeveralWithoutLoss) {
  LogLineSplitter splitter;
  // Two-byte characters behind one byte: the limit falls inside a character.
  std::string text = "x";
  while (text.size() < 3 * kMaxLogLineBytes) text += "\xc3\xa9";

  auto lines = splitter.Feed(text + "\n");

  std::string joined;
  for (const LogLine& line : lines) {
    EXPECT_LE(line.message.size(), kMaxLogLineBytes);
    joined += line.message;
  }
  EXPECT_EQ(joined, text);
}

TEST(LogLineSplitterTest, LineThatGrowsByEscapesStaysWithinTheLimit) {
  LogLineSplitter splitter;

  const auto lines = splitter.Feed(std::string(kMaxLogLineBytes, '\x01') + "\n");

  size_t bytes = 0;
  for (const LogLine& line : lines) {
    EXPECT_LE(line.message.size(), kMaxLogLineBytes);
    bytes += line.message.size();
  }
  EXPECT_EQ(bytes, 4 * kMaxLogLineBytes);
}

}  // namespace
}  // namespace g2ll::agent
