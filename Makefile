# The verbs of this project. `make help` lists them.
PYTHON ?= python3.11
VENV ?= .venv
HOST ?= 127.0.0.1
PORT ?= 8000
ORTHANC_PORT ?= 8043
STUDIES ?=
SEEDS ?=
WEIGHTS ?=
CONF ?=

BIN = $(VENV)/bin
STAMP = $(VENV)/.stamp

.PHONY: help demo test serve ohif check bench lock clean
.DEFAULT_GOAL := help

help:  ## list the verbs
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 8

demo: $(STAMP)  ## one scribbled slice of a real volume -> the volume, saved, scored, drawn [STUDIES=folder SEEDS=file]
	@$(BIN)/python -m scripts.demo $(if $(STUDIES),--studies "$(STUDIES)") $(if $(SEEDS),--seeds "$(SEEDS)") $(if $(WEIGHTS),--weights "$(WEIGHTS)")

# Two processes of one thread each: with a pool of threads in each of them the two wait for each other.
test: $(STAMP)  ## run all tests; those in OHIF install Debian's Orthanc and Chromium where they may, else skip
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

serve: $(STAMP)  ## start the server for your images: make serve STUDIES=folder [HOST=127.0.0.1 PORT=8000 CONF="key value"]
	@test -n "$(STUDIES)" || { echo 'Which images? Say: make serve STUDIES=/folder/with/nifti/files (or a DICOMweb address)' >&2; exit 2; }
	$(BIN)/monailabel start_server --app apps/imos --studies "$(STUDIES)" --host "$(HOST)" --port "$(PORT)" $(if $(CONF),--conf $(CONF))

ohif: $(STAMP)  ## DICOM files in OHIF, in your browser: make ohif STUDIES=folder [PORT=8000 ORTHANC_PORT=8043 CONF="key value"]
	@test -n "$(STUDIES)" || { echo 'Which DICOM files? Say: make ohif STUDIES=/folder/with/dicom/files' >&2; exit 2; }
	@$(BIN)/python -m scripts.ohif --studies "$(STUDIES)" --host "$(HOST)" --port "$(PORT)" --orthanc-port "$(ORTHANC_PORT)" $(if $(CONF),--conf $(CONF))

check: $(STAMP)  ## format, lint, types, architecture
	@VENV="$(VENV)" scripts/check

bench: $(STAMP)  ## print the speed and accuracy tables that docs/benchmarks.md quotes [DATA=folder of cases]
	$(BIN)/python -m benchmarks.speed
	$(if $(DATA),$(BIN)/python -m benchmarks.accuracy "$(DATA)")

lock: $(STAMP)  ## write constraints.txt anew from what is installed
	$(BIN)/python scripts/lock.py > constraints.txt.partial
	mv constraints.txt.partial constraints.txt

clean:  ## remove caches and results (the environment stays)
	rm -rf .pytest_cache .mypy_cache .ruff_cache demo-output build
	find apps benchmarks scripts tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(STAMP): requirements.txt requirements-dev.txt constraints.txt
	@PYTHON="$(PYTHON)" VENV="$(VENV)" scripts/environment
