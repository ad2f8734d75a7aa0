grep -c '^adv ' /proc/version /proc/uptime || true
