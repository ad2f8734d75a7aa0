# SPDX-License-Identifier: GPL-2.0-or-later
"""Functions that BPF programs call: a new prototype is refused, a new body is built."""

from __future__ import annotations

from pathlib import Path

import pytest

import suture
from suture.errors import Refusal
from suture.kernel.release import Target
from suture.workspace.prepare import Workspace
from tests.patches import Edit, diff

pytestmark = pytest.mark.make_test_takes("6.12")

CASES = Path(__file__).resolve().parents[1] / "cases"

TRACE, CONNTRACK = "kernel/trace/bpf_trace.c", "net/netfilter/nf_conntrack_bpf.c"


def changed(path: str, old: str, new: str) -> Edit:
    """A function's first line, and a message in its body."""
    return Edit(path, f"{old}\n{{\n", f'{new}\n{{\n\tpr_info_once("said\\n");\n')


NEW_PROTOTYPES = {
    "bpf_key_put()": changed(
        TRACE, "bpf_key_put(struct bpf_key *bkey)", "bpf_key_put(struct bpf_key *bkey, u32 flags)"
    ),
    "bpf_lookup_system_key()": changed(
        TRACE, "*bpf_lookup_system_key(u64 id)", "*bpf_lookup_system_key(u32 id)"
    ),
    "bpf_ct_change_status()": changed(
        CONNTRACK,
        "bpf_ct_change_status(struct nf_conn *nfct, u32 status)",
        "bpf_ct_change_status(struct nf_conn *nfct, u64 status)",
    ),
    "bpf_ct_set_status()": changed(
        CONNTRACK,
        "int bpf_ct_set_status(const struct nf_conn___init *nfct, u32 status)",
        "int bpf_ct_set_status(u32 status, const struct nf_conn___init *nfct)",
    ),
    "cubictcp_recalc_ssthresh()": changed(
        "net/ipv4/tcp_cubic.c",
        "u32 cubictcp_recalc_ssthresh(struct sock *sk)",
        "int cubictcp_recalc_ssthresh(struct sock *sk)",
    ),
}

NEW_BODIES = {
    "of the core kernel": changed(
        "net/ipv4/tcp_cubic.c", *["u32 cubictcp_recalc_ssthresh(struct sock *sk)"] * 2
    ),
    "of a module": changed(
        CONNTRACK, *["bpf_ct_change_status(struct nf_conn *nfct, u32 status)"] * 2
    ),
}


ALSO = {
    "cubictcp_recalc_ssthresh()": Edit(
        "net/ipv4/tcp_cubic.c",
        "\t.ssthresh\t= cubictcp_recalc_ssthresh,",
        "\t.ssthresh\t= (void *)cubictcp_recalc_ssthresh,",
    )
}
"""What else a new prototype needs to compile."""


def written(workspace: Workspace, path: Path, *edits: Edit) -> Path:
    patch = path / "kfunc.patch"
    patch.write_text(diff(workspace.tree, *edits))
    return patch


def test_more_arguments_are_refused(target: Target) -> None:
    with pytest.raises(Refusal) as refused:
        suture.build([CASES / "kfunc.patch"], target)
    assert refused.value.code == "kfunc-prototype-changed"
    assert "was int (struct nf_conn *, unsigned int) and becomes" in refused.value.found


@pytest.mark.parametrize("function", NEW_PROTOTYPES)
def test_a_new_prototype_is_refused(
    function: str, each_target: Target, each_workspace: Workspace, tmp_path: Path
) -> None:
    edits = [NEW_PROTOTYPES[function], *filter(None, [ALSO.get(function)])]
    patch = written(each_workspace, tmp_path, *edits)
    with pytest.raises(Refusal) as refused:
        suture.build([patch], each_target)
    assert refused.value.code == "kfunc-prototype-changed"
    assert function in refused.value.where


@pytest.mark.parametrize("case", NEW_BODIES)
def test_a_new_body_is_built(
    case: str, each_target: Target, each_workspace: Workspace, tmp_path: Path
) -> None:
    artifact = suture.build([written(each_workspace, tmp_path, NEW_BODIES[case])], each_target)
    assert artifact.findings == ()


def test_a_new_body_without_fentry_call_is_refused(
    each_target: Target, each_workspace: Workspace, tmp_path: Path
) -> None:
    """Nothing below kernel/trace has fentry calls, and no code calls it."""
    edit = changed(TRACE, *["bpf_key_put(struct bpf_key *bkey)"] * 2)
    with pytest.raises(Refusal) as refused:
        suture.build([written(each_workspace, tmp_path, edit)], each_target)
    assert refused.value.code == "function-not-traceable"
    assert "BPF programs call it" in refused.value.found
