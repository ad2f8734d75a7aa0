static noinline __attribute__((cold)) void suture_cold(void)
{
	pr_info("suture: in the cold\n");
}

static noinline int suture_wait(struct file *file)
{
	while (!fatal_signal_pending(current))
		schedule_timeout_killable(HZ / 10);
	return file->f_flags ? -EINTR : 0;
}
