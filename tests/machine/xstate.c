/*
 * xstate.so - preloaded into the user-mode kernel, for processors with AMX.
 *
 * Linux before 6.13 keeps 2696 bytes of a process's floating-point state, and the host takes a state back only if it has the
 * host's whole length (xstateregs_set, arch/x86/kernel/fpu/regset.c), which is more where the processor has AMX: then no
 * process of the machine can be started. Here what is missing is filled up with what the process has.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/types.h>
#include <sys/uio.h>

#define LONGEST (64 * 1024)

static long (*real)(int, pid_t, void *, void *);

long ptrace(enum __ptrace_request request, ...)
{
	static char whole[LONGEST] __attribute__((aligned(64)));
	struct iovec all = { whole, sizeof whole }, *part;
	va_list rest;
	pid_t pid;
	void *address, *data;
	long done;

	va_start(rest, request);
	pid = va_arg(rest, pid_t);
	address = va_arg(rest, void *);
	data = va_arg(rest, void *);
	va_end(rest);
	if (!real)
		real = (long (*)(int, pid_t, void *, void *))dlsym(RTLD_NEXT, "ptrace");
	done = real(request, pid, address, data);
	if (done != -1 || errno != EFAULT || request != PTRACE_SETREGSET || (unsigned long)address != NT_X86_XSTATE)
		return done;
	part = data;
	if (real(PTRACE_GETREGSET, pid, address, &all) != 0 || all.iov_len <= part->iov_len) {
		errno = EFAULT;
		return -1;
	}
	memcpy(whole, part->iov_base, part->iov_len);
	return real(PTRACE_SETREGSET, pid, address, &all);
}
