#include <cmath>
#include <filesystem>
#include <regex>
#include <set>

#include "core/autograd.h"
#include "core/io.h"
#include "kernels/cases/check_op.h"
#include "models/checkpoint.h"
#include "models/evaluate.h"
#include "models/gazemedseg.h"
#include "models/gradtrack.h"
#include "tests/catch.h"
#include "tests/temp_folder.h"

using namespace gt;

namespace {

Config tiny_config(const std::string& recipe) {
  Config c;
  c.recipe = recipe;
  c.data.size = 32;
  c.model.features = {4, 4, 8, 8, 16, 4};
  return c;
}

SupervisedBatch tiny_batch(const Config& c) {
  static const Track track{"t", {{0.4, 0.4, 300, 0}, {0.6, 0.5, 250, 400}, {0.5, 0.6, 200, 800}}, 0, 0};
  SupervisedBatch batch;
  Maker maker{DType::f32, Random(1)};
  batch.images = maker.normal({2, 32, 32, 3});
  if (data_needs(c).masks)
    batch.masks = greater(sum_last(batch.images), 0);
  else
    batch.tracks = pack_tracks({&track, &track}, c.maps);
  if (data_needs(c).pseudo)
    for (const double threshold : recipe_of(c).pseudo_thresholds(c))
      batch.pseudo.push_back(greater(sum_last(batch.images), threshold));
  return batch;
}

}  // namespace

TEST_CASE("unet: the parameters are those of MONAI's BasicUNet, in order", "[model]") {
  Parameters parameters(1);
  const UNetOptions options;
  const UNet net(parameters, 3, 2, options);
  const NamedTensors& named = parameters.named();
  const auto shape = [&](const std::string& name) {
    for (const auto& [other, t] : named)
      if (other == name) return str_cat(t.shape());
    return std::string("missing");
  };
  CHECK(shape("conv_0.conv_0.conv.weight") == "(64,3,3,3)");
  CHECK(shape("conv_0.conv_0.adn.N.weight") == "(64)");
  CHECK(shape("down_4.convs.conv_1.conv.weight") == "(1024,1024,3,3)");
  CHECK(shape("upcat_4.upsample.deconv.weight") == "(1024,512,2,2)");
  CHECK(shape("upcat_4.convs.conv_0.conv.weight") == "(512,1024,3,3)");
  CHECK(shape("upcat_1.upsample.deconv.weight") == "(128,128,2,2)");
  CHECK(shape("upcat_1.convs.conv_0.conv.weight") == "(128,192,3,3)");
  CHECK(shape("final_conv.weight") == "(2,128,1,1)");
  CHECK(named.front().first == "conv_0.conv_0.conv.weight");
  CHECK(named[1].first == "conv_0.conv_0.conv.bias");
  CHECK(named[2].first == "conv_0.conv_0.adn.N.weight");
  CHECK(named.back().first == "final_conv.bias");
  CHECK(named.size() == 9 * 8 + 4 * 2 + 2);
}

TEST_CASE("parameters: initial values depend only on seed and name", "[model]") {
  Parameters a(1), b(1), c(2);
  const Tensor first = a.uniform("w", {5}, 1);
  b.uniform("another", {7}, 1);
  CHECK(b.uniform("w", {5}, 1).values<float>() == first.values<float>());
  CHECK(c.uniform("w", {5}, 1).values<float>() != first.values<float>());
}

TEST_CASE("recipes: training on one batch decreases the loss of every recipe", "[model]") {
  for (const std::string recipe : {"gradtrack", "gazemedseg", "full"}) {
    const Config c = tiny_config(recipe);
    const auto model = make_model(c);
    Optimizer optimizer(c.optimizer, model->parameters());
    const SupervisedBatch batch = tiny_batch(c);
    const double before = model->losses(batch).total().item();
    for (int i = 0; i < 50; ++i) {
      backward(model->losses(batch).total());
      optimizer.prepare(0.02);
      optimizer.update();
    }
    const double after = model->losses(batch).total().item();
    INFO(recipe << " " << before << " -> " << after);
    CHECK(after < 0.9 * before);
  }
}

