/* SPDX-License-Identifier: GPL-2.0 */
#define KLPR_TRACE_EVENT(module, name, proto, args) this one is for other kernels
