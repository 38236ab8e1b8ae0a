/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Loaded into HTCondor's daemons, where it closes two holes in how they check an IDTOKEN (seen in 23.9.6):
 *
 *   - a token whose header names an unknown algorithm is checked with a key of no bytes, so that anybody can make one of
 *     any identity. The key goes through OpenSSL's HKDF: a key without bytes is refused there.
 *   - the name of the signing key is taken from the token and may lead out of passwords.d, to a file that the token's
 *     maker put somewhere else. To open a file by a path that goes on below passwords.d is refused.
 *
 * To be deleted when every HTCondor that the role installs refuses both: molecule/htcondor shows it.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

static const char keys[] = "/passwords.d/";

/* What this stands in front of; a daemon without it cannot work, and must not work without the guard. */
static void *behind(const char *name)
{
    void *found = dlsym(RTLD_NEXT, name);

    if (!found)
        abort();
    return found;
}

int EVP_PKEY_CTX_set1_hkdf_key(void *context, const unsigned char *key, int length)
{
    static int (*real)(void *, const unsigned char *, int);

    if (length <= 0)
        return 0;
    if (!real)
        *(void **)&real = behind("EVP_PKEY_CTX_set1_hkdf_key");
    return real(context, key, length);
}

static int leads_out(const char *path)
{
    const char *found = strstr(path, keys);

    return found && strchr(found + sizeof keys - 1, '/');
}

#define GUARD(name)                                                                                                    \
    int name(const char *path, int flags, ...)                                                                         \
    {                                                                                                                  \
        static int (*real)(const char *, int, ...);                                                                    \
        mode_t mode = 0;                                                                                               \
                                                                                                                       \
        if (flags & (O_CREAT | __O_TMPFILE)) {                                                                         \
            va_list rest;                                                                                              \
            va_start(rest, flags);                                                                                     \
            mode = va_arg(rest, mode_t);                                                                               \
            va_end(rest);                                                                                              \
        }                                                                                                              \
        if (leads_out(path)) {                                                                                         \
            errno = EACCES;                                                                                            \
            return -1;                                                                                                 \
        }                                                                                                              \
        if (!real)                                                                                                     \
            *(void **)&real = behind(#name);                                                                           \
        return real(path, flags, mode);                                                                                \
    }

GUARD(open)
GUARD(open64)

/* What the compiler makes of open() where it can count the arguments. */
int __open_2(const char *path, int flags);
int __open_2(const char *path, int flags)
{
    return open(path, flags);
}

int __open64_2(const char *path, int flags);
int __open64_2(const char *path, int flags)
{
    return open64(path, flags);
}
