# SPDX-License-Identifier: GPL-2.0-or-later
"""Source diffs with Ksplice's hooks, shadow fields and hints."""

from __future__ import annotations

from bench.behaviour.model import Input
from bench.behaviour.parts import Edit, appended, diff, given
from bench.behaviour.tables.places import (
    CMDLINE,
    CONSOLES,
    FILESYSTEMS,
    LOADAVG,
    NEW_LOADAVG,
    NEW_UMASK,
    NEW_UNAME,
    NEW_UPTIME,
    NEW_VERSION,
    NULL_BLK,
    SOFTIRQS,
    UPTIME,
    VERSION,
)
from bench.behaviour.tables.steps import BUILD_AND_INSPECT, BUILD_PATCH, PATCH, build

HEADER = '#include "ksplice-patch.h"\n'
HEAD = '\tseq_puts(p, "                    ");\n'

STAGES = (
    *("pre_apply", "check_apply", "apply", "post_apply", "fail_apply"),
    *("pre_reverse", "check_reverse", "reverse", "post_reverse", "fail_reverse"),
)


def telling(name: str, *stages: str, failing: str = "0") -> str:
    """Hooks that write their stage to the kernel's log.

    :param failing: C for what a check returns.
    """
    return HEADER + "".join(_hook(name, stage, failing) for stage in stages)


def _hook(name: str, stage: str, failing: str) -> str:
    says = f'pr_info("ksplice: {name} {stage}\\n");'
    result = failing if stage == "check_apply" else "0"
    may_refuse = stage.startswith(("pre_", "check_"))
    kind, end = ("int", f" return {result};") if may_refuse else ("void", "")
    hook = f"{name}_{stage}"
    return f"static {kind} {hook}(void) {{ {says}{end} }}\nksplice_{stage}({hook});\n"


EVERY_HOOK = (NEW_VERSION, appended(VERSION, telling("version", *STAGES)))
TWO_FUNCTIONS = (NEW_LOADAVG, NEW_UPTIME)
DATA = (appended(UPTIME, given("ksplice/uptime.c")),)
SHADOW_FIELD = (
    Edit(
        SOFTIRQS,
        HEAD,
        "\tint *shown = make_shown_shadow(&init_task, GFP_KERNEL);\n\n"
        f'\tif (shown)\n\t\tseq_printf(p, "shown %d ", ++*shown);\n{HEAD}',
    ),
    Edit(
        SOFTIRQS,
        "static int show_softirqs(",
        "#define FROM_FORTY(field) (*(field) = 40)\n"
        "DEFINE_SHADOW_FIELD(struct task_struct, int, GFP_KERNEL, shown, FROM_FORTY);\n\n"
        "static int show_softirqs(",
    ),
    Edit(SOFTIRQS, '#include "internal.h"\n', f'#include "internal.h"\n{HEADER}'),
    Edit(
        CONSOLES,
        '\tseq_printf(m, "%s%d", con->name, con->index);\n',
        "\tint *shown = get_shown_shadow(&init_task);\n\n"
        '\tseq_printf(m, "(shown %d) ", shown ? *shown : 0);\n'
        '\tseq_printf(m, "%s%d", con->name, con->index);\n',
    ),
    Edit(
        CONSOLES,
        "static int show_console_dev(",
        f"#include <linux/sched/task.h>\n{HEADER}"
        "DECLARE_SHADOW_FIELD(struct task_struct, int, shown);\n\nstatic int show_console_dev(",
    ),
)
"""Defined in one file, and used in two."""

HINTS = (
    Edit(CMDLINE, "\tseq_puts(m, saved", '\tseq_puts(m, "sutured ");\n\tseq_puts(m, saved'),
    appended(
        CMDLINE,
        f"{HEADER}ksplice_assume_rodata(saved_command_line);\nksplice_match_data_early(jiffies);\n",
    ),
)
OF_A_MODULE = (
    Edit(NULL_BLK, '"badblocks,blocking,', '"sutured,badblocks,blocking,'),
    appended(
        NULL_BLK,
        given("ksplice/null_blk.c") + telling("null_blk", "post_apply", "post_reverse"),
        before="\nmodule_exit(null_exit);\n",
    ),
)
HOOKS_ALONE = (
    appended(
        FILESYSTEMS, telling("filesystems", "pre_apply", "post_reverse"), before="\nmodule_init("
    ),
)
CHECKS = ("pre_apply", "check_apply", "apply", "fail_apply", "post_reverse")
REFUSING = (
    *TWO_FUNCTIONS,
    appended(LOADAVG, telling("loadavg", *CHECKS)),
    appended(UPTIME, telling("uptime", *CHECKS, failing="panic_timeout == 333 ? -EBUSY : 0")),
)

GROUPS = {
    "every-hook": EVERY_HOOK,
    "data": (*TWO_FUNCTIONS, *DATA),
    "shadow-field": SHADOW_FIELD,
    "hints": HINTS,
    "system-calls": (NEW_UMASK, NEW_UNAME),
    "module": OF_A_MODULE,
}
MANY = {f"{name}.patch": diff(*edits) for name, edits in GROUPS.items()}

ALL = (
    Input("ksplice/every-hook", BUILD_AND_INSPECT, {PATCH: diff(*EVERY_HOOK)}),
    Input("ksplice/data", BUILD_PATCH, {PATCH: diff(*TWO_FUNCTIONS, *DATA)}),
    Input("ksplice/shadow-field", BUILD_PATCH, {PATCH: diff(*SHADOW_FIELD)}),
    Input("ksplice/hints", BUILD_PATCH, {PATCH: diff(*HINTS)}, series=("6.1",)),
    Input("ksplice/module", BUILD_PATCH, {PATCH: diff(*OF_A_MODULE)}, series=("6.12",)),
    Input("ksplice/hooks-alone", BUILD_PATCH, {PATCH: diff(*HOOKS_ALONE)}),
    Input("ksplice/checks", BUILD_PATCH, {PATCH: diff(*REFUSING)}),
    Input("ksplice/many", (build(*MANY, "--name", "many", "-o", "many.ko"),), MANY),
)
