# Compiles each header alone, so that a source may include headers in any order. A header that its own source includes
# first is left out: the build compiles it alone.
#   make -f tests/headers.mk OUT=FOLDER [CXX=...] [FLAGS=...] [SKIP="HEADER..."]
# A header that names GT_CUDA is compiled without CUDA and with the emulated device, a .cuh header with the latter only.
# OUT keeps a stamp and the dependencies of each, so that a second run compiles what has changed.
CXX ?= c++
FLAGS ?= -std=c++20
headers := $(sort $(shell find core kernels layers gaze models tools -name '*.h' -o -name '*.cuh'))
first_included := $(shell for h in $(headers); do for source in $${h%.h}.cpp $${h%.h}.cu; do \
  [ -f $$source ] && grep -m1 '^#include' $$source | grep -qF "\"$$h\"" && echo $$h; done; done)
headers := $(filter-out $(SKIP) $(first_included),$(headers))
branching := $(shell grep -l GT_CUDA $(headers))
# These declare kernels for the emulated device without asking for it.
device_only := $(filter %.cuh core/emulation/% kernels/cuda/%,$(headers))
plain := $(filter-out $(device_only),$(headers))
emulated := $(sort $(device_only) $(filter $(branching),$(plain)))
stamps := $(plain:%=$(OUT)/plain/%) $(emulated:%=$(OUT)/emulated/%)

all: $(stamps)
	@echo "$(words $(headers)) headers compile alone, $(words $(first_included)) are the first of their source, $(words $(SKIP)) skipped$(if $(SKIP),: $(SKIP))"

define compile
@mkdir -p $(@D)
@echo '#include "$*"' | $(CXX) $(FLAGS) $(1) -I. -Wall -Wextra -Werror -Wno-unknown-pragmas -fsyntax-only -MMD -MP -MF $@.d -MT $@ -x c++ - || \
  { echo "$* does not compile alone"; exit 1; }
@touch $@
endef

$(OUT)/plain/%: % tests/headers.mk
	$(call compile,-DGT_CUDA=0 -DGT_EMULATE=0)
$(OUT)/emulated/%: % tests/headers.mk
	$(call compile,-DGT_CUDA=1 -DGT_EMULATE=1)

-include $(stamps:=.d)
.PHONY: all
