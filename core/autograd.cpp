#include "core/autograd.h"

#include <atomic>
#include <map>
#include <queue>
#include <utility>

#include "core/elementwise.h"

namespace gt {

struct Node {
  struct Output {
    Shape shape;
    DType dtype;
    Device device;
  };
  uint64_t id;
  const char* name;
  std::vector<Output> outputs;
  Tensors inputs;
  Backward backward;
  Tensors grads = Tensors(outputs.size());  // of the outputs, summed so far
  bool queued = false;

  ~Node();
};

namespace {

thread_local bool recording = true;
std::atomic<uint64_t> last_id{0};

}  // namespace

/// Access of the engine to the private members of Tensor.
struct Autograd {
  static std::shared_ptr<Node>& node(const Tensor& t) { return t.impl_->node; }
  static int output(const Tensor& t) { return t.impl_->output; }

  static void attach(const Tensor& t, std::shared_ptr<Node> node, int output) {
    t.impl_->requires_grad = true;
    t.impl_->node = std::move(node);
    t.impl_->output = output;
  }

  /// slot += dx. Copies the slot first if another tensor shares its buffer.
  static void add(Tensor& slot, const Tensor& dx) {
    if (!slot.defined()) {
      slot = dx.detach();
      return;
    }
    if (!slot.sole_owner()) slot = slot.clone();
    add_elements(slot, dx);
  }

  static void add_to_leaf(const Tensor& leaf, const Tensor& dx) {
    Tensor slot;
    slot.impl_ = std::move(leaf.impl_->grad);
    add(slot, dx);
    leaf.impl_->grad = std::move(slot.impl_);
  }
};

// Freeing the last node of a long chain must not recurse through the destructors of the nodes before it. The outermost
// destructor collects the inputs of the inner ones and frees them in a loop.
Node::~Node() {
  static thread_local Tensors* pending = nullptr;
  if (pending != nullptr) {
    for (Tensor& t : inputs) pending->push_back(std::move(t));
    return;
  }
  Tensors collected = std::move(inputs);
  pending = &collected;
  while (!collected.empty()) {
    Tensor last = std::move(collected.back());
    collected.pop_back();
  }
  pending = nullptr;
}

bool will_record(const Tensors& inputs) {
  if (!recording) return false;
  for (const Tensor& t : inputs)
    if (t.requires_grad()) return true;
  return false;
}

Tensors record(const char* name, Tensors outputs, Tensors inputs, Backward backward) {
  if (!will_record(inputs)) return outputs;
  std::vector<Node::Output> described;
  for (const Tensor& y : outputs) described.push_back({y.shape(), y.dtype(), y.device()});
  auto node =
      std::shared_ptr<Node>(new Node{++last_id, name, std::move(described), std::move(inputs), std::move(backward)});
  for (size_t i = 0; i < outputs.size(); ++i) Autograd::attach(outputs[i], node, int(i));
  return outputs;
}

Tensor record(const char* name, Tensor output, Tensors inputs, std::function<Tensors(const Tensor&)> backward) {
  if (!will_record(inputs)) return output;
  return record(name, Tensors{std::move(output)}, std::move(inputs),
                Backward([backward = std::move(backward)](const Tensors& dy) { return backward(dy[0]); }))[0];
}

void backward(const Tensor& output, const Tensor& seed) {
  GT_CHECK(output.requires_grad(), "backward: the output does not depend on a tensor that requires a gradient");
  GT_CHECK(seed.defined() || output.size() == 1, "backward: an output of shape ", output.shape(), " needs a seed");
  const auto older = [](const std::shared_ptr<Node>& a, const std::shared_ptr<Node>& b) { return a->id < b->id; };
  std::priority_queue<std::shared_ptr<Node>, std::vector<std::shared_ptr<Node>>, decltype(older)> ready(older);

  const auto accumulate = [&](const Tensor& to, const Tensor& dx, const char* from) {
    GT_CHECK(dx.shape() == to.shape() && dx.dtype() == to.dtype() && dx.device() == to.device(), from, ": gradient is ",
             dx.dtype(), dx.shape(), " on ", dx.device(), ", expected ", to.dtype(), to.shape(), " on ", to.device());
    const std::shared_ptr<Node>& node = Autograd::node(to);
    if (node == nullptr) return Autograd::add_to_leaf(to, dx);
    GT_CHECK(node->backward != nullptr, "backward: the graph through op '", node->name, "' has been used");
    Autograd::add(node->grads[size_t(Autograd::output(to))], dx);
    if (!node->queued) ready.push(node);
    node->queued = true;
  };

  accumulate(output, seed.defined() ? seed : Tensor::full(output.shape(), 1, output.dtype(), output.device()),
             "backward");
  const NoGrad no_grad;
  const auto step = [&](const Node& node, const Tensors& grads) {
    GT_CHECK(grads.size() == node.inputs.size(), node.name, ": expected ", node.inputs.size(),
             " gradients, one per input, got ", grads.size());
    for (size_t i = 0; i < grads.size(); ++i)
      if (grads[i].defined() && node.inputs[i].requires_grad()) accumulate(node.inputs[i], grads[i], node.name);
  };
  try {
    while (!ready.empty()) {
      const std::shared_ptr<Node> node = ready.top();
      ready.pop();
      step(*node, std::exchange(node->backward, nullptr)(std::exchange(node->grads, {})));
      node->inputs.clear();
    }
  } catch (...) {
    for (; !ready.empty(); ready.pop()) ready.top()->backward = nullptr;  // their gradients are incomplete
    throw;
  }
}

std::vector<RecordedOp> recorded_ops(const Tensor& output) {
  std::map<uint64_t, const Node*> seen;
  Tensors pending{output};
  while (!pending.empty()) {
    const Node* node = pending.back().defined() ? Autograd::node(pending.back()).get() : nullptr;
    pending.pop_back();
    if (node == nullptr || !seen.emplace(node->id, node).second) continue;
    pending.insert(pending.end(), node->inputs.begin(), node->inputs.end());
  }
  std::vector<RecordedOp> ops;
  for (const auto& [id, node] : seen) ops.push_back({node->name, node->inputs});
  return ops;
}

NoGrad::NoGrad() : before_(std::exchange(recording, false)) {}
NoGrad::~NoGrad() { recording = before_; }

}  // namespace gt
