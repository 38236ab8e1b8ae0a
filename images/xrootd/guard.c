/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Loaded into the server, where it closes what XRootD 6.2.0 leaves open:
 *
 *   - a request to authenticate without a credential is read through a pointer to nothing, and the server ends. The
 *     connection is closed instead.
 *   - libmacaroons 0.3.0 counts packets, and believes that one of them is the signature: what stands in a macaroon
 *     without one is written beyond its memory. A macaroon has to be one that XRootD can check (version 1: location,
 *     identifier, caveats of the first party, signature) before the library sees it.
 *   - what a client writes into a URL, a token too, is passed on to the origin, which takes it for the cache's own. The
 *     token is taken out, so that users' tokens go no further than the cache, which asks with its own.
 *   - the number of a client's connection stands as a user's name in the URLs that a cache asks its origin for. By https that
 *     is a login without a password, which a server may refuse. It is taken out of these.
 *   - what a cache's disk gives back with a wrong checksum is answered by an error, to each reader for as long as the cache
 *     holds the file. The file is thrown out of the cache, so that who asks again gets it from the origin.
 *   - a server knows one secret of its macaroons, so that another in its place ends all tokens at once. While the file
 *     that $CMSAF_MACAROON_SECRET_NEXT names is there, tokens of the secret in it are good too.
 *   - for each page's checksum the processor is asked what it can do, which ends in the hypervisor where there is one: a page
 *     of 4 KiB takes 6.5 us, and without the question 0.1. Intel's library asks once.
 *
 * For the first two nobody needs more than a connection. To be deleted when every XRootD that the image may hold does
 * without: molecule/xcache shows it.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <isa-l/crc.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What this stands in front of; a server without it cannot work, and must not work without the guard. */
static void *behind(const char *library, const char *name)
{
    void *there = dlopen(library, RTLD_LAZY | RTLD_NOLOAD);
    void *found = there ? dlsym(there, name) : NULL;

    if (!found)
        abort();
    return found;
}

#define REAL(library, name)                                                                                            \
    if (!real)                                                                                                         \
    *(void **)&real = behind(library, name)

/* XrdXrootdProtocol::getData(what, buffer, length): tells where in the object the request is. */
static _Atomic ptrdiff_t request;

int _ZN17XrdXrootdProtocol7getDataEPKcPci(void *protocol, const char *what, char *buffer, int length)
{
    static int (*real)(void *, const char *, char *, int);

    REAL("libXrdServer.so.6", "_ZN17XrdXrootdProtocol7getDataEPKcPci");
    if (!strcmp(what, "request"))
        request = buffer - (char *)protocol;
    return real(protocol, what, buffer, length);
}

/* XrdXrootdProtocol::do_Auth() */
int _ZN17XrdXrootdProtocol7do_AuthEv(void *protocol)
{
    static int (*real)(void *);
    /* Behind stream, code and parameters. */
    const size_t length_at = 20;
    int32_t length = 0;

    REAL("libXrdServer.so.6", "_ZN17XrdXrootdProtocol7do_AuthEv");
    if (!request)
        abort();
    memcpy(&length, (char *)protocol + request + length_at, sizeof length);
    return length > 0 ? real(protocol) : -1;
}

/* Takes the user's name out of a URL of https that ends where it is told; how much shorter it is then. */
static size_t nameless(char *url, char *end)
{
    static const char https[] = "https://";
    char *host = url + sizeof https - 1, *name = NULL;

    if (!strncmp(url, https, sizeof https - 1))
        name = memchr(host, '@', strcspn(host, "/"));
    if (!name)
        return 0;
    memmove(host, name + 1, (size_t)(end - name));
    return (size_t)(name + 1 - host);
}

