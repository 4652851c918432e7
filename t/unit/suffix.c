/* suffix.c - organisational domains by the public suffix list. */
#include "../../milter/base/arena.h"
#include "../../milter/mail/suffix.h"
#include "../lib/tap.h"

int main(void)
{
    static const struct {
        const char *name, *of;
    } organizational[] = {
        {"a.test", "a.test"}, {"mail.a.test", "a.test"}, {"one.mail.a.test", "a.test"}, {"Mail.A.TEST", "A.TEST"},
        {"mail.a.test.", "a.test"}, {"a.co.uk", "a.co.uk"}, {"mail.a.co.uk", "a.co.uk"}, {"co.uk", "co.uk"},
        {"uk", "uk"},
        {"x.y.github.io", "y.github.io"}, {"localhost", "localhost"}, {"192.0.2.1", "192.0.2.1"},
        {"2001:db8::1", "2001:db8::1"}, {"[192.0.2.1]", "[192.0.2.1]"}, {"", ""}, {".", ""}, {"..", "."},
        {"b.c.kawasaki.jp", "b.c.kawasaki.jp"}, {"city.kawasaki.jp", "city.kawasaki.jp"},
        {"x.city.kawasaki.jp", "city.kawasaki.jp"},
    };
    static const struct {
        const char *a, *b;
        bool same;
    } pairs[] = {
        {"a.test", "mail.a.test", true}, {"mail.a.test", "MX.A.test.", true}, {"a.test", "b.test", false},
        {"a.co.uk", "b.co.uk", false}, {"mail.a.co.uk", "www.a.co.uk", true}, {"co.uk", "a.co.uk", false},
        {"one.github.io", "two.github.io", false}, {"", "", false}, {"", "a.test", false},
        {"192.0.2.1", "192.0.2.1", true},
        {"1.0.2.192", "9.0.2.192", false}, {"nota.test", "a.test", false},
    };
    char longest[512];

    for (size_t i = 0; i < sizeof organizational / sizeof organizational[0]; i++)
        is_str(domain_organizational(str_of(organizational[i].name)), str_of(organizational[i].of), "\"%s\"",
               organizational[i].name);
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
        ok(domain_same_organization(str_of(pairs[i].a), str_of(pairs[i].b)) == pairs[i].same,
           "\"%s\" and \"%s\" are %s", pairs[i].a, pairs[i].b, pairs[i].same ? "one" : "two");
    memset(longest, 'a', sizeof longest);
    is_long((long)domain_organizational((struct str){longest, sizeof longest}).n, sizeof longest,
            "what is no name stays");
    return tap_end();
}
