/* packet_write.c - writing DNS messages. */
#include <string.h>

#include "packet.h"

#define HEADER 12
#define WIRE_NAME_MOST 255
#define CLASS_IN 1
#define TYPE_SOA 6
#define TYPE_OPT 41
#define EDNS_SIZE 1232 /* passes every path unfragmented (DNS flag day 2020) */

enum { RCODE_OK = 0, RCODE_SERVFAIL = 2, RCODE_NXDOMAIN = 3 };

static size_t put_short(uint8_t *out, unsigned value)
{
    out[0] = (uint8_t)(value >> 8);
    out[1] = (uint8_t)value;
    return 2;
}

/* put_name - as labels, at most 255 bytes; the caller knows that the name is one. */
static size_t put_name(uint8_t *out, struct str name)
{
    struct str label;
    size_t n = 0;

    while (str_split(&name, '.', &label)) {
        out[n++] = (uint8_t)label.n;
        memcpy(out + n, label.p, label.n);
        n += label.n;
    }
    out[n++] = 0;
    return n;
}

size_t packet_ask(uint8_t out[DNS_ASK_MOST], uint16_t id, struct str name, enum dns_type type, bool edns)
{
    static const uint8_t opt[] = {0, 0, TYPE_OPT, EDNS_SIZE >> 8, EDNS_SIZE & 0xff, 0, 0, 0, 0, 0, 0};
    size_t n = HEADER;

    memset(out, 0, HEADER);
    put_short(out, id);
    out[2] = 0x01; /* RD */
    out[5] = 1;
    out[11] = edns;
    n += put_name(out + n, name);
    n += put_short(out + n, (unsigned)type);
    n += put_short(out + n, CLASS_IN);
    if (edns) {
        memcpy(out + n, opt, sizeof opt);
        n += sizeof opt;
    }
    return n;
}

static void add_short(struct buf *b, unsigned value)
{
    buf_addc(b, (char)(value >> 8));
    buf_addc(b, (char)value);
}

static bool add_name(struct buf *b, struct str written)
{
    uint8_t wire[WIRE_NAME_MOST + 1];
    char name[DNS_NAME_MOST];
    size_t n = 0;

    if (written.n && !packet_name(written, name, &n))
        return false;
    buf_add(b, (struct str){(char *)wire, put_name(wire, (struct str){name, n})});
    return true;
}

static void add_text(struct buf *b, struct str text)
{
    do {
        struct str part = str_slice(text, 0, 255);

        buf_addc(b, (char)part.n);
        buf_add(b, part);
        text = str_slice(text, part.n, text.n);
    } while (text.n);
}

static bool add_rdata(struct buf *b, enum dns_type type, const struct dns_record *r)
{
    switch (type) {
    case DNS_A:
        buf_add(b, (struct str){(const char *)r->ip.b + 12, 4});
        return true;
    case DNS_AAAA:
        buf_add(b, (struct str){(const char *)r->ip.b, 16});
        return true;
    case DNS_TXT:
        add_text(b, r->text);
        return true;
    case DNS_MX:
        add_short(b, r->preference);
        return add_name(b, r->text);
    default:
        return add_name(b, r->text);
    }
}

/* add_rr - owner is the question's name, which stands at offset 12. */
static void add_rr(struct buf *b, unsigned type, uint32_t ttl, struct str rdata)
{
    add_short(b, 0xc000 | HEADER);
    add_short(b, type);
    add_short(b, CLASS_IN);
    add_short(b, ttl >> 16);
    add_short(b, ttl & 0xffff);
    add_short(b, (unsigned)rdata.n);
    buf_add(b, rdata);
}

struct str packet_write(struct arena *a, struct str name, enum dns_type type, const struct dns_answer *answer)
{
    static const unsigned char rcodes[] = {
        [DNS_OK] = RCODE_OK, [DNS_NODATA] = RCODE_OK, [DNS_NXDOMAIN] = RCODE_NXDOMAIN, [DNS_FAIL] = RCODE_SERVFAIL};
    bool negative = answer->status == DNS_NODATA || answer->status == DNS_NXDOMAIN;
    struct buf b = buf_in(a), rdata = buf_in(a);
    size_t count = answer->status == DNS_OK ? answer->count : 0;

    add_short(&b, 0);
    buf_addc(&b, (char)0x81); /* QR, RD */
    buf_addc(&b, (char)(0x80 | rcodes[answer->status]));
    add_short(&b, 1);
    add_short(&b, (unsigned)count);
    add_short(&b, negative);
    add_short(&b, 0);
    if (!add_name(&b, name))
        return STR_NONE;
    add_short(&b, (unsigned)type);
    add_short(&b, CLASS_IN);
    for (size_t i = 0; i < count; i++) {
        rdata.len = 0;
        if (!add_rdata(&rdata, type, &answer->records[i]) || rdata.len > UINT16_MAX)
            return STR_NONE;
        add_rr(&b, (unsigned)type, answer->ttl, buf_str(&rdata));
    }
    if (negative) {
        rdata.len = 0;
        for (unsigned i = 0; i < 18; i++) /* two root names, serial, refresh, retry, expire */
            buf_addc(&rdata, 0);
        add_short(&rdata, answer->ttl >> 16);
        add_short(&rdata, answer->ttl & 0xffff);
        add_rr(&b, TYPE_SOA, answer->ttl, buf_str(&rdata));
    }
    return b.len <= DNS_PACKET_MOST ? buf_str(&b) : STR_NONE;
}
