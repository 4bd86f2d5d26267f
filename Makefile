# SPDX-License-Identifier: GPL-2.0
# make help

B	?= $(CURDIR)/build
J	?= $(shell nproc)
TIMEOUT	?= 600
KSRC	?=
export B J TIMEOUT KSRC

S := scripts

help:
	@echo 'make run        boot base and patched kernel, print what each does to huge leaves'
	@echo 'make test       KUnit suite and kselftest on the patched kernel'
	@echo 'make compare    what readers say of a zoo of mappings, base against patched'
	@echo 'make check      patches, mirror, style, the harness itself: no compiler'
	@echo 'make must-fail  drop each fix in turn: exactly its tests fail'
	@echo 'make race       readers against changes, with delays in the loops over entries'
	@echo 'make nospecial  KUnit on x86 without special bits in PMDs and PUDs'
	@echo 'make variants   KUnit on arm64, riscv64, i386, UML, and without THP, hugetlb, ...'
	@echo 'make cross      what the series touches compiles for other architectures'
	@echo 'make cocci      the Coccinelle scripts bite, and are silent on the patched tree'
	@echo 'make kunit, make selftests    the halves of make test'
	@echo 'make bench  what each walk costs, to the instruction ([BASE=] [NEW=] tree or patch)'
	@echo 'make bench-size    code and source lines that the series adds'
	@echo
	@echo 'make tree       patches/ -> branch series of build/linux (work there)'
	@echo 'make export     branch series -> patches/, series, mirror'
	@echo 'make each       every patch builds W=1 and passes KUnit'
	@echo 'make mbox       the series as mail, for git am and b4'
	@echo 'make clean      remove objects and results (keeps trees and the download)'
	@echo
	@echo 'KSRC=$(KSRC)	v7.3 tree to use instead of the download'
	@echo 'B=$(B)	everything that is made goes there (14 GB, 8 for run and test)'
	@echo 'J=$(J)	jobs    TIMEOUT=$(TIMEOUT)	seconds a boot may take    FORCE=1	boot again'

setup:
	@$(S)/setup.sh
tree: setup
	@$(S)/tree.sh
run:
	@$(S)/run.sh
kunit selftests compare each must-fail race nospecial variants cross cocci: tree
	@$(S)/$@.sh
test: tree
	@$(S)/test.sh
bench: tree
	@$(S)/bench.sh $(or $(BASE),base) $(NEW)
bench-size: tree
	@$(S)/bench.sh --size $(or $(BASE),base) $(NEW)
mbox export: setup
	@$(S)/$@.sh
check: setup
	@$(S)/check.py
clean:
	rm -rf $(B)/results $(B)/each $(B)/cross $(B)/variants $(B)/*/.obj-* $(B)/ccache

.PHONY: help setup tree run kunit selftests compare each must-fail race nospecial variants cross cocci test bench bench-size mbox export check clean
