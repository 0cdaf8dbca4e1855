// gradtrack info
#include <cstdio>

#include <nlohmann/json.hpp>

#include "core/check.h"
#include "core/communicator.h"
#include "core/device.h"
#include "core/parallel.h"
#include "core/processor.h"
#include "gaze/dicom.h"
#include "gaze/picture.h"
#include "gaze/scan.h"
#include "kernels/libraries/cudnn.h"
#include "models/onnx.h"
#include "tools/commands.h"
#include "tools/step_plan.h"

namespace gt {
namespace {

const char* cuda_state() {
  switch (cuda_status().state) {
    case CudaState::not_built:
      return "not built";
    case CudaState::no_device:
      return "built, no device";
    case CudaState::device:
      return GT_EMULATE ? "emulated device" : "device";
  }
  return "?";
}

void info() {
  const auto row = [](const char* name, const std::string& value) { std::printf("%-14s %s\n", name, value.c_str()); };
  row("gradtrack", GT_VERSION);
  row("build", str_cat(GT_BUILD_TYPE, ", ", __VERSION__, ", for ", compiled_vectors()));
  row("cpu", processor_features());
  row("bits", compiled_with_fma() ? "as on every processor with AVX2 or AVX-512" : "as on processors without FMA");
  row("threads", std::to_string(num_threads()));
  row("cuda", str_cat(cuda_state(), ": ", cuda_status().reason));
#if GT_CUDA && !GT_EMULATE
  row("cuDNN", cudnn::version());
#endif
  row("MPI", mpi_version().empty() ? "not built: MPI was not found" : mpi_version());
  row("NCCL", nccl_version().empty() ? "not built" : nccl_version());
  row("PNG", png_decoder());
  row("JPEG", jpeg_decoder());
  row("DICOM", dicom_built() ? "built" : "not built: DCMTK was not found");
  row("ONNX", onnx_state());
  row("NIfTI", nifti_built() ? nifti_library() : "not built: libnifti was not found");
  row("nlohmann-json",
      str_cat(NLOHMANN_JSON_VERSION_MAJOR, ".", NLOHMANN_JSON_VERSION_MINOR, ".", NLOHMANN_JSON_VERSION_PATCH));
  row("CLI11", CLI11_VERSION);
  row("yaml-cpp", GT_YAML_CPP_VERSION);
}

}  // namespace

void add_info_command(CLI::App& app) {
  auto* command = app.add_subcommand("info", "Describe the build and its libraries, or plan a training step");
  auto o = std::make_shared<StepPlanOptions>();
  auto* plan = command->add_option("--plan", o->config, "print memory, work and launches of a training step instead")
                   ->type_name("CONFIG.yaml");
  command->add_option("overrides", o->overrides, "keys that override the file, e.g. train.batch=64")
      ->type_name("key=value ...")
      ->needs(plan);
  command->add_option("--device", o->device, "device of the step: cpu, cuda, or auto for cuda if this build has it")
      ->check(CLI::IsMember({"auto", "cpu", "cuda"}))
      ->capture_default_str()
      ->needs(plan);
  command->add_option("--gpu", o->gpu, "GPU that cuDNN plans for: here, a100, h100 or h200")
      ->capture_default_str()
      ->needs(plan);
  command->add_option("--json", o->json, "also write the plan to this JSON file")->type_name("FILE")->needs(plan);
  auto* ranks =
      command->add_option("--ranks", o->scaling.ranks, "predict the step in these numbers of processes instead")
          ->delimiter(',')
          ->check(CLI::Range(1, 1 << 20))
          ->type_name("N,N...")
          ->needs(plan);
  command->add_option("--network", o->scaling.network, "network that joins the processes")
      ->check(CLI::IsMember(scaling_networks()))
      ->default_str("nvlink")
      ->needs(ranks);
  command->add_option("--step", o->scaling.step_ms, "measured time of the step in one process, which --ranks needs")
      ->type_name("MS")
      ->needs(ranks);
  command->footer(
      "Prints version, compiler, processor, CUDA state and library versions. With --plan, goes through one\n"
      "training step without computing it. A plan needs no data, no GPU, and not the memory that it counts.\n\n"
      "Examples:\n"
      "  gradtrack info\n"
      "  gradtrack info --plan configs/kvasir.yaml train.batch=64 precision=bf16\n"
      "  gradtrack info --plan configs/kvasir.yaml --ranks 1,2,4,8,64 --network ib400 --step 7.3");
  command->callback([o] { o->config.empty() ? info() : print_step_plan(*o); });
}

}  // namespace gt
