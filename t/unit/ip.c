/* ip.c - addresses and networks. */
#include <netinet/in.h>
#include <sys/un.h>

#include "../../milter/base/arena.h"
#include "../../milter/base/ip.h"
#include "../lib/tap.h"

static struct arena *arena;

static struct ip ip_of(const char *text)
{
    struct ip ip;

    if (!ip_parse(str_of(text), &ip))
        bail("%s is no address", text);
    return ip;
}

static void test_parse(void)
{
    static const struct {
        const char *text, *canonical; /* NULL: none */
        bool v4, loopback;
    } rows[] = {
        {"192.0.2.1", "192.0.2.1", true, false},
        {"127.1.2.3", "127.1.2.3", true, true},
        {"128.0.0.1", "128.0.0.1", true, false},
        {"::1", "::1", false, true},
        {"::", "::", false, false},
        {"2001:DB8:0:0::1", "2001:db8::1", false, false},
        {"IPv6:2001:db8::1", "2001:db8::1", false, false},
        {"::ffff:192.0.2.1", "192.0.2.1", true, false},
        {"::ffff:127.0.0.1", "127.0.0.1", true, true},
        {"ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false, false},
        {"", NULL, false, false},
        {"192.0.2", NULL, false, false},
        {"192.0.2.256", NULL, false, false},
        {"192.0.2.1 ", NULL, false, false},
        {"0x7f.0.0.1", NULL, false, false},
        {"fe80::1%eth0", NULL, false, false},
        {"2001:db8:::1", NULL, false, false},
        {"ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255.255", NULL, false, false},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct ip ip;
        bool good = ip_parse(str_of(rows[i].text), &ip);

        if (!rows[i].canonical) {
            ok(!good && !ip.known, "'%s' is no address", rows[i].text);
            continue;
        }
        ok(good && ip.known, "'%s' is an address", rows[i].text);
        is_str(ip_text(arena, ip), str_of(rows[i].canonical), "'%s' in its usual form", rows[i].text);
        ok(ip_is_v4(ip) == rows[i].v4, "'%s': IPv4 or not", rows[i].text);
        ok(ip_is_loopback(ip) == rows[i].loopback, "'%s': loopback or not", rows[i].text);
    }
    ok(!ip_parse(STR("192.0.2.1\0"), &(struct ip){{0}, false}), "a NUL byte is no part of an address");
}

static void test_sockaddr(void)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0xc0000201)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    struct ip ip;

    ok(ip_from_sockaddr((struct sockaddr *)&in, &ip) && ip_equal(ip, ip_of("192.0.2.1")), "IPv4 peer");
    ok(ip_from_sockaddr((struct sockaddr *)&in6, &ip) && ip_equal(ip, ip_of("::1")), "IPv6 peer");
    ok(!ip_from_sockaddr((struct sockaddr *)&un, &ip) && !ip.known, "a Unix socket has no address");
    is_str(ip_text(arena, ip), STR("unknown"), "which reads as unknown");
    ok(!ip_from_sockaddr(NULL, &ip) && !ip.known, "nor has nobody");
    ok(!ip_equal(ip, ip), "an unknown address equals none, not even itself");
    ok(!ip_is_v4(ip) && !ip_is_loopback(ip), "and is nowhere");
}

static void test_cidr(void)
{
    static const struct {
        struct str net;
        const char *inside, *outside;
    } rows[] = {
        {STR("192.0.2.0/24"), "192.0.2.255", "192.0.3.0"},
        {STR("192.0.2.128/25"), "192.0.2.128", "192.0.2.127"},
        {STR("192.0.2.4/30"), "192.0.2.7", "192.0.2.8"},
        {STR("192.0.2.1"), "192.0.2.1", "192.0.2.2"},
        {STR("10.0.0.0/8"), "10.255.255.255", "11.0.0.0"},
        {STR("128.0.0.0/1"), "255.0.0.1", "127.255.255.255"},
        {STR("0.0.0.0/0"), "203.0.113.9", "2001:db8::1"},
        {STR("::/0"), "2001:db8::1", "192.0.2.1"},
        {STR("2001:db8::/32"), "2001:db8:ffff::1", "2001:db9::"},
        {STR("2001:db8::/33"), "2001:db8:7fff::", "2001:db8:8000::"},
        {STR("2001:db8::1"), "2001:db8::1", "2001:db8::2"},
        {STR("::ffff:192.0.2.0/24"), "192.0.2.77", "192.0.3.1"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cidr net;
        struct str error = STR_NONE;

        if (!ok(cidr_parse(arena, rows[i].net, &net, &error), STR_FMT " is a network", STR_ARG(rows[i].net)))
            continue;
        is_str(net.written, rows[i].net, STR_FMT " is kept as written", STR_ARG(rows[i].net));
        ok(cidr_has(&net, ip_of(rows[i].inside)), STR_FMT " has %s", STR_ARG(rows[i].net), rows[i].inside);
        ok(!cidr_has(&net, ip_of(rows[i].outside)), STR_FMT " has not %s", STR_ARG(rows[i].net), rows[i].outside);
        ok(!cidr_has(&net, (struct ip){{0}, false}), STR_FMT " has no unknown address", STR_ARG(rows[i].net));
    }
}

static void test_cidr_errors(void)
{
    static const struct {
        const char *text, *error;
    } rows[] = {
        {"192.0.2.1/24", "has bits beyond its prefix; did you mean 192.0.2.0/24?"},
        {"2001:db8::1/64", "has bits beyond its prefix; did you mean 2001:db8::/64?"},
        {"192.0.2.0/33", "needs a prefix length from 0 to 32 after the slash"},
        {"192.0.2.0/-1", "needs a prefix length from 0 to 32 after the slash"},
        {"192.0.2.0/", "needs a prefix length from 0 to 32 after the slash"},
        {"192.0.2.0/255.255.255.0", "needs a prefix length from 0 to 32 after the slash"},
        {"2001:db8::/129", "needs a prefix length from 0 to 128 after the slash"},
        {"example.org/24", "is not an address or network"},
        {"/24", "is not an address or network"},
        {"", "is not an address or network"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cidr net;
        struct str error = STR_NONE;

        ok(!cidr_parse(arena, str_of(rows[i].text), &net, &error), "'%s' is refused", rows[i].text);
        is_str(error, str_of(rows[i].error), "'%s' and why", rows[i].text);
    }
}

static void test_find(void)
{
    struct cidr nets[3];
    struct cidr_list list = {nets, 3};
    struct str error;

    if (!cidr_parse(arena, STR("10.0.0.0/8"), &nets[0], &error) ||
        !cidr_parse(arena, STR("10.1.0.0/16"), &nets[1], &error) ||
        !cidr_parse(arena, STR("2001:db8::/32"), &nets[2], &error))
        bail("the networks of this test are wrong");
    ok(cidr_find(&list, ip_of("10.1.2.3")) == &nets[0], "the first network that has it");
    ok(cidr_find(&list, ip_of("2001:db8::9")) == &nets[2], "the last one");
    ok(cidr_find(&list, ip_of("192.0.2.1")) == NULL, "none");
    ok(cidr_find(&(struct cidr_list){NULL, 0}, ip_of("10.1.2.3")) == NULL, "an empty list has none");
}

int main(void)
{
    arena = arena_new(0);
    test_parse();
    test_sockaddr();
    test_cidr();
    test_cidr_errors();
    test_find();
    arena_free(&arena);
    return tap_end();
}
