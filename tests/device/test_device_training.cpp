// Whole training steps on device cuda, real or emulated, against the CPU.
#include <cmath>
#include <filesystem>
#include <optional>

#include "core/communicator.h"
#include "core/random.h"
#include "models/cooperation.h"
#include "models/recipes.h"
#include "models/training_step.h"
#include "tests/catch.h"
#include "tests/mpirun.h"

using namespace gt;

namespace {

constexpr int64_t side = 16, batch_size = 2;

Config tiny_config(const std::string& recipe) {
  Config c;
  c.recipe = recipe;
  c.data.size = side;
  c.model.features = {4, 4, 8, 8, 8, 4};
  c.model.groups = 2;
  c.model.slope = 0.1;
  c.augment = {.rotate = 20, .scale = 0.2, .brightness = 0.1, .contrast = 0.1, .saturation = 0.1};
  c.optimizer.lr = 0.05;
  c.train.batch = batch_size;
  return c;
}

/// Images with a bright disc, its mask, and a track of fixations on it. The tracks have different lengths.
Dataset tiny_dataset() {
  Dataset dataset;
  for (int64_t n = 0; n < 5; ++n) {
    Random random(9, uint64_t(n));
    Sample s;
    s.name = std::to_string(n);
    s.image = Image(side, side, 3);
    s.mask = Image(side, side, 1);
    const double x = random.uniform(5, 11), y = random.uniform(5, 11), radius = random.uniform(2, 5);
    for (int64_t i = 0; i < side * side; ++i) {
      const bool inside = std::hypot(double(i % side) - x, double(i / side) - y) < radius;
      s.mask.pixels[size_t(i)] = inside ? 255 : 0;
      for (int64_t c = 0; c < 3; ++c)
        s.image.pixels[size_t(3 * i + c)] = uint8_t(random.below(100) + (inside ? 120 : 0));
    }
    s.normalisation = normalisation_of(s.image, {});
    for (int64_t k = 0; k < 2 + n; ++k)
      s.track.fixations.push_back({(x + random.uniform(-2, 2)) / side, (y + random.uniform(-2, 2)) / side,
                                   random.uniform(100, 400), 300.0 * double(k)});
    dataset.samples.push_back(std::move(s));
  }
  return dataset;
}

/// A disc about a track's first fixation, for a pseudo mask.
Image pseudo_disc(const Track& track, double radius) {
  Image mask(side, side, 1);
  const Fixation& f = track.fixations[0];
  for (int64_t i = 0; i < side * side; ++i) {
    const double distance = std::hypot(double(i % side) - side * f.x, double(i / side) - side * f.y);
    mask.pixels[size_t(i)] = distance < radius ? 255 : 0;
  }
  return mask;
}

struct Run {
  std::vector<StepLosses> losses;
  std::vector<float> weights;  // of all parameters, at the end
};

/// Trains by these processes, which share each batch. Alone, by this one.
Run train(const Config& config, Device device, int64_t steps, const Communicator& processes = {}) {
  Dataset dataset = tiny_dataset();
  const DataNeeds needs = data_needs(config);
  for (Sample& s : dataset.samples) {
    if (!needs.masks) s.mask = {};
    if (!needs.gaze) s.track.fixations.clear();
    if (needs.pseudo) s.pseudo = {pseudo_disc(s.track, 4), pseudo_disc(s.track, 6)};
  }
  const std::unique_ptr<Model> model = make_model(config, DType::f32, device);
  Optimizer optimizer(config.optimizer, model->parameters());
  TrainingStep step(*model, optimizer, config, 6 * batch_size, steps);
  const Slice slice = slice_of(batch_size, processes.rank(), processes.size());
  std::optional<GradientSum> gradients;
  if (processes.size() > 1) {
    gradients.emplace(processes, model->parameters(), config.train.reduce == "bf16" ? DType::bf16 : DType::f32);
    step.share_batches({processes, double(slice.size()) / batch_size}, *gradients);
  }
  Loader loader(dataset, config.data, config.augment, config.maps, batch_size, 1, 0, {slice, config.train.accumulate});
  for (int64_t k = 0; k < steps; ++k) {
    std::vector<Batch> batches;
    while (int64_t(batches.size()) < config.train.accumulate) batches.push_back(loader.next());
    step.run(batches, cosine_lr(config.optimizer, k, steps, config.train.images_per_iteration(),
                                int64_t(dataset.samples.size())));
  }
  bool stop = false;
  Run run{sum_losses(processes, step.take_losses(), &stop), {}};
  for (const Tensor& p : model->parameters().tensors()) {
    const std::vector<float> values = p.values<float>();
    run.weights.insert(run.weights.end(), values.begin(), values.end());
  }
  return run;
}

void check_curves(const Run& device, const Run& cpu, double tolerance) {
  REQUIRE(device.losses.size() == cpu.losses.size());
  for (size_t k = 0; k < cpu.losses.size(); ++k) {
    INFO("step " << k + 1);
    CHECK(device.losses[k].total == Approx(cpu.losses[k].total).epsilon(tolerance));
    REQUIRE(device.losses[k].terms.size() == cpu.losses[k].terms.size());
    for (size_t i = 0; i < cpu.losses[k].terms.size(); ++i)
      CHECK(device.losses[k].terms[i] == Approx(cpu.losses[k].terms[i]).epsilon(tolerance));
    CHECK(device.losses[k].gradient_norm == Approx(cpu.losses[k].gradient_norm).epsilon(20 * tolerance));
  }
}

}  // namespace

