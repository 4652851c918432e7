/* packet.c - reading DNS messages. */
#include <string.h>

#include "packet.h"

#define HEADER 12
#define WIRE_NAME_MOST 255
#define SCAN_MOST 400 /* resource records of a section that are looked at: signatures stand between the others */
#define CLASS_IN 1
#define TYPE_CNAME 5
#define TYPE_SOA 6

enum { RCODE_OK = 0, RCODE_NXDOMAIN = 3, RCODE_REFUSED = 5 };

struct name {
    char text[WIRE_NAME_MOST];
    size_t n;
    bool odd; /* a label holds a dot or a NUL byte: as text it would be another name */
};

struct rr {
    size_t owner; /* offset of its name */
    unsigned type, class;
    uint32_t ttl;
    size_t data, size; /* offset and bytes of the RDATA */
};

static struct dns_answer failure(const char *why)
{
    return (struct dns_answer){.status = DNS_FAIL, .why = why};
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

bool packet_name(struct str written, char out[DNS_NAME_MOST], size_t *n)
{
    size_t label = 0;

    if (written.n && written.p[written.n - 1] == '.')
        written.n--;
    if (written.n == 0 || written.n > DNS_NAME_MOST)
        return false;
    for (size_t i = 0; i < written.n; i++) {
        char c = written.p[i];

        if (c == '\0' || (c == '.' && label == 0) || (c != '.' && label == 63))
            return false;
        label = c == '.' ? 0 : label + 1;
        out[i] = lower(c);
    }
    *n = written.n;
    return label > 0;
}

static unsigned byte_at(struct str packet, size_t at)
{
    return (unsigned char)packet.p[at];
}

static unsigned short_at(struct str packet, size_t at)
{
    return byte_at(packet, at) << 8 | byte_at(packet, at + 1);
}

static uint32_t long_at(struct str packet, size_t at)
{
    return (uint32_t)short_at(packet, at) << 16 | short_at(packet, at + 2);
}

/* name_read - the name at *at, moving *at behind it. Each pointer must point before the piece it was met in, so the
 * walk ends; 255 bytes in all, so it ends soon. */
static bool name_read(struct str packet, size_t *at, struct name *name)
{
    size_t here = *at, piece = *at, wire = 1;
    bool jumped = false;

    name->n = 0;
    name->odd = false;
    for (;;) {
        unsigned n;

        if (here >= packet.n)
            return false;
        n = byte_at(packet, here);
        if (n >= 0xc0) {
            if (packet.n - here < 2)
                return false;
            if (!jumped)
                *at = here + 2;
            jumped = true;
            here = short_at(packet, here) & 0x3fff;
            if (here >= piece)
                return false;
            piece = here;
            continue;
        }
        if (n >= 0x40)
            return false;
        here++;
        if (n == 0)
            break;
        wire += n + 1;
        if (n > packet.n - here || wire > WIRE_NAME_MOST)
            return false;
        if (name->n)
            name->text[name->n++] = '.';
        for (unsigned i = 0; i < n; i++) {
            char c = packet.p[here + i];

            name->odd |= c == '.' || c == '\0';
            name->text[name->n++] = lower(c);
        }
        here += n;
    }
    if (!jumped)
        *at = here;
    return true;
}

static bool name_is(const struct name *name, struct str text)
{
    return !name->odd && str_is((struct str){name->text, name->n}, text);
}

/* name_skip - move *at behind the name, without a look at where it points to. */
static bool name_skip(struct str packet, size_t *at)
{
    while (*at < packet.n) {
        unsigned n = byte_at(packet, *at);

        if (n >= 0xc0) {
            *at += 2;
            return *at <= packet.n;
        }
        *at += n + 1;
        if (n == 0)
            return true;
    }
    return false;
}

/* rr_read - the record at *at but for its owner, whose offset is told. */
static bool rr_read(struct str packet, size_t *at, struct rr *rr)
{
    rr->owner = *at;
    if (!name_skip(packet, at) || packet.n - *at < 10)
        return false;
    rr->type = short_at(packet, *at);
    rr->class = short_at(packet, *at + 2);
    rr->ttl = long_at(packet, *at + 4);
    if (rr->ttl & 0x80000000) /* RFC 2181, 8 */
        rr->ttl = 0;
    rr->size = short_at(packet, *at + 8);
    *at += 10;
    if (rr->size > packet.n - *at)
        return false;
    rr->data = *at;
    *at += rr->size;
    return true;
}

/* rdata_name - the name that fills the RDATA from `skip` on. */
static bool rdata_name(struct str packet, const struct rr *rr, size_t skip, struct name *name)
{
    size_t at = rr->data + skip;

    return rr->size > skip && name_read(packet, &at, name) && at == rr->data + rr->size;
}

/* rdata_text - the strings of a TXT record, joined. */
static bool rdata_text(struct arena *a, struct str packet, const struct rr *rr, struct str *text)
{
    size_t at = rr->data, end = rr->data + rr->size;
    char *p = arena_alloc(a, rr->size + 1);
    size_t n = 0;

    if (at == end)
        return false;
    while (at < end) {
        size_t part = byte_at(packet, at++);

        if (part > end - at)
            return false;
        memcpy(p + n, packet.p + at, part);
        n += part;
        at += part;
    }
    *text = (struct str){p, n};
    return true;
}

/* record_read - 1: read, 0: a name that cannot be written as text, -1: malformed. */
static int record_read(struct arena *a, struct str packet, const struct rr *rr, struct dns_record *r)
{
    size_t skip = rr->type == DNS_MX ? 2 : 0;
    struct name name;

    *r = (struct dns_record){.text = STR("")};
    switch (rr->type) {
    case DNS_A:
        if (rr->size != 4)
            return -1;
        r->ip = (struct ip){.b = {[10] = 0xff, [11] = 0xff}, .known = true};
        memcpy(r->ip.b + 12, packet.p + rr->data, 4);
        return 1;
    case DNS_AAAA:
        if (rr->size != 16)
            return -1;
        r->ip.known = true;
        memcpy(r->ip.b, packet.p + rr->data, 16);
        return 1;
    case DNS_TXT:
        return rdata_text(a, packet, rr, &r->text) ? 1 : -1;
    default:
        if (!rdata_name(packet, rr, skip, &name))
            return -1;
        if (skip)
            r->preference = short_at(packet, rr->data);
        r->text = str_dup(a, (struct str){name.text, name.n});
        return name.odd ? 0 : 1;
    }
}

/* A message being read. */
struct reading {
    struct arena *arena;
    struct str packet;
    enum dns_type type;
    size_t answers, authorities; /* records of the sections that are looked at */
    size_t answers_at;           /* offset */
    bool wanted[SCAN_MOST];      /* answers that have the name and the type */
    size_t authorities_at;       /* 0: beyond what is looked at */
    unsigned hops;               /* aliases followed */
    struct str name;             /* the question's; further down the chain, what it is an alias of */
    uint32_t ttl;                /* the least so far */
};

/* header_read - NULL, or why this is no answer to our question. */
static const char *header_read(struct reading *m)
{
    struct name name;
    size_t at = HEADER;

    if (m->packet.n < HEADER || m->packet.n > DNS_PACKET_MOST || !(byte_at(m->packet, 2) & 0x80)
        || byte_at(m->packet, 2) & 0x78)
        return "malformed";
    if (short_at(m->packet, 4) != 1 || !name_read(m->packet, &at, &name) || m->packet.n - at < 4
        || !name_is(&name, m->name) || short_at(m->packet, at) != (unsigned)m->type
        || short_at(m->packet, at + 2) != CLASS_IN)
        return "malformed";
    if (packet_is_truncated(m->packet))
        return "too large";
    m->answers = short_at(m->packet, 6);
    m->authorities = short_at(m->packet, 8);
    m->answers_at = at + 4;
    return NULL;
}

/* sections_read - that every record stands within the packet, and where the second section begins. */
static bool sections_read(struct reading *m)
{
    size_t at = m->answers_at, rest;
    struct rr rr;

    rest = m->answers > SCAN_MOST ? SCAN_MOST : m->answers;
    for (size_t i = 0; i < rest; i++)
        if (!rr_read(m->packet, &at, &rr))
            return false;
    m->authorities_at = rest == m->answers ? at : 0;
    m->answers = rest;
    if (m->authorities > SCAN_MOST)
        m->authorities = SCAN_MOST;
    return true;
}

/* chain_step - mark the records of the type that the name has; *alias: what it is an alias of. NULL, or why not. */
static const char *chain_step(struct reading *m, size_t *count, struct name *alias, bool *is_alias)
{
    size_t at = m->answers_at;
    struct rr rr;

    *count = 0;
    *is_alias = false;
    for (size_t i = 0; i < m->answers && rr_read(m->packet, &at, &rr); i++) {
        struct name owner;
        size_t owner_at = rr.owner;

        m->wanted[i] = false;
        if (!name_read(m->packet, &owner_at, &owner))
            return "malformed";
        if (rr.class != CLASS_IN || !name_is(&owner, m->name))
            continue;
        if (rr.type == (unsigned)m->type) {
            m->wanted[i] = true;
            ++*count;
        } else if (rr.type == TYPE_CNAME && !*is_alias) {
            if (!rdata_name(m->packet, &rr, 0, alias) || alias->odd)
                return "malformed";
            *is_alias = true;
            m->ttl = rr.ttl < m->ttl ? rr.ttl : m->ttl;
        }
    }
    return NULL;
}

/* chain_follow - count the records of the type that the name has, or go to the name that it is an alias of. */
static const char *chain_follow(struct reading *m, size_t *count)
{
    for (unsigned hops = 0; hops <= DNS_CNAMES_MOST; hops++) {
        struct name alias;
        bool is_alias;
        const char *why = chain_step(m, count, &alias, &is_alias);

        if (why || *count || !is_alias)
            return why;
        m->name = str_dup(m->arena, (struct str){alias.text, alias.n});
        m->hops = hops + 1;
    }
    return "malformed";
}

static struct dns_answer records_read(struct reading *m, size_t count)
{
    struct dns_answer answer = {.status = DNS_OK, .why = "", .packet = m->packet};
    struct dns_record *records;
    size_t at = m->answers_at;
    struct rr rr;

