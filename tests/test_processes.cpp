// Trainings by several processes, which mpirun starts.
#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "core/communicator.h"
#include "models/checkpoint.h"
#include "tests/differences.h"
#include "tests/metrics_of.h"
#include "tests/processes.h"

using namespace gt;

namespace {

#define GT_NEED_PROCESSES() \
  if (const std::string why = why_one_process(); !why.empty()) GT_SKIP_TEST(why)

/// 50 steps, whose batches two, three and four processes divide unevenly.
constexpr const char* steps =
    "threads=1 train.batch=5 train.iterations=50 train.val_every=50 train.checkpoint_every=10";

/// A nearly linear network. Where rounding changes the sign of a LeakyReLU's input, the gradient jumps. Losses of
/// trainings then differ by up to 3e-4 after 60 steps.
constexpr const char* smooth = " model.slope=0.99";

/// The largest relative difference of the losses and terms that two runs logged.
double loss_difference(const std::string& a, const std::string& b) {
  std::istringstream lines_a(metrics_of(a)), lines_b(metrics_of(b));
  double worst = 0;
  int count = 0;
  for (std::string line_a, line_b; std::getline(lines_a, line_a) && std::getline(lines_b, line_b);) {
    const auto x = nlohmann::json::parse(line_a), y = nlohmann::json::parse(line_b);
    if (!x.contains("loss")) continue;
    REQUIRE(x["iteration"] == y["iteration"]);
    const auto compare = [&worst](double p, double q) { worst = larger_difference(worst, p / q, 1); };
    compare(x["loss"], y["loss"]);
    for (const auto& [name, value] : x["terms"].items()) compare(value, y["terms"][name]);
    ++count;
  }
  CHECK(count == 25);
  return worst;
}

/// The largest difference of two networks' parameters.
double weight_difference(const std::string& a, const std::string& b) {
  const SafeTensors x = read_checkpoint(a + "/last.safetensors"), y = read_checkpoint(b + "/last.safetensors");
  REQUIRE(x.tensors.size() == y.tensors.size());
  double worst = 0;
  for (const auto& [name, tensor] : x.tensors) {
    if (name.rfind("optimizer.", 0) == 0) continue;
    const Tensor* other = y.find(name);
    REQUIRE(other != nullptr);
    for (int64_t i = 0; i < tensor.size(); ++i)
      worst = larger_difference(worst, tensor.data<float>()[i], other->data<float>()[i]);
  }
  return worst;
}

/// The process ids of the programs that mpirun, the child of a shell, has started.
std::vector<pid_t> ranks_of(pid_t shell_process) {
  const Result r = shell("for m in $(pgrep -P " + std::to_string(shell_process) + " mpirun || echo " +
                         std::to_string(shell_process) + "); do pgrep -P $m gradtrack; done");
  std::istringstream words(r.out);
  std::vector<pid_t> ranks;
  for (pid_t process = 0; words >> process;) ranks.push_back(process);
  return ranks;
}

}  // namespace

TEST_CASE("processes: slices cover all items and differ by one at most", "[processes]") {
  for (int64_t count : {1, 5, 8, 810})
    for (int size : {1, 2, 3, 5}) {
      int64_t at = 0;
      for (int rank = 0; rank < size; ++rank) {
        const Slice slice = slice_of(count, rank, size);
        CHECK(slice.begin == at);
        CHECK(slice.size() >= count / size);
        CHECK(slice.size() <= count / size + 1);
        at = slice.end;
      }
      CHECK(at == count);
    }
}

TEST_CASE("processes: one to four train the same network", "[processes]") {
  GT_NEED_PROCESSES();
  const Workplace w;
  for (const std::string recipe :
       {"gradtrack attention.target=pseudo", "gradtrack pseudo.refine=none optimizer.clip=0.2 train.accumulate=2",
        "gazemedseg optimizer.momentum=0.9", "full"}) {
    const std::string options = "recipe=" + recipe + " " + steps + smooth;
    const std::string one = recipe.substr(0, 8) + std::to_string(recipe.size());
    REQUIRE(run(w.train(options, one)).status == 0);
    for (int count = 2; count <= 4; ++count) {
      INFO(recipe << " by " << count << " processes");
      const std::string out = one + "_" + std::to_string(count);
      const Result r = run_processes(count, w.train(options, out));
      INFO(r.err);
      REQUIRE(r.status == 0);
      CHECK(has(r.err, std::to_string(count) + " processes, each with device cpu, 1 threads"));
      CHECK(loss_difference(w.tmp / one, w.tmp / out) < 1e-6);
      CHECK(weight_difference(w.tmp / one, w.tmp / out) < 1e-5);
    }
  }
}

