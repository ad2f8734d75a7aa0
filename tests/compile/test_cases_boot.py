# SPDX-License-Identifier: GPL-2.0-or-later
"""Patches about what only code sets up that a live patch leaves out: ``__init`` and ``__exit``."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import suture
from suture.errors import Refusal
from suture.kernel.release import Target
from suture.workspace.prepare import Workspace
from tests.patches import Edit, diff

pytestmark = pytest.mark.make_test_takes("6.12")

VERSION = "fs/proc/version.c"
LOOP, NULL_BLK = "drivers/block/loop.c", "drivers/block/null_blk/main.c"


def patch_of(tree: Path, to: Path, *edits: Edit) -> Path:
    path = to / "case.patch"
    path.write_text(diff(tree, *edits))
    return path


def refusal_of(patch: Path, target: Target) -> Refusal:
    with pytest.raises(Refusal) as refusal:
        suture.build([patch], target)
    return refusal.value


def replaced(artifact: suture.Artifact) -> set[tuple[str, str]]:
    """The old and the new name of each replaced function."""
    objects = artifact.patch.objects
    return {(one.old_name, one.new_name) for item in objects for one in item.functions}


# --- functions whose arguments change while code that stays calls them

ADD = "static int loop_add(int i)\n{\n"
CALLS = ("\tloop_add(idx);\n", "return loop_add(-1);", "return loop_add(parm);", "\tloop_add(i);")


def called_otherwise(declared: str, arguments: str, body: str = "") -> list[Edit]:
    """Another prototype of loop_add(), and other calls of it.

    :param declared: the new parameters.
    :param arguments: what stands for the old argument; ``#`` for the argument, ``%`` for a number.
    """
    edits = [Edit(LOOP, ADD, f"static int loop_add({declared})\n{{\n{body}")]
    for number, call in enumerate(CALLS, 1):
        start, old = call.split("loop_add(")
        argument, end = old.split(")", 1)
        new = arguments.replace("#", argument).replace("%", str(number))
        edits.append(Edit(LOOP, call, f"{start}loop_add({new}){end}"))
    return edits


QUIET = "\tif (why == 100 + max_loop)\n\t\treturn -EIO;\n"
OTHER_ARGUMENTS = {
    "one more in front": called_otherwise("unsigned long why, int i", "%, #", QUIET),
    "one more behind": called_otherwise("int i, unsigned long why", "#, %", QUIET),
    "one more on either side": called_otherwise("long why, int i, long too", "%, #, %", QUIET),
    "another type": called_otherwise(
        "long j", "#", "\tint i = j;\n\n\tif (j > 1L << 40)\n\t\treturn -EIO;\n"
    ),
    "a place for a result": called_otherwise(
        "int i, int *result", "#, &(int){ % }", "\t*result = max_loop;\n"
    ),
}
SAME_ARGUMENTS = {
    "another body": [
        Edit(LOOP, ADD, f'{ADD}\tpr_info("one more\\n");\n'),
        Edit(LOOP, CALLS[3], f'{{\n\t\tpr_info("%d\\n", i);\n\t{CALLS[3]}\n\t}}'),
    ],
    "a typedef": called_otherwise("s32 i", "#", '\tpr_info("one more\\n");\n'),
    "another name": [
        Edit(LOOP, ADD, f'{ADD}\tpr_info("one more\\n");\n'.replace("loop_add", "loop_create")),
        *(Edit(LOOP, call, call.replace("loop_add", "loop_create")) for call in CALLS),
    ],
}


@pytest.mark.parametrize("case", OTHER_ARGUMENTS)
def test_init_code_of_a_module_would_pass_the_old_arguments(
    case: str, each_target: Target, each_workspace: Workspace, tmp_path: Path
) -> None:
    found = refusal_of(patch_of(each_workspace.tree, tmp_path, *OTHER_ARGUMENTS[case]), each_target)
    assert (found.code, found.where) == ("prototype-changed", f"{LOOP}: loop_add()")
    assert any("loop_init()" in line for line in found.evidence)


@pytest.mark.parametrize("case", SAME_ARGUMENTS)
def test_init_code_of_a_module_passes_the_same_arguments(
    case: str, each_target: Target, each_workspace: Workspace, tmp_path: Path
) -> None:
    patch = patch_of(each_workspace.tree, tmp_path, *SAME_ARGUMENTS[case])
    assert "loop_add" in {old for old, _ in replaced(suture.build([patch], each_target))}


def test_exit_code_would_pass_the_old_arguments(
    target: Target, workspace: Workspace, tmp_path: Path
) -> None:
    """A general protection fault when null_blk is unloaded, once."""
    head = "static void null_destroy_dev(struct nullb *nullb)\n{\n"
    body = "\tstruct nullb_device *dev = nullb->dev;\n\n\tnull_del_dev(nullb);\n\tnull_free_device"
    call = "\t\tnull_destroy_dev(nullb);\n\t}\n"
    more = "\n\n\tif (why == 100 + g_queue_mode)\n\t\treturn;\n"
    new = head.replace("(struct", "(unsigned long why, struct") + body.replace("\n\n", more, 1)
    edits = [Edit(NULL_BLK, head + body, new)]
    for number, end in enumerate(("\tunregister_blkdev", "\tmutex_unlock")):
        edits.append(Edit(NULL_BLK, call + end, call.replace("(", f"({number}, ") + end))
    found = refusal_of(patch_of(workspace.tree, tmp_path, *edits), target)
    assert (found.code, found.where) == ("prototype-changed", f"{NULL_BLK}: null_destroy_dev()")
    told = {line.split()[0]: line for line in found.evidence}
    assert told.keys() == {"null_init()", "null_exit()"}
    assert "when null_blk is unloaded" in told["null_exit()"]


LED, REMOVE = "sound/core/control_led.c", "snd_ctl_led_sysfs_remove("
OTHER_ORDERS = {
    "one more in front": ("unsigned long why, struct snd_card *card", "{}, card"),
    "one more behind": ("struct snd_card *card, unsigned long why", "card, {}"),
}


@pytest.mark.parametrize("case", OTHER_ORDERS)
def test_exit_code_would_pass_the_old_arguments_to_a_static_function(
    case: str, each_target: Target, each_workspace: Workspace, tmp_path: Path
) -> None:
    """On 6.12 the compiler inlines null_destroy_dev() into null_exit(), but this one on neither."""
    parameters, arguments = OTHER_ORDERS[case]
    old, new = (f"static void {REMOVE}{one})" for one in ("struct snd_card *card", parameters))
    check = "\tif (why == 100 + snd_ctl_led_dev.id)\n\t\treturn;\n"
    edits = [Edit(LED, f"{old};", f"{new};"), Edit(LED, f"{old}\n{{\n", f"{new}\n{{\n{check}")]
    for number, indented in enumerate(("\n\t", "\n\t\t\t")):
        call = f"{indented}{REMOVE}card);"
        edits.append(Edit(LED, call, call.replace("card)", f"{arguments.format(number)})")))
    found = refusal_of(patch_of(each_workspace.tree, tmp_path, *edits), each_target)
    assert (found.code, found.where) == ("prototype-changed", f"{LED}: {REMOVE})")
    (evidence,) = found.evidence
    assert evidence.startswith("snd_ctl_led_exit() ")
    assert "is unloaded" in evidence


# --- functions under another name

SHOWS = {
    "fs/proc/version.c": "version_proc_show",
    "fs/proc/uptime.c": "uptime_proc_show",
    "fs/proc/loadavg.c": "loadavg_proc_show",
    "fs/proc/cmdline.c": "cmdline_proc_show",
    "fs/proc/meminfo.c": "meminfo_proc_show",
}


def renamed_show(tree: Path, path: str) -> list[Edit]:
    """The show function of a file in /proc under another name, with one line more."""
    name, text = SHOWS[path], (tree / path).read_text()
    start = text.index(f"static int {name}(")
    body = text[start : text.index("\treturn 0;\n}", start)]
    (line,) = [one for one in text.splitlines() if f", {name});" in one]
    fixed = body.replace(name, f"{name}_adv") + '\tseq_puts(m, "adv\\n");\n'
    return [
        Edit(path, f"{body}\treturn 0;\n}}", f"{fixed}\treturn 0;\n}}"),
        Edit(path, line, line.replace(name, f"{name}_adv")),
    ]


@pytest.mark.parametrize("path", SHOWS)
def test_a_renamed_function_that_init_code_registered_is_the_old_one(
    path: str, each_target: Target, each_workspace: Workspace, tmp_path: Path
) -> None:
    tree = each_workspace.tree
    patch = patch_of(tree, tmp_path, *renamed_show(tree, path))
    artifact = suture.build([patch], each_target)
    assert replaced(artifact) == {(SHOWS[path], f"{SHOWS[path]}_adv")}
    assert artifact.left_out == ()


def test_a_renamed_function_in_a_table_is_the_old_one(
    each_target: Target, each_workspace: Workspace, tmp_path: Path
) -> None:
    names = [("misc_seq_show", "misc_show"), ('"%3i %s\\n"', '"%3i: %s\\n"')]
    edit = renamed_everywhere(each_workspace.tree, MISC, names)
    artifact = suture.build([patch_of(each_workspace.tree, tmp_path, edit)], each_target)
    assert replaced(artifact) == {("misc_seq_show", "misc_show")}


def test_a_renamed_function_that_is_given_for_another_purpose_is_refused(
    each_target: Target, each_workspace: Workspace, tmp_path: Path
) -> None:
    tree = each_workspace.tree
    show, line = renamed_show(tree, VERSION)
    other = Edit(VERSION, line.old, line.new.replace('"version"', '"sutured"'))
    fix = renamed_show(tree, "fs/proc/uptime.c")
    found = refusal_of(patch_of(tree, tmp_path, show, other, *fix), each_target)
    assert found.code == "function-renamed"
    assert re.fullmatch(rf"{VERSION}:\d+: version_proc_show_adv\(\)", found.where)


def test_what_only_left_out_code_uses_is_named(
    each_target: Target, each_workspace: Workspace, tmp_path: Path
) -> None:
    more = (
        "static int more(struct seq_file *m, void *v)\n{\n\tseq_putc(m, '1');\n\treturn 0;\n}\n\n"
    )
    edits = at_boot(more, 'seq_puts(m, "one\\n");', 'proc_create_single("more", 0, NULL, more);')
    artifact = suture.build([patch_of(each_workspace.tree, tmp_path, *edits)], each_target)
    assert replaced(artifact) == {("version_proc_show", "version_proc_show")}
    left_out = [one.what.split(" in ")[0] for one in artifact.left_out]
    assert left_out == ["proc_version_init()", "the new function more()"]


# --- state that only boot sets up

HEADERS = ("slab", "list", "mutex", "wait", "workqueue", "timer", "percpu", "reboot", "jump_label")
INCLUDES = "".join(f"#include <linux/{name}.h>\n" for name in (*HEADERS, "debugfs", "sysctl"))
SHOW = "static int version_proc_show(struct seq_file *m, void *v)\n{\n"
LAST = "\tpde_make_permanent(pde);\n"


def at_boot(declared: str, show: str, start: str, behind: str = "") -> list[Edit]:
    """Declarations, more code of version_proc_show() and of proc_version_init(), and what stands
    behind it."""
    included = '#include "internal.h"\n'
    net = "#include <net/net_namespace.h>\n#include <net/netns/generic.h>\n"
    initcall = "fs_initcall(proc_version_init);\n"
    return [
        Edit(VERSION, included, f"{included}{INCLUDES}{net}\n{declared}\n"),
        Edit(VERSION, SHOW, f"{SHOW}\t{show}\n"),
        Edit(VERSION, LAST, f"\t{start}\n{LAST}"),
        Edit(VERSION, initcall, f"{initcall}{behind}"),
    ]


WORK = 'static void work(struct work_struct *w)\n{\n\tpr_info("work\\n");\n}\n'
NOTE = (
    "static int seen;\nstatic int note(struct notifier_block *n, unsigned long a, void *p)\n"
    "{\n\tseen = a;\n\treturn 0;\n}\nstatic struct notifier_block nb = { .notifier_call = note };\n"
)
MORE = (
    "static char *text;\nstatic int %smore(void)\n"
    '{\n\ttext = kstrdup("more", GFP_KERNEL);\n\treturn 0;\n}\n'
)
NOT_SET_UP = {
    "text": ("static char *text;", "seq_puts(m, text);", 'text = kstrdup("adv", GFP_KERNEL);'),
    "cache": (
        "static struct kmem_cache *cache;",
        "kmem_cache_free(cache, kmem_cache_alloc(cache, GFP_KERNEL));",
        'cache = kmem_cache_create("adv", 64, 0, 0, NULL);',
    ),
    "all": (
        "static struct list_head all;",
        "for (struct list_head *e = all.next; e != &all; e = e->next) seq_putc(m, '.');",
        "INIT_LIST_HEAD(&all);",
    ),
    "wq": ("static wait_queue_head_t wq;", "wake_up(&wq);", "init_waitqueue_head(&wq);"),
    "lock": (
        "static struct mutex lock;",
        "mutex_lock(&lock); mutex_unlock(&lock);",
        "mutex_init(&lock);",
    ),
    "queue": (
        f"static struct workqueue_struct *queue;\n{WORK}static DECLARE_WORK(todo, work);\n",
        "queue_work(queue, &todo);",
        'queue = alloc_workqueue("adv", 0, 0);',
    ),
    "timer": (
        "static struct timer_list timer;\nstatic void tick(struct timer_list *t) { }\n",
        "mod_timer(&timer, jiffies + HZ);",
        "timer_setup(&timer, tick, 0);",
    ),
    "key": (
        "static DEFINE_STATIC_KEY_FALSE(key);",
        "if (static_branch_unlikely(&key)) seq_putc(m, '.');",
        "static_branch_enable(&key);",
    ),
    "id": (
        "static unsigned int id;\nstatic struct pernet_operations ops = { .id = &id, .size = 8 };",
        'seq_printf(m, "%p", net_generic(&init_net, id));',
        "register_pernet_subsys(&ops);",
    ),
    "seen": (NOTE, 'seq_printf(m, "%d", seen);', "register_reboot_notifier(&nb);"),
    "part": (
        "static DEFINE_PER_CPU(int, part);",
        'seq_printf(m, "%d", this_cpu_read(part));',
        "for (int cpu = 0; cpu < nr_cpu_ids; cpu++) per_cpu(part, cpu) = 5;",
    ),
}


@pytest.mark.parametrize("name", NOT_SET_UP)
def test_what_only_init_code_sets_up_is_refused(
    name: str, each_target: Target, each_workspace: Workspace, tmp_path: Path
) -> None:
    edits = at_boot(*NOT_SET_UP[name])
    found = refusal_of(patch_of(each_workspace.tree, tmp_path, *edits), each_target)
    assert found.code == "state-not-set-up"
    assert re.fullmatch(rf"{VERSION}:\d+: version_proc_show\(\)", found.where)
    assert found.found.startswith(f"uses {name}, which only ")


@pytest.mark.parametrize("section", ["__init ", ""], ids=["init", "plain"])
def test_what_a_new_initcall_sets_up_is_refused(
    section: str, each_target: Target, each_workspace: Workspace, tmp_path: Path
) -> None:
    edits = at_boot("extern int x;", "seq_puts(m, text);", "", "late_initcall(more);\n")
    edits[0] = Edit(VERSION, edits[0].old, edits[0].new + MORE % section)
    found = refusal_of(patch_of(each_workspace.tree, tmp_path, *edits), each_target)
    assert (found.code, "only more() of" in found.found) == ("state-not-set-up", True)


TABLE = (
    'static int limit = 5;\nstatic struct ctl_table table[] = { { .procname = "adv", '
    ".data = &limit, .maxlen = sizeof(int), .mode = 0644, .proc_handler = proc_dointvec }, { } };\n"
)
OPTION = "static int limit;\nstatic int __init set(char *s)\n{\n\tlimit = *s;\n\treturn 1;\n}\n"
DO_WITHOUT = {
    "first use": (
        "static char *text;",
        'if (!text) text = kstrdup("adv", GFP_KERNEL); if (text) seq_puts(m, text);',
        'text = kstrdup("adv", GFP_KERNEL);',
        "",
    ),
    "sysctl": (TABLE, 'seq_printf(m, "%d", limit);', 'register_sysctl("kernel", table);', ""),
    "debugfs": (
        "static u32 limit;",
        'seq_printf(m, "%d", limit);',
        'debugfs_create_u32("adv", 0644, NULL, &limit);',
        "",
    ),
    "option": (OPTION, 'seq_printf(m, "%d", limit);', "", '__setup("adv=", set);\n'),
}


@pytest.mark.parametrize("case", DO_WITHOUT)
def test_what_the_new_code_can_do_without_is_built_with_a_warning(
    case: str, each_target: Target, each_workspace: Workspace, tmp_path: Path
) -> None:
    patch = patch_of(each_workspace.tree, tmp_path, *at_boot(*DO_WITHOUT[case]))
    found = suture.build([patch], each_target).findings
    assert [(one.kind.code, one.level.value) for one in found] == [("state-not-set-up", "warn")]


HARMLESS = {
    "a message": ("", "seq_putc(m, '.');", 'pr_info("adv\\n");'),
    "a lock that is defined whole": (
        "static DEFINE_MUTEX(lock);",
        "mutex_lock(&lock); mutex_unlock(&lock);",
        "mutex_lock(&lock); mutex_unlock(&lock);",
    ),
    "a spinlock": (
        "static DEFINE_SPINLOCK(lock);",
        "spin_lock(&lock); spin_unlock(&lock);",
        "spin_lock_init(&lock); spin_lock(&lock); spin_unlock(&lock);",
    ),
    "a table that nothing else needs": (
        TABLE,
        "seq_putc(m, '.');",
        'register_sysctl("kernel", table);',
    ),
    "a flag that is off anyway": (
        "static bool on;",
        "if (READ_ONCE(on)) seq_putc(m, '.');",
        "WRITE_ONCE(on, false);",
    ),
}


@pytest.mark.parametrize("case", HARMLESS)
def test_an_init_line_beside_a_fix_is_left_out(
    case: str, each_target: Target, each_workspace: Workspace, tmp_path: Path
) -> None:
    patch = patch_of(each_workspace.tree, tmp_path, *at_boot(*HARMLESS[case]))
    artifact = suture.build([patch], each_target)
    assert artifact.findings == ()
    assert "proc_version_init() in .init.text" in [one.what for one in artifact.left_out]


def test_a_pre_patch_callback_sets_it_up(
    each_target: Target, each_workspace: Workspace, tmp_path: Path
) -> None:
    callback = (
        '#include "kpatch-macros.h"\nstatic char *text;\nstatic int pre(patch_object *obj)\n'
        '{\n\ttext = kstrdup("adv", GFP_KERNEL);\n\treturn text ? 0 : -ENOMEM;\n}\n'
        "KPATCH_PRE_PATCH_CALLBACK(pre);\n"
    )
    edits = at_boot(callback, *NOT_SET_UP["text"][1:])
    artifact = suture.build([patch_of(each_workspace.tree, tmp_path, *edits)], each_target)
    assert artifact.findings == ()


# --- state under another name

MISC = "drivers/char/misc.c"
LIST = "static LIST_HEAD(misc_list);\nstatic DEFINE_MUTEX(misc_mtx);\n"
BOTH = (
    "static struct {\n\tstruct list_head list;\n\tstruct mutex mtx;\n} misc_state = {\n"
    "\t.list = LIST_HEAD_INIT(misc_state.list),\n"
    "\t.mtx = __MUTEX_INITIALIZER(misc_state.mtx),\n};\n"
)
OTHER_NAMES = {
    "a lock": (MISC, [("misc_mtx", "misc_lock")], "misc_lock"),
    "a list that is global now": (
        MISC,
        [("static LIST_HEAD(misc_list)", "LIST_HEAD(misc_list)"), ("misc_list", "misc_devices")],
        "misc_devices",
    ),
    "two at once": (MISC, [("misc_mtx", "misc_lock"), ("misc_list", "misc_devices")], "misc_"),
    "two in one": (
        MISC,
        [(LIST, BOTH), ("misc_list", "misc_state.list"), ("misc_mtx", "misc_state.mtx")],
        "misc_state",
    ),
    "a number that init code sets": (LOOP, [("part_shift", "minor_shift")], "minor_shift"),
}


def renamed_everywhere(tree: Path, path: str, names: list[tuple[str, str]]) -> Edit:
    before = after = (tree / path).read_text()
    for old, new in names:
        assert old in after
        after = after.replace(old, new)
    return Edit(path, before, after)


@pytest.mark.parametrize("case", OTHER_NAMES)
def test_state_under_another_name_is_refused(
    case: str, each_target: Target, each_workspace: Workspace, tmp_path: Path
) -> None:
    path, names, name = OTHER_NAMES[case]
    edit = renamed_everywhere(each_workspace.tree, path, names)
    found = refusal_of(patch_of(each_workspace.tree, tmp_path, edit), each_target)
    assert (found.code, name in found.found) == ("state-renamed", True)
    assert ("also" in "".join(found.evidence)) >= (case == "two at once")


SPLIT = {
    "base_crng": ("drivers/char/random.c", "lock", " = __SPIN_LOCK_UNLOCKED(base_crng_lock)"),
    "last_unloaded_module": ("kernel/module/main.c", "name", ""),
}


def split_everywhere(tree: Path, name: str) -> Edit:
    """Make the members of an unnamed structure variables of their own."""
    path, member, value = SPLIT[name]
    before = (tree / path).read_text()
    definition = re.compile(
        rf"static struct \{{\n([^}}]*)\}} {name}(?: = \{{\n[^}}]*\}})?;\n", re.ASCII
    )
    (members,) = definition.findall(before)
    declaration = re.compile(
        r"^\t(.+?)\b(\w+)((?:\[[^]]*\])?(?: __.*)?;)$", re.ASCII | re.MULTILINE
    )
    split = declaration.sub(rf"static \1{name}_\2\3", members)
    split = split.replace(f"{name}_{member};", f"{name}_{member}{value};")
    after = definition.sub(lambda _: split, before).replace(f"{name}.", f"{name}_")
    return Edit(path, before, after)


@pytest.mark.parametrize("name", SPLIT)
def test_a_structure_that_is_split_is_refused(
    name: str, each_target: Target, each_workspace: Workspace, tmp_path: Path
) -> None:
    edit = split_everywhere(each_workspace.tree, name)
    found = refusal_of(patch_of(each_workspace.tree, tmp_path, edit), each_target)
    assert found.code == "state-renamed"
    assert f"{name} goes and {name}_" in found.found
    assert f"--accept state-renamed:{name} " in found.remedy


def test_a_table_of_constants_may_have_any_name(
    each_target: Target, each_workspace: Workspace, tmp_path: Path
) -> None:
    names = [("task_state_array", "states_of_tasks"), ('"S (sleeping)"', '"S (sleeps)"')]
    edit = renamed_everywhere(each_workspace.tree, "fs/proc/array.c", names)
    artifact = suture.build([patch_of(each_workspace.tree, tmp_path, edit)], each_target)
    assert artifact.findings == ()