    if (count > DNS_RECORDS_MOST)
        count = DNS_RECORDS_MOST;
    records = arena_array(m->arena, count, sizeof *records);
    for (size_t i = 0; i < m->answers && count > 0 && rr_read(m->packet, &at, &rr); i++) {
        int readable;

        if (!m->wanted[i])
            continue;
        readable = record_read(m->arena, m->packet, &rr, &records[answer.count]);
        if (readable < 0)
            return failure("malformed");
        answer.count += (size_t)readable;
        m->ttl = rr.ttl < m->ttl ? rr.ttl : m->ttl;
        count--;
    }
    if (answer.count == 0)
        return failure("malformed");
    answer.records = records;
    answer.ttl = m->ttl;
    return answer;
}

static bool is_below(struct str name, const struct name *zone)
{
    struct str z = {zone->text, zone->n};

    return !zone->odd && (z.n == 0 || str_is(name, z)
                          || (name.n > z.n && name.p[name.n - z.n - 1] == '.'
                              && str_is(str_slice(name, name.n - z.n, name.n), z)));
}

/* soa_ttl - how long a negative answer holds (RFC 2308, 5): the lesser of the SOA's TTL and its last field. */
static bool soa_ttl(struct str packet, const struct rr *rr, uint32_t *ttl)
{
    size_t at = rr->data, end = rr->data + rr->size;
    struct name skipped;
    uint32_t minimum;

    if (!name_read(packet, &at, &skipped) || !name_read(packet, &at, &skipped) || at > end || end - at != 20)
        return false;
    minimum = long_at(packet, at + 16);
    *ttl = minimum < rr->ttl ? minimum : rr->ttl;
    return true;
}

/* ends_at - whether from `at` on the packet holds the third section and nothing else. A count that was damaged leaves
 * bytes of which nobody speaks: records that were there. */
static bool ends_at(const struct reading *m, size_t at)
{
    size_t rest = short_at(m->packet, 10);
    struct rr rr;

    for (size_t i = 0; i < rest && i < SCAN_MOST; i++)
        if (!rr_read(m->packet, &at, &rr))
            return false;
    return rest > SCAN_MOST || at == m->packet.n;
}

static struct dns_answer negative_read(struct reading *m, int rcode)
{
    struct dns_answer answer = {.status = rcode == RCODE_NXDOMAIN ? DNS_NXDOMAIN : DNS_NODATA, .why = ""};
    size_t at = m->authorities_at;
    bool soa = false, ns = false;
    uint32_t ttl = 0;
    struct rr rr;

