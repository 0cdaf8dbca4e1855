# GradTrack. `make help` lists the targets. Everything is built by CMake under build/.
BUILD ?= build
JOBS ?= $(shell nproc)
# nvcc takes minutes, and is of use where there is a GPU. Without one, `make CUDA=AUTO` builds the CUDA back end all the same.
CUDA ?= $(shell nvidia-smi -L >/dev/null 2>&1 && echo AUTO || echo OFF)
# $(call configure,FOLDER,OPTIONS): quiet unless it fails.
configure = mkdir -p $(1) && { cmake -S . -G Ninja -B $(1) -DGRADTRACK_CUDA=$(CUDA) $(2) >$(1)/configure.log 2>&1 || { cat $(1)/configure.log; exit 1; }; }

.DEFAULT_GOAL := all
.PHONY: all demo test gradcheck asan emulate cuda-check bench bench-peers fixtures performance gpu format help clean

all: ## build the program, build/gradtrack
	@.ci/packages
	@$(call configure,$(BUILD),)
	@cmake --build $(BUILD) --target gradtrack_program -j $(JOBS)

demo: all ## make synthetic images with simulated gaze, train GradTrack on them, evaluate, write runs/demo/report.html
	@rm -rf runs/demo runs/demo-data
	$(BUILD)/gradtrack synth --out runs/demo-data --count 200 --size 96
	$(BUILD)/gradtrack train configs/demo.yaml --out runs/demo
	$(BUILD)/gradtrack eval runs/demo --untrained
	$(BUILD)/gradtrack report runs/demo
	@echo "open runs/demo/report.html"

test: ## build and run all tests, ending with a count
	@.ci/packages catch2
	@$(call configure,$(BUILD),-DGRADTRACK_TESTS=ON)
	@cmake --build $(BUILD) -j $(JOBS)
	@tests/run $(BUILD)

gradcheck: all ## check every op's gradient against finite differences
	@$(BUILD)/gradtrack gradcheck

asan: ## the test suite under AddressSanitizer and UndefinedBehaviorSanitizer
	@.ci/packages catch2
	@$(call configure,$(BUILD)/asan,-DCMAKE_BUILD_TYPE=Debug -DGRADTRACK_SANITIZE=ON -DGRADTRACK_TESTS=ON)
	@cmake --build $(BUILD)/asan -j $(JOBS)
	@tests/run $(BUILD)/asan

emulate performance: CUDA = EMULATE
emulate: ## run the CUDA kernels on the CPU: in several thread orders, under sanitizers, under a race detector
	@.ci/packages catch2 libboost-context-dev
	@$(call configure,$(BUILD)/emulate,-DGRADTRACK_TESTS=ON)
	@$(call configure,$(BUILD)/emulate-asan,-DGRADTRACK_TESTS=ON -DCMAKE_BUILD_TYPE=Debug -DGRADTRACK_SANITIZE=ON)
	@$(call configure,$(BUILD)/emulate-races,-DGRADTRACK_TESTS=ON -DGRADTRACK_RACES=ON)
	@for flavour in emulate emulate-asan emulate-races; do \
	  cmake --build $(BUILD)/$$flavour --target device_tests -j $(JOBS) || exit 1; done
	@tests/run -L device $(BUILD)/emulate $(BUILD)/emulate-asan $(BUILD)/emulate-races

cuda-check: ## what needs no GPU: build by nvcc, spills of kernels, cuDNN's plans, errors (needs nvcc and cuDNN)
	@.ci/packages catch2 libbenchmark-dev
	@tests/check_cuda $(BUILD)/cuda $(JOBS)

bench: ## time every op: ms, GB/s, GFLOP/s, share of what this machine can do (ARGS=--help tells more)
	@.ci/packages libbenchmark-dev
	@$(call configure,$(BUILD),-DGRADTRACK_BENCH=ON)
	@cmake --build $(BUILD) --target gradtrack_bench -j $(JOBS)
	@OMP_WAIT_POLICY=passive GRADTRACK_COMMIT=$$(git describe --always --dirty 2>/dev/null) $(BUILD)/gradtrack_bench $(ARGS)

# Python, for comparison alone: each in a virtual environment of its own.
PEERS = $(BUILD)/peers-venv
FIXTURES = $(BUILD)/fixtures-venv
$(PEERS)/made: bench/peers/requirements.txt
$(FIXTURES)/made: tests/fixtures/requirements.txt
$(PEERS)/made $(FIXTURES)/made:
	@.ci/packages python3-venv
	@echo "PyTorch into $(@D): some 5 GB on the disk, of which a CPU needs a tenth"
	@python3 -m venv $(@D)
	@$(@D)/bin/pip install -q --progress-bar on -r $<
	@touch $@

bench-peers: $(PEERS)/made ## time GradTrack against PyTorch, in turn on the same cores (ARGS=--help tells more)
	@.ci/packages libbenchmark-dev
	@$(call configure,$(BUILD),-DGRADTRACK_BENCH=ON)
	@cmake --build $(BUILD) --target gradtrack_peer -j $(JOBS)
	@$(PEERS)/bin/python bench/peers/peers.py --program $(BUILD)/gradtrack_peer --json $(BUILD)/bench-peers.json $(ARGS)

fixtures: $(FIXTURES)/made ## make anew what MONAI and PyTorch compute, for the tests to compare with (tests/fixtures)
	@$(FIXTURES)/bin/python tests/fixtures/make_parity.py tests/fixtures

performance: ## write docs/performance.md: what a GPU should take, by dry runs (ARGS=--check: only look whether it is stale)
	@.ci/packages libbenchmark-dev libboost-context-dev
	@$(call configure,$(BUILD)/emulate,-DGRADTRACK_BENCH=ON)
	@cmake --build $(BUILD)/emulate --target gradtrack_program gradtrack_bench -j $(JOBS)
	@python3 bench/performance.py --programs $(BUILD)/emulate $(ARGS)

gpu: ## all that needs a GPU: tests, gradients, sanitizers, benchmarks, training (ARGS=--help tells more)
	@.ci/gpu $(ARGS)

format: ## clang-format every source file
	@clang-format -i $$(git ls-files '*.h' '*.cpp' '*.cu' '*.cuh')

clean: ## remove build/
	@rm -rf $(BUILD)

help: ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12
