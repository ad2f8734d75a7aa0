# SPDX-License-Identifier: GPL-2.0-or-later
"""What a live patch is for, and the name that it gets from that."""

from __future__ import annotations

from pathlib import Path

import pytest

from suture.builder.fixes import Said, described
from suture.builder.inputs import Choices, gathered
from suture.model import Fix

ONE, TWO = Fix("net: one", cves=("CVE-2024-1111",)), Fix("fs: two")
SAID = Said("mine", ("CVE-2024-2222",), ("https://example.org/a",))
DIFF = "--- a/fs/x.c\n+++ b/fs/x.c\n@@ -1 +1 @@\n-int a;\n+int b;\n"


def test_what_the_author_says_belongs_to_the_only_fix() -> None:
    (fix,) = described(SAID, [ONE], "name")
    assert fix == Fix("mine", cves=("CVE-2024-1111", "CVE-2024-2222"), links=SAID.links)
    assert described(Said(), [ONE], "name") == (ONE,)


def test_of_several_it_is_one_more() -> None:
    whole = Fix("mine", cves=SAID.cves, links=SAID.links)
    assert described(SAID, [ONE, TWO], "name") == (whole, ONE, TWO)
    assert described(SAID, [], "name") == (whole,)
    assert described(Said(cves=SAID.cves), [], "name") == (Fix("name", cves=SAID.cves),)
    assert described(Said(), [ONE, TWO], "name") == (ONE, TWO)
    assert described(Said(), [], "name") == ()


@pytest.mark.parametrize(
    ("file", "subject", "name"),
    [
        ("fix.patch", "", "livepatch_fix"),
        ("0001-net-mend.patch", "", "livepatch_net_mend"),
        ("2024-fix.patch", "", "livepatch_2024_fix"),
        ("fix.patch", "[PATCH 1/2] KVM: x86: Mend a race", "livepatch_kvm_x86_mend_a_race"),
        (
            "0001-net-sched-sch_sfq-refuse-a-quantum-that.patch",
            "net: sched: sch_sfq: refuse a quantum that overruns the length",
            "livepatch_net_sched_sch_sfq_refuse_a_quantum_that",
        ),
        ("a" * 80 + ".patch", "", "livepatch_" + "a" * 45),
        ("+++.patch", "", "livepatch_patch"),
    ],
)
def test_a_name_comes_from_the_subject_and_ends_with_a_word(
    tmp_path: Path, file: str, subject: str, name: str
) -> None:
    patch = tmp_path / file
    patch.write_text(f"Subject: {subject}\n\n---\n{DIFF}" if subject else DIFF)
    with gathered([patch]) as inputs:
        assert inputs.name == name


def test_a_written_form_says_what_its_live_patch_is_for(tmp_path: Path) -> None:
    (tmp_path / "a.patch").write_text(DIFF)
    (tmp_path / "livepatch.toml").write_text(
        'suture = 1\nname = "fix"\ndescription = "mine"\ncve = ["CVE-2024-2222"]\n'
        'url = ["https://example.org/a"]\n[[source]]\nformat = "diff"\npath = "a.patch"\n'
    )
    with gathered([tmp_path]) as inputs:
        assert inputs.fixes == (Fix("mine", cves=SAID.cves, links=SAID.links),)
    with gathered([tmp_path], choices=Choices(said=Said("yours"))) as inputs:
        assert [fix.title for fix in inputs.fixes] == ["yours"]
