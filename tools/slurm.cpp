#include "tools/slurm.h"

#include <sys/stat.h>
#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <sstream>

#include "core/check.h"
#include "core/io.h"
#include "core/json.h"
#include "tools/shell.h"

namespace gt {
namespace {

struct Output {
  int status;
  std::string text;  // of both streams, without trailing line ends
};

/// Runs a program of Slurm.
Output run_program(const std::vector<std::string>& words) {
  FILE* const pipe = popen((shell_words(words) + " 2>&1 </dev/null").c_str(), "r");
  if (pipe == nullptr) fail("cannot start ", words[0]);
  Output output{};
  std::array<char, 4096> buffer{};
  while (const size_t count = fread(buffer.data(), 1, buffer.size(), pipe)) output.text.append(buffer.data(), count);
  const int status = pclose(pipe);
  output.status = WIFEXITED(status) ? WEXITSTATUS(status) : 1;
  while (!output.text.empty() && output.text.back() == '\n') output.text.pop_back();
  return output;
}

std::string jobs_file(const std::string& folder) { return folder + "/slurm/jobs.json"; }

std::string this_program() { return std::filesystem::read_symlink("/proc/self/exe").string(); }

std::vector<std::string> with_program(std::vector<std::string> words) {
  words.insert(words.begin(), this_program());
  return words;
}

/// A path for --output, in which % begins a pattern.
std::string output_path(const std::string& path, const std::string& pattern) {
  std::string escaped;
  for (const char c : std::filesystem::absolute(path).string())
    escaped += c == '%' ? std::string("%%") : std::string(1, c);
  return escaped + pattern;
}

void write_script(const std::string& path, const std::string& text) {
  write_file(path, "#!/bin/sh\n" + text);
  chmod(path.c_str(), 0755);
}

/// Submits a script and returns the id of its job.
std::string submit(const std::vector<std::string>& options, const std::string& script) {
  std::vector<std::string> words = {"sbatch", "--parsable"};
  words.insert(words.end(), options.begin(), options.end());
  words.push_back(script);
  const Output output = run_program(words);
  const std::string id = output.text.substr(output.text.rfind('\n') + 1);
  if (output.status != 0 || id.empty() || id[0] < '0' || id[0] > '9')
    fail("sbatch: ", output.text.empty() ? "no answer" : output.text, "; the command was ", shell_words(words));
  return id.substr(0, id.find(';'));
}

/// Options of every job.
std::vector<std::string> common_options(const std::string& name, const SlurmOptions& o) {
  std::vector<std::string> words = {"--job-name=gradtrack-" + name, "--open-mode=append"};
  if (!o.partition.empty()) words.push_back("--partition=" + o.partition);
  words.insert(words.end(), o.options.begin(), o.options.end());
  return words;
}

}  // namespace

SlurmJobs submitted_jobs(const std::string& folder) {
  const std::string path = jobs_file(folder);
  if (!path_exists(path)) return {};
  const Json json = parse_json(read_file(path), path);
  return {json_string(json, "array", path), json_string(json, "tables", path)};
}

std::map<size_t, std::string> array_states(const std::string& array) {
  std::map<size_t, std::string> states;
  if (array.empty()) return states;
  const Output output = run_program({"squeue", "--noheader", "--array", "--jobs=" + array, "--format=%K %T"});
  if (output.status != 0) {
    if (output.text.find("Invalid job id") != std::string::npos) return states;  // Slurm forgets jobs that have ended
    fail("squeue: ", output.text);
  }
  std::istringstream lines(output.text);
  size_t place = 0;
  for (std::string state; lines >> place >> state;) states[place] = state;
  return states;
}

SlurmJobs submit_jobs(const std::string& folder, const std::vector<size_t>& places, const std::vector<std::string>& run,
                      const std::vector<std::string>& tables, int64_t threads, const SlurmOptions& o) {
  const std::string base = folder + "/slurm";
  make_folder(base);
  write_script(base + "/run.sh",
               "# One run of the experiment: the one at SLURM_ARRAY_TASK_ID. TERM and USR1 save it. Slurm sends USR1 "
               "before the\n"
               "# job's time is over; the job is then queued again and continues the run.\n" +
                   shell_words(with_program(run)) + " --run \"$SLURM_ARRAY_TASK_ID\" &\n" +
                   "run=$!\n"
                   "trap 'kill -TERM \"$run\"' TERM\n"
                   "trap 'again=yes; kill -TERM \"$run\"' USR1\n"
                   "wait \"$run\"; status=$?\n"
                   "while kill -0 \"$run\" 2>/dev/null; do wait \"$run\"; status=$?; done\n"
                   "[ -z \"${again:-}\" ] || scontrol requeue \"$SLURM_JOB_ID\"\n"
                   "exit \"$status\"\n");
  write_script(base + "/tables.sh",
               "# The tables of the experiment, after all runs.\nexec " + shell_words(with_program(tables)) + "\n");
  std::vector<std::string> options = common_options("run", o);
  std::string list;
  for (const size_t place : places) list += (list.empty() ? "" : ",") + std::to_string(place);
  options.insert(options.end(), {"--array=" + list, "--output=" + output_path(base, "/run_%a.txt"), "--requeue",
                                 "--signal=B:USR1@60"});
  if (!o.time.empty()) options.push_back("--time=" + o.time);
  if (o.gpus > 0) options.push_back("--gpus=" + std::to_string(o.gpus));
  if (threads > 0) options.push_back("--cpus-per-task=" + std::to_string(threads));
  SlurmJobs jobs;
  jobs.array = submit(options, base + "/run.sh");
  write_file(jobs_file(folder), Json{{"array", jobs.array}, {"tables", ""}}.dump() + "\n");
  options = common_options("tables", o);
  options.insert(options.end(),
                 {"--dependency=afterany:" + jobs.array, "--output=" + output_path(base, "/tables.txt")});
  jobs.tables = submit(options, base + "/tables.sh");
  write_file(jobs_file(folder), Json{{"array", jobs.array}, {"tables", jobs.tables}}.dump() + "\n");
  return jobs;
}

}  // namespace gt