TEST_CASE("recipes: norms that are computed again in backward give the same gradients in less memory", "[model]") {
  const std::string recipe = GENERATE("gradtrack", "gazemedseg", "full");
  Config c = tiny_config(recipe);
  c.model.slope = 0.1;
  const SupervisedBatch batch = tiny_batch(c);
  struct Result {
    int64_t saved;  // bytes after the forward pass
    std::vector<std::vector<float>> gradients;
  };
  const auto run = [&](const std::string& recompute) {
    c.train.recompute = recompute;
    const auto model = make_model(c);
    const int64_t before = live_bytes();
    const Tensor loss = model->losses(batch).total();
    Result result{live_bytes() - before, {}};
    backward(loss);
    for (const auto& [name, p] : model->parameters().named()) result.gradients.push_back(p.grad().values<float>());
    return result;
  };
  const Result kept = run("none"), computed = run("norm");
  CHECK(computed.gradients == kept.gradients);
  CHECK(double(computed.saved) < 0.85 * double(kept.saved));
}

TEST_CASE("evaluation: logits averaged over mirror images turn with the image", "[model]") {
  const Config c = tiny_config("gradtrack");
  const Tensor images = tiny_batch(c).images;
  const auto at = [](const Tensor& x, int64_t b, int64_t y, int64_t u, int64_t k) {
    return x.data<float>()[((b * x.dim(1) + y) * x.dim(2) + u) * x.dim(3) + k];
  };
  const auto mirrored = [&](const Tensor& x, bool left_right, bool up_down) {
    Tensor out(x.shape());
    float* o = out.data<float>();
    for (int64_t b = 0; b < x.dim(0); ++b)
      for (int64_t y = 0; y < x.dim(1); ++y)
        for (int64_t u = 0; u < x.dim(2); ++u)
          for (int64_t k = 0; k < x.dim(3); ++k)
            *o++ = at(x, b, up_down ? x.dim(1) - 1 - y : y, left_right ? x.dim(2) - 1 - u : u, k);
    return out;
  };
  const NoGrad no_grad;
  const auto plain = make_model(c);
  const auto averaged = mirror_averaged(make_model(c), c);
  const Tensor logits = averaged->predict(images).logits;
  Tensor sum = Tensor::zeros(logits.shape());
  for (const bool left_right : {false, true})
    for (const bool up_down : {false, true}) {
      const Tensor of_mirror = plain->predict(mirrored(images, left_right, up_down)).logits;
      sum = add(sum, mirrored(of_mirror, left_right, up_down));
      const Tensor turned = averaged->predict(mirrored(images, left_right, up_down)).logits;
      CHECK(relative_difference(mirrored(turned, left_right, up_down), logits) < 1e-5);
    }
  CHECK(relative_difference(scale(sum, 0.25), logits) < 1e-5);
  CHECK(averaged->predict(images).attention.size() == 4);
}

TEST_CASE("gradtrack: the total loss is the weighted sum of its terms", "[model]") {
  Config c = tiny_config("gradtrack");
  c.loss.lambda = {0.5, 1, 2, 0};
  const Losses l = make_model(c)->losses(tiny_batch(c));
  REQUIRE(l.terms.size() == 5);
  double expected = l.terms[0].value.item();
  for (size_t i = 0; i < 4; ++i) expected += c.loss.lambda[i] * l.terms[i + 1].value.item();
  CHECK(l.total().item() == Approx(expected));
}

