# SPDX-License-Identifier: GPL-2.0-or-later
"""Patches to headers that much of the kernel reads: six kinds of change, in six headers.

Each patch also changes a C file, which uses what the header brings, as fixes do.  The texts are the
same in the series 6.1 and 6.12.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class HeaderSite:
    """Where a header and one of its users are changed.

    :ivar before: the line before which declarations are added.
    :ivar enumerator: the line after which an enumerator is added.
    :ivar inline: a static inline function that changes, with few callers; its body gets a condition
        on its parameter `parameter`.
    :ivar function: the first lines of a function in `source`, up to its opening brace.
    :ivar value: an integer that this function has.
    :ivar leave: what returns from it.
    """

    header: str
    before: str
    enumerator: str
    inline: str
    parameter: str
    source: str
    function: str
    value: str
    leave: str


SITES = (
    HeaderSite(
        "include/linux/mm.h",
        "enum mf_flags {\n",
        "\tMF_NO_RETRY = 1 << 6,\n",
        "vma_is_temporary_stack",
        "vma",
        "mm/gup.c",
        "size_t fault_in_writeable(char __user *uaddr, size_t size)\n{\n",
        "size",
        "return 0;",
    ),
    HeaderSite(
        "include/linux/sched.h",
        "enum uclamp_id {\n",
        "\tVTIME_GUEST,\n",
        "owner_on_cpu",
        "owner",
        "kernel/ptrace.c",
        "bool ptrace_may_access(struct task_struct *task, unsigned int mode)\n{\n",
        "mode",
        "return false;",
    ),
    HeaderSite(
        "include/linux/skbuff.h",
        "enum pkt_hash_types {\n",
        "\tPKT_HASH_TYPE_L4,\t/* Input: src_IP, dst_IP, src_port, dst_port */\n",
        "skb_fclone_busy",
        "skb",
        "net/core/datagram.c",
        "int skb_kill_datagram(struct sock *sk, struct sk_buff *skb, unsigned int flags)\n{\n",
        "flags",
        "return 0;",
    ),
    HeaderSite(
        "include/net/tcp.h",
        "enum tcp_chrono {\n",
        "\tTCP_SYNACK_COOKIE,\n",
        "tcp_in_initial_slowstart",
        "tp",
        "net/ipv4/tcp_recovery.c",
        "static u32 tcp_rack_reo_wnd(const struct sock *sk)\n{\n",
        "sk->sk_priority",
        "return 0;",
    ),
    HeaderSite(
        "include/net/netfilter/nf_tables.h",
        "enum nft_set_class {\n",
        "\tNFT_SET_CLASS_O_N,\n",
        "nft_set_gc_interval",
        "set",
        "net/netfilter/nf_tables_api.c",
        "static void nft_trans_destroy(struct nft_trans *trans)\n{\n",
        "trans->msg_type",
        "return;",
    ),
    HeaderSite(
        "include/linux/fs.h",
        "enum file_time_flags {\n",
        "\tS_VERSION = 8,\n",
        "mapping_writably_mapped",
        "mapping",
        "fs/inode.c",
        "int inode_needs_sync(struct inode *inode)\n{\n",
        "inode->i_nlink",
        "return 0;",
    ),
)

NUMBER = "4097"
"""Stands in every patch, so that a second patch of the same kind is the same but for a number."""

_IS_ODD = "suture_bench_odd(unsigned long value)"
_ODD_BODY = f"{{\n\treturn value % 7 == {NUMBER} % 7;\n}}\n\n"


@dataclass(frozen=True, slots=True)
class HeaderKind:
    """One kind of change.

    :ivar declared: what is added to the header, before `HeaderSite.before`.
    :ivar enumerator: what is added after `HeaderSite.enumerator`.
    :ivar changes_inline: `HeaderSite.inline` changes.
    :ivar defined: what is added to the C file, before the function.
    :ivar statements: what the function begins with; ``{value}`` and ``{leave}`` are the site's.
    """

    name: str
    declared: str = ""
    enumerator: str = ""
    changes_inline: bool = False
    defined: str = ""
    statements: str = f"\tif ({{value}} == {NUMBER})\n\t\t{{leave}}\n"


KINDS = (
    HeaderKind(
        "macro",
        declared=f"#define SUTURE_BENCH_LIMIT {NUMBER}\n\n",
        statements="\tif ({value} == SUTURE_BENCH_LIMIT)\n\t\t{leave}\n",
    ),
    HeaderKind(
        "prototype",
        declared=f"bool {_IS_ODD};\n\n",
        defined=f"bool {_IS_ODD}\n{_ODD_BODY}",
        statements="\tif (suture_bench_odd({value}))\n\t\t{leave}\n",
    ),
    HeaderKind(
        "type",
        declared="struct suture_bench_range {\n\tunsigned long first;\n\tunsigned long last;\n};\n"
        "typedef struct suture_bench_range suture_bench_range_t;\n\n",
        statements=f"\tsuture_bench_range_t range = {{{{ {NUMBER}, 8193 }}}};\n\n"
        "\tif ({value} > range.first && {value} < range.last)\n\t\t{leave}\n",
    ),
    HeaderKind(
        "enumerator",
        enumerator=f"\tSUTURE_BENCH_STATE = {NUMBER},\n",
        statements="\tif ({value} == SUTURE_BENCH_STATE)\n\t\t{leave}\n",
    ),
    HeaderKind("inline changed", changes_inline=True),
    HeaderKind(
        "new inline",
        declared=f"static inline bool {_IS_ODD}\n{_ODD_BODY}",
        statements="\tif (suture_bench_odd({value}))\n\t\t{leave}\n",
    ),
)


@dataclass(frozen=True, slots=True)
class HeaderPatch:
    """A change of one kind in one header.

    :ivar text: a unified diff.
    """

    site: HeaderSite
    kind: HeaderKind
    text: str

    @property
    def name(self) -> str:
        """The header's file name and the kind."""
        return f"{self.site.header.rpartition('/')[2]}: {self.kind.name}"


