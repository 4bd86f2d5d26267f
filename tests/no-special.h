/* SPDX-License-Identifier: GPL-2.0 */
/* For "make nospecial": x86 as an architecture without pmd_special(), pud_special() */
#undef CONFIG_ARCH_SUPPORTS_PMD_PFNMAP
#undef CONFIG_ARCH_SUPPORTS_PUD_PFNMAP
