# make demo         sets everything up, then finds the data, trains, converts to int8, verifies and writes a report
# make test         sets everything up, then runs all tests
# make test-fast    runs the tests that need no TensorFlow and are not slow, in less than a minute
# make test-device  runs the tests of a device, without TensorFlow, on each Python from 3.11 to 3.13 that is found
# make test-pi      installs on emulated Raspberry Pis as docs/pi.md says, and compares their answers
# make fuzz         opens COUNT (1000) damaged files of every kind and counts crashes, hangs and wrong errors
# make killed-trainings  kills COUNT (20) trainings with kill -9, resumes them and compares their weights
# make reconnects   loses a camera COUNT (1000) times and prints memory, threads and descriptors
# make soak         runs the camera app with all its outputs for MINUTES (10), disturbs it, and prints the same
# make lint         checks style, formatting and types
# make reproduce    makes the shipped models again by the commands in their cards (hours on a CPU); with
#                   PHOTOS=folder and SCENES=folder garment-net-photo and the segmenter too, see
#                   docs/photographs.md; with SMALL=--small a segmenter of a few minutes, to see that it works
# make reproduce-gpu  trains wide-resnet, and resnet-20 with its answers, on a GPU with JAX (hours on a CPU), then
#                   converts the latter; benchmarks/gpu_training.sh does a part of it within nine minutes
# make clean        removes the environments and the demo's run
#
# PHOTOS=folder      uses these photographs in the demo's report instead of drawn pictures
# DATA_DIR=folder    names the folder of Fashion-MNIST's four files, if they are not found
# PYTHON=python3.12  chooses the Python for the environment

SHELL := /bin/sh
VENV ?= .venv
RUN ?= runs/demo

BIN := $(VENV)/bin
CLI := $(BIN)/cli
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
# Type checkers and editors follow a link to the checkout, but not the import hook of an editable install.
LINK = ln -sfn "$(CURDIR)" "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/garmentlite"
DATA := $(if $(DATA_DIR),--data-dir "$(DATA_DIR)")

# TensorFlow has wheels for these versions. The first Python that runs and can make environments is taken.
PYTHON ?= $(shell for p in python3.12 python3.11 python3.13 python3 python; do \
	$$p -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
	2>/dev/null && echo $$p && break; done)

.PHONY: demo test test-fast test-device test-pi fuzz killed-trainings reconnects soak lint setup reproduce \
	reproduce-gpu clean
.DELETE_ON_ERROR:

setup: $(VENV)/ready

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11, 3.12 or 3.13 with venv is needed (on Debian or Ubuntu:" \
		"apt install python3-venv); name one with make PYTHON=..."; exit 2; }
	@echo "== Creating $(VENV) with $(PYTHON)"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/ready: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "== Installing garmentlite with TensorFlow (3 GB on disk; a few minutes)"
	@$(PIP) --editable '.[headless,train]'
	@$(LINK)
	@touch $@

$(VENV)/ready-for-tests: $(VENV)/ready
	@echo "== Installing what the tests need"
	@$(PIP) --editable '.[headless,train,mqtt,microcontroller,heic,tensorboard,jax,test,crosscheck,lint]'
	@$(LINK)
	@touch $@

# --- make test, make lint

# Each core runs whole test files, because the tests of a file share the networks that they train.
PYTEST := -m pytest -q --numprocesses auto --dist loadfile

test: $(VENV)/ready-for-tests
	@$(BIN)/python $(PYTEST) $(TESTS)

test-fast: $(VENV)/ready-for-tests
	@$(BIN)/python $(PYTEST) -m 'not tf and not slow' $(TESTS)

# One environment for each Python: the base dependencies and OpenCV, as on a device. pyenv keeps its Pythons
# under names of its own.
DEVICE_PYTHONS ?= 3.11 3.12 3.13

test-device: $(DEVICE_PYTHONS:%=test-device-%)

