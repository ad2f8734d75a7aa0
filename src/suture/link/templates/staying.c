	int error = klp_enable_patch(&livepatch);

	/* The kernel may call what this live patch hands out until the reboot. */
	if (!error)
		__module_get(THIS_MODULE);
	return error;
