# SPDX-License-Identifier: GPL-2.0-or-later
"""The options must stay."""

from __future__ import annotations

import pytest

from suture.errors import Refusal
from suture.workspace import configuration
from tests.examples import shows


@pytest.mark.parametrize("resulting", [b"", b"CONFIG_A=m\n", b"CONFIG_A=y\nCONFIG_NEW=y\n"])
def test_an_option_that_changes_is_refused_by_name(resulting: bytes) -> None:
    with pytest.raises(Refusal) as caught:
        configuration.check_same("6.1", b"CONFIG_A=y\n", resulting)
    shows(caught.value, "config-differs")
    assert "CONFIG_" in caught.value.evidence[0]


def test_options_that_no_code_reads_may_differ() -> None:
    shipped = b"CONFIG_A=y\nCONFIG_PAHOLE_VERSION=124\n# CONFIG_B is not set\n"
    resulting = (
        b'CONFIG_A=y\nCONFIG_BUILD_SALT=""\nCONFIG_MODULE_SIG_ALL=y\nCONFIG_PAHOLE_VERSION=0\n'
    )
    configuration.check_same("6.1", shipped, resulting)
    with pytest.raises(Refusal) as caught:
        configuration.check_same("6.1", shipped, resulting.replace(b"CONFIG_A=y", b"CONFIG_A=m"))
    assert [line.partition(":")[0] for line in caught.value.evidence] == ["CONFIG_A"]


def test_the_compilers_line_may_differ_where_another_upload_is_tried() -> None:
    shipped, resulting = (
        f'CONFIG_CC_VERSION_TEXT="gcc-12 (Debian 12.2.0-{upload}) 12.2.0"\nCONFIG_A=y\n'.encode()
        for upload in ("14", "14+deb12u1")
    )
    configuration.check_same("6.1", shipped, resulting, same_compiler=False)
    with pytest.raises(Refusal, match="config-differs"):
        configuration.check_same("6.1", shipped, resulting)


def test_many_differences_are_counted_and_some_named() -> None:
    shipped = b"".join(b"CONFIG_A%d=y\n" % number for number in range(30))
    with pytest.raises(Refusal) as caught:
        configuration.check_same("6.1", shipped, b"")
    assert "30 option(s)" in caught.value.found
    assert caught.value.evidence[-1] == "... and 22 more"