TEST_CASE("processes: equal numbers of them give equal bits", "[processes]") {
  GT_NEED_PROCESSES();
  const Workplace w;
  for (const std::string reduce : {"f32", "bf16"}) {
    const std::string options = std::string(steps) + " train.ema=0.9 train.reduce=" + reduce;
    REQUIRE(run_processes(3, w.train(options, "a" + reduce)).status == 0);
    REQUIRE(run_processes(3, w.train(options, "b" + reduce)).status == 0);
    CHECK(read_file(w.tmp / ("a" + reduce + "/last.safetensors")) ==
          read_file(w.tmp / ("b" + reduce + "/last.safetensors")));
    CHECK(metrics_of(w.tmp / ("a" + reduce)) == metrics_of(w.tmp / ("b" + reduce)));
  }
  CHECK(weight_difference(w.tmp / "af32", w.tmp / "abf16") > 0);
  CHECK(weight_difference(w.tmp / "af32", w.tmp / "abf16") < 1e-2);
}

TEST_CASE("processes: a killed rank ends the run, and another number of them resumes it", "[processes]") {
  GT_NEED_PROCESSES();
  const Workplace w;
  const std::string options =
      "threads=1 train.batch=5 train.iterations=50 train.val_every=50 train.checkpoint_every=2 model.slope=0.99";
  REQUIRE(run(w.train(options, "whole")).status == 0);
  const std::string folder = w.tmp / "killed", err = w.tmp / "err";
  const pid_t launcher = fork();
  if (launcher == 0) {
    const std::string command = mpirun(3) + GT_PROGRAM + " " + w.train(options, "killed") + " 2>" + err;
    execl("/bin/sh", "sh", "-c", command.c_str(), nullptr);
    _exit(127);
  }
  REQUIRE(wait_for(folder + "/metrics.jsonl", "\"iteration\":4,"));
  const std::vector<pid_t> ranks = ranks_of(launcher);
  REQUIRE(ranks.size() == 3);
  kill(ranks[1], SIGKILL);
  int status = 0;
  waitpid(launcher, &status, 0);
  INFO(read_file(err));
  CHECK(WEXITSTATUS(status) != 0);
  CHECK(has(read_file(err), "exited on signal 9"));
  read_checkpoint(folder + "/last.safetensors");
  const Result r = run_processes(2, w.train(options, "killed") + " --resume");
  INFO(r.err);
  REQUIRE(r.status == 0);
  CHECK(has(r.err, "resuming after iteration "));
  CHECK(loss_difference(w.tmp / "whole", folder) < 1e-5);
  CHECK(weight_difference(w.tmp / "whole", folder) < 1e-5);
}

TEST_CASE("processes: a signal to all of them saves the run", "[processes]") {
  GT_NEED_PROCESSES();
  const Workplace w;
  const std::string options =
      "threads=1 train.batch=5 train.iterations=400 train.val_every=400 train.checkpoint_every=400";
  const std::string err = w.tmp / "err";
  const pid_t launcher = fork();
  if (launcher == 0) {
    const std::string command = "exec env " + mpirun(2) + GT_PROGRAM + " " + w.train(options, "run") + " 2>" + err;
    execl("/bin/sh", "sh", "-c", command.c_str(), nullptr);
    _exit(127);
  }
  REQUIRE(wait_for(w.tmp / "run/metrics.jsonl", "\"loss\""));
  kill(launcher, SIGUSR1);  // which mpirun passes on
  int status = 0;
  waitpid(launcher, &status, 0);
  INFO(read_file(err));
  CHECK(WEXITSTATUS(status) == 1);
  CHECK(has(read_file(err), "interrupted; the run is saved, continue with: "));
  CHECK(std::filesystem::exists(w.tmp / "run/last.safetensors"));
}

