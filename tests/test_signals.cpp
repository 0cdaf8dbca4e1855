// Signals, standard streams that are closed, and several processes in one folder.
#include <filesystem>

#include "models/checkpoint.h"
#include "tests/catch.h"
#include "tests/metrics_of.h"
#include "tests/program.h"

using namespace gt;

namespace {

constexpr const char* longer = "train.iterations=200 train.checkpoint_every=200 train.val_every=200 threads=1";

/// The command after "continue with: " in an error, with the path of the program.
std::string shown_command(const std::string& error) {
  const std::string mark = "continue with: gradtrack ";
  const size_t at = error.find(mark);
  REQUIRE(at != std::string::npos);
  return error.substr(at + mark.size(), error.find('\n', at) - at - mark.size());
}

}  // namespace

TEST_CASE("signals: INT, TERM, HUP and USR1 save a training, and the shown command continues it", "[signals]") {
  const Workplace w;
  REQUIRE(run(w.train(longer, "whole")).status == 0);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGUSR1}) {
    const std::string name = str_cat("it's stopped by ", signal), folder = w.tmp / name;
    const std::string arguments =
        "train " + w.config + " data.root=" + w.data + " " + longer + " --out \"" + folder + "\"";
    RunningProgram training(arguments);
    REQUIRE(wait_for(folder + "/metrics.jsonl", "\"loss\""));
    const Result r = training.end_with(signal);
    INFO(r.err);
    CHECK(r.status == 1);
    REQUIRE(std::filesystem::exists(folder + "/last.safetensors"));
    const Result rest = run(shown_command(r.err));
    INFO(rest.err);
    CHECK(rest.status == 0);
    CHECK(has(rest.err, "resuming after iteration "));
    CHECK(metrics_of(folder) == metrics_of(w.tmp / "whole"));
  }
}

TEST_CASE("signals: a training that nohup started goes on after HUP", "[signals]") {
  const Workplace w;
  const std::string command = "sh -c \"trap '' HUP; exec " + std::string(GT_PROGRAM) + " " +
                              w.train(longer + std::string(" train.iterations=1000"), "run") +
                              "\" >/dev/null 2>&1 & child=$!; sleep 0.5; kill -HUP $child; wait $child";
  CHECK(WEXITSTATUS(std::system(command.c_str())) == 0);
}

TEST_CASE("streams: closed standard streams neither end a training nor get into its files", "[signals]") {
  const Workplace w;
  REQUIRE(run(w.train("", "whole")).status == 0);
  for (const char* closed : {"<&- >&- 2>&-", ">&- 2>&-", "2>&-", "<&-"}) {
    const std::string out = str_cat("run", std::string(closed).size(), closed[0] == '2');
    const std::string command = std::string(GT_PROGRAM) + " " + w.train("", out) + " " + closed;
    INFO(command);
    CHECK(WEXITSTATUS(std::system(("{ " + command + "; } 2>/dev/null").c_str())) == 0);
    CHECK(metrics_of(w.tmp / out) == metrics_of(w.tmp / "whole"));
    CHECK(read_file(w.tmp / (out + "/config.yaml")) == read_file(w.tmp / "whole/config.yaml"));
    CHECK_NOTHROW(read_checkpoint(w.tmp / (out + "/last.safetensors")));
  }
}

TEST_CASE("streams: a pipe that is closed does not end a training, and a full disk is an error", "[signals]") {
  const Workplace w;
  const std::string piped =
      "{ " + std::string(GT_PROGRAM) + " " + w.train("", "run") + " 2>&1; echo $? >" + w.tmp / "status" + "; } | true";
  CHECK(std::system(piped.c_str()) == 0);
  CHECK(read_file(w.tmp / "status") == "0\n");
  const std::string full = std::string(GT_PROGRAM) + " info >/dev/full 2>" + w.tmp / "err";
  CHECK(WEXITSTATUS(std::system(full.c_str())) == 1);
  CHECK(read_file(w.tmp / "err") == "gradtrack: standard output: cannot write: No space left on device\n");
}

