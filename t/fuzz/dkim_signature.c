/* dkim_signature.c - fuzz target: signatures, key records, tag lists, base64. */
#include "../../milter/auth/dkim_tags.h"
#include "../../milter/mail/domain.h"
#include "fuzz.h"

static void check_tags(struct str text)
{
    struct dkim_tags tags;

    if (!dkim_tags_parse(text, &tags))
        return;
    must(tags.count > 0 && tags.count <= DKIM_TAGS_MOST);
    for (size_t i = 0; i < tags.count; i++) {
        touch(tags.items[i].name);
        touch(tags.items[i].value);
        must(tags.items[i].name.n > 0);
        must(tags.items[i].value.n == 0 || memchr(tags.items[i].value.p, ';', tags.items[i].value.n) == NULL);
        must(tags.items[i].value.n == 0 || memchr(tags.items[i].value.p, '\0', tags.items[i].value.n) == NULL);
        for (size_t k = 0; k < i; k++)
            must(!str_is(tags.items[i].name, tags.items[k].name));
    }
}

static void check_signature(struct arena *a, struct str text)
{
    struct dkim_signature s;

    dkim_signature_parse(a, text, &s);
    touch(s.domain);
    touch(s.selector);
    touch(s.identity);
    touch(s.b);
    must(s.domain.n == 0 || (domain_is_fqdn(s.domain) && str_is(s.domain, dkim_ascii(a, s.domain))));
    must(s.b.n <= 8);
    if (s.problem) {
        must(s.result == AUTH_PERMERROR || s.result == AUTH_POLICY || s.result == AUTH_NEUTRAL);
        return;
    }
    must(s.is_ascii && s.domain.n && s.selector.n && s.b.n == 8 && s.from > 0 && s.names >= s.from);
    must(domain_is_hostname(s.key_name, false) && str_ends_nocase(s.key_name, s.domain));
    must(domain_is_or_below(dkim_ascii(a, str_slice(s.identity, str_rfind(s.identity, '@') + 1, s.identity.n)),
                            s.domain));
    must(s.length >= -1);
    for (size_t i = 0; i < text.n; i++)
        must((unsigned char)text.p[i] < 0x7f && text.p[i] != '\0');
}

static void check_record(struct arena *a, struct str text)
{
    struct dkim_public key;

    for (int i = 0; i < DKIM_ALGORITHMS; i++) {
        dkim_public_parse(a, text, (enum dkim_algorithm)i, &key);
        if (key.problem)
            continue;
        must(key.p.n > 0 && key.p.n <= DKIM_KEY_MOST);
        must(i == DKIM_ED25519 || (key.bits > 0 && key.bits <= DKIM_RSA_BITS_MOST));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *a = arena_new(0);
    struct str text = {(const char *)data, size}, bytes;

    check_tags(text);
    check_signature(a, text);
    check_record(a, text);
    if (dkim_decode(a, text, &bytes)) {
        touch(bytes);
        must(bytes.n <= size / 4 * 3);
    }
    arena_free(&a);
    return 0;
}
