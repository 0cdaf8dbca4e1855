// Occupancy of kernels, compared with values computed by hand from the tables of the CUDA C++ Programming Guide.
#include "core/occupancy.h"

#include "bench/ptxas_report.h"
#include "tests/catch.h"
#include "tests/temp_folder.h"

using namespace gt;

namespace {

Occupancy on(const char* arch, const BlockResources& block) { return occupancy(block, multiprocessor_limits(arch)); }

std::string report_of(const std::string& kernel, const std::string& arch, int registers, const std::string& more = "") {
  return "ptxas info    : Compiling entry function '" + kernel + "' for '" + arch + "'\n" +
         "ptxas info    : Function properties for " + kernel + "\n" +
         "    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads\n" + "ptxas info    : Used " +
         std::to_string(registers) + " registers, used 1 barriers" + more + "\n";
}

}  // namespace

TEST_CASE("occupancy: full if neither registers nor shared memory limit it", "[occupancy]") {
  // A warp has 32 x 32 registers: 16 in each quarter of 16384, so all 64 warps. 64 warps are 8 blocks.
  const Occupancy o = on("sm_90", {256, 32, 0});
  CHECK(o.by_warps == 8);
  CHECK(o.by_blocks == 32);
  CHECK(o.by_registers == 8);
  CHECK(o.by_shared == 228);  // 1 KiB of each block is the system's
  CHECK(o.blocks() == 8);
  CHECK(o.share() == 1);
  CHECK(o.limited_by() == "warps and registers");
  CHECK(on("sm_90", {256, 24, 0}).limited_by() == "warps");
}

TEST_CASE("occupancy: registers come in multiples of 256 a warp and in quarters", "[occupancy]") {
  for (const int registers : {33, 40}) {  // both 1280 a warp: 12 warps in each quarter, 48 in all, 6 blocks
    const Occupancy o = on("sm_80", {256, registers, 0});
    CHECK(o.blocks() == 6);
    CHECK(o.share() == 0.75);
    CHECK(o.limited_by() == "registers");
  }
  CHECK(on("sm_80", {256, 41, 0}).blocks() == 5);    // 1536: 10 and 40 warps
  CHECK(on("sm_80", {1024, 64, 0}).share() == 0.5);  // 2048: 8 and 32 warps
  CHECK(on("sm_80", {1024, 65, 0}).blocks() == 0);   // 32 warps of 2304 exceed 65536
  CHECK(on("sm_80", {64, 255, 0}).blocks() == 4);    // 8192: 2 and 8 warps
}

TEST_CASE("occupancy: small blocks are limited by their number", "[occupancy]") {
  const Occupancy o = on("sm_90", {32, 16, 0});
  CHECK(o.blocks() == 32);
  CHECK(o.share() == 0.5);
  CHECK(o.limited_by() == "blocks");
  CHECK(on("sm_90", {100, 16, 0}).by_warps == 16);  // 4 warps, the last one partly filled
}

TEST_CASE("occupancy: shared memory has 1 KiB more for each block, in multiples of 128 bytes", "[occupancy]") {
  // 50000 + 1024 bytes become 399 x 128 = 51072; 164 KiB are 167936, 228 KiB 233472.
  CHECK(on("sm_80", {128, 32, 50000}).blocks() == 3);
  CHECK(on("sm_90", {128, 32, 50000}).blocks() == 4);
  CHECK(on("sm_90", {128, 32, 50000}).share() == 0.25);
  CHECK(on("sm_90", {128, 32, 50000}).limited_by() == "shared memory");
  CHECK(on("sm_80", {128, 32, 163 * 1024}).blocks() == 1);
  CHECK(on("sm_80", {128, 32, 163 * 1024 + 1}).blocks() == 0);
  CHECK(on("sm_90", {128, 32, 227 * 1024}).blocks() == 1);
  CHECK(on("sm_90", {128, 32, 227 * 1024 + 1}).blocks() == 0);
}

TEST_CASE("occupancy: unknown architectures and impossible blocks are refused", "[occupancy]") {
  CHECK(error_of([] { multiprocessor_limits("sm_61"); }) == "architecture sm_61: expected sm_80 or sm_90");
  CHECK_THROWS_AS(on("sm_90", {0, 32, 0}), Error);
  CHECK_THROWS_AS(on("sm_90", {1025, 32, 0}), Error);
}

TEST_CASE("occupancy: the report of ptxas names kernels as the program does", "[occupancy]") {
  const TempFolder folder;
  const std::string sums = "_ZN2gt39_GLOBAL__N__613d7344_7_sums_cu_308b4e584sumsIfEEvPKT_";
  std::filesystem::create_directories(folder / "kernels");
  write(folder / "kernels/sums.cu.o.ptxas", "ptxas info    : 0 bytes gmem\n" + report_of(sums, "sm_80", 20) +
                                                report_of(sums, "sm_90", 24, ", 4096 bytes smem, 400 bytes cmem[0]") +
                                                report_of("_ZN2gt4onceEPf", "sm_90", 10));
  write(folder / "other.cu.o.ptxas",
        report_of("_ZN2gt39_GLOBAL__N__00000000_7_more_cu_000000004sameEPf", "sm_90", 10) +
            report_of("_ZN2gt39_GLOBAL__N__11111111_7_less_cu_111111114sameEPf", "sm_90", 11));
  const PtxasReport hopper(folder / "", "sm_90"), ampere(folder / "", "sm_80");
  const std::string name = "void gt::(anonymous namespace)::sums<float>(float const*)";
  CHECK(hopper.find(name) == KernelResources{24, 4096});
  CHECK(ampere.find(name) == KernelResources{20, 0});
  CHECK(hopper.find("gt::once(float*)") == KernelResources{10, 0});
  CHECK(hopper.find("gt::once(std::conditional<true, float, int>::type*)") == KernelResources{10, 0});
  CHECK(without_parameters("void gt::sums<(gt::Kind)0, float>(void (*)(int), float*)") ==
        "gt::sums<(gt::Kind)0, float>");
  CHECK_FALSE(ampere.find("gt::once(float*)"));
  CHECK_FALSE(hopper.find("gt::(anonymous namespace)::same(float*)"));  // two kernels, which differ
  CHECK(error_of([&] { PtxasReport(folder / "", "sm_75"); }).find("the report has no kernel for sm_75") !=
        std::string::npos);
  CHECK(error_of([&] { PtxasReport(folder / "absent", "sm_90"); }).find("no such folder") != std::string::npos);
  std::filesystem::create_directories(folder / "empty");
  CHECK(error_of([&] { PtxasReport(folder / "empty", "sm_90"); }).find("no files *.cu.o.ptxas") != std::string::npos);
}
