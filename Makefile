# Every target installs what it lacks and then runs: `make demo`, `make test`, `make bench`.
# Versions are pinned here, in Cargo.toml and in the requirements files.

ONNXRUNTIME_VERSION     := 1.32.0
ONNXRUNTIME_GPU_VERSION := 1.27.0
ELPV_VERSION            := 1.0.0.post1

TARGET  := $(or $(CARGO_TARGET_DIR),$(CURDIR)/target)
FETCHED := $(TARGET)/fetched
NPAD    := $(TARGET)/release/npad
SUDO    := $(if $(filter 0,$(shell id -u)),,sudo)
WHEEL   := python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --dest $(FETCHED)
# Any Python may fetch ONNX Runtime's wheels: only the library inside is used.
LIBRARY_WHEEL := $(WHEEL) --python-version 3.11 --implementation cp --abi cp311 \
	--platform manylinux_2_28_$(shell uname -m) --platform manylinux_2_27_$(shell uname -m)

RUNTIME     := $(FETCHED)/onnxruntime-$(ONNXRUNTIME_VERSION)
RUNTIME_GPU := $(FETCHED)/onnxruntime-gpu-$(ONNXRUNTIME_GPU_VERSION)
ELPV        := $(FETCHED)/elpv_dataset-$(ELPV_VERSION)-py3-none-any.whl

export NPAD_ONNXRUNTIME := $(RUNTIME)
export CARGO_INCREMENTAL := 0

.PHONY: all demo test lint check-backbone header clean tools python
all: $(NPAD)

## What the targets need

# Debian packages of the tools that are missing.
define need
	@command -v $(1) >/dev/null || { $(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq $(2) >/dev/null; }
endef

tools:
	$(call need,cc,build-essential)
	$(call need,c++,build-essential)
	$(call need,valgrind,valgrind)
	@command -v cargo >/dev/null || { echo 'npad needs Rust 1.92 or newer: https://rustup.rs' >&2; exit 1; }

python:
	$(call need,python3,python3)
	@python3 -m pip --version >/dev/null 2>&1 && python3 -c 'import venv, ensurepip' 2>/dev/null || \
		{ $(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq python3-pip python3-venv >/dev/null; }

# A folder with ONNX Runtime's shared libraries, taken out of its wheel.
$(RUNTIME): | python
	$(LIBRARY_WHEEL) onnxruntime==$(ONNXRUNTIME_VERSION)
	python3 tools/unpack_libraries.py $(FETCHED)/onnxruntime-$(ONNXRUNTIME_VERSION)-*.whl $@

$(RUNTIME_GPU): | python
	$(LIBRARY_WHEEL) onnxruntime-gpu==$(ONNXRUNTIME_GPU_VERSION)
	python3 tools/unpack_libraries.py $(FETCHED)/onnxruntime_gpu-$(ONNXRUNTIME_GPU_VERSION)-*.whl $@

$(ELPV): | python
	$(WHEEL) elpv-dataset==$(ELPV_VERSION)

.PHONY: $(NPAD)
$(NPAD): | tools
	cargo build --release --bin npad

## What users run

demo: $(NPAD) $(RUNTIME) $(ELPV)
	python3 tools/demo/demo.py $(NPAD) $(ELPV) $(TARGET)/demo

lint: | tools
	cargo fmt --check
	cargo clippy --release --all-targets --quiet -- -D warnings
	cargo clippy --release --no-default-features --lib --quiet -- -D warnings

# The committed backbone is what its script makes, byte for byte.
check-backbone: | python
	python3 -m venv $(FETCHED)/backbone
	$(FETCHED)/backbone/bin/pip install --quiet --disable-pip-version-check -r tools/backbone/requirements.txt
	$(FETCHED)/backbone/bin/python tools/backbone/make_backbone.py $(FETCHED)/backbone.onnx
	cmp $(FETCHED)/backbone.onnx assets/efficientnet-lite0-stage5.onnx

ifeq ($(shell uname -m),x86_64)
test: export NPAD_TEST_ONNXRUNTIME_GPU := $(RUNTIME_GPU)
test: | $(RUNTIME_GPU)
endif
test: lint check-backbone demo $(RUNTIME) | tools
	python3 tools/demo/check.py $(TARGET)/demo/summary.json
	cargo test --release --doc
	cargo test --release --all-targets

# Writes include/npad.h anew.
header:
	NPAD_WRITE_HEADER=1 cargo test --release --test header the_header_is_generated

clean:
	cargo clean
