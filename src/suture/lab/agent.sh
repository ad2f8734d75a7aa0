#!/bin/busybox sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The guest's init, and the agent at its end of the line; suture/lab/channel.py is the other end and says what is
# spoken. $wire comes from the kernel's command line. The first serial port is the kernel's alone, so that the kernel
# log is never mixed with output.

/bin/busybox --install -s /bin
export PATH=/bin HOME=/tmp

mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t debugfs debug /sys/kernel/debug
mount -t tracefs trace /sys/kernel/tracing

case $wire in
ttyS*)
	stty raw -echo <"/dev/$wire"
	;;
*)
	modprobe -a virtio_pci virtio_console 2>/dev/null # fails where they are built in
	# The node is there before the port can be opened (drivers/char/virtio_console.c: add_port()).
	until [ -c "/dev/$wire" ] && (exec 3<>"/dev/$wire") 2>/dev/null; do sleep 0.01; done
	;;
esac
exec 3<>"/dev/$wire"
cd /tmp
echo ready >&3

while read -r verb size name <&3; do
	case $verb in
	run)
		head -c "$size" <&3 >/run/command
		sh /run/command </dev/null >/run/output 2>&1 3>&-
		echo "done $? $(wc -c </run/output)" >&3
		cat /run/output >&3
		;;
	put)
		mkdir -p "${name%/*}/"
		head -c "$size" <&3 >"$name" && chmod 755 "$name"
		echo "done $? 0" >&3
		;;
	append)
		head -c "$size" <&3 >>"$name"
		echo "done $? 0" >&3
		;;
	off)
		poweroff -f
		;;
	esac
done
