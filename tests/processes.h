// Several processes of a program, started by mpirun.
#pragma once

#include <cstdlib>
#include <string>

#include "tests/mpirun.h"
#include "tests/program.h"

namespace gt {

/// Why no test can start several processes; "" if it can.
inline std::string why_one_process() {
  if (!has(run("info").out, "MPI            Open MPI")) return "the program is built without Open MPI";
  if (std::system("command -v mpirun >/dev/null") != 0) return "mpirun is not installed";
  return "";
}

/// Runs a shell command.
inline Result shell(const std::string& command) {
  const TempFolder tmp;
  const int status = std::system(("( " + command + " ) >" + tmp / "out" + " 2>" + tmp / "err" + " </dev/null").c_str());
  return {WEXITSTATUS(status), read_file(tmp / "out"), read_file(tmp / "err")};
}

/// Runs `gradtrack ARGUMENTS` in several processes.
inline Result run_processes(int count, const std::string& arguments) {
  return shell(mpirun(count) + GT_PROGRAM + " " + arguments);
}

}  // namespace gt
