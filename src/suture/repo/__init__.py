# SPDX-License-Identifier: GPL-2.0-or-later
"""Signed repositories of live patches, and hosts that follow them, by The Update Framework
(https://theupdateframework.github.io/specification/latest/).

A repository is a directory of static files::

    metadata/1.root.json timestamp.json N.snapshot.json N.targets.json
    metadata/N.patches-RELEASE.json N.ring-RING.json
    targets/patches/RELEASE/HASH.NAME.ko HASH.NAME.json HASH.withdrawn.json
    targets/rings/RING/HASH.RELEASE.json

=====================  ===========================================================================
``root``               says whose keys count for the four roles of the top level; offline
``targets``            says whose keys count for the roles below; offline
``patches-RELEASE``    vouches for the live patches of one kernel, and withdraws them
``ring-RING``          chooses among these for the hosts that follow the ring
``snapshot``           says which versions of all these belong together; online
``timestamp``          says which snapshot is the newest, and lives for days; online
=====================  ===========================================================================

A ring names a live patch by its SHA-256, and a host accepts that only if ``patches-RELEASE``
vouches for the same hash: a stolen ring key can choose among released live patches, and do nothing
else.

The side of those who publish: `suture.repo.keys`, `suture.repo.tree` (what is published, and what
is staged until enough holders have signed), `suture.repo.roles`, `suture.repo.publishing`,
`suture.repo.mirror`.  The side of hosts: `suture.repo.settings`, `suture.repo.client` (what the
repository says, verified), `suture.repo.choice` (what that means for this host) and
`suture.repo.follow`.
"""