def patches(tree: Path, *, number: str = NUMBER, header_alone: bool = False) -> list[HeaderPatch]:
    """Return a patch of each kind for each header of a kernel's source.

    :param number: stands for `NUMBER` in the texts.
    :param header_alone: change no C file.
    """
    return [
        HeaderPatch(
            site, kind, _diff(tree, edited(tree, site, kind, header_alone=header_alone), number)
        )
        for site in SITES
        for kind in KINDS
    ]


def edited(
    tree: Path, site: HeaderSite, kind: HeaderKind, *, header_alone: bool = False
) -> Mapping[str, str]:
    """Return the changed files of a kind of change, by path."""
    header = (tree / site.header).read_text()
    header = _replaced(header, site.before, kind.declared + site.before)
    header = _replaced(header, site.enumerator, site.enumerator + kind.enumerator)
    if kind.changes_inline:
        header = _inline_changed(header, site)
    if header_alone:
        return {site.header: header}
    statements = kind.statements.format(value=site.value, leave=site.leave)
    source = (tree / site.source).read_text()
    source = _replaced(source, site.function, kind.defined + site.function + statements)
    return {site.header: header, site.source: source}


def _replaced(text: str, old: str, new: str) -> str:
    assert text.count(old) == 1, f"{text.count(old)} times in the file: {old}"
    return text.replace(old, new)


def _inline_changed(header: str, site: HeaderSite) -> str:
    begins = re.compile(
        rf"^static inline [^;{{}}]*\b{site.inline}\([^;{{}}]*\)\n{{\n", re.MULTILINE
    )
    (found,) = begins.finditer(header)
    condition = f"\tif ((unsigned long){site.parameter} == {NUMBER})\n\t\treturn 0;\n"
    return header[: found.end()] + condition + header[found.end() :]


def _diff(tree: Path, texts: Mapping[str, str], number: str) -> str:
    return "".join(
        line for path, new in texts.items() for line in _of_file(tree, path, new, number)
    )


def _of_file(tree: Path, path: str, new: str, number: str) -> Iterator[str]:
    old = (tree / path).read_text()
    for line in difflib.unified_diff(
        old.splitlines(keepends=True), new.splitlines(keepends=True), f"a/{path}", f"b/{path}"
    ):
        yield line.replace(NUMBER, number) if line.startswith("+") else line