/* XrdPssUrlInfo::addCGI(URL so far, its end, length that is left) */
bool _ZN13XrdPssUrlInfo6addCGIEPKcPci(void *info, const char *url, char *buffer, int length)
{
    static bool (*real)(void *, const char *, char *, int);
    static const char token[] = "authz=";
    size_t shorter = nameless((char *)url, buffer);
    char *at = buffer - shorter;

    REAL("libXrdPss-6.so", "_ZN13XrdPssUrlInfo6addCGIEPKcPci");
    if (!real(info, url, at, length + (int)shorter))
        return false;
    while (*at) {
        if ((*at == '?' || *at == '&') && !strncmp(at + 1, token, sizeof token - 1)) {
            const char *next = strchr(at + 1, '&');

            if (next)
                memmove(at + 1, next + 1, strlen(next));
            else
                *at = '\0';
        } else {
            at++;
        }
    }
    return true;
}

/* As libstdc++ lays out a std::string. */
struct text {
    const char *at;
    size_t length;
    size_t room[2];
};

/* Throws a file out of the cache if its disk gave back what was not written, as the cache itself does with a file of another
 * size than the origin's; who reads it now has to open it again. */
static int checked(const void *file, int result)
{
    static const char *(*path_of)(const void *);
    static void *(*cache)(void);
    static int (*throw_out)(void *, const struct text *, bool);
    static const char library[] = "libXrdPfc-6.so";
    struct text path = {0};

    if (result != -EDOM)
        return result;
    if (!throw_out) {
        /* XrdPfc::File::lPath(), XrdPfc::Cache::GetInstance(), XrdPfc::Cache::UnlinkFile(path, fail if it is open) */
        *(void **)&path_of = behind(library, "_ZNK6XrdPfc4File5lPathEv");
        *(void **)&cache = behind(library, "_ZN6XrdPfc5Cache11GetInstanceEv");
        *(void **)&throw_out =
            behind(library, "_ZN6XrdPfc5Cache10UnlinkFileERKNSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEEb");
    }
    path.at = path_of(file);
    path.length = strlen(path.at);
    dprintf(STDERR_FILENO, "cmsaf-xrootd-guard: %s has a wrong checksum on the cache's disk, and is thrown out\n", path.at);
    throw_out(cache(), &path, false);
    return result;
}

/* XrdPfc::File::Read(io, buffer, offset, size, handler) */
int _ZN6XrdPfc4File4ReadEPNS_2IOEPcxiPNS_9ReadReqRHE(void *file, void *io, char *buffer, long long offset, int size,
                                                      void *handler)
{
    static int (*real)(void *, void *, char *, long long, int, void *);

    REAL("libXrdPfc-6.so", "_ZN6XrdPfc4File4ReadEPNS_2IOEPcxiPNS_9ReadReqRHE");
    return checked(file, real(file, io, buffer, offset, size, handler));
}

/* XrdPfc::File::ReadV(io, places, count, handler) */
int _ZN6XrdPfc4File5ReadVEPNS_2IOEPK11XrdOucIOVeciPNS_9ReadReqRHE(void *file, void *io, const void *places, int count,
                                                                   void *handler)
{
    static int (*real)(void *, void *, const void *, int, void *);

    REAL("libXrdPfc-6.so", "_ZN6XrdPfc4File5ReadVEPNS_2IOEPK11XrdOucIOVeciPNS_9ReadReqRHE");
    return checked(file, real(file, io, places, count, handler));
}

static int six_bits(char letter)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const char *found;

    if (letter == '+' || letter == '/')
        letter = letter == '+' ? '-' : '_';
    found = strchr(letters, letter);
    return found ? (int)(found - letters) : -1;
}

/* Bytes of a text in base64, which ends at '='; -1 if it is none. */
static long decode(const char *text, size_t length, unsigned char *data)
{
    unsigned int bits = 0;
    int count = 0;
    long size = 0;

    for (; length > 0 && *text != '='; text++, length--) {
        int six = six_bits(*text);

        if (six < 0)
            return -1;
        bits = bits << 6 | (unsigned int)six;
        count += 6;
        if (count >= 8) {
            count -= 8;
            data[size++] = (unsigned char)(bits >> count);
        }
    }
    return strspn(text, "=") >= length ? size : -1;
}

