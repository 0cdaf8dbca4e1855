// What training, evaluation and prediction need of a network.
#pragma once

#include <string>
#include <vector>

#include "gaze/maps.h"
#include "kernels/ops.h"
#include "layers/module.h"
#include "models/config.h"

namespace gt {

/// One term of a loss. Its name goes to the log, the progress line, JSON and reports. Terms of several levels are named
/// NAME_1 (the coarsest), NAME_2 ...
struct LossTerm {
  std::string name;
  Tensor value;  // scalar
  double weight = 1;
};

/// The losses of one batch.
struct Losses {
  std::vector<LossTerm> terms;

  /// Sum of weight * value over the terms, in their order: the scalar that is differentiated.
  Tensor total() const;
};

struct Prediction {
  Tensor logits;      // (B,H,W,1)
  Tensors attention;  // A_l (B,H_l,W_l), coarsest first; empty for recipes without Track Attention
};

/// Training images with their supervision, on the model's device.
struct Supervised {
  Tensor images;        // (B,S,S,C)
  Tensor masks;         // (B,S,S) of 0 and 1; undefined unless the recipe needs masks
  Tensors pseudo;       // pseudo masks (B,S,S) of 0 and 1; empty unless the recipe makes them before training
  PackedTracks tracks;  // undefined tensors unless the recipe needs gaze
};

class Model {
 public:
  virtual ~Model() = default;

  /// Needs no gaze and no mask.
  virtual Prediction predict(const Tensor& images) const = 0;

  /// The terms in the order of loss_terms().
  virtual Losses losses(const Supervised& batch) const = 0;

  /// The names of the terms of losses().
  virtual std::vector<std::string> loss_terms() const = 0;

  const Parameters& parameters() const { return parameters_; }
  Parameters& parameters() { return parameters_; }
  Device device() const { return parameters_.device(); }

 protected:
  Model(const Config& config, DType dtype, Device device);

  /// Images in the activation dtype, as the network takes them.
  Tensor as_activation(const Tensor& images) const { return cast(images, activation_dtype_); }
  /// Logits or features in the compute dtype, as the losses take them.
  Tensor as_compute(const Tensor& x) const { return cast(x, parameters_.dtype()); }

  Parameters parameters_;

 private:
  DType activation_dtype_;
};

/// dice * Dice loss + bce * binary cross entropy of logits (B,H,W,1) against target (B,H,W), over the pixels where
/// counted (B,H,W) is 1; an undefined `counted` counts all. -> ()
Tensor segmentation_loss(const Tensor& logits, const Tensor& target, const Tensor& counted, const LossOptions& options);

}  // namespace gt
