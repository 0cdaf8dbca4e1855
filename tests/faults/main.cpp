// fault_campaign PROGRAM [--write PAGE] [--seed N] [--only PART]: disturbs trainings and prints a table of what held.
// Status 1 if anything was lost.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "core/io.h"
#include "tests/faults/campaign.h"

namespace gt::faults {
namespace {

constexpr std::string_view begin_mark = "<!-- table of make faults: begin -->\n", end_mark = "<!-- end -->\n";

std::string result(const Row& row) {
  if (!row.skipped.empty()) return "skipped: " + row.skipped;
  return row.losses.empty() ? "all held" : str_cat(row.losses.size(), " lost");
}

/// A line of the table, in columns.
std::string line(const std::string& fault, const std::string& promise, const std::string& tried,
                 const std::string& what) {
  char text[256];
  std::snprintf(text, sizeof text, "| %-36s | %-48s | %5s | %-10s |\n", fault.c_str(), promise.c_str(), tried.c_str(),
                what.c_str());
  return text;
}

std::string line(const Row& row) { return line(row.fault, row.promise, std::to_string(row.tried), result(row)); }

/// Replaces the table between the marks of a page.
void write_table(const std::string& page, const std::string& table) {
  std::string text = read_file(page);
  const size_t begin = text.find(begin_mark), end = text.find(end_mark, begin == text.npos ? 0 : begin);
  if (begin == text.npos || end == text.npos) fail(page, ": expected the marks of the table");
  text.replace(begin + begin_mark.size(), end - begin - begin_mark.size(), table);
  write_file(page, text);
}

/// A new folder, which is removed at the end.
struct Folder {
  std::string path;
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "gradtrack-faults-XXXXXX").string();
    if (!mkdtemp(name.data())) fail(name, ": cannot make a folder");
    path = name;
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
};

struct Part {
  const char* name;
  Row (*run)(Workshop&);
};

constexpr Part parts[] = {
    {"kills", kills},         {"signals", signals}, {"two", two_trainings}, {"streams", closed_streams},
    {"calls", failing_calls}, {"disk", full_disk},  {"limit", file_limit},  {"truncated", truncated_checkpoints},
    {"bits", flipped_bits}};

/// Runs the campaign or, if given, the part `only`; returns whether nothing was lost.
bool run(const std::string& program, const std::string& page, uint64_t seed, const std::string& only) {
  const Folder folder;
  ::setenv("XDG_CACHE_HOME", folder.path.c_str(), 1);  // the user's cache stays as it is
  Workshop workshop(std::filesystem::absolute(program).string(), folder.path, seed);
  const std::string head = line("fault", "promise", "tried", "result") +
                           line(std::string(36, '-'), std::string(48, '-'), "----:", std::string(10, '-'));
  std::string table = head;
  std::printf("%s", head.c_str());
  bool held = true;
  for (const Part& part : parts) {
    if (!only.empty() && only != part.name) continue;
    std::fflush(stdout);
    const Row row = part.run(workshop);
    table += line(row);
    std::printf("%s", line(row).c_str());
    for (const std::string& loss : row.losses) std::printf("  LOST %s\n", loss.c_str());
    held = held && row.losses.empty();
  }
  if (!page.empty() && only.empty() && held) write_table(page, table);
  return held;
}

}  // namespace
}  // namespace gt::faults

int main(int count, char** arguments) {
  CLI::App app("Disturbs small trainings and checks that nothing is lost.");
  std::string program, page, only;
  uint64_t seed = 1;
  app.add_option("program", program, "the program gradtrack")->required();
  app.add_option("--write", page, "page whose table is replaced if all held");
  app.add_option("--seed", seed, "of the random moments and bits")->capture_default_str();
  std::vector<std::string> names;
  for (const auto& part : gt::faults::parts) names.emplace_back(part.name);
  app.add_option("--only", only, "one part of the campaign")->check(CLI::IsMember(names));
  CLI11_PARSE(app, count, arguments);
  try {
    return gt::faults::run(program, page, seed, only) ? 0 : 1;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "fault_campaign: %s\n", e.what());
    return 1;
  }
}
