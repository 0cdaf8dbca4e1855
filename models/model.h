// The interface of a network for training, evaluation and prediction.
#pragma once

#include <string>
#include <vector>

#include "core/communicator.h"
#include "gaze/maps.h"
#include "kernels/ops.h"
#include "layers/module.h"
#include "models/config.h"

namespace gt {

/// One term of a loss. Logs, progress lines and reports show its name. Terms of several levels are called NAME_1
/// (coarsest), NAME_2 and so on.
struct LossTerm {
  std::string name;
  Tensor value;  // scalar, before weighting
  double weight = 1;
};

/// The losses of one batch.
struct Losses {
  std::vector<LossTerm> terms;

  /// The scalar that is differentiated is total: the sum of weight * value over the terms, in their order. values has
  /// the total and the terms.
  WeightedSum sum() const;
  Tensor total() const { return sum().total; }
};

/// The output of a network for a batch of images (B,H,W,C).
struct Prediction {
  Tensor logits;      // (B,H,W,1)
  Tensors attention;  // A_l (B,H_l,W_l), coarsest first; empty for recipes without Track Attention
};

/// The part of each batch that this process has, in a training by several processes. It turns a mean over the own
/// images into the own part of the mean over all images of the batch. The sum of the parts over the processes is that
/// mean.
struct BatchShare {
  Communicator processes = {};  // that share the batch
  double images = 1;            // the share of its images that this process has

  /// The part of a mean over images, or over pixels of images of one size. mean ().
  Tensor of_images(const Tensor& mean) const;
  /// The part of a mean over counted elements. mean (), counted (..) of 0 and 1; undefined if all count.
  Tensor of_counted(const Tensor& mean, const Tensor& counted) const;
};

/// A batch of training images with their supervision, on the model's device.
struct SupervisedBatch {
  Tensor images;          // (B,S,S,C)
  Tensor masks;           // (B,S,S) of 0 and 1; undefined unless the recipe needs masks
  Tensor counted;         // (B,S,S): 1 where a pixel of the masks counts, else 0; undefined if all do
  Tensors pseudo;         // pseudo masks (B,S,S) of 0 and 1; empty unless the recipe makes them before training
  PackedTracks tracks;    // undefined tensors unless the recipe needs gaze
  Tensor average_logits;  // logits (B,S,S,1) of the averaged network; undefined unless needs_average_logits()
  bool attention_supervised = true;  // false: the losses of Track Attention have weight 0
  BatchShare share = {};             // of which these images are a part
};

/// A network with its parameters and its loss. Each recipe has one subclass, see models/recipes.h.
class Model {
 public:
  virtual ~Model() = default;

  /// Predicts from normalised images (B,S,S,C) on the model's device, S a multiple of 16. Needs no gaze and no masks.
  virtual Prediction predict(const Tensor& images) const = 0;

  /// The losses of a batch, with the terms in the order of loss_terms(). The batch must have what the recipe needs. If
  /// it is a part of a batch, so are the losses: their sums over the processes are the losses of the whole batch.
  virtual Losses losses(const SupervisedBatch& batch) const = 0;

  /// Whether losses() needs the logits of the averaged network (train.ema).
  virtual bool needs_average_logits() const { return false; }

  /// The names of the loss terms.
  virtual std::vector<std::string> loss_terms() const = 0;

  /// The parameters under their names.
  const Parameters& parameters() const { return parameters_; }
  Parameters& parameters() { return parameters_; }
  /// The device of the parameters.
  Device device() const { return parameters_.device(); }

 protected:
  /// A model without parameters. `dtype` is that of the parameters and losses; config.seed sets the initial values.
  Model(const Config& config, DType dtype, Device device);

  /// Casts images to the activation dtype, for the input of the network.
  Tensor as_activation(const Tensor& images) const { return cast(images, activation_dtype_); }
  /// Casts logits or features to the compute dtype, for the losses.
  Tensor as_compute(const Tensor& x) const { return cast(x, parameters_.dtype()); }

  Parameters parameters_;

 private:
  DType activation_dtype_;
};

/// The loss of logits (B,H,W,1) against target (B,H,W), a scalar: options.dice * Dice loss + options.bce * binary cross
/// entropy. Only pixels where counted (B,H,W) is 1 contribute; if it is undefined, all do. Of a part of a batch it is
/// the part of the loss.
Tensor segmentation_loss(const Tensor& logits, const Tensor& target, const Tensor& counted, const LossOptions& options,
                         const BatchShare& share = {});

}  // namespace gt
