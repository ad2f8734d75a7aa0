	if (!strncmp(buffer, "cold", 4)) {
		suture_cold();
		while (!fatal_signal_pending(current))
			schedule_timeout_killable(HZ / 10);
	}
	if (!strncmp(buffer, "warn", 4)) {
		WARN_ON(count != 5);
		if (WARN_ONCE(count == 5, "suture: warned of %zu", count))
			count = 5;
	}
	if (!strncmp(buffer, "fault", 5)) {
		int value;

		__get_kernel_nofault(&value, (int *)-4096L, int, fault);
		count = value;
fault:
		pr_info("suture: recovered\n");
		count = -EFAULT;
	}
