# SPDX-License-Identifier: GPL-2.0-or-later
"""kGraft and livepatch modules that cannot become a live patch: the reason, with file and line, in
our words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from suture.builder import build
from suture.builder.cmodules import build_modules
from suture.errors import Refusal
from suture.formats.recognise import Format, Input, recognise
from suture.kernel.release import Target
from suture.workspace.prepare import Workspace
from tests.command import Place
from tests.examples import shows

HEAD = "#include <linux/configfs.h>\n#include <linux/module.h>\n#include <linux/seq_file.h>\n#include <linux/{header}.h>\n"
SHOW = "static int show(struct seq_file *m, void *v)\n{{\n\t{body}\n\treturn 0;\n}}\n"
KGRAFT_TAIL = """
static int __init start(void) {{ {init} return kgr_patch_kernel(&patch); }}
static void __exit stop(void) {{ kgr_patch_remove(&patch); }}
module_init(start);
module_exit(stop);
MODULE_LICENSE("GPL");
"""
LIVEPATCH_TAIL = """
static struct klp_object objs[] = {{ {objects} }};
static struct klp_patch patch = {{ .mod = THIS_MODULE, .objs = objs }};
static int start(void) {{ {init} return klp_enable_patch(&patch); }}
static void stop(void) {{ }}
module_init(start);
module_exit(stop);
MODULE_LICENSE("GPL");
"""


def kgraft(
    table: str = "KGR_PATCH(version_proc_show, show),",
    end: str = "KGR_PATCH_END",
    body: str = "",
    init: str = "",
    show: str = "",
) -> str:
    """A kGraft module with one thing about it that is not right."""
    patch = (
        f"static struct kgr_patch patch = {{\n\t.patches = {{\n\t\t{table}\n\t\t{end}\n\t}}\n}};\n"
    )
    text = (
        HEAD.format(header="kgraft")
        + (show or SHOW.format(body=body))
        + patch
        + KGRAFT_TAIL.format(init=init)
    )
    return text


def livepatch(
    functions: str = '{ .old_name = "version_proc_show", .new_func = show },',
    end: str = "{ }",
    name: str = "NULL",
    objects_end: str = "{ }",
    body: str = "",
    init: str = "",
    show: str = "",
    info: str = 'MODULE_INFO(livepatch, "Y");\n',
) -> str:
    """The same of a livepatch module."""
    table = f"static struct klp_func funcs[] = {{\n\t{functions}\n\t{end}\n}};\n"
    objects = f"{{ .name = {name}, .funcs = funcs }}, {objects_end}"
    text = HEAD.format(header="livepatch") + (show or SHOW.format(body=body)) + table
    return text + LIVEPATCH_TAIL.format(objects=objects, init=init) + info


@dataclass(frozen=True, slots=True)
class Bad:
    """:ivar line: a word of the line that the refusal has to name; "" where it names the file
    alone."""

    source: str
    code: str
    line: str
    found: str


WIDE = "static long show(struct seq_file *m, void *v) { return 0; }\n"
OTHER = "static int show(struct file *m, void *v) { return 0; }\n"
MANY = "static int show(struct seq_file *m, void *v, int more) { return 0; }\n"
STATIC_OF_MODULE = "extern int g_submit_queues;\n" + SHOW.format(
    body='seq_printf(m, "%d", g_submit_queues);'
)
UNKNOWN = "extern int no_such_symbol;\n" + SHOW.format(body="return no_such_symbol;")
AMBIGUOUS = "extern int c_next(void);\n" + SHOW.format(body="return c_next();")
CALL = "asmlinkage long show(struct file *name) { return 0; }\n"
CALL_WIDE = "asmlinkage long show(unsigned long level) { return 0; }\n"

BAD: Mapping[str, Bad] = {
    # kGraft
    "k-syntax": Bad(
        kgraft(body="return m->no_such_member"),
        "module-does-not-compile", "no_such_member", "no_such_member",
    ),
    "k-function": Bad(
        kgraft("KGR_PATCH(version_proc_shew, show),"),
        "function-not-in-kernel", "version_proc_shew", "version_proc_shew",
    ),
    "k-object": Bad(kgraft('KGR_PATCH_OBJ(features_show, show, "nul_blk"),'), "object-unknown", "nul_blk", "nul_blk"),
    "k-end": Bad(kgraft(end=""), "kgraft-table-malformed", "", "KGR_PATCH_END"),
    "k-nothing": Bad(kgraft(table=""), "kgraft-table-malformed", "", "no function"),
    "k-twice": Bad(
        kgraft("KGR_PATCH(version_proc_show, show), KGR_PATCH_OBJ(version_proc_show, show, NULL),"),
        "function-replaced-twice", "version_proc_show", "twice",
    ),
    "k-type": Bad(kgraft(show=WIDE), "prototype-differs", "show", "returns long int"),
    "k-argument": Bad(kgraft(show=OTHER), "prototype-differs", "show", "struct file *"),
    "k-count": Bad(kgraft(show=MANY), "prototype-differs", "show", "3 arguments"),
    "k-position": Bad(kgraft("KGR_PATCH(c_next, show),"), "symbol-ambiguous", "c_next", "named c_next"),
    "k-positions": Bad(
        kgraft("KGR_PATCH_OBJPOS(c_next, show, NULL, 99),"),
        "symbol-not-found", "c_next", "position 99",
    ),
    "k-init": Bad(kgraft("KGR_PATCH(start_kernel, show),"), "init-function-changed", "start_kernel", "freed"),
    "k-untraced": Bad(kgraft("KGR_PATCH(memcpy, show),"), "function-not-traceable", "memcpy", "no fentry call"),
    "k-call": Bad(kgraft("KGR_PATCH(sys_newuname_, show),"), "syscall-unknown", "sys_newuname_", "newuname_"),
    "k-pointer": Bad(kgraft("KGR_PATCH(SyS_newuname, show),", show=CALL), "prototype-differs", "show", "new_utsname"),
    "k-narrow": Bad(kgraft("KGR_PATCH(SyS_iopl, show),", show=CALL_WIDE), "prototype-differs", "show", "unsigned int"),
    "k-symbol": Bad(kgraft(show=UNKNOWN), "symbol-not-found", "no_such_symbol", "no_such_symbol"),
    "k-ambiguous": Bad(kgraft(show=AMBIGUOUS), "symbol-ambiguous", "c_next", "named c_next"),
    "k-missing": Bad(kgraft("KGR_PATCH(no_such, show, false),"), "function-not-in-kernel", "no_such", "may be missing"),
    # livepatch
    "l-syntax": Bad(livepatch(body="undeclared();"), "module-does-not-compile", "undeclared", "undeclared"),
    "l-header": Bad('#include "gone.h"\n' + livepatch(), "module-does-not-compile", "gone.h", "gone.h"),
    "l-function": Bad(
        livepatch('{ .old_name = "version_proc_sho", .new_func = show },'),
        "function-not-in-kernel", "version_proc_sho", "sho",
    ),
    "l-object": Bad(livepatch(name='"no_such_module"'), "object-unknown", "no_such_module", "no_such_module"),
    "l-functions-end": Bad(livepatch(end=""), "livepatch-table-malformed", "funcs", "klp_func"),
    "l-objects-end": Bad(livepatch(objects_end=""), "livepatch-table-malformed", "objs", "klp_object"),
    "l-twice": Bad(
        livepatch(2 * '{ .old_name = "version_proc_show", .new_func = show },'),
        "function-replaced-twice", "version_proc_show", "twice",
    ),
    "l-type": Bad(livepatch(show=WIDE), "prototype-differs", "show", "returns long int"),
    "l-info": Bad(livepatch(info=""), "livepatch-table-malformed", "", "livepatch=Y"),
    "l-position": Bad(
        livepatch('{ .old_name = "c_next", .new_func = show, .old_sympos = 77 },'),
        "symbol-not-found", "c_next", "position 77",
    ),
    "l-module-unpatched": Bad(
        livepatch(show=STATIC_OF_MODULE),
        "symbol-not-found", "g_submit_queues", "g_submit_queues",
    ),
    "l-named": Bad(
        livepatch(show="extern int g_submit_queues KLP_RELOC_SYMBOL(null_blk, null_blk, g_submit_queues);\n"
                  + SHOW.format(body="return g_submit_queues;")),
        "object-not-patched", "g_submit_queues", "null_blk",
    ),
    "l-hook": Bad(
        livepatch(show='#include "kpatch-macros.h"\nstatic void show_un(patch_object *o) { }\n'
                  "KPATCH_POST_UNPATCH_CALLBACK(show_un);\n" + SHOW.format(body="")),
        "callback-unusable", "", ".kpatch.callbacks.post_unpatch",
    ),
    "l-states-end": Bad(
        livepatch().replace(".objs = objs }", ".objs = objs, .states = states }").replace(
            "static struct klp_patch", "static struct klp_state states[] = { { .id = 1 } };\nstatic struct klp_patch"
        ),
        "livepatch-table-malformed", "states", "klp_state",
    ),
    "l-late": Bad(
        livepatch(
            '{ .old_name = "memb_group_features_show", .new_func = feat },', name='"null_blk"',
            show="extern int g_submit_queues;\nstatic ssize_t feat(struct config_item *i, char *p) { return 0; }\n",
            init="if (g_submit_queues) return 1;",
        ).replace("static int start", "static int __init start"),
        "module-reference-unsafe", "g_submit_queues", ".init.text",
    ),
}  # fmt: skip

SHOWN = {
    "module-does-not-compile": ("l-syntax",),
    "kgraft-table-malformed": ("k-end",),
    "livepatch-table-malformed": ("l-functions-end",),
    "prototype-differs": ("k-argument",),
    "syscall-unknown": ("k-call",),
    "object-not-patched": ("l-named",),
    "module-reference-unsafe": ("l-late",),
    "function-replaced-twice": ("k-twice",),
    "object-unknown": ("k-object",),
}
"""Examples on the page of refusals."""


@pytest.mark.parametrize("name", BAD)
def test_refusal_names_file_and_line(
    target: Target, workspace: Workspace, tmp_path: Path, name: str
) -> None:
    bad = BAD[name]
    source = tmp_path / "bad.c"
    source.write_text(bad.source)
    with pytest.raises(Refusal) as caught:
        build_modules(recognise(source), target, output=tmp_path / "bad.ko")
    refusal = caught.value
    assert (refusal.code, bad.found in refusal.found) == (bad.code, True), str(refusal)
    file, _, number = refusal.where.rpartition(":") if bad.line else (refusal.where, "", "")
    assert "bad.c" in file, refusal.where
    if (name,) in SHOWN.values():
        shows(refusal, bad.code)
    assert not bad.line or bad.line in bad.source.splitlines()[int(number) - 1]
    assert not (tmp_path / "bad.ko").exists()


def test_command_line_says_it_before_the_compiler_does(place: Place) -> None:
    place.patch(BAD["l-syntax"].source, "bad.c")
    refusal = place.refused(*place.build("bad.c"))
    assert refusal.code == "module-does-not-compile"
    assert any("error:" in line for line in refusal.evidence)
    assert not any(str(place.cache) in line for line in refusal.evidence), (
        "where it was compiled is nobody's business"
    )


def test_options_that_are_for_diffs_are_refused(place: Place) -> None:
    place.patch(livepatch(), "fix.c")
    for words in (
        ["--patch-data", "x"],
        ["--keep-data", "x"],
        ["--no-replace", "--patch-data", "x"],
    ):
        assert place.refused(*place.build("fix.c", *words)).code == "module-stands-alone"
    shows(place.refused(*place.build("fix.c", "--patch-data", "quirks")), "module-stands-alone")
    refusal = place.refused(*place.build("fix.c", "fix.c"))
    assert refusal.code == "function-replaced-twice"
    assert refusal.where.startswith("fix.c:")


def test_several_modules_are_not_one_live_patch(target: Target, tmp_path: Path) -> None:
    tmp_path = tmp_path / "fixes"
    tmp_path.mkdir()
    (tmp_path / "Makefile").write_text("obj-m := one.o two.o\n")
    for name in ("one", "two"):
        (tmp_path / f"{name}.c").write_text(livepatch())
    with pytest.raises(Refusal) as caught:
        build([tmp_path], target)
    shows(caught.value, "modules-several")


def test_module_that_replaces_nothing_is_refused(target: Target, tmp_path: Path) -> None:
    tmp_path = tmp_path / "fix"
    tmp_path.mkdir()
    (tmp_path / "Makefile").write_text("obj-m := plain.o\n")
    (tmp_path / "plain.c").write_text("#include <linux/module.h>\n")
    with pytest.raises(Refusal) as caught:
        build_modules(Input(tmp_path, Format.LIVEPATCH, "--format says so"), target)
    shows(caught.value, "not-a-live-patch-source")
