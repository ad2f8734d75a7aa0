# SPDX-License-Identifier: GPL-2.0-or-later
"""Patch files."""

from __future__ import annotations

from suture.errors.refusal import Kind

NOT_A_PATCH = Kind(
    "not-a-patch",
    "Suture reads unified diffs, as written by 'git diff', 'git format-patch' and 'diff -u'.",
    "Make the diff again with one of these.",
)
PATCH_HAS_BINARY = Kind(
    "patch-has-binary",
    "A binary change has no lines to compile.",
    "Leave the file out of the patch.",
)
PATCH_PATH_ESCAPES = Kind(
    "patch-path-escapes",
    "A patch may touch only regular files inside the kernel tree.",
    "Make the diff at the top of the kernel tree, or give the number of path components to strip "
    "with --strip-level.",
)
PATCH_HAS_CRLF = Kind(
    "patch-has-crlf",
    "The patch has DOS line endings, which mail programs and editors add; the kernel's source has "
    "none.",
    "Convert it ('sed -i s/\\\\r$// FILE'), or save the mail's original text.",
)
PATCH_HEADER_UNKNOWN = Kind(
    "patch-header-unknown",
    "Suture ships replacements for the kpatch and Ksplice headers; this one is not among them.",
    "Include one that docs/formats.md lists, or add the header to the patch.",
)
FORMAT_UNKNOWN = Kind(
    "format-unknown",
    "Suture recognises an input by the headers and macros it uses, and this one uses none of any "
    "format.",
    "Name the format with --format; docs/formats.md shows what each looks like.",
)
FORMAT_AMBIGUOUS = Kind(
    "format-ambiguous",
    "The input uses features of several formats, and each format would read it differently.",
    "Split it, or name the right format with --format.",
)
WRITTEN_FORM_INVALID = Kind(
    "written-form-invalid",
    "Suture reads a written live patch strictly; otherwise it would silently ignore what it does "
    "not understand.",
    "docs/formats.md lists every field of livepatch.toml; 'suture convert' writes a valid one.",
)
WRITTEN_FORM_NEWER = Kind(
    "written-form-newer",
    "A newer Suture wrote it, and may have used fields that this one does not know.",
    "Install a newer Suture, or convert the input again with this one.",
)
SOURCE_ESCAPES = Kind(
    "source-escapes",
    "A written live patch or an author's module is built only from regular files inside its own "
    "directory, with no symbolic link in the path, so that what was reviewed is what is built.",
    "Put the file into the directory, and name it by its path there.",
)
MODEL_DIFFERS = Kind(
    "model-differs",
    "livepatch.toml states what the live patch replaces, so that reviewers can rely on it. On "
    "this kernel it would replace something else.",
    "Find out why: another source version, or another compiler's inlining. If the difference is "
    "intended, convert the input again for this kernel, or remove the [[object]] tables.",
)
NOT_A_SOURCE = Kind(
    "not-a-source",
    "The written form keeps what a live patch is made from. Of ELF files, that is only a module "
    "for kpatch's own core, or an object of its comparison step; a built module has lost its "
    "source.",
    "Give the patch or the C source that it was built from.",
)
NOT_A_DIFF = Kind(
    "not-a-diff",
    "The sources of a written live patch come out as they were put in; Suture makes no diff of "
    "what never was one.",
    "Take the sources from the directory 'sources' of the written form, or convert to that form.",
)
OUTPUT_FORM_UNKNOWN = Kind(
    "output-form-unknown",
    "The written form is a directory, or a tar archive of it; a name that ends as files do would "
    "become a directory.",
    "Name a directory (fix.livepatch), an archive (.tar, .tar.gz, .tar.xz), or a diff (.patch, "
    ".diff).",
)
OUTPUT_EXISTS = Kind(
    "output-exists",
    "A written live patch may have been reviewed already, so Suture does not overwrite it.",
    "Choose another name, or move the old one away.",
)
KPATCH_OBJECT_MALFORMED = Kind(
    "kpatch-object-malformed",
    "Suture reads kpatch's tables as the C structures that kpatch-build writes, and these have "
    "other contents.",
    "Give the module as kpatch-build made it, or the source diff that it was made from.",
)
KPATCH_OBJECT_FOREIGN = Kind(
    "kpatch-object-foreign",
    "The module was compiled for one kernel, and its code fits only that kernel's structures and "
    "functions.",
    "Choose that kernel with --kernel, or build the source diff for this one.",
)
KPATCH_OBJECT_SHARED = Kind(
    "kpatch-object-shared",
    "References in new code are resolved with the object that the code patches. What two objects "
    "share would have to be in the live patch twice, and a variable must not.",
    "Build the source diff that the module was made from.",
)
PATCH_MACRO_UNKNOWN = Kind(
    "patch-macro-unknown",
    "An unknown macro, or one naming a function that does not exist, would silently do nothing.",
    "Check the spelling; docs/formats.md lists the macros.",
)
SERIES_WITHOUT_ORDER = Kind(
    "series-without-order",
    "The patches of a series build on each other, so their order has to be known: from a file "
    "named series (quilt), or from numbers at the beginning of their names (git format-patch).",
    "Add such a file or numbers, or name the patches one by one, in order.",
)
SERIES_INVALID = Kind(
    "series-invalid",
    "Suture reads a series file as quilt does: a patch on each line, with -pN behind it if need "
    "be. It leaves out nothing that it does not understand.",
    "Correct the line, or name the patches one by one, in order.",
)
ADDRESS_UNREACHABLE = Kind(
    "address-unreachable",
    "Suture fetches a patch from its web address through the proxy that http_proxy, https_proxy "
    "and no_proxy name.",
    "Check the address and the network, or fetch the patch where there is one and give the file.",
)
COMMIT_UNKNOWN = Kind(
    "commit-unknown",
    "With --git, the first input is a commit or a range of commits in that repository, and those "
    "after it are paths.",
    "Look with 'git log'. A clone may lack the commit: 'git fetch' brings it.",
)
COMMIT_IS_A_MERGE = Kind(
    "commit-is-a-merge",
    "A merge has several parents, so there is no one diff that shows what it changed.",
    "Name the commits that it merged, or give the diff: 'git diff OLD NEW | suture build -'.",
)
MERGE_CONFLICT = Kind(
    "merge-conflict",
    "The target changed the same lines as the commit, or the files that it starts from are not in "
    "the repository, and Suture does not guess.",
    "Carry the commit over in a tree of the target's source, and give that diff.",
)
