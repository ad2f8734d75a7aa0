# SPDX-License-Identifier: GPL-2.0-or-later
"""Which headers a patch is given, and which includes are refused."""

from __future__ import annotations

import pytest

from suture.errors import Refusal
from suture.formats import headers
from tests.examples import shows

MACROS = b'#include "kpatch-macros.h"\n'


@pytest.mark.parametrize(
    "text", [MACROS, b"  # include <kpatch-syscall.h>\n", b'\n#include "ksplice-patch.h"\n']
)
def test_a_patch_that_includes_one_gets_all(text: bytes) -> None:
    found = headers.wanted({"fs/x.c": b"int x;\n" + text})
    assert "include/suture-hooks.h" in found
    assert {f"include/{name}" for _, name in headers.included(text)} <= set(found)


@pytest.mark.parametrize(
    "text", [b"int x;\n", b'#include "kernel.h"\n', b"/* kpatch-macros.h */\n"]
)
def test_one_that_includes_none_gets_none(text: bytes) -> None:
    assert headers.wanted({"fs/x.c": text}) == {}


def test_an_unknown_one_is_refused_with_file_and_line_and_the_nearest() -> None:
    with pytest.raises(Refusal) as refused:
        headers.wanted({"fs/x.c": b'int x;\n#include "kpatch-macro.h"\n'})
    shows(refused.value, "patch-header-unknown")
    assert refused.value.where == "fs/x.c:2"
    assert refused.value.evidence[0].endswith("kpatch-macros.h")


def test_the_patchs_own_header_is_its_own() -> None:
    contents = {"fs/x.c": b'#include "kpatch-mine.h"\n', "fs/kpatch-mine.h": b"int x;\n"}
    assert headers.wanted(contents) == {}
