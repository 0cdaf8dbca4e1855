#include <unistd.h>

#include <fstream>

#include "core/io.h"
#include "gaze/dataset.h"
#include "tests/fuzz/fuzz.h"

namespace gt::fuzz {
namespace {

/// A data set of three images, made once.
std::string data_set() {
  const std::string root = scratch("data");
  for (const char* part : {"/images", "/masks"}) {
    const std::string folder = root + part;
    make_folder(folder);
    Image image(8, 8, 1);
    image.pixels[9] = 255;
    for (const char* name : {"a", "b", "c.d"}) put(folder + "/" + name + ".png", encode_png(image));
  }
  return root;
}

}  // namespace

/// The bytes: train.txt and, after a 0 byte each, gaze.csv and the name of a further file in images/ and masks/.
void fuzz_lists(std::string_view bytes) {
  static const std::string root = data_set();
  const std::vector<std::string> parts = split_at_zero(bytes);
  put(root + "/train.txt", parts[0]);
  if (parts.size() > 1) put(root + "/gaze.csv", parts[1]);
  const std::string& name = parts.size() > 2 ? parts[2] : "";
  std::string more;
  if (!name.empty() && name.size() < 200 && name.find('/') == name.npos && name != "." && name != "..")
    more = root + (name[0] & 1 ? "/images/" : "/masks/") + name;
  const bool is_new = !more.empty() && !std::ifstream(more);
  if (is_new) put(more, "");
  DataOptions options;
  options.root = root;
  options.size = 16;
  DataNeeds needs;
  needs.labels = needs.masks = true;
  needs.gaze = parts.size() > 1;
  reads(root, [&] {
    const Dataset data = load_dataset(options, "train", needs);
    if (data.samples.size() != split_names(options, "train").size())
      report_finding("a split has another number of samples than its list has names");
  });
  if (is_new) unlink(more.c_str());
}

}  // namespace gt::fuzz
