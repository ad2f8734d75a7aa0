# SPDX-License-Identifier: GPL-2.0-or-later
"""Fleets: what many hosts and several servers have to agree on.

`suture.fleet.state` says how state is shared; etcd and SQLite keep it.  On it stand

- the lock server that lets hosts reboot in turn (`suture.fleet.semaphore`,
  `suture.fleet.lock_server`), with its client (`suture.fleet.reboot`), and
- rollouts: a plan (`suture.fleet.plan`), the state (`suture.fleet.rollout`), what is decided of
  both and of what hosts report (`suture.fleet.decide`), and the controller that does it
  (`suture.fleet.controller`), with evidence from Prometheus (`suture.fleet.prometheus`) and a way
  to the hosts (`suture.fleet.promoter`).

Modules here need the base install alone, but for `suture.fleet.serving`, which needs the extra
``fleet``.
"""
