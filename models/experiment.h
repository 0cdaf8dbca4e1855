// Experiments: variants of one configuration, the arms, which are trained with several seeds and compared.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "models/config.h"

namespace gt {

/// The configuration that all arms of an experiment start from.
struct BaseConfig {
  std::string path;                    // configuration file
  std::vector<std::string> overrides;  // "KEY=VALUE"

  /// The configuration with `overrides`, then `more` overrides. `notes` and errors are those of load_config().
  Config with(const std::vector<std::string>& more, ConfigNotes* notes = nullptr) const;
};

/// One variant of the base configuration.
struct Arm {
  std::string name;                        // can be used as the name of a folder
  std::vector<std::string> overrides;      // "KEY=VALUE", applied after those of the base
  Config config;                           // the resolved configuration, with the seed of the base
  std::string degradation = {};            // describes how its gaze is degraded; "" if it is not
  double hours = 0;                        // that a physician needs for its annotations; 0 if that is not the question
  std::string annotation = {};             // what these are: gaze, masks, both
  std::vector<std::string> defaults = {};  // "KEY=VALUE": those that its recipe has of its own, and uses
};

/// Arms, and the pairs of them whose scores are compared.
struct Experiment {
  BaseConfig base;
  std::vector<Arm> arms;
  std::vector<std::pair<size_t, size_t>> pairs;  // indices of arms; the difference is first minus second

  /// What the arm differs in from arms of other recipes, besides what its overrides say: those of its `defaults` whose
  /// keys have another value there.
  std::vector<std::string> own_settings(size_t arm) const;
};

/// An experiment with one arm per recipe, which compares all pairs. With `degraded`, five more arms for each recipe
/// that uses gaze are compared with that recipe's arm. Their gaze has position noise of 2, 5 or 10 % of the image's
/// side, an offset of 5 %, or half of the fixations. With `same_settings`, the arms have the settings of the base where
/// recipes have defaults of their own. Throws Error for an unknown recipe and for one named twice.
Experiment compare_recipes(const BaseConfig& base, const std::vector<std::string>& recipes, bool degraded = false,
                           bool same_settings = false);

/// What annotations cost. The defaults are those of GazeMedSeg's publication for 900 images of Kvasir-SEG: 2.2 hours of
/// looking, 18.7 hours of drawing.
struct AnnotationTimes {
  double gaze = 2.2 * 3600 / 900, mask = 18.7 * 3600 / 900;  // seconds of an image
};

/// An experiment on what a physician's time is worth, with `images` training images. Its arms are trained on gaze of
/// some or all images (recipe gradtrack); on masks (recipe full) of as many images as take the same hours, and of more
/// up to all; on gaze cut to its first 3, 5 and 10 seconds; and on gaze of all images with masks of a few. Arms of
/// equal hours are compared, and mixed ones with gaze alone. Throws Error for fewer than 100 images.
Experiment compare_annotation_times(const BaseConfig& base, int64_t images, const AnnotationTimes& times);

/// A key and the values that an experiment tries for it.
struct ConfigAxis {
  std::string key;
  std::vector<std::string> values;  // YAML
};

/// Parses "KEY=v1,v2,...". Commas inside brackets belong to a value, so values can be lists. Throws Error.
ConfigAxis parse_axis(const std::string& word);

/// A named set of overrides.
struct ConfigVariant {
  std::string name;
  std::vector<std::string> overrides;  // "KEY=VALUE"
};

/// Parses "NAME: KEY=VALUE KEY=VALUE ...". Spaces inside brackets belong to a value. A name consists of letters, digits
/// and . _ - characters. Throws Error.
ConfigVariant parse_variant(const std::string& word);

/// An experiment that compares variants with the base, which is the first arm. There is one arm for each value of each
/// axis, with the other keys as in the base. With `grid` there is one arm for each combination of values instead. One
/// arm for each of `variants` follows. An arm whose configuration equals an earlier one is omitted. Throws Error if an
/// arm changes no key that its recipe reads.
Experiment compare_variants(const BaseConfig& base, const std::vector<ConfigAxis>& axes, bool grid = false,
                            const std::vector<ConfigVariant>& variants = {});

}  // namespace gt