TEST_CASE("gazemedseg: the cross-level loss follows its formula, and the other levels get no gradient", "[model]") {
  const auto logit = [](double p) { return float(std::log(p / (1 - p))); };
  const Tensor a = Tensor::of<float>({1, 1, 2, 1}, {logit(0.9), logit(0.5)}).set_requires_grad();
  const Tensor b = Tensor::of<float>({1, 1, 2, 1}, {logit(0.2), logit(0.7)}).set_requires_grad();
  const Tensor loss = cross_level_loss({a, a}, {b, b});
  // The two pixels differ with probability 0.9 * 0.8 + 0.1 * 0.2 = 0.74 and 0.5. There are two levels.
  CHECK(loss.item() == Approx(2 * (0.74 + 0.5) / 2));
  backward(loss);
  CHECK_FALSE(b.grad().defined());
  // dL/dz = 2 levels * p (1 - p) (1 - 2 q) / 2 pixels
  CHECK(a.grad().values<float>()[0] == Approx(0.09 * 0.6));
  CHECK(a.grad().values<float>()[1] == Approx(0.25 * -0.4));
}

TEST_CASE("gazemedseg: levels start equal, the prediction is their mean, the loss is the sum of its terms", "[model]") {
  Config c = tiny_config("gazemedseg");
  c.pseudo.thresholds = {0.5, 0.3, 0.2};
  const auto model = make_model(c);
  const NamedTensors& named = model->parameters().named();
  const size_t each = named.size() / 3;
  CHECK(named[0].first == "level_1.encoder.conv_0.conv_0.conv.weight");
  CHECK(named[each].first == "level_2.encoder.conv_0.conv_0.conv.weight");
  CHECK(named[each - 1].first == "level_1.classifier.bias");
  for (size_t k = 0; k < each; ++k)
    CHECK(named[k].second.values<float>() == named[2 * each + k].second.values<float>());

  const SupervisedBatch batch = tiny_batch(c);
  const Tensor before = model->predict(batch.images).logits;
  const double shift = 0.3;
  Tensor bias = named[each - 1].second;  // of level 1
  bias.copy_from(add(bias.detach(), Tensor::full({1}, shift)));
  const Tensor after = model->predict(batch.images).logits;
  for (int64_t i = 0; i < before.size(); i += 97)
    CHECK(after.data<float>()[i] - before.data<float>()[i] == Approx(shift / 3).margin(1e-5));

  for (const std::string consistency : {"prop", "pure"}) {
    c.loss.consistency = consistency;
    c.loss.consistency_weight = 0;
    const Losses without = make_model(c)->losses(batch);
    REQUIRE(without.terms.size() == 1);
    CHECK(without.total().item() == without.terms[0].value.item());
    c.loss.consistency_weight = 1;
    const double once = make_model(c)->losses(batch).total().item() - without.total().item();
    c.loss.consistency_weight = 3;
    const double thrice = make_model(c)->losses(batch).total().item() - without.total().item();
    CHECK(once > 0);
    CHECK(thrice == Approx(3 * once).epsilon(1e-4));
  }
}

TEST_CASE("gazemedseg: propagating logits equals classifying propagated features", "[model]") {
  Maker maker{DType::f64, Random(4)};
  const Tensor features = maker.normal({2, 6, 7, 5}, 0.5), w = maker.normal({1, 5, 1, 1}), bias = maker.normal({1});
  const Tensor theirs = conv2d(feature_propagation(features, features), w, bias);
  const Tensor ours = add_channels(feature_propagation(features, conv2d(features, w, {})), bias);
  for (int64_t i = 0; i < ours.size(); ++i) CHECK(ours.data<double>()[i] == Approx(theirs.data<double>()[i]));
}

TEST_CASE("gradtrack: the pseudo mask is taken from masks made before training", "[model]") {
  Config c = tiny_config("gradtrack");
  c.pseudo.refine = "none";
  CHECK_FALSE(data_needs(c).pseudo);
  c.pseudo.refine = "crf";
  c.pseudo.foreground = 0.6;
  c.pseudo.background = 0.4;
  CHECK(data_needs(c).pseudo);
  CHECK(recipe_of(c).pseudo_thresholds(c) == std::vector<double>{0.6, 0.4});
  SupervisedBatch batch = tiny_batch(c);
  const Shape shape = batch.pseudo[0].shape();
  const auto loss = [&](double foreground, double not_background) {
    batch.pseudo = {Tensor::full(shape, foreground), Tensor::full(shape, not_background)};
    return make_model(c)->losses(batch).terms[0].value.item();
  };
  const double all = loss(1, 1), none = loss(0, 0), uncounted = loss(0, 1);
  CHECK(all != none);
  CHECK(uncounted == Approx(0).margin(1e-6));  // no pixel counts
}

