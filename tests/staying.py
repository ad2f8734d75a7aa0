# SPDX-License-Identifier: GPL-2.0-or-later
"""Small changes of the core kernel, for each kernel version: some hand out an address in the live
patch, some do not."""

from __future__ import annotations

from tests.patches import Edit

VERSION, FD = "fs/proc/version.c", "fs/proc/fd.c"
SHOW = "static int version_proc_show(struct seq_file *m, void *v)\n{\n"
BANNER = "\tseq_printf(m, linux_proc_banner,"


def version(above: str, statement: str, *includes: str) -> tuple[Edit, ...]:
    """Reading /proc/version runs a statement, with what stands above the function."""
    lines = "".join(f"#include <linux/{name}.h>\n" for name in includes)
    return (
        Edit(VERSION, '#include "internal.h"\n', f'#include "internal.h"\n{lines}'),
        Edit(VERSION, SHOW, f"{above}\n{SHOW}"),
        Edit(VERSION, BANNER, f"\t{statement}\n{BANNER}"),
    )


TIMER = version(
    "static void suture_tick(struct timer_list *timer);\n"
    "static DEFINE_TIMER(suture_timer, suture_tick);\n"
    "static void suture_tick(struct timer_list *timer)\n"
    '{\n\tpr_info("suture: tick\\n");\n\tmod_timer(&suture_timer, jiffies + HZ);\n}\n',
    "mod_timer(&suture_timer, jiffies + HZ);",
    "timer",
)
NOTIFIER = version(
    "static int suture_heard(struct notifier_block *block, unsigned long event, void *data)\n"
    '{\n\tpr_info("suture: heard\\n");\n\treturn NOTIFY_DONE;\n}\n'
    "static struct notifier_block suture_block = { .notifier_call = suture_heard };\n"
    "static bool suture_registered;\n",
    "if (!suture_registered)\n\t\tsuture_registered = !register_netdevice_notifier(&suture_block);",
    "netdevice",
)
RCU = version(
    "struct suture_freed {\n\tstruct rcu_head rcu;\n};\n"
    "static void suture_free(struct rcu_head *head)\n"
    '{\n\tpr_info("suture: freed\\n");\n\tkfree(head);\n}\n',
    "struct suture_freed *freed = kmalloc(sizeof(*freed), GFP_KERNEL);\n\n"
    "\tif (freed)\n\t\tcall_rcu(&freed->rcu, suture_free);",
    "slab",
    "rcupdate",
)
WORK = version(
    "static void suture_work_fn(struct work_struct *work)\n"
    '{\n\tpr_info("suture: work ran\\n");\n}\n'
    "static DECLARE_DELAYED_WORK(suture_work, suture_work_fn);\n",
    "schedule_delayed_work(&suture_work, 3 * HZ);",
    "workqueue",
)
OPERATIONS = version(
    "static void *suture_start(struct seq_file *m, loff_t *pos) { return *pos ? NULL : m; }\n"
    "static void *suture_next(struct seq_file *m, void *v, loff_t *pos)\n"
    "{\n\t++*pos;\n\treturn NULL;\n}\n"
    "static void suture_stop(struct seq_file *m, void *v) { cond_resched(); }\n"
    'static int suture_show(struct seq_file *m, void *v) { seq_puts(m, ""); return 0; }\n'
    "static const struct seq_operations suture_operations = {\n"
    "\t.start = suture_start,\n\t.next = suture_next,\n\t.stop = suture_stop,\n"
    "\t.show = suture_show,\n};\n",
    "if (v == &suture_registered)\n\t\tm->op = &suture_operations;".replace(
        "&suture_registered", "m->private"
    ),
)
OPEN = (
    Edit(
        FD,
        "static int seq_fdinfo_open(struct inode *inode, struct file *file)\n",
        "static int seq_show_adv(struct seq_file *m, void *v)\n"
        "{\n\tint (*volatile old)(struct seq_file *, void *) = seq_show;\n\n"
        '\tseq_puts(m, "adv\\n");\n\treturn old(m, v);\n}\n\n'
        "static int seq_fdinfo_open(struct inode *inode, struct file *file)\n",
    ),
    Edit(FD, "single_open(file, seq_show, inode)", "single_open(file, seq_show_adv, inode)"),
)
LIST = version(
    "static LIST_HEAD(suture_list);\nstruct suture_entry {\n\tstruct list_head list;\n};\n",
    "struct suture_entry *entry = kmalloc(sizeof(*entry), GFP_KERNEL);\n\n"
    "\tif (entry)\n\t\tlist_add(&entry->list, &suture_list);",
    "slab",
    "list",
)

STAY = {
    "timer": (TIMER, {"suture_timer"}),
    "notifier": (NOTIFIER, {"suture_block"}),
    "rcu-head": (RCU, {"suture_free()"}),
    "work": (WORK, {"suture_work"}),
    "operations": (OPERATIONS, {"suture_operations"}),
    "open-file": (OPEN, {"seq_show_adv()"}),
    "list": (LIST, {"suture_list"}),
}
"""Edits that hand out addresses, and what has these."""

DUMMY = "drivers/net/dummy.c"
TABLE = (
    Edit(
        DUMMY,
        "static const struct net_device_ops dummy_netdev_ops = {\n",
        "static int suture_carrier(struct net_device *dev, bool new_carrier)\n"
        "{\n\tint (*volatile old)(struct net_device *, bool) = dummy_change_carrier;\n\n"
        '\tpr_info("suture: carrier\\n");\n\treturn old(dev, new_carrier);\n}\n\n'
        "static const struct net_device_ops dummy_netdev_ops = {\n",
    ),
    Edit(DUMMY, "= dummy_change_carrier,", "= suture_carrier,"),
)
"""A new function in operations of a module, which --patch-data changes.  It uses the address of the
old one, which would otherwise count as the same function under another name."""

GO = {
    "mutex": version(
        "static DEFINE_MUTEX(suture_lock);\nstatic int suture_count;\n",
        "mutex_lock(&suture_lock);\n\tsuture_count++;\n\tmutex_unlock(&suture_lock);",
        "mutex",
    ),
    "spinlock": version(
        "static DEFINE_SPINLOCK(suture_lock);\nstatic int suture_count;\n",
        "spin_lock(&suture_lock);\n\tsuture_count++;\n\tspin_unlock(&suture_lock);",
        "spinlock",
    ),
    "ratelimit": version("", 'pr_info_ratelimited("suture: limited\\n");', "ratelimit", "printk"),
    "ratelimit-state": version(
        "static DEFINE_RATELIMIT_STATE(suture_limit, 5 * HZ, 3);\n",
        'if (__ratelimit(&suture_limit))\n\t\tpr_info("suture: limited\\n");',
        "ratelimit",
    ),
    "helper": version(
        "static noinline int suture_helper(int count)\n"
        '{\n\tpr_info("suture: called\\n");\n\treturn count + 1;\n}\n',
        "if (suture_helper(m->count) < 0)\n\t\treturn -EINVAL;",
    ),
    "messages": version(
        "",
        'pr_info_once("suture: %s\\n", __func__);\n\tWARN_ON_ONCE(!m);\n\tpr_debug("suture %p\\n", m);',
    ),
    "table": version(
        'static const char *const suture_names[] = { "one", "two", "three" };\n',
        'if (!m->count && v)\n\t\tseq_printf(m, "%s", suture_names[m->index % 3]);',
    ),
}
"""Edits of plain fixes."""
