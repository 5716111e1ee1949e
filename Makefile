# The two commands of the README are `demo` and `test`. Each does all its set-up.

# Everything that `make setup` fetches for this checkout lies here.
TOOLS := .tools
BUF := $(TOOLS)/node_modules/.bin/buf
CARGO ?= cargo

# What the tests need beside the code: Postgres and Kafka, for the command that follows.
SERVICES := ./scripts/services.sh

.PHONY: demo test setup setup-build services services-stop lint proto soak bench bench-growth bench-province import-million fuzz fmt clean

# Runs the main job once, on the embedded default, and verifies it.
demo: setup-build
	$(CARGO) run --release --bin tally -- demo

# The scenarios that run a second time, with a process for each role and Kafka between them.
SCENARIOS := bad_input catalogue decisions links measures publication quarantine rights simulate spine suspension timeliness
TEST := $(CARGO) test --workspace

# Everything that must hold before a change lands. What services it had to start, it stops at its end.
test: setup lint proto
	$(SERVICES) run sh -c '$(TEST) --all-targets && TALLY_TEST_MESH=processes $(TEST) $(SCENARIOS:%=--test %)'

# Faults and outages of the services for a minute each, and what they do to memory: what the tests
# do for seconds. Then a simulated province for so many minutes, while every fault strikes in turn, and
# an account of every command. Every fault is written down in the file.
SOAK_SECONDS ?= 60
SOAK_MINUTES ?= 30
soak: setup
	TALLY_OUTAGE_SECONDS=$(SOAK_SECONDS) SOAK_MINUTES=$(SOAK_MINUTES) TALLY_FAULT_LOG=$(CURDIR)/target/faults.log \
		$(SERVICES) run $(CARGO) test --package tally-tests --no-fail-fast \
		--test backpressure --test faults --test soak -- --nocapture

# What is needed to compile, installed if it is missing.
setup-build:
	./scripts/setup.sh build

# The same and what the tests need.
setup:
	./scripts/setup.sh test

# Postgres and Kafka for tests and development, as DATABASE_URL and KAFKA_BROKERS: see the script's head.
services:
	./scripts/setup.sh services
	$(SERVICES) start

services-stop:
	$(SERVICES) stop

lint:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings

# Contracts: linted, and compared with the newest earlier ones.
proto: setup
	cd proto && ../$(BUF) lint
	./scripts/proto-breaking.sh $(BUF)

BENCH := $(CARGO) bench --package tally-tests --bench paths --

# Each path as a ratio to its composed bare path in the same run: in one process on SQLite, then with a
# process for each role on Postgres and Kafka. Fails where a median ratio that counts is below 0.5.
bench: setup-build
	./scripts/setup.sh services
	$(SERVICES) run $(BENCH) --gate

# What an event costs in Postgres as a log grows from 100,000 to so many events, which take 1 KB of disk each.
GROWTH_TO ?= 10000000
bench-growth: setup-build
	./scripts/setup.sh services
	$(SERVICES) run $(BENCH) --growth-to $(GROWTH_TO)

# The same with the province's pack, a million records and 100,000 listings in
# force. Filling takes some minutes and 10 GB of disk for temporary files.
bench-province: setup-build
	$(BENCH) --on sqlite --filled --rounds 3

# A million rows of the penalty template, killed in the middle and resumed, beside a stream of the
# same records: what becomes of each row, memory and speed. Needs 15 GB of disk for temporary files.
import-million: setup-build
	TALLY_IMPORT_ROWS=1000000 $(CARGO) test --release --package tally --test million -- --nocapture

# What `make test` tries a few hundred times of, tried for so many minutes.
FUZZ_MINUTES ?= 10
fuzz: setup-build
	./scripts/fuzz.sh $(FUZZ_MINUTES)

fmt:
	$(CARGO) fmt --all

clean: services-stop
	$(CARGO) clean
	rm -rf $(TOOLS)