TEST_CASE("gradtrack: prediction needs no gaze and gives one attention map per decoder level", "[model]") {
  const Config c = tiny_config("gradtrack");
  const Prediction p = make_model(c)->predict(tiny_batch(c).images);
  CHECK(str_cat(p.logits.shape()) == "(2,32,32,1)");
  REQUIRE(p.attention.size() == 4);
  CHECK(str_cat(p.attention[0].shape()) == "(2,4,4)");
  CHECK(str_cat(p.attention[3].shape()) == "(2,32,32)");
}

TEST_CASE("gradtrack: pixels between the thresholds do not count", "[model]") {
  PseudoOptions options;
  options.foreground = 0.5;
  options.background = 0.25;
  const PseudoMask p = pseudo_mask(Tensor::of<float>({5}, {0.1f, 0.25f, 0.4f, 0.5f, 0.9f}), options);
  CHECK(p.target.values<float>() == std::vector<float>{0, 0, 0, 0, 1});
  CHECK(p.counted.values<float>() == std::vector<float>{1, 0, 0, 0, 1});
}

TEST_CASE("optimizer: the learning rate decreases by half a cosine", "[model]") {
  const OptimizerOptions o;
  CHECK(cosine_lr(o, 0, 100, 8, 800) == Approx(1e-2));
  CHECK(cosine_lr(o, 50, 100, 8, 800) == Approx((1e-2 + 1e-4) / 2));
  CHECK(cosine_lr(o, 100, 100, 8, 800) == Approx(1e-4));
  OptimizerOptions warm = o;
  warm.warmup = 10;
  CHECK(cosine_lr(warm, 0, 100, 8, 800) == Approx(1e-3));
  CHECK(cosine_lr(warm, 4, 100, 8, 800) == Approx(0.5 * cosine_lr(o, 4, 100, 8, 800)));
  CHECK(cosine_lr(warm, 9, 100, 8, 800) == cosine_lr(o, 9, 100, 8, 800));
  CHECK(cosine_lr(warm, 10, 100, 8, 800) == cosine_lr(o, 10, 100, 8, 800));
}

TEST_CASE("optimizer: by the schedule of epochs, the learning rate is constant within an epoch", "[model]") {
  OptimizerOptions by_iteration, o;
  o.schedule = "epoch";
  const int64_t iterations = 12, batch = 4, images = 10;  // epoch of an iteration: that of its first image
  const std::vector<int64_t> epoch = {0, 0, 0, 1, 1, 2, 2, 2, 3, 3, 4, 4};
  for (int64_t k = 0; k < iterations; ++k) {
    INFO("iteration " << k);
    CHECK(cosine_lr(o, k, iterations, batch, images) == cosine_lr(by_iteration, epoch[size_t(k)], 5, batch, images));
  }
}

TEST_CASE("checkpoint: a loaded network predicts what the saved network predicts", "[model]") {
  const TempFolder tmp;
  const Config c = tiny_config("gradtrack");
  const auto model = make_model(c);
  const std::string path = tmp / "best.safetensors";
  write_safetensors(path, make_checkpoint(*model, c, "simulated"));
  for (const std::string& from : {path, tmp.path()}) {
    const LoadedModel loaded = load_model(from);
    CHECK(loaded.gaze == "simulated");
    CHECK(write_config(loaded.config) == write_config(c));
    const Tensor x = tiny_batch(c).images;
    CHECK(loaded.model->predict(x).logits.values<float>() == model->predict(x).logits.values<float>());
  }
}

