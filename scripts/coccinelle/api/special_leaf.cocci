// SPDX-License-Identifier: GPL-2.0-only
/// Whether there is a page in a PMD or PUD leaf that may be touched is for
/// vm_normal_page_pmd() and vm_normal_page_pud() to say: it depends on the VMA,
/// too, and not all architectures have a special bit. Only GUP-fast, which has
/// no VMA, reads the bit itself.
///
// Confidence: Moderate
// Comments: accessors of an architecture have to be looked at
// Options: --no-includes --include-headers

virtual org
virtual report

@special@
position p;
@@

(
	pmd_special@p(...)
|
	pud_special@p(...)
)

@script:python depends on org@
p << special.p;
@@
readers = ["gup_fast_pmd_leaf", "gup_fast_pud_leaf",
	   "vm_normal_page_pmd", "vm_normal_page_pud"]
for pos in p:
    if pos.current_element not in readers:
        coccilib.org.print_todo(pos, "WARNING: use vm_normal_page_pmd() or vm_normal_page_pud()")

@script:python depends on report@
p << special.p;
@@
readers = ["gup_fast_pmd_leaf", "gup_fast_pud_leaf",
	   "vm_normal_page_pmd", "vm_normal_page_pud"]
for pos in p:
    if pos.current_element not in readers:
        coccilib.report.print_report(pos, "WARNING: use vm_normal_page_pmd() or vm_normal_page_pud()")
