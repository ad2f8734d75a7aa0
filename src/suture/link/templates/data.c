/*
 * Variables that change in memory while the live patch is in force.
 *
 * - pre_patch: before any task runs new code, each variable of the object (in a writable structure, each changed word)
 *   must hold its original value, the new value, or the value of the live patch being replaced.  If one holds
 *   anything else, nothing is written, and the core refuses the live patch (or the module that is being loaded).
 * - post_patch: every task runs the new code, and replaced live patches are gone.  From now on, post_unpatch restores
 *   the original value.
 * - post_unpatch: no task runs the new code.  This restores the original value or, if the live patch never came fully
 *   into force, the value it found, since the live patch that it was to replace then stays in force.  A variable that no
 *   longer holds the new value is left alone.
 *
 * The core runs no callbacks of a replaced live patch (Documentation/livepatch/callbacks.rst), so its successor must
 * take over its variables.  The successor finds them through a system state
 * (Documentation/livepatch/system-state.rst); because of it, the core also refuses to load a live patch with .replace
 * that does not know the state.  At most one live patch in force changes data: all that do have .replace.
 */
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/vmalloc.h>

#define LIVEPATCH_DATA_ID 0x5375747572654454UL /* SutureDT */
#define LIVEPATCH_DATA_VERSION 1

/* Generated with the output object; three copies of the variable's size, see suture/diff/contents.py. */
struct livepatch_contents {
	u8 *address;
	const u8 *old_value;
	const u8 *new_value;
	const u8 *mask;
};

/* Read by the next live patch.  Changing these two structures requires a new LIVEPATCH_DATA_VERSION. */
struct livepatch_variable {
	const char *object;
	const char *name;
	unsigned long sympos;
	unsigned long size;
	const struct livepatch_contents *contents;
	u8 *found;
};

struct livepatch_data {
	unsigned long count;
	const struct livepatch_variable *variables;
};

$declarations

static const struct livepatch_variable livepatch_variables[] = {
$variables
};

static const struct livepatch_data livepatch_data = {
	.count = ARRAY_SIZE(livepatch_variables),
	.variables = livepatch_variables,
};

static struct klp_state livepatch_states[] = {
	{
		.id = LIVEPATCH_DATA_ID,
		.version = LIVEPATCH_DATA_VERSION,
		.data = (void *)&livepatch_data,
	},
	{ }
};

/* The data of the live patch being replaced; NULL once it has been. */
static const struct livepatch_data *livepatch_replaced;

/* Whether the live patch has ever been fully in force. */
static bool livepatch_settled;

static bool livepatch_is_in(const struct livepatch_variable *variable, const struct klp_object *obj)
{
	return !strcmp(variable->object, obj->name ? obj->name : "vmlinux");
}

static bool livepatch_holds(const struct livepatch_variable *variable, const u8 *value)
{
	const struct livepatch_contents *contents = variable->contents;
	unsigned long at;

	for (at = 0; at < variable->size; at++)
		if (contents->mask[at] && contents->address[at] != value[at])
			return false;
	return true;
}

static const struct livepatch_variable *livepatch_find(const struct livepatch_data *data,
						       const struct livepatch_variable *wanted)
{
	unsigned long number;

	for (number = 0; number < data->count; number++) {
		const struct livepatch_variable *variable = &data->variables[number];

		if (!strcmp(variable->object, wanted->object) && !strcmp(variable->name, wanted->name) &&
		    variable->sympos == wanted->sympos && variable->size == wanted->size &&
		    !memcmp(variable->contents->mask, wanted->contents->mask, wanted->size))
			return variable;
	}
	return NULL;
}

/* Whether this live patch changes every variable that the replaced one changed: nothing else would restore it. */
static bool livepatch_covers(const struct livepatch_data *replaced)
{
	bool covers = true;
	unsigned long number;

	for (number = 0; number < replaced->count; number++) {
		const struct livepatch_variable *variable = &replaced->variables[number];

		if (livepatch_find(&livepatch_data, variable))
			continue;
		pr_err(KBUILD_MODNAME ": %s in %s was changed by the live patch to be replaced and is not by this one\n",
		       variable->name, variable->object);
		covers = false;
	}
	return covers;
}

static bool livepatch_may_change(const struct livepatch_variable *variable)
{
	const struct livepatch_variable *replaced = NULL;

	if (livepatch_holds(variable, variable->contents->old_value) ||
	    livepatch_holds(variable, variable->contents->new_value))
		return true;
	if (livepatch_replaced)
		replaced = livepatch_find(livepatch_replaced, variable);
	return replaced && livepatch_holds(variable, replaced->contents->new_value);
}