TEST_CASE("checkpoint: missing files, foreign files and wrong parameters are refused", "[model]") {
  const TempFolder tmp;
  const Config c = tiny_config("gradtrack");
  const auto model = make_model(c);
  CHECK(error_of([&] { load_model(tmp.path()); }).find("without best.safetensors") != std::string::npos);

  SafeTensors file = make_checkpoint(*model, c, "none");
  file.tensors.pop_back();
  write_safetensors(tmp / "short.safetensors", file);
  CHECK(error_of([&] {
          load_model(tmp / "short.safetensors");
        }).find("parameter 'attention_4.bias' is not in the file") != std::string::npos);

  file = make_checkpoint(*model, c, "none");
  file.tensors[0].second = Tensor::zeros({4, 3, 1, 1});
  write_safetensors(tmp / "shape.safetensors", file);
  CHECK(error_of([&] { load_model(tmp / "shape.safetensors"); }).find("has shape (4,3,1,1), expected (4,3,3,3)") !=
        std::string::npos);

  write_safetensors(tmp / "foreign.safetensors", {{{"w", Tensor::zeros({2})}}, {}});
  CHECK(error_of([&] { load_model(tmp / "foreign.safetensors"); }).find("not a GradTrack checkpoint") !=
        std::string::npos);
}

TEST_CASE("checkpoint: version 1 is read with its levels renumbered, and newer versions are refused", "[model]") {
  const TempFolder tmp;
  const Config c = tiny_config("gradtrack");
  const auto model = make_model(c);
  SafeTensors file = make_checkpoint(*model, c, "none");
  file.metadata.erase("version");  // version 1 had no such entry and numbered the levels from the finest
  for (auto& [name, tensor] : file.tensors)
    if (name.starts_with("attention_")) name[10] = char('1' + '4' - name[10]);
  REQUIRE(file.find("attention_4.weight")->size() == 8);  // the coarsest level
  REQUIRE(file.find("attention_1.weight")->size() == 4);  // the finest
  file.tensors.emplace_back("optimizer.velocity.attention_4.bias", Tensor::full({1}, 7));
  write_safetensors(tmp / "old.safetensors", file);

  const Tensor x = tiny_batch(c).images;
  CHECK(load_model(tmp / "old.safetensors").model->predict(x).logits.values<float>() ==
        model->predict(x).logits.values<float>());
  const SafeTensors read = read_checkpoint(tmp / "old.safetensors");
  CHECK(read.find("attention_1.weight")->size() == 8);
  CHECK(read.find("attention_4.weight")->size() == 4);
  REQUIRE(read.find("optimizer.velocity.attention_1.bias") != nullptr);

  file.metadata["version"] = "4";
  write_safetensors(tmp / "new.safetensors", file);
  CHECK(error_of([&] { load_model(tmp / "new.safetensors"); }).find("version 4, expected 3 or older") !=
        std::string::npos);
}

TEST_CASE("config: keys that contradict each other are refused with the place of each", "[model]") {
  const TempFolder tmp;
  const auto message = [&](const std::string& yaml) {
    write(tmp / "c.yaml", yaml);
    return error_of([&] { load_config(tmp / "c.yaml"); });
  };
  const std::string file = tmp / "c.yaml";
  CHECK(message("data: {size: 100}") == file + ":1: key 'data.size': expected a multiple of 16, got 100");
  CHECK(message("model: {groups: 5}")
            .find("key 'model.features': expected multiples of model.groups, 5 (" + file + ":1), got 64") !=
        std::string::npos);
  CHECK(message("seed: 1\npseudo: {background: 0.7}") ==
        file + ":2: key 'pseudo.background': expected at most pseudo.foreground, 0.625 (default), got 0.7");
  CHECK(message("train: {val_every: 30}").find("train.val_every") != std::string::npos);
  CHECK(error_of([&] { load_config(file, {"train.log_every=7"}); }) ==
        file +
            ":1: key 'train.val_every': expected a multiple of train.log_every, 7 (command line "
            "'train.log_every=7'), got 30");
  CHECK(message("data: {channels: 1}").find("data.mean") != std::string::npos);
  CHECK(message("recipe: gradtrak").find("gradtrack or gazemedseg or full") != std::string::npos);
  CHECK(message("maps: {kep: [1, 1, 1, 1]}").find("did you mean 'maps.keep'?") != std::string::npos);
  write(file, "");
  CHECK(error_of([&] { load_config(file, {"lr=1"}); }).find("did you mean 'optimizer.lr'?") != std::string::npos);
}

