# SPDX-License-Identifier: GPL-2.0-or-later
"""Fleets: what many hosts and several servers have to agree on.

`suture.fleet.state` says how state is shared; etcd and SQLite keep it.  On it stand the lock server
that lets hosts reboot in turn (`suture.fleet.semaphore`, `suture.fleet.lock_server`) and its client
(`suture.fleet.reboot`).

Modules here need the base install alone, but for the server, which needs the extra ``fleet``.
"""