/* Map the variable's pages again, writable: its own mapping may be read-only. */
static u8 *livepatch_map(const struct klp_object *obj, const struct livepatch_variable *variable)
{
	u8 *first = (u8 *)((unsigned long)variable->contents->address & PAGE_MASK);
	unsigned long offset = variable->contents->address - first;
	unsigned int number, count = (offset + variable->size + PAGE_SIZE - 1) / PAGE_SIZE;
	struct page **pages = kmalloc_array(count, sizeof(*pages), GFP_KERNEL);
	u8 *mapped;

	if (!pages)
		return NULL;
	for (number = 0; number < count; number++) {
		u8 *page = first + number * PAGE_SIZE;

		pages[number] = obj->mod ? vmalloc_to_page(page) : virt_to_page(lm_alias(page));
	}
	mapped = vmap(pages, count, VM_MAP, PAGE_KERNEL);
	kfree(pages);
	return mapped ? mapped + offset : NULL;
}

static void livepatch_unmap(u8 *mapped)
{
	vunmap((void *)((unsigned long)mapped & PAGE_MASK));
}

/* Whether only part of these bytes is to be written. */
static bool livepatch_is_mixed(const u8 *mask, unsigned long width)
{
	unsigned long at;

	for (at = 1; at < width; at++)
		if (mask[at] != mask[0])
			return true;
	return false;
}

/*
 * Write in the widest aligned pieces, so that a concurrent reader of a pointer or number sees the old or the new value,
 * and never half of each.  Unchanged bytes are not written.
 */
static void livepatch_write(u8 *to, const u8 *value, const u8 *mask, unsigned long size)
{
	unsigned long at, width;

	for (at = 0; at < size; at += width) {
		u64 now = 0, then = 0;

		for (width = 8; width > size - at || (unsigned long)(to + at) % width ||
		     livepatch_is_mixed(mask + at, width); width /= 2)
			;
		memcpy(&now, to + at, width);
		memcpy(&then, value + at, width);
		if (!mask[at] || then == now)
			continue;
		switch (width) {
		case 8:
			WRITE_ONCE(*(u64 *)(to + at), then);
			break;
		case 4:
			WRITE_ONCE(*(u32 *)(to + at), then);
			break;
		case 2:
			WRITE_ONCE(*(u16 *)(to + at), then);
			break;
		default:
			WRITE_ONCE(*(to + at), then);
		}
	}
}

static int livepatch_put(const struct klp_object *obj, const struct livepatch_variable *variable, const u8 *value)
{
	u8 *mapped = livepatch_map(obj, variable);

	if (!mapped)
		return -ENOMEM;
	livepatch_write(mapped, value, variable->contents->mask, variable->size);
	livepatch_unmap(mapped);
	return 0;
}

static void livepatch_put_back(const struct klp_object *obj, const struct livepatch_variable *variable)
{
	const u8 *value = livepatch_settled ? variable->contents->old_value : variable->found;

	if (!livepatch_holds(variable, variable->contents->new_value))
		pr_warn(KBUILD_MODNAME ": %s in %s was changed by someone else meanwhile and is left as it is\n",
			variable->name, variable->object);
	else if (livepatch_put(obj, variable, value))
		pr_err(KBUILD_MODNAME ": no memory to put %s in %s back\n", variable->name, variable->object);
}

static int livepatch_pre_patch(struct klp_object *obj)
{
	const struct livepatch_variable *variable, *end = livepatch_variables + ARRAY_SIZE(livepatch_variables);
	int error = 0;

	/* The core patches vmlinux first and only once: it is always loaded. */
	if (!obj->mod) {
		struct klp_state *state = klp_get_prev_state(LIVEPATCH_DATA_ID);

		if (state && state->version != LIVEPATCH_DATA_VERSION)
			return -EINVAL;
		livepatch_replaced = state ? state->data : NULL;
		if (livepatch_replaced && !livepatch_covers(livepatch_replaced))
			return -EINVAL;
	}
	for (variable = livepatch_variables; variable < end; variable++) {
		if (!livepatch_is_in(variable, obj) || livepatch_may_change(variable))
			continue;
		pr_err(KBUILD_MODNAME ": %s in %s does not hold its original value\n", variable->name, variable->object);
		error = -EINVAL;
	}
	for (variable = livepatch_variables; variable < end && !error; variable++) {
		if (!livepatch_is_in(variable, obj))
			continue;
		memcpy(variable->found, variable->contents->address, variable->size);
		error = livepatch_put(obj, variable, variable->contents->new_value);
	}
	if (error == -ENOMEM) {
		/* The loop ended after the variable that failed. */
		for (variable--; variable > livepatch_variables; variable--)
			if (livepatch_is_in(variable - 1, obj))
				livepatch_put_back(obj, variable - 1);
	}
	return error;
}

static void livepatch_post_patch(struct klp_object *obj)
{
	livepatch_settled = true;
	livepatch_replaced = NULL;
}

static void livepatch_post_unpatch(struct klp_object *obj)
{
	const struct livepatch_variable *variable, *end = livepatch_variables + ARRAY_SIZE(livepatch_variables);

	if (obj->mod && obj->mod->state == MODULE_STATE_GOING)
		return; /* and its variables with it */
	for (variable = livepatch_variables; variable < end; variable++)
		if (livepatch_is_in(variable, obj))
			livepatch_put_back(obj, variable);
}

