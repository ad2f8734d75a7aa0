# SPDX-License-Identifier: GPL-2.0-or-later
"""What is understood of an author's Makefile, and that what is not is refused with its line."""

from __future__ import annotations

import pytest

from suture.errors import Refusal
from suture.formats import makefile
from suture.kernel import config

OPTIONS = config.parse(b"CONFIG_SMP=y\nCONFIG_FOO=m\n# CONFIG_BAR is not set\n", "config")
FILES = frozenset(("one.c", "two.c", "sub/three.c", "kgr-fix.c", "fix.h"))


def read(text: str) -> tuple[makefile.ListedModule, ...]:
    return makefile.read("fix/Makefile", text, OPTIONS, FILES)


def test_one_file_is_the_module_of_its_name() -> None:
    assert read("obj-m := one.o\n") == (makefile.ListedModule("one", ("one.c",), (), ()),)


def test_parts_flags_continuations_and_variables() -> None:
    text = """\
# builds fix.ko
NAME := fix
PARTS = one.o \\
        sub/three.o
obj-m += $(NAME).o
fix-y := $(PARTS)
fix-objs += two.o
ccflags-y := -I$(src)/sub -I . -DDEBUG -DTEXT=\\"a\\" -Wall
"""
    (listed,) = read(text)
    assert listed == makefile.ListedModule(
        "fix", ("one.c", "sub/three.c", "two.c"), ("sub", "."), ("-DDEBUG", '-DTEXT=\\"a\\"')
    )


def test_authors_own_rules_are_passed_over() -> None:
    text = """\
KDIR ?= /lib/modules/$(shell uname -r)/build
obj-m := one.o
default: one.c
\t$(MAKE) -C $(KDIR) M=$(PWD) modules
\trm -rf /
ifneq ("$(wildcard $(KDIR))", "")
clean:
\t$(MAKE) -C $(KDIR) M=$(PWD) clean
endif
"""
    assert [one.name for one in read(text)] == ["one"]


def test_side_of_a_condition_that_kbuild_takes() -> None:
    text = """\
ifneq ($(KERNELRELEASE),)
obj-m := one.o
else
obj-m := two.o
endif
ifdef CONFIG_SMP
obj-m += kgr-fix.o
endif
ifeq ($(CONFIG_BAR),y)
obj-m += two.o
endif
"""
    assert [one.name for one in read(text)] == ["one", "kgr-fix"]


def test_modules_that_wait_for_an_option_are_modules() -> None:
    assert [
        one.name for one in read("obj-$(CONFIG_BAR) += one.o\nobj-$(CONFIG_FOO) += two.o\n")
    ] == ["one", "two"]


@pytest.mark.parametrize(
    ("text", "code", "line"),
    [
        ("obj-m := ../other/one.o\n", "makefile-escapes", 1),
        ("obj-m := /etc/one.o\n", "makefile-escapes", 1),
        ("obj-m := one.o\nccflags-y := -I/usr/include\n", "makefile-escapes", 2),
        ("obj-m := one.o\nccflags-y += -I$(srctree)/fs\n", "makefile-escapes", 2),
        ("obj-m := one.o\nccflags-y := -I$(src)/../..\n", "makefile-escapes", 2),
        ("obj-m := fix.o\nfix-y := one.o ../two.o\n", "makefile-escapes", 2),
        ("obj-m := $(shell echo one.o)\n", "makefile-not-understood", 1),
        ("obj-m := $(patsubst %.c,%.o,$(wildcard *.c))\n", "makefile-not-understood", 1),
        ("obj-m := $(A)\n", "makefile-not-understood", 1),
        ("A = $(B)\nB = $(A)\nobj-m := $(A)\n", "makefile-not-understood", 3),
        ("obj-m := missing.o\n", "makefile-not-understood", 1),
        ("obj-m := fix.o\nfix-y := one.o gone.o\n", "makefile-not-understood", 2),
        ("include ../common.mk\nobj-m := one.o\n", "makefile-not-understood", 1),
        ("obj-m := one.o\nccflags-y := -O0\n", "makefile-not-understood", 2),
        ("obj-m := one.o\nccflags-y := -include /etc/passwd\n", "makefile-not-understood", 2),
        ("obj-m := one.o\nCFLAGS_one.o := -DX\n", "makefile-not-understood", 2),
        ("obj-m := one.o\nccflags-y := -DX='\n", "makefile-not-understood", 2),
        ("obj-m := one.o\nccflags-y := -DX=`id`\n", "makefile-not-understood", 2),
        ("ifeq ($(WHO),me)\nobj-m := one.o\nendif\n", "makefile-not-understood", 2),
        ("ifdef CONFIG_SMP\nobj-m := one.o\n", "makefile-not-understood", None),
        ("else\nobj-m := one.o\n", "makefile-not-understood", 1),
        ("endif\n", "makefile-not-understood", 1),
        ("all:\n\techo\n", "makefile-not-understood", None),
        ("obj-m := one\n", "makefile-not-understood", 1),
    ],
)
def test_what_decides_and_cannot_be_read_is_refused(text: str, code: str, line: int | None) -> None:
    with pytest.raises(Refusal) as caught:
        read(text)
    assert caught.value.code == code
    assert caught.value.where == ("fix/Makefile" if line is None else f"fix/Makefile:{line}")
