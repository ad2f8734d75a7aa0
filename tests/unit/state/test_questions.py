# SPDX-License-Identifier: GPL-2.0-or-later
"""What only the author can judge, asked with evidence."""

from __future__ import annotations

import pytest

from suture.errors import Finding, Level
from suture.state.questions import questions
from suture.workspace.applying import Changed
from tests.examples import shows

BASE = """\
static int ctx_open(struct inode *inode, struct file *file)
{
	struct ctx *ctx = file->private_data;

	ctx->reads = 0;
	return 0;
}

static ssize_t ctx_read(struct file *file,
			char __user *buf)
{
	struct ctx *ctx = file->private_data;

	mutex_lock(&ctx->lock);
	work(ctx);
	mutex_unlock(&ctx->lock);
	return 0;
}

static int ctx_release(struct inode *inode, struct file *file)
{
	free(file->private_data);
	return 0;
}
"""


def asked(*edits: tuple[str, str]) -> list[Finding]:
    """Return what is asked about a file with these edits."""
    after = BASE
    for old, new in edits:
        assert after.count(old) == 1
        after = after.replace(old, new)
    return list(questions([Changed("fs/ctx.c", BASE.encode(), after.encode())]))


ASKED = {
    "a lock that stays taken": (
        (("\tmutex_unlock(&ctx->lock);\n", "\tspin_lock_irq(&ctx->wait.lock);\n\tmutex_unlock(&ctx->lock);\n"),),
        "lock-unpaired", "ctx_read() takes &ctx->wait.lock",
    ),
    "a lock that another function took": (
        (("\tfree(file", "\tmutex_unlock(&global);\n\tfree(file"),),
        "lock-unpaired", "ctx_release() releases &global",
    ),
    "a member that is filled on open": (
        (("\tctx->reads = 0;", "\tctx->reads = 0;\n\tctx->limit = 4;"), ("\twork(ctx);", "\tif (ctx->limit > 2)\n\t\twork(ctx);")),
        "set-up-earlier", "ctx_open() now sets limit, and ctx_read() now reads it",
    ),
    "a reference across open and release": (
        (("\tctx->reads = 0;", "\tctx->reads = 0;\n\trefcount_inc(&ctx->users);"),
         ("\tfree(file", "\trefcount_dec(&ctx->users);\n\tfree(file")),
        "counted-in-two-places", "ctx_open() now takes a reference to ctx->users, and ctx_release() drops one",
    ),
    "a device across connect and release": (
        (("\tctx->reads = 0;", "\tctx->reads = 0;\n\tctx->dev = get_device(parent);\n\tkref_get(&ctx->kref);"),
         ("\tfree(file", "\tkref_put(&ctx->kref, gone);\n\tfree(file")),
        "counted-in-two-places", "ctx->kref",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", ASKED)
def test_what_cannot_be_decided_is_a_question_for_the_author(case: str) -> None:
    edits, code, text = ASKED[case]
    found = [one for one in asked(*edits) if one.kind.code == code]
    assert found, asked(*edits)
    assert text in found[0].found
    assert {one.level for one in found} == {Level.NOTE}
    assert found[0].where.startswith("fs/ctx.c:")
    match case:
        case "a lock that stays taken":
            shows(found[0], "lock-unpaired")
        case "a member that is filled on open":
            shows(found[0], "set-up-earlier")
        case "a reference across open and release":
            shows(found[0], "counted-in-two-places")


SILENT = {
    "a lock around a call": (("\tfree(file", "\tmutex_lock(&all);\n\tgone();\n\tmutex_unlock(&all);\n\tfree(file"),),
    "one more way out": (("\twork(ctx);", "\tif (!ctx->ready) {\n\t\tmutex_unlock(&ctx->lock);\n\t\treturn -EIO;\n\t}\n\twork(ctx);"),),
    "a reference in one function": (("\twork(ctx);", "\tkref_get(&ctx->kref);\n\twork(ctx);\n\tkref_put(&ctx->kref, gone);"),),
    "a comment": (("\twork(ctx);", "\t/* mutex_lock(&other) is taken */\n\twork(ctx);"),),
    "another kind of the same lock": (
        ("\tmutex_lock(&ctx->lock);", "\tif (mutex_lock_interruptible(&ctx->lock))\n\t\treturn -EINTR;"),
    ),
    "a member that other functions read before": (("\tctx->reads = 0;", "\tctx->reads = 1;"), ("\twork(ctx);", "\twork(ctx, 1);")),
}  # fmt: skip


@pytest.mark.parametrize("case", SILENT)
def test_an_ordinary_fix_raises_no_question(case: str) -> None:
    assert asked(*SILENT[case]) == []
