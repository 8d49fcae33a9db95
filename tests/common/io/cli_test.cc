#include "common/io/cli.h"

#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "publisher/config.h"

namespace pmoves {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

struct Result {
  int code;
  std::string out;
  std::string err;
};

std::string WriteFile(const std::string& name, const std::string& text) {
  const std::string path = ::testing::TempDir() + name;
  std::ofstream(path) << text;
  return path;
}

class CliTest : public ::testing::Test {
 protected:
  CliTest() {
    unsetenv("PMOVES_SYNC_CONFIG");
    program_.name = "pmoves-sync-publisher";
    program_.summary = "Stores the changes of this edge.";
    program_.examples = {"pmoves-sync-publisher run --config publisher.yaml"};
    program_.check_config = [](ConfigSource* s) { return LoadPublisherConfig(s).status(); };
    const CliOption json{"--json", "", "as JSON"};
    program_.verbs = {{"run",
                       "replicate until stopped",
                       {},
                       WithConfig(LoadPublisherConfig,
                                  [this](const PublisherConfig& config, const CliArgs&) {
                                    said_ = "run " + config.source;
                                    return kExitOk;
                                  }),
                       {}},
                      {"status",
                       "what goes on",
                       {json},
                       [this](const CliArgs& args) {
                         said_ = args.Flag("--json") ? "json" : "text";
                         return kExitOk;
                       },
                       {}},
                      {"resync",
                       "copy tables again",
                       {{"--table", "TABLE", "only this one", false, true}},
                       [this](const CliArgs& args) {
                         for (const std::string& table : args.Values("--table"))
                           said_ += table + ";";
                         return kExitFailed;
                       },
                       {}},
                      {"dead-letters retry",
                       "apply again",
                       {{"ID", "ID", "which one"}, {"--all", "", "all of them"}},
                       [this](const CliArgs& args) {
                         said_ = args.Value("ID").value_or("all");
                         return kExitOk;
                       },
                       {"ID", "--all"}},
                      {"dead-letters discard",
                       "give up",
                       {{"ID", "ID", "which one", true}, {"--reason", "TEXT", "why", true}},
                       [this](const CliArgs& args) {
                         said_ = *args.Value("ID") + " " + *args.Value("--reason");
                         return kExitOk;
                       },
                       {}}};
  }

  Result Run(std::vector<const char*> arguments) {
    arguments.insert(arguments.begin(), "pmoves-sync-publisher");
    said_.clear();
    ::testing::internal::CaptureStdout();
    ::testing::internal::CaptureStderr();
    const int code = RunCli(program_, static_cast<int>(arguments.size()), arguments.data());
    std::fflush(stdout);
    return {code, ::testing::internal::GetCapturedStdout(),
            ::testing::internal::GetCapturedStderr()};
  }

