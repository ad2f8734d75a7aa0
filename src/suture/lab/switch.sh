#!/bin/busybox sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The first program of a guest that has a system on a disk: mount it, hand it the target's modules and the lab's agent,
# and let its own init take over. What is brought along lies in memory, so that the disk holds only what the guest
# itself has written. $disk_is_whole comes from the kernel's command line: that system has modules and Suture itself.

/bin/busybox --install -s /bin
export PATH=/bin

mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
modprobe -a virtio_pci virtio_blk virtio_console ext4 2>/dev/null # fails where they are built in
until [ -b /dev/vda ] && { [ -n "$disk_is_whole" ] || [ -b /dev/vdb ]; }; do sleep 0.01; done

mount -t ext4 /dev/vda /root
if [ -z "$disk_is_whole" ]; then
	mount -t ext4 -o ro /dev/vdb /root/usr/local
	mkdir -p /root/lib/modules
	mount -t tmpfs -o mode=755 modules /root/lib/modules
	cp -a /lib/modules/. /root/lib/modules
	chroot /root /sbin/depmod "$(uname -r)" 2>/dev/null # kmod reads its own binary form of modules.dep alone
fi
mount -t tmpfs -o mode=755 run /root/run
mkdir -p /root/run/lab /root/run/systemd/system/multi-user.target.wants
cp /lab/agent.sh /root/run/lab
[ ! -d /lab/files ] || cp -a /lab/files/. /root
sed "s/@wire@/$wire/" /lab/suture-lab.service >/root/run/systemd/system/suture-lab.service
ln -s ../suture-lab.service /root/run/systemd/system/multi-user.target.wants

umount /proc /sys
exec switch_root /root /sbin/init
