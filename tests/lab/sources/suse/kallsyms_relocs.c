// SPDX-License-Identifier: GPL-2.0
#error "this one is for other kernels"
