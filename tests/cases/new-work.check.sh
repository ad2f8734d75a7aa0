cat /proc/version >/dev/null
[ "$phase" = reverted ] && sleep 8
dmesg | grep -c 'adv work ran'
true
