#!/bin/busybox sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A user's shell in the guest, as the leader of a session of its own. suture/lab/shell.py sets $mode and the rest; at
# the end it is told the exit status after a mark that no program writes by chance.

export HOME=/root ENV=/suture/profile.sh PATH=/bin TERM
hostname lab
cd "$directory"

case $mode in
terminal)
	exec </dev/hvc0 >/dev/hvc0 2>&1 # a leader without a terminal gets this one
	stty rows "$rows" cols "$columns"
	sh -i
	printf '\0%s %d;' "$mark" $?
	;;
streams)
	exec 5</dev/vport0p2 6>/dev/vport0p3 7>/dev/vport0p4
	mkfifo /run/commands
	# A size comes before each piece; 0 is the end. head(1) would read beyond the piece.
	{
		while [ "$size" != 0 ]; do
			read -r size <&5 && dd bs="$size" count=1 iflag=fullblock <&5
		done 2>/dev/null
	} >/run/commands 6>&- 7>&- &
	sh </run/commands >&6 2>&7 5>&- 6>&- 7>&-
	status=$?
	printf '\0%s %d;' "$mark" $status >&6
	printf '\0%s %d;' "$mark" $status >&7
	;;
esac