/* Goes past a packet of this name and tells how long its value is; -1 if there is none here. */
static long packet(const unsigned char **at, const unsigned char *end, const char *name)
{
    static const char digits[] = "0123456789abcdef";
    const size_t prefix = 4, named = strlen(name);
    size_t length = 0;

    if ((size_t)(end - *at) < prefix)
        return -1;
    for (size_t i = 0; i < prefix; i++) {
        const char *digit = (*at)[i] ? strchr(digits, (*at)[i]) : NULL;

        if (!digit)
            return -1;
        length = length * 16 + (size_t)(digit - digits);
    }
    if (length > (size_t)(end - *at) || length < prefix + named + 2 || memcmp(*at + prefix, name, named)
        || (*at)[prefix + named] != ' ' || (*at)[length - 1] != '\n')
        return -1;
    *at += length;
    return (long)(length - prefix - named - 2);
}

static bool well_formed(const unsigned char *at, const unsigned char *end)
{
    const long signature = 32;
    long size;

    if (packet(&at, end, "location") < 0 || packet(&at, end, "identifier") < 0)
        return false;
    while ((size = packet(&at, end, "cid")) >= 0)
        if (size == 0)
            return false;
    return packet(&at, end, "signature") == signature && at == end;
}

void *macaroon_deserialize(const char *token, int *error)
{
    static void *(*real)(const char *, int *);
    size_t length = strlen(token);
    unsigned char *data;
    long size;

    REAL("libmacaroons.so.0", "macaroon_deserialize");
    while (length > 0 && strchr(" \t\r\n", token[length - 1]))
        length--;
    data = malloc(length + 1);
    size = data ? decode(token, length, data) : -1;
    /* The library has its own word for what is no macaroon. */
    if (size < 0 || !well_formed(data, data + size))
        token = ".";
    free(data);
    return real(token, error);
}

/* Bytes of the secret that is to come; -1 if there is none, or a short one. */
static long next_secret(unsigned char *secret, size_t most)
{
    const long shortest = 32;
    const char *path = getenv("CMSAF_MACAROON_SECRET_NEXT");
    char *text = malloc(most);
    size_t kept = 0;
    long size = -1;
    int file = path && text ? open(path, O_RDONLY | O_CLOEXEC) : -1;

    if (file >= 0) {
        ssize_t length = read(file, text, most);

        for (ssize_t at = 0; at < length; at++)
            if (!strchr(" \t\r\n", text[at]))
                text[kept++] = text[at];
        /* What fills the buffer may be longer. */
        if (length < (ssize_t)most)
            size = decode(text, kept, secret);
        explicit_bzero(text, most);
        close(file);
    }
    free(text);
    return size >= shortest ? size : -1;
}

int macaroon_verify(const void *verifier, const void *token, const unsigned char *key, size_t key_size, void **others,
                    size_t count, int *error)
{
    static int (*real)(const void *, const void *, const unsigned char *, size_t, void **, size_t, int *);
    unsigned char next[1024];
    int refused;
    long size;

    REAL("libmacaroons.so.0", "macaroon_verify");
    refused = real(verifier, token, key, key_size, others, count, error);
    if (!refused)
        return 0;
    size = next_secret(next, sizeof next);
    if (size > 0)
        refused = real(verifier, token, next, (size_t)size, others, count, error);
    explicit_bzero(next, sizeof next);
    return refused;
}

/* crc32c(checksum of what is before, data, length): CRC-32C as RFC 3720 has it, of which ISA-L leaves the last step to others. */
uint32_t _Z6crc32cjPKvm(uint32_t before, const void *data, size_t length)
{
    unsigned int now = ~before;

    while (length > 0) {
        size_t some = length < INT_MAX ? length : INT_MAX;

        now = crc32_iscsi((unsigned char *)data, (int)some, now);
        data = (const unsigned char *)data + some;
        length -= some;
    }
    return ~now;
}
