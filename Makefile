# ivrpay: `make demo` and `make test` do all the set-up themselves.
.DEFAULT_GOAL := help
SHELL := /bin/bash

.PHONY: help setup build demo test check e2e leakcheck crash prove prove-dialogue prove-fuzz prove-e2e prove-leak prove-crash prove-seeds bench install

help: ## what there is
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## */\t/' | expand -t 18

setup: ## install the Debian packages that tests and lab need (says which)
	@scripts/setup

build: setup ## build everything, in the one profile that is tested
	cargo build --workspace --all-targets --locked

demo: setup ## a real call keys a card into a real Asterisk; ends with `demo: approved, 1 payment, 0 leaks`
	@scripts/demo

check: ## the fast part: format, lints, unit and doc tests, licences, direction of the crates
	@scripts/test check

e2e: setup ## only the calls on a real Asterisk; ends with `e2e: N calls, N as expected`
	@scripts/test e2e

leakcheck: setup ## every card of real calls is looked for everywhere, with a control; ends with `leakcheck: N places, 0 found, control found M of M`
	@scripts/test leakcheck

crash: setup ## kill -9 at every place of a payment, three books compared, on SQLite and on PostgreSQL; each ends with `crash: N kills, 0 double charges, 0 lost, 0 stuck`
	@scripts/crash --all
	@scripts/crash --all --postgres
	@scripts/crash --webhooks

test: setup ## what CI runs; ends with `N passed, N failed`
	@scripts/test all

prove: prove-dialogue prove-fuzz prove-e2e prove-leak prove-crash prove-seeds ## the same checks at every count that we promise

prove-dialogue: setup ## 200,000 random dialogues
	@scripts/prove dialogue

prove-fuzz: setup ## every fuzz target for 60 s
	@scripts/prove fuzz

prove-e2e: setup ## all calls on Asterisk 22 and 16, every keying speed twice
	@scripts/prove e2e

prove-leak: setup ## the leak check at full count, and every planted leak found
	@scripts/prove leak

prove-crash: setup ## every mistake on purpose is found by the auditor of `make crash`; then three times its kills
	@scripts/prove crash

prove-seeds: setup ## every mistake on purpose is found by the simulation; then a million seeds; ends with `seeds: N seeds, 0 violations, …`
	@scripts/prove seeds

bench: setup ## the measurements, each a ratio, a distribution or a count of one run
	@scripts/bench

install: ## the binaries, to PREFIX/bin (/usr/local)
	cargo build --release --locked -p ivrpay -p ivrpay-console
	install -D -m 0755 -t $(DESTDIR)$${PREFIX:-/usr/local}/bin $${CARGO_TARGET_DIR:-target}/release/ivrpay $${CARGO_TARGET_DIR:-target}/release/ivrpay-console
