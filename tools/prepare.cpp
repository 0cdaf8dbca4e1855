// gradtrack prepare
#include "gaze/prepare.h"

#include <cstdio>
#include <memory>

#include "tools/commands.h"
#include "tools/label_options.h"
#include "tools/progress.h"

namespace gt {
namespace {

using Prepare = Prepared (*)(const PrepareOptions&, const PrepareProgress&);

void run(const PrepareOptions& o, Prepare prepare, const char* unit) {
  std::unique_ptr<ProgressBar> bar;
  const Prepared prepared = prepare(o, [&](size_t done, size_t all) {
    if (!bar) bar = std::make_unique<ProgressBar>("prepare", int64_t(all));
    bar->update(int64_t(done), unit);
  });
  bar.reset();
  for (const std::string& note : prepared.notes) std::printf("note: %s\n", note.c_str());
  if (!o.labels.ignored.empty())
    std::printf(
        "note: ignored pixels have the value 127: train with 'data.labels={foreground: [255], ignored: [127]}'\n");
  std::printf("written: %s: %zu training, %zu validation and %zu test images\n", o.out.c_str(), prepared.train,
              prepared.val, prepared.test);
}

void add_data_set(CLI::App& command, const char* name, const char* what, Prepare prepare, const char* unit,
                  bool has_labels, const char* help) {
  auto* data_set = command.add_subcommand(name, what);
  auto o = std::make_shared<PrepareOptions>();
  data_set->add_option("raw", o->raw, "folder of the unpacked download")->required()->type_name("RAW");
  data_set->add_option("out", o->out, "folder of the data set to write")->required()->type_name("OUT");
  data_set->add_option("--gaze", o->gaze, "fixations on the images, such as GazeMedSeg's; written to OUT/gaze.csv")
      ->type_name("FILE");
  data_set->add_option("--val", o->val, "share of the training images to hold out for validation")
      ->check(CLI::Range(0.01, 0.5))
      ->capture_default_str();
  if (has_labels) add_label_options(*data_set, o->labels);
  data_set->footer(help);
  data_set->callback([o, prepare, unit] { run(*o, prepare, unit); });
}

}  // namespace

void add_prepare_command(CLI::App& app) {
  auto* command = app.add_subcommand("prepare", "Convert a public data set to a data set folder");
  command->require_subcommand(1);
  add_data_set(*command, "kvasir-seg", "Kvasir-SEG: polyps, 1,000 images", prepare_kvasir_seg, "images", true,
               "RAW contains images/ and masks/, and for GazeMedSeg's split its train.txt and test.txt.\n\n"
               "Example:\n  gradtrack prepare kvasir-seg Kvasir-SEG data/kvasir-seg --gaze kvasir_fixation.csv");
  add_data_set(
      *command, "nci-isbi", "NCI-ISBI 2013: prostate, MRI slices", prepare_nci_isbi, "patients", false,
      "RAW contains DICOM slices and NRRD label volumes of the training and test parts. docs/data.md says where\n"
      "to download them.\n\n"
      "Example:\n  gradtrack prepare nci-isbi NCI-ISBI-2013/raw data/nci-isbi --gaze nci-isbi_fixation.csv");
  add_data_set(
      *command, "volumes", "volumes with label volumes, as axial slices: NIfTI, DICOM of several frames",
      prepare_volumes, "volumes", false,
      "RAW contains images/NAME.nii.gz (.nii, .dcm) and masks/NAME.nii.gz, labels of the same voxels. Slices with\n"
      "a label of 1 or more become NAME_z000 and so on.\n\n"
      "Example:\n  gradtrack prepare volumes scans data/scans --gaze fixations.csv");
  command->footer(
      "Writes images/, masks/, the lists train.txt, val.txt and test.txt, and with --gaze gaze.csv.\n\n"
      "Example:\n  gradtrack prepare kvasir-seg --help");
}

}  // namespace gt
