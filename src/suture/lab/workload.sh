#!/bin/busybox sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Keeps a guest busy in the ways in which a transition meets tasks: running, asleep in a system call, just forked, about
# to exit, in the kernel for long. Each loop is a process of this group, which is killed as a whole. They are nice, so
# that the agent is not kept waiting.

renice -n 19 $$ >/dev/null
directory=/tmp/workload
jobs=
mkdir -p $directory
ip link set lo up

# Processes come and go, in pipes.
while :; do
	seq 200 | sort -rn | tail -n 1 >$directory/sorted
done &
jobs="$jobs $!"

# Files are written, read, renamed and removed; all lies in memory.
while :; do
	dd if=/dev/zero of=$directory/file bs=64k count=16 2>/dev/null
	cp $directory/file $directory/copy
	mv $directory/copy $directory/renamed
	md5sum $directory/renamed >/dev/null
	rm $directory/renamed
	sync
done &
jobs="$jobs $!"

# What the kernel says of itself.
while :; do
	cat /proc/[0-9]*/stat /proc/[0-9]*/maps /proc/meminfo /proc/vmstat /proc/interrupts /proc/net/* >/dev/null
	find /sys -name uevent | xargs cat >/dev/null
done 2>/dev/null &
jobs="$jobs $!"

# Connections over loopback.
mkdir -p $directory/www
echo busy >$directory/www/index.html
httpd -f -p 127.0.0.1:8080 -h $directory/www &
jobs="$jobs $!"
while :; do
	wget -q -O /dev/null http://127.0.0.1:8080/ || sleep 1
	ping -c 1 -q 127.0.0.1 >/dev/null
done &
jobs="$jobs $!"

# File systems come and go.
while :; do
	mkdir -p $directory/mount
	mount -t tmpfs -o size=1m none $directory/mount && umount $directory/mount
	sleep 0.2
done &
jobs="$jobs $!"

# Ends when one of them does: Suture looks whether this process is still there.
while kill -0 $jobs; do
	sleep 1
done
