# What an interactive shell in the guest reads first.
alias poweroff='poweroff -f' reboot='reboot -f' halt='halt -f' ll='ls -l'
PS1="$(uname -r):\w# "
