#!/bin/busybox sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The guest's init, and the agent at its end of the line; suture/lab/channel.py is the other end and says what is
# spoken. In a guest with a system of its own it is a service instead. $wire comes from the kernel's command line. The
# first serial port is the kernel's alone, so that the kernel log is never mixed with output.

if [ $$ = 1 ]; then
	/bin/busybox --install -s /bin
	export PATH=/bin HOME=/tmp

	mount -t devtmpfs dev /dev
	mount -t proc proc /proc
	mount -t sysfs sys /sys
	mount -t securityfs security /sys/kernel/security
	mount -t debugfs debug /sys/kernel/debug
	mount -t tracefs trace /sys/kernel/tracing
fi

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
if [ $$ = 1 ]; then
	mount -t tmpfs run /run # of its own, so that a full /tmp does not stop the agent
	cd /tmp
fi

# $1 bytes of the line into the file $2. All of them are taken from the line whatever becomes of the file.
receive() {
	head -c "$1" <&3 | { cat >"$2" || { cat >/dev/null; false; }; }
}

echo ready >&3

while read -r verb size name <&3; do
	case $verb in
	run)
		receive "$size" /run/command
		rm -f /run/output # what an earlier command left running may still write to the old one
		sh /run/command </dev/null >/run/output 2>&1 3>&-
		status=$?
		size=$(wc -c </run/output)
		echo "done $status $size" >&3
		head -c "$size" /run/output >&3
		;;
	put)
		mkdir -p "${name%/*}/"
		receive "$size" "$name" && chmod 755 "$name"
		echo "done $? 0" >&3
		;;
	append)
		receive "$size" /run/piece && cat /run/piece >>"$name"
		echo "done $? 0" >&3
		;;
	off)
		if [ $$ = 1 ]; then poweroff -f; else systemctl --no-block poweroff; fi
		;;
	esac
done