test-device-%:
	@python="$$(PYENV_VERSION=$$(pyenv latest $* 2>/dev/null) python$* -c 'import sys; print(sys.executable)' 2>/dev/null)"; \
	if [ -z "$$python" ]; then echo "== Python $* is not installed here: its device tests are left out"; exit 0; fi; \
	echo "== Device tests on Python $*"; set -e; \
	"$$python" -m venv .venv-device-$*; \
	.venv-device-$*/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt \
		--editable '.[headless,test]'; \
	if .venv-device-$*/bin/python -c 'import tensorflow' 2>/dev/null; then \
		echo "TensorFlow got into the device's environment." >&2; exit 1; fi; \
	.venv-device-$*/bin/python $(PYTEST) -m 'not tf and not slow' $(TESTS)

# Where the emulated systems are kept: 2 GB. 'make -j2 test-pi' tests the two side by side.
GARMENT_PI ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/garmentlite/arm64

test-pi: test-pi-bookworm test-pi-trixie

test-pi-%: $(VENV)/ready-for-tests
	@GARMENT_PI="$(GARMENT_PI)" $(BIN)/python -m pytest -q -rs -k $* tests/test_raspberry_pi.py $(TESTS)

fuzz: $(VENV)/ready-for-tests
	@$(BIN)/python benchmarks/fuzz.py --count $(or $(COUNT),1000) --seed $(or $(SEED),0)

killed-trainings: $(VENV)/ready-for-tests
	@$(BIN)/python benchmarks/killed_trainings.py --count $(or $(COUNT),20) --seed $(or $(SEED),0) $(DATA)

soak: $(VENV)/ready-for-tests
	@$(BIN)/python benchmarks/soak.py --minutes $(or $(MINUTES),10)

reconnects: $(VENV)/ready-for-tests
	@$(BIN)/python benchmarks/reconnects.py --count $(or $(COUNT),1000)

lint: $(VENV)/ready-for-tests
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

# --- make demo: each step uses the files of the step before, and runs only if its own files are missing or older

PICTURES := $(if $(PHOTOS),$(PHOTOS),$(RUN)/drawn)

demo: $(RUN)/report.html
	@echo
	@echo "Open $(RUN)/report.html in a browser. Then try:"
	@echo "  $(CLI) classify path/to/your/photo.jpg"
	@echo "  $(CLI) webcam --source test-pattern --headless --max-frames 20"
	@echo "  $(CLI) train --network weighted-cnn -o runs/weighted-cnn    # the full training, about 40 minutes on 2 cores"

$(RUN)/metrics.json: | $(VENV)/ready
	@echo "== 1/6  Finding or downloading Fashion-MNIST (30 MB) and checking it (seconds)"
	@$(CLI) data $(DATA)
	@echo "== 2/6  Training weighted-cnn for 3 epochs of 54,000 images (about 4 minutes on 2 cores)"
	@$(CLI) train --network weighted-cnn --epochs 3 --resume -o $(RUN) $(DATA)

$(RUN)/weighted-cnn.json: $(RUN)/metrics.json
	@echo "== 3/6  Converting to int8 in four ways and keeping the closest one (about 2 minutes)"
	@$(CLI) convert $(RUN) --int8 --force $(DATA)

# After so short a training the check may fail (status 1). The report shows the verdict, and the demo goes on.
$(RUN)/parity/verify.json: $(RUN)/weighted-cnn.json
	@echo "== 4/6  Checking the int8 file against the float model, class by class (half a minute)"
	@$(CLI) verify $(RUN)/weighted-cnn_float32.tflite $(RUN)/weighted-cnn_int8.tflite \
		--report $(RUN)/parity --force $(DATA) || test $$? -eq 1

$(RUN)/drawn/labels.csv: | $(VENV)/ready
	@$(CLI) draw $(RUN)/drawn --count 2 --force

$(RUN)/report.html: $(RUN)/parity/verify.json $(if $(PHOTOS),FORCE,$(RUN)/drawn/labels.csv)
	@echo "== 5/6  Classifying $(if $(PHOTOS),the photographs in $(PHOTOS),pictures drawn by the project (not photographs))"
	@$(CLI) classify "$(PICTURES)" --model $(RUN)/weighted-cnn_int8.tflite || test $$? -eq 2
	@echo "== 6/6  Writing the report (half a minute)"
	@$(CLI) report $(RUN) --pictures "$(PICTURES)" --force $(DATA)

FORCE:

# --- make reproduce: makes the files of models/ again; if it was interrupted, it continues