TEST_CASE("processes: a configuration or data that differ from rank 0's are refused", "[processes]") {
  GT_NEED_PROCESSES();
  const Workplace w;
  const std::string program = std::string(GT_PROGRAM) + " ";
  const std::string other = w.train(std::string(steps) + " optimizer.lr=0.02", "run");
  const Result key = shell(mpirun(1) + program + w.train(steps, "run") + " : -np 1 " + program + other);
  INFO(key.err);
  CHECK(key.status == 1);
  CHECK(has(key.err, "gradtrack: rank 1 on "));
  CHECK(has(key.err, "this process differs from rank 0: optimizer.lr"));

  const std::string a = w.tmp / "a", b = w.tmp / "b";
  for (const std::string& place : {a, b}) {
    std::filesystem::create_directories(place);
    std::filesystem::copy(w.data, place + "/data", std::filesystem::copy_options::recursive);
  }
  std::ofstream(b + "/data/train.txt", std::ios::app) << "\n";
  const std::string train = program + "train " + w.config + " data.root=data " + steps + " --out " + w.tmp / "run2";
  const Result data = shell(mpirun(1) + "-wdir " + a + " " + train + " : -np 1 -wdir " + b + " " + train);
  INFO(data.err);
  CHECK(data.status == 1);
  CHECK(has(data.err, "this process differs from rank 0: data: train.txt was "));
  CHECK_FALSE(std::filesystem::exists(w.tmp / "run2/metrics.jsonl"));
}

TEST_CASE("processes: more of them than images in a batch, and other subcommands, are refused", "[processes]") {
  GT_NEED_PROCESSES();
  const Workplace w;
  const Result batch = run_processes(3, w.train("train.batch=2", "run"));
  CHECK(batch.status == 1);
  CHECK(has(batch.err, "gradtrack: rank 0 on "));
  CHECK(has(batch.err, "train.batch 2: expected at least an image for each of the 3 processes"));
  const Result other = run_processes(2, "synth --out " + w.tmp / "more");
  CHECK(other.status == 1);
  CHECK(has(other.err, "gradtrack synth runs in one process, but 2 were started together"));
}

TEST_CASE("processes: they evaluate to the same scores as one", "[processes]") {
  GT_NEED_PROCESSES();
  const Workplace w;
  REQUIRE(run(w.train("train.iterations=4 train.val_every=4", "run")).status == 0);
  const std::string eval = "eval " + w.tmp / "run --split train --panels 0 --out ";
  const Result one = run(eval + w.tmp / "scores");
  REQUIRE(one.status == 0);
  const std::string scores = read_file(w.tmp / "scores/eval_train.json");
  const Result three = run_processes(3, eval + w.tmp / "scores");
  INFO(three.err);
  REQUIRE(three.status == 0);
  CHECK(read_file(w.tmp / "scores/eval_train.json") == scores);
  CHECK(three.out == one.out);  // printed once
}

TEST_CASE("processes: a prediction counts what is sent", "[processes]") {
  const Workplace w;
  const std::string plan = "info --plan " + w.config + " data.root=" + w.data + " --ranks 1,4,8 --network eth25";
  check_error(plan, {"--ranks: expected --step MS too"});
  const Result r = run(plan + " --step 100");
  INFO(r.out);
  REQUIRE(r.status == 0);
  double megabytes = 0;
  REQUIRE(std::sscanf(r.out.c_str() + r.out.find("gradients: "), "gradients: %lf MB in f32", &megabytes) == 1);
  std::istringstream lines(r.out);
  std::vector<std::vector<std::string>> rows;
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::vector<std::string> row;
    for (std::string word; words >> word;) row.push_back(word);
    if (!row.empty() && (row[0] == "1" || row[0] == "4" || row[0] == "8")) rows.push_back(row);
  }
  REQUIRE(rows.size() == 6);  // strong scaling of a batch of four images, then weak scaling
  CHECK(rows[0] == std::vector<std::string>{"1", "4", "100.00", "0.0", "0.00", "-", "100.00", "40", "100", "%"});
  CHECK(rows[1][1] == "1");
  CHECK(std::stod(rows[1][3]) == Approx(1.5 * megabytes).margin(0.1));  // 2 (n - 1) / n
  CHECK(rows[2] == std::vector<std::string>{"8", "-"});
  CHECK(rows[4][1] == "4");
  CHECK(rows[4][2] == "100.00");
  CHECK(run(plan + " --step 100 --network tin-cans").status == 2);
}