TEST_CASE("runs: a second process in a run folder is refused with the process and host of the first", "[signals]") {
  const Workplace w;
  RunningProgram training(w.train(longer + std::string(" train.iterations=100000"), "run"));
  REQUIRE(wait_for(w.tmp / "run/metrics.jsonl", "\"loss\""));
  const std::string first = str_cat("run: process ", training.process(), " on host ");
  const std::string work = " (gradtrack train) is at work in it; wait for it, or choose another folder";
  for (const char* more : {"", "--resume", "seed=2"}) check_error(w.train(longer, "run") + " " + more, {first, work});
  check_error("eval " + w.tmp / "run", {first, work});
  CHECK(run("eval " + w.tmp / "run" + " --panels 0 --out " + w.tmp / "elsewhere").status == 0);
  CHECK(training.end_with(SIGKILL).status == 128 + SIGKILL);
  CHECK(run("eval " + w.tmp / "run" + " --panels 0").status == 0);
}

TEST_CASE("runs: temporary files that a killed process left are removed by the next one", "[signals]") {
  const Workplace w;
  REQUIRE(run(w.train("train.iterations=4", "run")).status == 0);
  const pid_t dead = fork();
  if (dead == 0) _exit(0);
  waitpid(dead, nullptr, 0);
  const std::string left = w.tmp / str_cat("run/last.safetensors.", dead, "-7.tmp");
  for (const std::string& command : {w.train("train.iterations=4", "run") + " --resume", "eval " + w.tmp / "run"}) {
    write(left, "half");
    CHECK(run(command).status == 0);
    CHECK_FALSE(std::filesystem::exists(left));
  }
}

TEST_CASE("runs: evaluations of several splits stand beside each other, and report shows test", "[signals]") {
  const Workplace w;
  REQUIRE(run(w.train("train.iterations=8", "run")).status == 0);
  const std::string folder = w.tmp / "run";
  REQUIRE(run("eval " + folder + " --split val").status == 0);
  REQUIRE(run("report " + folder).status == 0);  // the only split
  CHECK(has(read_file(folder + "/report.html"), "val"));
  check_error("report " + folder + " --split test",
              {"run: expected an evaluation on test, found none", "gradtrack eval "});
  REQUIRE(run("eval " + folder + " --split train").status == 0);
  check_error("report " + folder, {"run: is evaluated on the splits train, val: choose one with --split"});
  const std::string val = read_file(folder + "/eval_val.json");
  REQUIRE(run("eval " + folder).status == 0);
  CHECK(read_file(folder + "/eval_val.json") == val);
  REQUIRE(run("report " + folder).status == 0);
  const std::string page = read_file(folder + "/report.html");
  REQUIRE(run("report " + folder + " --split val").status == 0);
  CHECK(read_file(folder + "/report.html") != page);

  std::filesystem::remove(folder + "/eval_test.json");  // as an older version wrote it
  write(folder + "/eval.json", read_file(folder + "/eval_val.json"));
  std::filesystem::remove(folder + "/eval_val.json");
  CHECK(run("report " + folder + " --split val").status == 0);
  check_error("eval " + folder + " --split ../val", {"--split: expected a name without '/', got '../val'"});
  write(folder + "/eval_other.json", read_file(folder + "/eval.json"));
  check_error("report " + folder + " --split other",
              {"eval_other.json: expected the split that its name says, got 'val'"});
}

TEST_CASE("runs: commands that are shown can be pasted into a shell, and are one line", "[signals]") {
  const Workplace w;
  for (const std::string name : {"a b", "it's", "$HOME", "new\nline\tand '\\'", "back\\slash", "star*", "~"}) {
    std::string quoted;
    for (const char c : w.tmp / name) quoted += c == '\'' ? "'\\''" : std::string(1, c);
    const Result r = run("train " + w.config + " data.root=" + w.data + " train.iterations=2 --out '" + quoted + "'");
    INFO(r.err);
    REQUIRE(r.status == 0);
    const std::string mark = "evaluate with: gradtrack ";
    const std::string command = r.err.substr(r.err.find(mark) + mark.size());
    CHECK(std::count(command.begin(), command.end(), '\n') == 1);
    write(w.tmp / "script", std::string(GT_PROGRAM) + " " + command);
    CHECK(WEXITSTATUS(std::system(("bash " + w.tmp / "script" + " >/dev/null").c_str())) == 0);
    CHECK(std::filesystem::exists(w.tmp / name + "/eval_test.json"));
  }
}
