# SPDX-License-Identifier: GPL-2.0-or-later
"""Who may include a file: every real user is found; the compiler is the witness for a small
tree."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from suture.workspace import includes

FILES = {
    "include/linux/a.h": "",
    "include/linux/b.h": "#include <linux/a.h>\n",
    "fs/local.h": '# include "../lib/deep.h" /* why */\n',
    "lib/deep.h": "#include <linux/b.h>\n",
    "fs/one.c": "#include <linux/a.h>\n",
    "fs/two.c": '#include "local.h"\n',
    "fs/three.c": "int x;\n",
    "net/local.h": "",
    "net/four.c": '#include "local.h"\n',
    "net/part.c": "int part;\n",
    "net/whole.c": '#include "part.c"\n',
    "net/trace.h": "#define TRACE_INCLUDE_FILE other\n#include <linux/define_trace.h>\n",
    "net/other.h": "",
    "fs/trace.h": "#define TRACE_INCLUDE_FILE trace\n#include <linux/define_trace.h>\n",
    "fs/seven.c": '#include "trace.h"\n',
    "include/linux/define_trace.h": "#include TRACE_INCLUDE(TRACE_INCLUDE_FILE)\n",
    "drivers/five.c": "#if 0\n#include <linux/b.h>\n#endif\n",
    "drivers/Makefile": "ccflags-y += -include $(src)/forced.h\n$(obj)/six.o: $(srctree)/lib/six.c FORCE\n",
    "drivers/forced.h": "",
    "lib/six.c": "int six;\n",
    "lib/computed.c": "#include SOME_MACRO\n",
    "arch/x86/x.c": "#include <linux/a.h>\n",
    "arch/arm/x.c": "#include <linux/a.h>\n",
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def users(tree: Path, *changed: str) -> set[str]:
    return set(includes.users(tree, includes.scan(tree, "x86"), changed)) - {"lib/computed.c"}


def test_beside_another_tree_only_what_differs_is_searched(
    tree: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A file that changed, one that was added, one that is gone, and one that is not shared."""
    lines = includes.scan(tree, "x86")
    new = tmp_path_factory.mktemp("new")
    for name, text in FILES.items():
        (new / name).parent.mkdir(parents=True, exist_ok=True)
        (new / name).write_text(text)
    (new / "fs/one.c").write_text("#include <linux/b.h>\n")
    (new / "fs/eight.c").write_text("#include <linux/a.h>\n")
    (new / "drivers/Makefile").write_text("")
    (new / "fs/two.c").unlink()
    shared = FILES.keys() - {"fs/one.c", "drivers/Makefile", "fs/two.c", "net/four.c"}
    for name in shared:
        (new / name).write_text("#include <searched/again.h>\n")
    found = includes.scan_beside(new, "x86", shared, lines).splitlines()
    expected = [line for line in lines.splitlines() if line.partition(":")[0] in shared]
    alone = ["fs/eight.c:#include <linux/a.h>", "fs/one.c:#include <linux/b.h>"]
    assert sorted(found) == sorted([*expected, *alone, 'net/four.c:#include "local.h"'])


def test_users_are_followed_through_other_headers(tree: Path) -> None:
    expected = {
        *(
            "include/linux/b.h",
            "lib/deep.h",
            "fs/local.h",
            "fs/one.c",
            "fs/two.c",
            "drivers/five.c",
            "arch/x86/x.c",
        ),
    }
    assert users(tree, "include/linux/a.h") == expected


def test_no_user_that_the_compiler_finds_is_missing(tree: Path) -> None:
    listed = includes.scan(tree, "x86")
    for source in tree.rglob("*.c"):
        command = ["gcc", "-MM", "-MG", "-I", "include", str(source.relative_to(tree))]
        out = subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False).stdout
        name = source.relative_to(tree).as_posix()
        for read in out.partition(":")[2].replace("\\\n", " ").split():
            plain = (tree / read).resolve().relative_to(tree.resolve()).as_posix()
            if plain != name and not name.startswith("arch/arm"):
                assert name in includes.users(tree, listed, [plain])


def test_a_quoted_name_means_the_file_beside(tree: Path) -> None:
    assert users(tree, "net/local.h") == {"net/four.c"}
    assert users(tree, "fs/local.h") == {"fs/two.c"}


def test_a_c_file_that_another_includes(tree: Path) -> None:
    assert users(tree, "net/part.c") == {"net/whole.c"}
    assert "part.c" in includes.of_c_files(includes.scan(tree, "x86"))


def test_a_file_named_by_a_macro_counts(tree: Path) -> None:
    assert "net/trace.h" in users(tree, "net/other.h")


def test_a_header_of_trace_points_reads_itself_again_and_no_namesake(tree: Path) -> None:
    assert users(tree, "net/trace.h") == set()
    assert users(tree, "fs/trace.h") == {"fs/seven.c"}


def test_an_unknown_macro_may_be_anything(tree: Path) -> None:
    assert "lib/computed.c" in includes.users(tree, includes.scan(tree, "x86"), ["net/other.h"])


def test_a_header_forced_by_a_makefile_names_the_makefile(tree: Path) -> None:
    assert users(tree, "drivers/forced.h") == {"drivers/Makefile"}


def test_a_source_that_a_makefile_takes_from_elsewhere(tree: Path) -> None:
    assert users(tree, "lib/six.c") == {"drivers/six.c"}


def test_include_lines_of_a_patched_file_have_the_same_form(tree: Path) -> None:
    scanned = [
        line for line in includes.scan(tree, "x86").splitlines() if line.startswith("fs/local.h:")
    ]
    assert (
        includes.of_text("fs/local.h", (tree / "fs/local.h").read_bytes()).splitlines() == scanned
    )


def test_headers_that_kbuild_forces_on_every_file() -> None:
    environment = {"LINUXINCLUDE": "-I./include -include ./include/linux/kconfig.h"}
    assert "include/linux/kconfig.h" in includes.forced(environment)


def test_namesakes_of_the_build_hosts_programs_are_read_by_those_alone(tmp_path: Path) -> None:
    """tools/include/linux/string.h is no header of all that includes <linux/string.h>."""
    files = {
        "tools/include/linux/string.h": "",
        "tools/lib/bpf/core.c": "#include <linux/string.h>\n",
        "kernel/bpf/core.c": '#include "../../tools/lib/bpf/core.c"\n',
        "fs/x.c": "#include <linux/string.h>\n",
        "net/bpfilter/Makefile": "userccflags += -I $(srctree)/tools/include/\n",
        "arch/x86/boot/Makefile": "HOST_EXTRACFLAGS += -I$(srctree)/tools/include\n",
        "fs/Makefile": "obj-y += x.o\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert users(tmp_path, "tools/include/linux/string.h") == {
        "tools/lib/bpf/core.c",
        "kernel/bpf/core.c",
    }


def test_where_an_object_searches_tools_all_namesakes_count(tmp_path: Path) -> None:
    files = {
        "tools/include/linux/string.h": "",
        "fs/x.c": "#include <linux/string.h>\n",
        "fs/Makefile": "ccflags-y += -I$(srctree)/tools/include\n",
        "arch/x86/Makefile": "",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert users(tmp_path, "tools/include/linux/string.h") == {"fs/x.c"}
