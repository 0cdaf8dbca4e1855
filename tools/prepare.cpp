// gradtrack prepare
#include "gaze/prepare.h"

#include <cstdio>
#include <memory>

#include "tools/commands.h"
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
  std::printf("written: %s: %zu images to train on, %zu to validate, %zu to test\n", o.out.c_str(), prepared.train,
              prepared.val, prepared.test);
}

void add_data_set(CLI::App& command, const char* name, const char* what, Prepare prepare, const char* unit,
                  const char* help) {
  auto* data_set = command.add_subcommand(name, what);
  auto o = std::make_shared<PrepareOptions>();
  data_set->add_option("raw", o->raw, "folder of the download, unpacked")->required()->type_name("RAW");
  data_set->add_option("out", o->out, "data set folder to make")->required()->type_name("OUT");
  data_set->add_option("--gaze", o->gaze, "gaze on its images, such as GazeMedSeg's; becomes OUT/gaze.csv")
      ->type_name("FILE");
  data_set->add_option("--val", o->val, "share of the training part that is held out for validation")
      ->check(CLI::Range(0.01, 0.5))
      ->capture_default_str();
  data_set->footer(help);
  data_set->callback([o, prepare, unit] { run(*o, prepare, unit); });
}

}  // namespace

void add_prepare_command(CLI::App& app) {
  auto* command = app.add_subcommand("prepare", "Make a data set folder from a public download");
  command->require_subcommand(1);
  add_data_set(*command, "kvasir-seg", "Kvasir-SEG: polyps, 1,000 images", prepare_kvasir_seg, "images",
               "Example:\n  gradtrack prepare kvasir-seg Kvasir-SEG data/kvasir-seg --gaze kvasir_fixation.csv\n\n"
               "RAW holds images/ and masks/ and, for GazeMedSeg's split, its train.txt and test.txt.");
  add_data_set(*command, "nci-isbi", "NCI-ISBI 2013: prostate, MRI slices", prepare_nci_isbi, "patients",
               "Example:\n  gradtrack prepare nci-isbi NCI-ISBI-2013/raw data/nci-isbi --gaze nci-isbi_fixation.csv\n\n"
               "RAW holds DICOM slices and NRRD label volumes of the training and test parts; docs/data.md says where "
               "from.");
  command->footer("Example:\n  gradtrack prepare kvasir-seg --help");
}

}  // namespace gt