MADE := runs/reproduced
OPTIONS_weighted-cnn := --network weighted-cnn --target-recall Shirt=0.93
TEACHERS := models/teachers/wide-muon.keras models/teachers/wide-sgd.keras
OPTIONS_garment-net := --network garment-net $(TEACHERS:%=--teacher %) --seed 1
OPTIONS_garment-net-tiny := --network garment-net-tiny $(TEACHERS:%=--teacher %) --mixed-precision --seed 1
OPTIONS_photo := --init models/teachers/wide-muon.keras $(TEACHERS:%=--teacher %) \
	--network garment-net-wide --mixed-precision \
	--label-column seen_label --label-column fashion_mnist_label --also-column seen_also \
	--flags-column seen_flags --split-by sender_id $(if $(SCENES),--rooms "$(SCENES)")
FOLDS := 1 2 3 4 5
SHIPPED := weighted-cnn garment-net garment-net-balanced garment-net-tiny $(if $(PHOTOS),$(if $(SCENES),garment-net-photo))

reproduce: $(SHIPPED:%=$(MADE)/%/parity/verify.json) $(if $(SCENES),$(MADE)/segmenter.tflite)

$(MADE)/segmenter.tflite: | $(VENV)/ready
	@mkdir -p $(MADE)
	$(BIN)/python benchmarks/train_segmenter.py --photos "$(PHOTOS)" --scenes "$(SCENES)" --all-scenes \
		$(SMALL) -o $@

$(MADE)/%/metrics.json: | $(VENV)/ready
	@$(CLI) data $(DATA)
	$(CLI) train $(OPTIONS_$*) --resume -o $(MADE)/$* $(DATA)

$(MADE)/%-balanced/metrics.json: $(MADE)/%/metrics.json
	$(CLI) rebalance $(MADE)/$* --target-recall Shirt=0.92 --target-recall all=0.88 \
		--force -o $(MADE)/$*-balanced $(DATA)

# On a GPU: JAX with CUDA, and TensorFlow for the conversion alone.
ON_GPU := KERAS_BACKEND=jax $(CLI) train --mixed-precision --seed 1 --resume $(DATA)

reproduce-gpu: $(MADE)/resnet-20/parity/verify.json $(MADE)/resnet-20-balanced/parity/verify.json

$(MADE)/wide-resnet/metrics.json: | $(VENV)/ready
	$(ON_GPU) --network wide-resnet -o $(MADE)/wide-resnet

$(MADE)/resnet-20/metrics.json: $(MADE)/wide-resnet/metrics.json
	$(ON_GPU) --network resnet-20 --teacher $(MADE)/wide-resnet --teacher-sees augmented --cutmix 0.5 \
		--epochs 300 -o $(MADE)/resnet-20

# The networks of the folds fit the temperature and threshold of the network that is trained on all photographs.
$(MADE)/garment-net-photo/metrics.json: | $(VENV)/ready
	$(BIN)/python benchmarks/photo_folds.py --photos "$(PHOTOS)" -o $(MADE)/photo-fold $(DATA) $(OPTIONS_photo)
	$(CLI) train --photos "$(PHOTOS)" --all-photos $(OPTIONS_photo) --resume \
		-o $(MADE)/garment-net-photo $(DATA)

$(MADE)/garment-net-photo/converted: $(MADE)/garment-net-photo/metrics.json
	$(CLI) convert $(MADE)/garment-net-photo --int8 --name garment-net-photo --force \
		--about benchmarks/photo_card.json \
		$(FOLDS:%=--held-out $(MADE)/photo-fold-%) $(DATA)
	@touch $@

$(MADE)/%/converted: $(MADE)/%/metrics.json
	$(CLI) convert $(MADE)/$* --int8 --name $* --force $(DATA)
	@touch $@

$(MADE)/%/parity/verify.json: $(MADE)/%/converted
	$(CLI) verify $(MADE)/$*/$*_float32.tflite $(MADE)/$*/$*_int8.tflite --margin 0.01 \
		--report $(MADE)/$*/parity --force $(DATA)

.PRECIOUS: $(MADE)/%/metrics.json $(MADE)/%/converted

clean:
	rm -rf $(VENV) .venv-device-* $(RUN) build *.egg-info