TEST_CASE("device: ten steps of every recipe follow the CPU's loss curve", "[device]") {
  for (const char* recipe : {"gradtrack", "gazemedseg", "full"}) {
    const Config config = tiny_config(recipe);
    INFO(recipe);
    check_curves(train(config, Device::cuda, 10), train(config, Device::cpu, 10), 1e-4);
  }
}

TEST_CASE("device: the same seed gives the same bits, with and without a CUDA graph", "[device]") {
  for (const char* kind : {"sgd", "adamw"}) {
    Config config = tiny_config("gradtrack");
    config.optimizer.kind = kind;
    config.optimizer.lr = 0.01;
    const Run first = train(config, Device::cuda, 4);
    CHECK(train(config, Device::cuda, 4).weights == first.weights);
    config.train.cuda_graph = false;
    CHECK(train(config, Device::cuda, 4).weights == first.weights);
  }
}

TEST_CASE("device: norms that are computed again in backward give the same bits", "[device][bits]") {
  for (const char* precision : {"f32", "bf16"}) {
    Config config = tiny_config("gradtrack");
    config.precision = precision;
    const Run kept = train(config, Device::cuda, 4);
    config.train.recompute = "norm";
    INFO(precision);
    CHECK(train(config, Device::cuda, 4).weights == kept.weights);
  }
}

TEST_CASE("device: clipping follows the CPU, and a CUDA graph replays it with the same bits", "[device]") {
  Config config = tiny_config("gradtrack");
  config.optimizer.clip = 0.1;
  const Run graph = train(config, Device::cuda, 6);
  check_curves(graph, train(config, Device::cpu, 6), 1e-4);
  for (const StepLosses& step : graph.losses) CHECK(step.gradient_norm > config.optimizer.clip);
  config.train.cuda_graph = false;
  CHECK(train(config, Device::cuda, 6).weights == graph.weights);
}

TEST_CASE("device: accumulated batches follow the CPU, and a CUDA graph replays them with the same bits", "[device]") {
  for (const char* recipe : {"gradtrack", "gazemedseg", "full"}) {
    Config config = tiny_config(recipe);
    config.train.accumulate = 3;
    config.optimizer.clip = 0.5;
    INFO(recipe);
    const Run graph = train(config, Device::cuda, 5);
    check_curves(graph, train(config, Device::cpu, 5), 1e-4);
    config.train.cuda_graph = false;
    CHECK(train(config, Device::cuda, 5).weights == graph.weights);
  }
}

TEST_CASE("device: bf16 follows the f32 loss curve", "[device]") {
  Config config = tiny_config("gradtrack");
  const Run f32 = train(config, Device::cuda, 10);
  config.precision = "bf16";
  const Run bf16 = train(config, Device::cuda, 10);
  check_curves(bf16, f32, 0.05);
  CHECK(bf16.weights != f32.weights);
}

TEST_CASE("device: predictions agree with the CPU", "[device]") {
  const Config config = tiny_config("gradtrack");
  Random random(4);
  Tensor images({2, side, side, 3});
  for (int64_t i = 0; i < images.size(); ++i) images.data<float>()[i] = float(random.normal());
  const NoGrad no_grad;
  const Prediction cpu = make_model(config)->predict(images);
  const Prediction cuda = make_model(config, DType::f32, Device::cuda)->predict(images.to(Device::cuda));
  const std::vector<float> a = cuda.logits.values<float>(), b = cpu.logits.values<float>();
  for (size_t i = 0; i < a.size(); ++i) CHECK(a[i] == Approx(b[i]).margin(1e-5));
  CHECK(cuda.attention.size() == 4);
}

// Processes on one real GPU cannot use NCCL, so that this test needs two GPUs, or an emulated one.
TEST_CASE("device: two processes train the network of one, with and without a CUDA graph", "[device]") {
  if (std::system("command -v mpirun >/dev/null") != 0) GT_SKIP_TEST("mpirun is not installed");
  if (mpi_version().empty()) GT_SKIP_TEST("built without MPI");
  if (!GT_EMULATE && std::system("test $(nvidia-smi -L | wc -l) -ge 2") != 0) GT_SKIP_TEST("expected two GPUs");
  const std::string program = std::filesystem::read_symlink("/proc/self/exe").string();
  const std::string command = mpirun(2) + program + " \"device: one of two processes\"";
  CHECK(std::system(command.c_str()) == 0);
}

TEST_CASE("device: one of two processes", "[.]") {
  const Communicator processes = connect_processes();
  REQUIRE(processes.size() == 2);
  for (const char* recipe : {"gradtrack", "gazemedseg", "full"})
    for (const bool graph : {false, true}) {
      Config config = tiny_config(recipe);
      config.attention.target = "pseudo";  // whose loss counts some of the pixels
      config.train.cuda_graph = graph;
      config.optimizer.clip = graph ? 0.2 : 0;
      config.train.accumulate = graph ? 2 : 1;
      INFO(recipe << (graph ? " with" : " without") << " a CUDA graph");
      const Run one = train(config, Device::cpu, 10), two = train(config, Device::cuda, 10, processes);
      check_curves(two, one, 1e-4);
      const Run again = train(config, Device::cuda, 10, processes);
      CHECK(again.weights == two.weights);
    }
}