    if (at == 0)
        return failure("too large");
    /* Records that all speak of something else are a damaged answer, not one that says that there are none. */
    if (m->answers && m->hops == 0)
        return failure("malformed");
    for (size_t i = 0; i < m->authorities; i++) {
        struct name owner;
        size_t owner_at;

        if (!rr_read(m->packet, &at, &rr))
            return failure("malformed");
        owner_at = rr.owner;
        if (!name_read(m->packet, &owner_at, &owner))
            return failure("malformed");
        if (rr.class != CLASS_IN || !is_below(m->name, &owner))
            continue;
        ns |= rr.type == DNS_NS;
        if (rr.type == TYPE_SOA && !soa) {
            if (!soa_ttl(m->packet, &rr, &ttl))
                return failure("malformed");
            soa = true;
        }
    }
    if (m->authorities < SCAN_MOST && !ends_at(m, at))
        return failure("malformed");
    /* A referral says "ask others": it is no statement that the name has no such records. */
    if (rcode == RCODE_OK && ns && !soa)
        return failure("refused");
    if (!soa)
        ttl = DNS_NEGATIVE_TTL;
    answer.ttl = ttl < m->ttl ? ttl : m->ttl;
    answer.packet = m->packet;
    return answer;
}

bool packet_is_truncated(struct str packet)
{
    return packet.n >= HEADER && byte_at(packet, 2) & 0x02;
}

int packet_rcode(struct str packet)
{
    return packet.n >= HEADER ? (int)(byte_at(packet, 3) & 0x0f) : -1;
}

struct dns_answer packet_read(struct arena *a, struct str packet, struct str name, enum dns_type type)
{
    struct reading m = {.arena = a, .packet = packet, .type = type, .name = name, .ttl = UINT32_MAX};
    const char *why = header_read(&m);
    size_t count = 0;
    int rcode;

    if (why)
        return failure(why);
    rcode = packet_rcode(packet);
    if (rcode != RCODE_OK && rcode != RCODE_NXDOMAIN)
        return failure(rcode == RCODE_REFUSED ? "refused" : "servfail");
    if (!sections_read(&m))
        return failure("malformed");
    why = chain_follow(&m, &count);
    if (why)
        return failure(why);
    if (count && rcode == RCODE_NXDOMAIN)
        return failure("malformed");
    return count ? records_read(&m, count) : negative_read(&m, rcode);
}
