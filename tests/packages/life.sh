# The life of the packages on one host, as root: what each step prints goes to a file of its name in /shared/said.
said=/shared/said
mkdir $said

# The one file, with nothing but Python's own modules.
mkdir -p /etc/kernel/postinst.d
cp /shared/suture.pyz /opt/
alone() { env -i python3 -I -S /opt/suture.pyz "$@" 2>&1 || true; }
alone --version >$said/alone-version
alone status >$said/alone-status
alone list >$said/alone-list
alone doctor --json >$said/alone-doctor
alone build fix.patch >$said/alone-build
alone key show /etc/hostname >$said/alone-key
alone store hooks >$said/alone-hooks
cat /etc/kernel/postinst.d/zz-suture >$said/alone-hook
mkdir /var/lib/suture
/etc/kernel/postinst.d/zz-suture 6.1.0-toy >$said/alone-upgrade 2>&1
rmdir /var/lib/suture
rm /opt/suture.pyz

# Before the package, 'suture install' of another installation wrote these itself, too.
mkdir -p /etc/systemd/system /etc/update-motd.d
printf '# Made by '\''suture install'\''.\n[Service]\nExecStart=/opt/venv/bin/python -I -m suture.core.boot\n' \
    >/etc/systemd/system/suture.service
printf '#!/bin/sh\n# Made by '\''suture install'\''.\n' >/etc/update-motd.d/60-suture

dpkg -i /shared/suture_*_all.deb >$said/install
find /etc/systemd/system -name 'suture*' -printf '%P %l\n' | sort >$said/links
cat /etc/update-motd.d/60-suture >$said/motd
find /etc/suture -printf '%M %u %P\n' | sort >$said/etc
systemctl is-enabled suture.service suture-confirm.service >$said/enabled
systemd-analyze verify /usr/lib/systemd/system/suture*.service >$said/verify 2>&1

suture --version >$said/version
suture status >$said/status 2>&1 || true
suture doctor --for load --json >$said/doctor 2>&1 || true
suture build fix.patch >$said/build 2>&1 || true
suture test fix.ko >$said/test 2>&1 || true
suture --help >$said/help
for command in build test convert inspect verify diff load unload status list info log recover force install uninstall \
    enable disable rebuild sign doctor demo; do
    suture $command --help >/dev/null
done
bash -c '. /usr/share/bash-completion/completions/suture && complete -p suture' >$said/completion
man -w suture >$said/man

# What 'suture install' does besides, on a host that systemd runs.
mkdir -p /run/systemd/system
python3 -I -c 'from suture.core import system_hooks, units; print(units.ensure(), system_hooks.enable())' >$said/ensure
rmdir /run/systemd/system
find /etc/systemd/system -name 'suture*' -not -type l >$said/units-in-etc

# What an administrator has.
cat >/keep.py <<'END'
from suture.core.journal import Journal
from suture.core.store import Store
Store().install(b"module", "6.1.0-toy", "livepatch_toy", replaces=False, origin="toy.ko")
journal = Journal()
journal.end(journal.begin("install", "livepatch_toy", {}), "installed", {})
END
python3 -I /keep.py
echo mine >/etc/suture/trusted/mine.pem
printf '#!/bin/sh\n' >/etc/suture/hooks.d/pre-load/mine
kept() { find /var/lib/suture /etc/suture -type f -exec sha256sum {} + | sort -k2; }
kept >$said/kept

# Halfway through an upgrade of the host, a part of Python's own library may not be there.
library=$(python3 -c 'import json; print(json.__path__[0])')
mv "$library" /json
/etc/kernel/postinst.d/zz-suture 6.1.0-new >$said/hooks-broken 2>&1
mv /json "$library"

dpkg -i /shared/newer/suture_*_all.deb >$said/upgrade
suture --version >$said/version-upgraded
suture store check >$said/check-upgraded
kept >$said/kept-upgraded
python3 -I -m suture.core.boot >$said/boot 2>&1 || true

dpkg -i --force-depends /shared/newer/suture-build_*_amd64.deb >$said/install-build 2>&1
suture build /none.patch >$said/build-installed 2>&1 || true
suture doctor --for build --json >$said/doctor-build 2>&1 || true
cat >/build.py <<'END'
import importlib, pkgutil, suture
for room in pkgutil.iter_modules(suture.__path__):
    if room.name != "__main__":
        importlib.import_module(f"suture.{room.name}")
from suture.host.packages import BUILD_MODULES
for name in sorted(BUILD_MODULES):
    print(importlib.import_module(name).__file__)
import lz4.frame, suture.kernel.kallsyms_child, suture.formats.written, suture.sources.debian, zstandard
print(len(zstandard.decompress(zstandard.compress(lz4.frame.decompress(lz4.frame.compress(bytes(9)))))))
END
setpriv --reuid=nobody --clear-groups python3 -I /build.py >$said/libraries 2>&1 || true
dpkg -P --force-depends suture-build >$said/purge-build
find /usr/lib/suture-build /usr/lib/python3/dist-packages/suture/builder >$said/left-build 2>&1 || true

dpkg -r suture >$said/remove
kept >$said/kept-removed
{
    /etc/kernel/postinst.d/zz-suture 6.1.0-new
    /etc/update-motd.d/60-suture
    touch /run/suture-upgrade
    sh -c "$(sed -n 's/^  "\(.*\)";$/\1/p' /etc/apt/apt.conf.d/60suture)"
} >$said/hooks-removed 2>&1
find /usr -path '*suture*' >$said/left-removed

dpkg -i /shared/newer/suture_*_all.deb >$said/again
suture store list >$said/list-again
kept >$said/kept-again
dpkg -P suture >$said/purge 2>&1
find / -xdev -path '*suture*' -not -path '/shared/*' -not -path '/var/cache/man/*' >$said/left-purged
