# SPDX-License-Identifier: GPL-3.0-or-later
# make facility        a whole facility on this machine, verified (root on Debian 12, 13 or Ubuntu)
# make facility-down   remove it
# make <stage>         one stage of it: box check mirror node gateway kubernetes storage images batch cache hub verify
# make test            lint, unit, sanity, molecule, charts
# make soak TARGET=x   run something for long
# INVENTORY=<directory> takes another site than inventories/box, ANSIBLE_ARGS="--check --diff" goes to ansible-playbook.

SHELL := /bin/bash
MAKEFLAGS += --no-print-directory
STAGES := check mirror node gateway kubernetes storage images batch cache hub verify site
INVENTORY ?= inventories/box
export INVENTORY ANSIBLE_ARGS

.PHONY: help tools facility facility-down box $(STAGES) test lint unit sanity molecule charts soak clean

help:
	@sed -n '2,/^$$/s/^# //p' Makefile

tools:
	@scripts/bootstrap

facility:
	@scripts/facility

facility-down:
	@scripts/play box_down

box:
	@scripts/play box_up

$(STAGES):
	@scripts/play $@

test:
	@scripts/test all

lint unit sanity molecule charts:
	@scripts/test $@

soak:
	@scripts/soak $(TARGET)

clean:
	rm -rf report tests/output
