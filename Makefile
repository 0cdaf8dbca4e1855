# GradTrack. `make help` lists the targets. CMake builds everything under BUILD.
BUILD ?= build
JOBS ?= $(shell nproc)
# nvcc takes minutes, so the CUDA back end is built by default only on a machine with a GPU. `make CUDA=AUTO` builds it on
# any machine with nvcc and cuDNN.
CUDA ?= $(shell nvidia-smi -L >/dev/null 2>&1 && echo AUTO || echo OFF)
# $(call configure,FOLDER,OPTIONS) prints CMake's output only if it fails.
configure = mkdir -p $(1) && { cmake -S . -G Ninja -B $(1) -DGRADTRACK_CUDA=$(CUDA) $(2) >$(1)/configure.log 2>&1 || { cat $(1)/configure.log; exit 1; }; }

.DEFAULT_GOAL := all
.PHONY: all demo test gradcheck asan fuzz faults emulate slurm-check portable cuda-check bench bench-peers fixtures performance gpu format tidy help clean

all: ## build the program, BUILD/gradtrack (BUILD is build by default)
	@.ci/packages
	@$(call configure,$(BUILD),)
	@cmake --build $(BUILD) --target gradtrack_program -j $(JOBS)

demo: all ## make synthetic images and simulated gaze, train, evaluate, and write runs/demo/report.html
	@rm -rf runs/demo runs/demo-data
	$(BUILD)/gradtrack synth --out runs/demo-data --count 200 --size 96
	$(BUILD)/gradtrack train configs/demo.yaml --out runs/demo
	$(BUILD)/gradtrack eval runs/demo --untrained
	$(BUILD)/gradtrack report runs/demo
	@echo "open runs/demo/report.html"

test: ## build and run all tests on the CPU; the last line counts them, BUILD/junit.xml holds the results
	@.ci/packages catch2 libopenmpi-dev openmpi-bin procps libnifti2-dev
	@$(call configure,$(BUILD),-DGRADTRACK_TESTS=ON)
	@cmake --build $(BUILD) -j $(JOBS)
	@tests/run $(BUILD)

gradcheck: all ## compare every op's gradient with finite differences
	@$(BUILD)/gradtrack gradcheck

asan: ## run the tests under AddressSanitizer and UndefinedBehaviorSanitizer
	@.ci/packages catch2 libopenmpi-dev openmpi-bin procps libnifti2-dev
	@$(call configure,$(BUILD)/asan,-DCMAKE_BUILD_TYPE=Debug -DGRADTRACK_SANITIZE=ON -DGRADTRACK_TESTS=ON)
	@cmake --build $(BUILD)/asan -j $(JOBS)
	@tests/run $(BUILD)/asan

# Seconds of each fuzz target.
FUZZ_SECONDS ?= 60
fuzz: CUDA = OFF
fuzz: ## fuzz every reader for FUZZ_SECONDS each, 60 by default (clang, libFuzzer, sanitizers; ARGS=TARGET... only these)
	@.ci/packages clang-14 libclang-rt-14-dev libnifti2-dev
	@$(call configure,$(BUILD)/fuzz,-DCMAKE_CXX_COMPILER=clang++-14 -DCMAKE_BUILD_TYPE=Debug -DGRADTRACK_NATIVE=OFF -DGRADTRACK_FUZZ=ON)
	@cmake --build $(BUILD)/fuzz --target gradtrack_fuzz -j $(JOBS)
	@tests/fuzz/run $(BUILD)/fuzz $(FUZZ_SECONDS) $(ARGS)

faults: ## kill, starve and damage trainings, and check that nothing is lost: 3 minutes (ARGS='--write docs/reliability.md', ARGS=--help)
	@.ci/packages catch2 strace
	@$(call configure,$(BUILD),-DGRADTRACK_TESTS=ON)
	@cmake --build $(BUILD) --target fault_campaign gradtrack_program -j $(JOBS)
	@$(BUILD)/fault_campaign $(BUILD)/gradtrack $(ARGS)

emulate performance: CUDA = EMULATE
emulate: ## run the CUDA kernels on the CPU: several thread orders, sanitizers, race detector
	@.ci/packages catch2 libboost-context-dev libopenmpi-dev openmpi-bin
	@$(call configure,$(BUILD)/emulate,-DGRADTRACK_TESTS=ON)
	@$(call configure,$(BUILD)/emulate-asan,-DGRADTRACK_TESTS=ON -DCMAKE_BUILD_TYPE=Debug -DGRADTRACK_SANITIZE=ON)
	@$(call configure,$(BUILD)/emulate-races,-DGRADTRACK_TESTS=ON -DGRADTRACK_RACES=ON)
	@for flavour in emulate emulate-asan emulate-races; do \
	  cmake --build $(BUILD)/$$flavour --target device_tests -j $(JOBS) || exit 1; done
	@tests/run -L device $(BUILD)/emulate $(BUILD)/emulate-asan $(BUILD)/emulate-races

slurm-check: all ## run experiments through a real Slurm of one node, started on this machine's loopback (root)
	@.ci/packages slurmctld slurmd slurm-client munge libpmix2 || true
	@tests/check_slurm $(BUILD)/gradtrack

