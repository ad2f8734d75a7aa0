# SPDX-License-Identifier: GPL-2.0-or-later
"""Functions of the kernel by what they do with an address that is passed to them.

A function without an entry here may keep the address.  So each entry of `USES_ONLY` and `COPIES` is
a promise: when the function returns, the kernel holds nothing that it was given.
"""

from __future__ import annotations

import re

_LOCKS = (
    # include/linux/mutex.h, rtmutex.h
    r"mutex_(lock|trylock|unlock|is_locked|destroy)\w*",
    r"__mutex_(rt_)?init",
    r"__local_bh_(disable|enable)_ip",
    # include/linux/spinlock_rt.h, rwlock_rt.h, rtmutex.h: what these are with PREEMPT_RT
    r"rt_(spin|read|write|mutex)_(lock|trylock|unlock)\w*",
    r"__rt_(spin_lock|rwlock|mutex)_init|rt_mutex_base_init",
    # include/linux/spinlock_api_smp.h, rwlock_api_smp.h
    r"_raw_(spin|read|write)_(lock|trylock|unlock)\w*",
    r"(native_)?queued_(spin|read|write)_(lock|unlock)\w*",
    r"__(raw_spin_lock|rwlock)_init",
    # include/linux/rwsem.h, semaphore.h
    r"(down|up)(_read|_write)?(_trylock|_interruptible|_killable|_timeout|_nested|_non_owner)?",
    r"down_write_killable_nested|_down_write_nest_lock|downgrade_write",
    r"__init_rwsem",
    # include/linux/srcu.h, completion.h, wait.h: a task that sleeps there is in new code still
    r"__srcu_read_(lock|unlock)\w*",
    r"synchronize_(s?rcu|rcu_tasks)\w*",
    r"(try_)?wait_for_completion\w*",
    r"complete(_all)?",
    r"completion_done",
    r"__init_waitqueue_head",
    r"__init_swait_queue_head",
    r"(prepare_to_wait|finish_wait)\w*",
    r"__wake_up\w*",
    r"wake_up_(bit|var)",
    # lib/refcount.c, include/linux/percpu_counter.h, include/linux/ratelimit_types.h
    r"refcount_\w+",
    r"percpu_counter_(add_batch|set|sync)",
    r"__percpu_counter_(sum|compare)",
    r"___ratelimit",
    # include/linux/jump_label.h: what it has of a module's keys it forgets when the module goes
    # (kernel/jump_label.c: jump_label_del_module())
    r"static_key_\w+",
    r"__static_key_slow_dec\w*",
)

_PRINTS = (
    # include/linux/printk.h, panic.h, dynamic_debug.h, dev_printk.h
    r"_?printk(_deferred)?",
    r"v?printk_\w+",
    r"__warn_printk",
    r"panic",
    r"__dynamic_\w+_dbg",
    r"__dynamic_pr_debug",
    r"_?dev_(printk|emerg|alert|crit|err|warn|notice|info|printk_emit)",
    r"dev_err_probe",
    r"netdev_(printk|emerg|alert|crit|err|warn|notice|info)",
    r"print_hex_dump\w*",
    r"___?trace_(printk|bprintk|puts)",
    # lib/vsprintf.c, lib/kasprintf.c, lib/kstrtox.c
    r"v?s(c|n)?n?printf",
    r"k?v?k?asprintf",
    r"v?sscanf",
    r"_?kstrto\w+",
    r"simple_strto\w+",
    # fs/seq_file.c: into the file's buffer
    r"(__)?seq_(v?printf|puts|write|putc|put_\w+|escape\w*|hex_dump)",
    r"sysfs_emit(_at)?",
    r"simple_read_from_buffer",
)

