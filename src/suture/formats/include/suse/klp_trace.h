/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Trace points in fixes from SUSE's directories, on any kernel since 5.10; SUSE's own version follows the macros of one
 * kernel version.  The trace point stays the kernel's: nothing new is registered.
 */
#ifndef _KLP_TRACE_H
#define _KLP_TRACE_H

#include <linux/cpumask.h>
#include <linux/livepatch.h>
#include <linux/preempt.h>
#include <linux/tracepoint.h>

/**
 * KLPR_TRACE_EVENT_CONDITION - define klpr_trace_NAME() and klpr_trace_NAME_enabled()
 * @module: the object that has the trace point; vmlinux for the core kernel
 * @name: the trace point
 * @proto: TP_PROTO(...), as in its TRACE_EVENT()
 * @args: TP_ARGS(...)
 * @cond: TP_CONDITION(...), without which nothing is traced
 */
#define KLPR_TRACE_EVENT_CONDITION(module, name, proto, args, cond)					\
	extern int __traceiter_##name(void *__data, proto)						\
		KLP_RELOC_SYMBOL(module, module, __traceiter_##name);					\
	extern struct tracepoint __tracepoint_##name							\
		KLP_RELOC_SYMBOL(module, module, __tracepoint_##name);					\
	static inline bool klpr_trace_##name##_enabled(void)						\
	{												\
		return static_key_enabled(&__tracepoint_##name.key);					\
	}												\
	static inline void klpr_trace_##name(proto)							\
	{												\
		if (!klpr_trace_##name##_enabled() || !(cond))						\
			return;										\
		preempt_disable_notrace();								\
		if (cpu_online(raw_smp_processor_id()))							\
			__traceiter_##name(NULL, args);							\
		preempt_enable_notrace();								\
	}

#define KLPR_TRACE_EVENT(module, name, proto, args)							\
	KLPR_TRACE_EVENT_CONDITION(module, name, PARAMS(proto), PARAMS(args), true)

#endif /* _KLP_TRACE_H */