# The first processor is the least that the program runs on.
PROCESSORS ?= x86-64;x86-64-v3;x86-64-v4
portable: CUDA = OFF
portable: ## build one program for many x86-64 processors in BUILD/portable, and check it (PROCESSORS='x86-64-v3;x86-64-v4')
	@.ci/packages
	@$(call configure,$(BUILD)/portable,'-DGRADTRACK_PROCESSORS=$(PROCESSORS)')
	@cmake --build $(BUILD)/portable --target all -j $(JOBS)
	@tests/check_portable $(BUILD)/portable

cuda-check: ## check the CUDA back end without a GPU: nvcc, register spills, cuDNN plans, errors
	@.ci/packages catch2 libbenchmark-dev
	@tests/check_cuda $(BUILD)/cuda $(JOBS)

bench: ## time every op: ms, GB/s, GFLOP/s, share of this machine's peak (options: ARGS=--help)
	@.ci/packages libbenchmark-dev
	@$(call configure,$(BUILD),-DGRADTRACK_BENCH=ON)
	@cmake --build $(BUILD) --target gradtrack_bench -j $(JOBS)
	@GRADTRACK_COMMIT=$$(git describe --always --dirty 2>/dev/null) $(BUILD)/gradtrack_bench $(ARGS)

# Python is used only for comparisons, in two virtual environments.
PEERS = $(BUILD)/peers-venv
FIXTURES = $(BUILD)/fixtures-venv
$(PEERS)/made: bench/peers/requirements.txt
$(FIXTURES)/made: tests/fixtures/requirements.txt
$(PEERS)/made $(FIXTURES)/made:
	@.ci/packages python3-venv libnifti2-dev
	@echo "installing PyTorch in $(@D): about 5 GB on disk"
	@python3 -m venv $(@D)
	@$(@D)/bin/pip install -q --progress-bar on -r $<
	@touch $@

bench-peers: $(PEERS)/made ## compare the speed of GradTrack and PyTorch (options: ARGS=--help)
	@.ci/packages libbenchmark-dev
	@$(call configure,$(BUILD),-DGRADTRACK_BENCH=ON)
	@cmake --build $(BUILD) --target gradtrack_peer -j $(JOBS)
	@$(PEERS)/bin/python bench/peers/peers.py --program $(BUILD)/gradtrack_peer --json $(BUILD)/bench-peers.json $(ARGS)

fixtures: $(FIXTURES)/made all ## recompute the references of MONAI, PyTorch, nibabel, onnxruntime and others in tests/fixtures
	@.ci/packages catch2 libonnx-dev libprotobuf-dev protobuf-compiler
	@$(call configure,$(BUILD),-DGRADTRACK_TESTS=ON)
	@cmake --build $(BUILD) --target gradtrack_tests -j $(JOBS)
	@GRADTRACK_PYTHON=$(FIXTURES)/bin/python $(BUILD)/gradtrack_tests '[.fixtures]'
	@$(FIXTURES)/bin/python tests/fixtures/make_parity.py tests/fixtures
	@$(FIXTURES)/bin/python tests/fixtures/make_resize.py tests/fixtures
	@$(FIXTURES)/bin/python tests/fixtures/make_events.py tests/fixtures
	@$(FIXTURES)/bin/python tests/fixtures/make_resnet.py tests/fixtures
	@$(FIXTURES)/bin/python tests/fixtures/make_gaze.py tests/fixtures
	@$(FIXTURES)/bin/python tests/fixtures/make_volumes.py tests/fixtures
	@rm -rf $(FIXTURES)/data $(FIXTURES)/run
	@$(BUILD)/gradtrack synth --out $(FIXTURES)/data --count 40 --size 48
	@$(BUILD)/gradtrack train configs/demo.yaml data.root=$(FIXTURES)/data train.iterations=20 train.log_every=5 \
	  train.val_every=10 train.checkpoint_every=10 train.tensorboard=true --out $(FIXTURES)/run
	@$(FIXTURES)/bin/python tests/fixtures/check_events.py $(FIXTURES)/run
	@tests/fixtures/check_volumes $(BUILD)/gradtrack $(FIXTURES)/run $(FIXTURES)

performance: ## write the predicted GPU times of docs/performance.md and bench/results by dry runs (ARGS=--check: fail if stale)
	@.ci/packages libbenchmark-dev libboost-context-dev
	@$(call configure,$(BUILD)/emulate,-DGRADTRACK_BENCH=ON)
	@cmake --build $(BUILD)/emulate --target gradtrack_program gradtrack_bench -j $(JOBS)
	@python3 bench/performance.py --programs $(BUILD)/emulate $(ARGS)

gpu: ## run everything that needs a GPU: tests, sanitizers, benchmarks, training (options: ARGS=--help)
	@.ci/gpu $(ARGS)

format: ## format all sources by clang-format
	@clang-format -i $$(git ls-files '*.h' '*.cpp' '*.cu' '*.cuh')

tidy: CUDA = OFF
tidy: ## check all sources but the tests by clang-tidy with the list in .clang-tidy (ARGS=FILE... checks only these)
	@.ci/packages clang-tidy catch2 libbenchmark-dev libnifti2-dev
	@$(call configure,$(BUILD)/tidy,-DGRADTRACK_TESTS=ON -DGRADTRACK_BENCH=ON)
	@tests/check_tidy $(BUILD)/tidy $(JOBS) $(ARGS)

clean: ## remove BUILD
	@rm -rf $(BUILD)

help: ## print this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12
