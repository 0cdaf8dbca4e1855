// What a run is trained on, recorded in its checkpoints, so that data that change before it is resumed are noticed.
#pragma once

#include <string>

#include "core/json.h"
#include "gaze/dataset.h"

namespace gt {

/// Loads a split as load_dataset() does. Adds its record under its name: for every image its name, and digests of the
/// decoded image, the mask, the label and the gaze. Where the files lie and when they were written changes nothing.
Dataset load_recorded(const DataOptions& options, const std::string& split, const DataNeeds& needs, LoadHooks hooks,
                      Json& record);

/// The first difference between two records of the splits train and val; "" if they are equal. Throws Error, naming
/// `where`, if the first one is malformed.
std::string first_data_difference(const Json& before, const Json& now, const std::string& where);

}  // namespace gt