  const std::string good_ = WriteFile("good.yaml",
                                      "version: 1\nsource: jetson-01\n"
                                      "postgres: {dsn: 'password=hunter2', tables: [jobs]}\n"
                                      "nats: {url: 'nats://h'}\n");
  const std::string bad_ = WriteFile("bad.yaml", "version: 1\nmode: standalone\nslto: 1\nx: 2\n");
  CliProgram program_;
  std::string said_;
};

TEST_F(CliTest, AVerbGetsItsConfiguration) {
  EXPECT_EQ(Run({"run", "--config", good_.c_str()}).code, kExitOk);
  EXPECT_EQ(said_, "run jetson-01");
  EXPECT_EQ(Run({"-c", good_.c_str(), "run"}).code, kExitOk);
  EXPECT_EQ(said_, "run jetson-01");
}

TEST_F(CliTest, TheConfigurationCanBeNamedInTheEnvironment) {
  setenv("PMOVES_SYNC_CONFIG", good_.c_str(), 1);
  EXPECT_EQ(Run({"run"}).code, kExitOk);
  EXPECT_EQ(Run({"run", "--config", bad_.c_str()}).code, kExitConfig);
  unsetenv("PMOVES_SYNC_CONFIG");
}

TEST_F(CliTest, ABadConfigurationShowsEveryProblemAndExits78) {
  const Result result = Run({"run", "--config", bad_.c_str()});
  EXPECT_EQ(result.code, kExitConfig);
  EXPECT_EQ(result.out, "");
  EXPECT_THAT(result.err, HasSubstr("bad.yaml:3: slto: unknown key"));
  EXPECT_THAT(result.err, HasSubstr("bad.yaml:4: x: unknown key"));
  EXPECT_EQ(said_, "");
}

TEST_F(CliTest, ValidateSaysYesOrExits78) {
  const Result good = Run({"config", "validate", "--config", good_.c_str()});
  EXPECT_EQ(good.code, kExitOk);
  EXPECT_EQ(good.out, good_ + ": valid\n");
  EXPECT_EQ(Run({"config", "validate", "--config", bad_.c_str()}).code, kExitConfig);
  EXPECT_EQ(Run({"config", "validate", "--config", "/does/not/exist"}).code, kExitConfig);
}

TEST_F(CliTest, ShowMasksSecretsAndNamesOrigins) {
  const Result text = Run({"config", "show", "--config", good_.c_str()});
  EXPECT_EQ(text.code, kExitOk);
  EXPECT_THAT(text.out, HasSubstr("password=********"));
  EXPECT_THAT(text.out, HasSubstr("good.yaml:2"));
  EXPECT_THAT(text.out, Not(HasSubstr("hunter2")));
  const Result json = Run({"config", "show", "--json", "--config", good_.c_str()});
  EXPECT_THAT(json.out, StartsWith("[\n  {\"key\":\"version\",\"value\":\"1\",\"origin\":"));
  EXPECT_THAT(json.out, Not(HasSubstr("hunter2")));
}

TEST_F(CliTest, ShowWorksForABrokenConfigurationToo) {
  const Result result = Run({"config", "show", "--config", bad_.c_str()});
  EXPECT_EQ(result.code, kExitConfig);
  EXPECT_THAT(result.out, HasSubstr("standalone"));
}

TEST_F(CliTest, HelpAndVersionNeverReadTheConfiguration) {
  setenv("PMOVES_SYNC_CONFIG", "/does/not/exist", 1);
  const Result help = Run({"--help"});
  EXPECT_EQ(help.code, kExitOk);
  EXPECT_EQ(help.err, "");
  EXPECT_LT(help.out.find("Examples:"), help.out.find("Usage:"));
  EXPECT_THAT(help.out, HasSubstr("dead-letters"));
  EXPECT_THAT(help.out, HasSubstr("--config"));
  const Result verb_help = Run({"resync", "--help", "--config", bad_.c_str()});
  EXPECT_EQ(verb_help.code, kExitOk);
  EXPECT_THAT(verb_help.out, HasSubstr("--table TABLE"));
  const Result version = Run({"--version"});
  EXPECT_EQ(version.code, kExitOk);
  EXPECT_THAT(version.out, StartsWith("pmoves-sync-publisher "));
  unsetenv("PMOVES_SYNC_CONFIG");
}

TEST_F(CliTest, OptionsArriveAsDeclared) {
  Run({"status", "--json"});
  EXPECT_EQ(said_, "json");
  Run({"status"});
  EXPECT_EQ(said_, "text");
  EXPECT_EQ(Run({"resync", "--table", "a", "--table", "b"}).code, kExitFailed);
  EXPECT_EQ(said_, "a;b;");
  Run({"dead-letters", "retry", "17"});
  EXPECT_EQ(said_, "17");
  Run({"dead-letters", "retry", "--all"});
  EXPECT_EQ(said_, "all");
  Run({"dead-letters", "discard", "17", "--reason", "no such job"});
  EXPECT_EQ(said_, "17 no such job");
}

TEST_F(CliTest, AUsageErrorIsOneLineAndAHintAndExits2) {
  struct Case {
    std::vector<const char*> arguments;
    std::string err;
  };
  const std::string name = "pmoves-sync-publisher";
  const Case cases[] = {
      {{}, name + ": a verb is missing\nTry '" + name + " --help'.\n"},
      {{"rnu"}, name + ": unknown verb 'rnu'; did you mean 'run'?\nTry '" + name + " --help'.\n"},
      {{"dead-letters"},
       name + ": dead-letters: a verb is missing\nTry '" + name + " dead-letters --help'.\n"},
      {{"dead-letters", "retrx"},
       name + ": unknown verb 'retrx'; did you mean 'retry'?\nTry '" + name +
           " dead-letters --help'.\n"},
      {{"status", "--jsno"},
       name + ": unknown option '--jsno'; did you mean '--json'?\nTry '" + name +
           " status --help'.\n"},
      {{"status", "now"},
       name + ": unexpected argument 'now'\nTry '" + name + " status --help'.\n"},
      {{"dead-letters", "retry"},
       name + ": dead-letters retry needs exactly one of ID or --all\nTry '" + name +
           " dead-letters retry --help'.\n"},
      {{"dead-letters", "retry", "1", "--all"},
       name + ": dead-letters retry needs exactly one of ID or --all\nTry '" + name +
           " dead-letters retry --help'.\n"},
      {{"dead-letters", "discard", "1"},
       name + ": --reason is required\nTry '" + name + " dead-letters discard --help'.\n"},
  };
  for (const Case& c : cases) {
    const Result result = Run(c.arguments);
    EXPECT_EQ(result.code, kExitUsage) << c.err;
    EXPECT_EQ(result.err, c.err);
    EXPECT_EQ(result.out, "");
    EXPECT_EQ(said_, "");
  }
}

TEST_F(CliTest, AnAbsentDependencyHasItsOwnExitCode) {
  ::testing::internal::CaptureStderr();
  EXPECT_EQ(VerbFailed(CliArgs(), "check", absl::UnavailableError("away")), kExitUnavailable);
  EXPECT_EQ(VerbFailed(CliArgs(), "check", absl::InternalError("broken")), kExitFailed);
  ::testing::internal::GetCapturedStderr();
}

}  // namespace
}  // namespace pmoves