_COMPARES = (
    # lib/string.c, lib/string_helpers.c, lib/bitmap.c, lib/find_bit.c, lib/crc32.c
    r"(__)?mem(cmp|chr|chr_inv|scan|set\w*)",
    r"mem_is_zero",
    r"str(n?cmp|n?casecmp|n?len|n?chr|rchr|n?str|spn|cspn|pbrk)",
    r"(__)?sysfs_(streq|match_string)",
    r"match_string",
    r"__bitmap_\w+",
    r"_find_\w+_bit\w*",
    r"crc(16|32|32c)\w*",
    r"get_random_bytes",
    # They call a function that they are given before they return: lib/sort.c, lib/bsearch.c,
    # lib/list_sort.c, kernel/livepatch/shadow.c, kernel/stop_machine.c, mm/pagewalk.c, drivers/base
    r"sort(_r)?",
    r"bsearch",
    r"list_sort",
    r"klp_shadow_(get|alloc|get_or_alloc|free|free_all)",
    r"klp_get_(prev_)?state",
    r"stop_machine(_cpuslocked)?",
    r"walk_page_(range|vma|mapping)",
    r"(bus|class|driver|device)_for_each_\w+",
)

_ARGUMENTLESS = (
    # They take no argument, or one of their own: what is left in the registers is not for them.
    r"__SCT__(might_resched|cond_resched|preempt_schedule\w*)",
    r"__(might_resched|might_sleep|cond_resched|might_fault)",
    r"preempt_schedule\w*",
    r"schedule",
    r"__rcu_read_(lock|unlock)",
    r"migrate_(disable|enable)",
    r"rcu_read_unlock_strict",
    r"__stack_chk_fail",
    r"__sanitizer_cov_\w+",
    r"__ubsan_\w+",
    # mm/slab_common.c, mm/util.c: sizes and flags, or memory that was allocated
    r"(__)?kv?[mz]alloc\w*",
    r"k?v?free(_sensitive)?",
)

_TAKE_BACK = (
    # kernel/workqueue.c, kernel/time/timer.c, kernel/time/hrtimer.c, kernel/notifier.c
    r"(cancel|flush)_(delayed_)?work(_sync)?",
    r"del_timer(_sync)?|timer_(delete|shutdown)(_sync)?",
    r"hrtimer_(try_to_)?cancel",
    r"\w*unregister_\w*notifier\w*",
    r"\w+_notifier_chain_unregister",
    # kernel/livepatch/core.c: klp_free_patch_finish() lets go of a live patch before its module
    # can be unloaded.  The other two are names of the functions with which authors register.
    r"klp_(enable|register)_patch",
    r"livepatch_enable_patch",
    r"kgr_patch_kernel",
)

_COPYING = (
    r"(__)?mem(cpy|move)\w*",
    r"str(n?cpy|lcpy|scpy|n?cat|lcat)\w*",
    r"k(v?mem|str|strn|mem_nul)dup\w*",
    r"_?copy_(from|to)_user\w*",
    r"(_copy_|copy_)?(from|to)_iter\w*",
    r"rep_movs_alternative",
)

KEEPS_STRINGS = frozenset(
    {
        # kernel/irq/manage.c: irqaction.name, which /proc/interrupts shows
        "request_threaded_irq",
        "request_any_context_irq",
        "request_nmi",
        "__request_percpu_irq",
        "devm_request_threaded_irq",
        "devm_request_any_context_irq",
        # kernel/resource.c: resource.name, which /proc/iomem shows
        "__request_region",
        "__devm_request_region",
        # mm/slab_common.c: kstrdup_const() copies no string of the core kernel's
        "kmem_cache_create",
        "kmem_cache_create_usercopy",
        # kernel/events/core.c: pmu.name
        "perf_pmu_register",
    }
)
"""Functions that keep a pointer to a string that they are given."""

RETURNS_ARGUMENT = re.compile(
    r"(__)?mem(cpy|move|set)|str(n?cpy|n?cat)|str(chr|rchr|str|pbrk)|memchr\w*|skip_spaces"
)
"""Functions that return an address that they are given, or one near it."""

_USES_ONLY = re.compile("|".join((*_LOCKS, *_PRINTS, *_COMPARES, *_ARGUMENTLESS, *_TAKE_BACK)))
_COPIES = re.compile("|".join(_COPYING))


def keeps(name: str, *, copies_matter: bool) -> bool:
    """Whether a function of the kernel may keep an address that it is given.

    :param copies_matter: what is at the address holds addresses too, so that a copy of it does.
    """
    if _USES_ONLY.fullmatch(name):
        return False
    return copies_matter or not _COPIES.fullmatch(name)
