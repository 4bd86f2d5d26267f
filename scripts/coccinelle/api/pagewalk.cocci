// SPDX-License-Identifier: GPL-2.0-only
/// Callbacks of page table walks that break the contract of struct
/// mm_walk_ops in <linux/pagewalk.h>:
///
///  - a p?d_entry callback that returns a positive literal. Say
///    PAGE_WALK_SKIP if the entry has been handled; to end the walk takes a
///    negative value.
///  - a callback for something that is no entry of a table and returns a
///    positive value, or PAGE_WALK_AGAIN: it can only go on or end the walk.
///  - a pmd_entry callback that maps a table of PTEs, and returns 0 if there
///    is none: it is PAGE_WALK_AGAIN that has the walk look again.
///  - walk->action, which does not exist any more.
///
// Confidence: Moderate
// Comments: what a callback returns by way of a variable is not followed
// Options: --no-includes --include-headers

virtual org
virtual report

//----------------------------------------------------------
//  Who is a callback
//----------------------------------------------------------

@entry@
identifier ops, fn;
identifier level =~ "^(pgd|p4d|pud|pmd)_entry$";
@@

struct mm_walk_ops ops = { ..., .level = fn, ..., };

@pmd_entry@
identifier ops, fn;
@@

struct mm_walk_ops ops = { ..., .pmd_entry = fn, ..., };

@other@
identifier ops, fn;
identifier level =~ "^(pte_entry|pte_hole|pre_vma|install_pte)$";
@@

struct mm_walk_ops ops = { ..., .level = fn, ..., };

//----------------------------------------------------------
//  What it does wrong
//----------------------------------------------------------

@bare@
identifier entry.fn;
constant c =~ "^[1-9]";
position p;
@@

fn(...)
{
<...
	return@p c;
...>
}

@positive@
identifier other.fn;
constant c =~ "^([1-9]|PAGE_WALK_)";
position p;
@@

fn(...)
{
<...
	return@p c;
...>
}

@silent@
identifier pmd_entry.fn;
identifier map =~ "^pte_offset_map(_lock|_rw_nolock|_ro_nolock)?$";
expression ptep, start, E;
position p;
@@

fn(...)
{
	<+...
(
	ptep = map(...);
|
	start = ptep = map(...);
)
	... when != ptep = E
(
	if (!ptep) return@p 0;
|
	if (!ptep) { ... return@p 0; }
)
	...+>
}

@action@
struct mm_walk *walk;
position p;
@@

walk->action@p

//----------------------------------------------------------
//  Reports
//----------------------------------------------------------

@script:python depends on org@
p << bare.p;
@@
coccilib.org.print_todo(p[0], "WARNING: return PAGE_WALK_SKIP, or a negative value to end the walk")

@script:python depends on report@
p << bare.p;
@@
coccilib.report.print_report(p[0], "WARNING: return PAGE_WALK_SKIP, or a negative value to end the walk")

@script:python depends on org@
p << positive.p;
@@
coccilib.org.print_todo(p[0], "WARNING: only 0 and negative error codes can be returned here")

@script:python depends on report@
p << positive.p;
@@
coccilib.report.print_report(p[0], "WARNING: only 0 and negative error codes can be returned here")

@script:python depends on org@
p << silent.p;
@@
coccilib.org.print_todo(p[0], "WARNING: return PAGE_WALK_AGAIN if there is no table of PTEs")

@script:python depends on report@
p << silent.p;
@@
coccilib.report.print_report(p[0], "WARNING: return PAGE_WALK_AGAIN if there is no table of PTEs")

@script:python depends on org@
p << action.p;
@@
coccilib.org.print_todo(p[0], "ERROR: walk->action is gone, see struct mm_walk_ops")

@script:python depends on report@
p << action.p;
@@
coccilib.report.print_report(p[0], "ERROR: walk->action is gone, see struct mm_walk_ops")