TEST_CASE("config: every key that a message or a help text names exists", "[model]") {
  std::set<std::string> keys, sections;
  for (const config::KeyInfo& key : list_keys<Config>()) {
    keys.insert(key.path);
    if (key.path.find('.') != key.path.npos) sections.insert(key.path.substr(0, key.path.find('.')));
  }
  for (const RenamedKey& renamed : Config::renamed_keys()) keys.insert(renamed.from);
  const std::regex literal("\"([^\"\\\\]|\\\\.)*\""), dotted("[a-z_]+(\\.[a-z_]+)+(?![a-z_(])");
  const std::set<std::string> extensions = {"txt", "h", "md", "csv", "yaml"};  // of files whose names look like keys
  size_t found = 0;
  for (const char* folder : {"core", "gaze", "layers", "models", "tools"})
    for (const auto& file : std::filesystem::recursive_directory_iterator(std::string(GT_SOURCE_DIR "/") + folder)) {
      const std::string extension = file.path().extension().string();
      if (extension != ".cpp" && extension != ".h") continue;
      const std::string text = read_file(file.path().string());
      for (std::sregex_iterator l(text.begin(), text.end(), literal), none; l != none; ++l) {
        const std::string words = l->str();
        for (std::sregex_iterator k(words.begin(), words.end(), dotted); k != none; ++k) {
          const std::string key = k->str();
          const bool is_file = extensions.count(key.substr(key.rfind('.') + 1)) > 0;
          if (!sections.count(key.substr(0, key.find('.'))) || is_file || key.starts_with("optimizer.velocity"))
            continue;
          INFO(file.path().string() << ": " << words);
          CHECK(keys.count(key) == 1);
          ++found;
        }
      }
    }
  CHECK(found > 50);
}

TEST_CASE("config: a file of version 0.1 is read with a warning for each renamed key", "[model]") {
  const TempFolder tmp;
  write(tmp / "old.yaml",
        "recipe: gradtrack\nmaps:\n  follow: 0.75\npseudo:\n  say: 0.2\nloss:\n  pseudo: track\n  foreground: 0.7\n"
        "  background: 0.3\n");
  ConfigNotes notes;
  const Config c = load_config(tmp / "old.yaml", {}, &notes);
  CHECK(c.maps.spread_exponent == 0.75);
  CHECK(c.pseudo.teacher_weight == 0.2);
  CHECK(c.pseudo.refine == "none");
  CHECK(c.pseudo.foreground == 0.7);
  CHECK(c.pseudo.background == 0.3);
  CHECK(notes.warnings.size() == 5);
  CHECK(notes.warnings[0] == (tmp / "old.yaml") + ":3: key 'maps.follow' is called 'maps.spread_exponent' now");
}

TEST_CASE("config: every key has a help text", "[model]") {
  for (const config::KeyInfo& key : list_keys<Config>()) {
    INFO(key.path);
    CHECK(!key.text.empty());
    CHECK(key.text.size() < 90);
  }
}

TEST_CASE("config: the files in configs/ are valid", "[model]") {
  const std::string folder = std::string(GT_SOURCE_DIR) + "/configs/";
  size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    ConfigNotes notes;
    load_config(entry.path().string(), {}, &notes);
    CHECK(notes.warnings.empty());
    ++count;
  }
  CHECK(count >= 4);
}

TEST_CASE("config: configs/kvasir.yaml is what --print-config prints", "[model]") {
  const std::string path = std::string(GT_SOURCE_DIR) + "/configs/kvasir.yaml";
  std::string file = read_file(path);
  while (file.starts_with("#") || file.starts_with("\n")) file.erase(0, file.find('\n') + 1);  // the heading
  CHECK(file == open_config(load_config(path)));
}
