/* The tables of kpatch's own core (kmod/patch/kpatch-patch.h of kpatch). */
typedef unsigned long ulong;
#define IN(name) __attribute__((section(name), used, no_reorder, aligned(8)))
struct kpatch_patch_func { ulong new_addr, new_size, old_addr, old_size, sympos; char *name, *objname; };
struct kpatch_patch_dynrela { ulong dest, src, type, sympos; char *name, *objname; int external, addend; };
struct kpatch_relocation { ulong dest; unsigned int type; int external; long addend; char *objname; void *ksym; };
struct kpatch_symbol { ulong src, sympos; unsigned char bind, type; char *name, *objname; };
#define STRING(tag, text) static char tag[] IN(".kpatch.strings") = text;
#define FUNC(new, old, in, address, size, position) \
	STRING(old_##new, old) STRING(in_##new, in) \
	static struct kpatch_patch_func func_##new IN(".kpatch.funcs") = \
		{ (ulong)new, 0, address, size, position, old_##new, in_##new };
#define DYNRELA(tag, place, symbol, in, external, address, position) \
	STRING(name_##tag, symbol) STRING(obj_##tag, in) \
	static struct kpatch_patch_dynrela rela_##tag IN(".kpatch.dynrelas") = \
		{ (ulong)(place), address, 11, position, name_##tag, obj_##tag, external, 0 };
#define RELOCATION(tag, place, symbol, in) \
	STRING(name_##tag, symbol) STRING(obj_##tag, in) \
	static struct kpatch_symbol ksym_##tag IN(".kpatch.symbols") = { 0, 0, 0, 1, name_##tag, obj_##tag }; \
	static struct kpatch_relocation rela_##tag IN(".kpatch.relocations") = \
		{ (ulong)(place), 11, 0, 0, obj_##tag, &ksym_##tag };
#define CALLBACK(kind, function, of) \
	static struct { void *function; char *objname; } call_##function IN(".kpatch.callbacks." kind) = \
		{ function, in_##of };
#define MODINFO(release) \
	static const char modinfo[] __attribute__((section(".modinfo"), used)) = \
		"license=GPL\0vermagic=" release " SMP preempt mod_unload modversions \0name=kpatch_test\0";
#define AT 7 /* of one(): a field of 32 bits, behind a call of five bytes and an opcode of two */
extern int not_exported(void);
int one(int x) { return x + 0x11223344; }
