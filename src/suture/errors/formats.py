# SPDX-License-Identifier: GPL-2.0-or-later
"""Patch files."""

from __future__ import annotations

from suture.errors.refusal import Kind

NOT_A_PATCH = Kind(
    "not-a-patch",
    "Suture reads unified diffs, as 'git diff', 'git format-patch' and 'diff -u' write them.",
    "Make the diff again with one of these.",
)
PATCH_HAS_BINARY = Kind(
    "patch-has-binary",
    "A binary change has no lines that could be compiled.",
    "Leave the file out of the patch.",
)
PATCH_PATH_ESCAPES = Kind(
    "patch-path-escapes",
    "A patch may only touch regular files inside the kernel tree.",
    "Make the diff at the top of the kernel tree, or say how many path components to strip with --strip-level.",
)
PATCH_HAS_CRLF = Kind(
    "patch-has-crlf",
    "The patch has DOS line ends, which mail programs and editors add; the kernel's source has none.",
    "Convert it ('sed -i s/\\\\r$// FILE') or save the mail's original text.",
)
PATCH_HEADER_UNKNOWN = Kind(
    "patch-header-unknown",
    "Suture brings its own kpatch and Ksplice headers, which stand for theirs, and has none of that name.",
    "Include one that there is (docs/formats.md), or add the header to the patch.",
)
FORMAT_UNKNOWN = Kind(
    "format-unknown",
    "Suture tells what an input is from what it uses, and this one uses nothing that any of the formats has.",
    "Say what it is with --format; docs/formats.md shows what each format looks like.",
)
FORMAT_AMBIGUOUS = Kind(
    "format-ambiguous",
    "The input uses what belongs to different formats, and each gives it another meaning.",
    "Split it, or say which one is meant with --format.",
)
WRITTEN_FORM_INVALID = Kind(
    "written-form-invalid",
    "A live patch in its written form is read strictly: what is not understood would otherwise be left out in silence.",
    "docs/formats.md lists every field of livepatch.toml; 'suture convert' writes one that is right.",
)
WRITTEN_FORM_NEWER = Kind(
    "written-form-newer",
    "A newer Suture wrote it, and may have said something in it that this one does not know.",
    "Install a newer Suture, or convert the input again with this one.",
)
SOURCE_ESCAPES = Kind(
    "source-escapes",
    "What a written live patch or an author's module is built from is inside its own directory: regular files, with no "
    "symbolic link on the way; so what was reviewed is what is built.",
    "Put the file into the directory, and name it by its path in there.",
)
MODEL_DIFFERS = Kind(
    "model-differs",
    "livepatch.toml says what the live patch is to replace, so that a reviewer can rely on it, and on this kernel it "
    "would replace something else.",
    "Look at why: another source version, or another compiler's inlining.  If it is meant, convert the input anew for "
    "this kernel, or take the [[object]] tables out.",
)
OUTPUT_EXISTS = Kind(
    "output-exists",
    "A live patch that was written down may have been reviewed; it is not replaced in passing.",
    "Choose another name, or move the old one away.",
)
KPATCH_OBJECT_MALFORMED = Kind(
    "kpatch-object-malformed",
    "kpatch's tables are C structures; contents of another shape cannot be told from chance.",
    "Give the module as kpatch-build made it, or the source diff that it was made from.",
)
KPATCH_OBJECT_FOREIGN = Kind(
    "kpatch-object-foreign",
    "The module was compiled for one kernel, and its code fits the structures and functions of that one alone.",
    "Choose the kernel it was made for with --kernel, or build the source diff for this one.",
)
KPATCH_OBJECT_SHARED = Kind(
    "kpatch-object-shared",
    "References in new code are filled in with the object that the code is for; what is for two would have to be twice "
    "in the live patch, and a variable must not.",
    "Build the source diff that the module was made from.",
)
PATCH_MACRO_UNKNOWN = Kind(
    "patch-macro-unknown",
    "A macro of kpatch or Ksplice that there is not, or one that names a function that there is not, does nothing.",
    "Check the spelling; docs/formats.md lists the macros that there are.",
)
