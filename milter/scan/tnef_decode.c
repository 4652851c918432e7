/* tnef_decode.c - the content of a winmail.dat, in a job of the worker.
 *
 * libytnef reads it, after our own walk over its attributes has found every length and checksum right: it goes on over
 * many errors in silence, and half a message must not pass for a whole one. Sizes that it takes from properties are
 * believed only where it has allocated them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <ytnef.h>

#include "worker.h"
#include "worker_frame.h"
#include "worker_server.h"
#include "worker_tnef.h"

#define SIGNATURE 0x223e9f78U
#define HEAD 6              /* of a file: signature, key */
#define ATTRIBUTE_HEAD 9    /* level, id, length */
#define ATTRIBUTES_MOST 5000
#define OBJECT_ID 16        /* in front of an embedded object */
#define RTF_HEAD 16
#define RTF_PLAIN 0x414c454dU
#define RTF_MOST (32U * 1024 * 1024)
#define ID_RENDDATA 0x00069002U
#define FIELD_MOST 500      /* bytes of a subject or a name */
#define SECONDS_1601_TO_1970 11644473600LL
#define SECONDS_MOST 253402300799LL /* the year 9999 */
#define TRAILING_MOST 4     /* line ends that a gateway put behind it */

struct decoding {
    struct arena *arena;
    struct buf *out;
    uint32_t count, attachments;
    uint64_t bytes;
    size_t count_at; /* where in `out` */
    const char *wrong;
};

/* ---- our own walk ---- */

static uint32_t u32_at(struct str s, size_t i)
{
    const unsigned char *p = (const unsigned char *)s.p + i;

    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static bool checksum_is_right(struct str data, struct str checksum)
{
    const unsigned char *c = (const unsigned char *)checksum.p;
    unsigned sum = 0;

    for (size_t i = 0; i < data.n; i++)
        sum += (unsigned char)data.p[i];
    return (sum & 0xffff) == (unsigned)(c[0] | c[1] << 8);
}

static const char *walk(struct str s, uint32_t *attachments)
{
    unsigned attributes = 0;

    *attachments = 0;
    if (s.n < HEAD || u32_at(s, 0) != SIGNATURE)
        return "it does not begin like a winmail.dat";
    s = str_slice(s, HEAD, s.n);
    do {
        uint32_t length;

        if (s.n < ATTRIBUTE_HEAD + 2)
            return "it is cut off";
        if (s.p[0] != 1 && s.p[0] != 2)
            return "an attribute belongs to nothing";
        length = u32_at(s, 5);
        if (length > s.n - ATTRIBUTE_HEAD - 2)
            return "it is cut off";
        if (!checksum_is_right(str_slice(s, ATTRIBUTE_HEAD, ATTRIBUTE_HEAD + length),
                               str_slice(s, ATTRIBUTE_HEAD + length, ATTRIBUTE_HEAD + length + 2)))
            return "a checksum is wrong";
        if (u32_at(s, 1) == ID_RENDDATA)
            ++*attachments;
        else if (s.p[0] == 2 && *attachments == 0)
            return "an attachment does not begin";
        if (++attributes > ATTRIBUTES_MOST || *attachments > TNEF_PARTS_MOST)
            return "it has too many parts";
        s = str_slice(s, ATTRIBUTE_HEAD + length + 2, s.n);
    } while (s.n > TRAILING_MOST || (s.n && s.p[0] != '\r' && s.p[0] != '\n'));
    return NULL;
}

/* ---- parts ---- */

static void add_part(struct decoding *d, enum tnef_kind kind, struct str name, struct str data)
{
    d->bytes += data.n;
    if (d->count == TNEF_PARTS_MOST || d->bytes > TNEF_DATA_MOST) {
        d->wrong = "it has too many parts, or too large ones";
        return;
    }
    d->count++;
    frame_add_u32(d->out, kind);
    frame_add_str(d->out, tnef_name(d->arena, name));
    frame_add_str(d->out, data);
}

static struct str property(MAPIProps *props, ULONG type, ULONG id)
{
    variableLength *v = MAPIFindProperty(props, PROP_TAG(type, id));

    if (v == MAPI_UNDEFINED || !v || !v->data || v->size <= 0)
        return STR_NONE;
    /* Text in Unicode has become a UTF-8 string of its own, whose size is that of the original. */
    return type == PT_UNICODE ? str_of((const char *)v->data) : (struct str){(const char *)v->data, (size_t)v->size};
}

static struct str until_nul(struct str s)
{
    return str_slice(s, 0, str_find(s, '\0'));
}

static struct str text_property(MAPIProps *props, ULONG id)
{
    struct str s = property(props, PT_UNICODE, id);

    return until_nul(s.n ? s : property(props, PT_STRING8, id));
}

static struct str name_of(struct decoding *d, Attachment *p, const char *otherwise)
{
    struct str s = text_property(&p->MAPI, PR_ATTACH_LONG_FILENAME);

    if (!s.n && p->Title.data && p->Title.size > 0)
        s = until_nul((struct str){(const char *)p->Title.data, (size_t)p->Title.size});
    if (!s.n)
        s = text_property(&p->MAPI, PR_DISPLAY_NAME);
    return s.n ? s : arena_printf(d->arena, "%s-%u", otherwise, (unsigned)d->count + 1);
}

static void add_object(struct decoding *d, Attachment *p, struct str object)
{
    struct str name = name_of(d, p, "object"), data = str_slice(object, OBJECT_ID, object.n);

    if (data.n >= 4 && u32_at(data, 0) == SIGNATURE)
        name = arena_printf(d->arena, STR_FMT ".tnef", STR_ARG(name));
    add_part(d, TNEF_OBJECT, name, data);
}

static void add_attachment(struct decoding *d, Attachment *p)
{
    struct str object = property(&p->MAPI, PT_OBJECT, PR_ATTACH_DATA_OBJ);
    struct str data = property(&p->MAPI, PT_BINARY, PR_ATTACH_DATA_OBJ);

    if (object.n > OBJECT_ID) {
        add_object(d, p, object);
        return;
    }
    if (!data.n && p->FileData.data && p->FileData.size > 0)
        data = (struct str){(const char *)p->FileData.data, (size_t)p->FileData.size};
    add_part(d, TNEF_FILE, name_of(d, p, "attachment"), data);
}

/* unpack_rtf - what was not compressed libytnef does not give back. */
static bool unpack_rtf(struct arena *a, struct str packed, struct str *rtf)
{
    variableLength v = {(BYTE *)(uintptr_t)packed.p, (int)packed.n};
    int size = 0;
    BYTE *bytes;

    if (u32_at(packed, 8) == RTF_PLAIN) {
        *rtf = str_slice(packed, RTF_HEAD, RTF_HEAD + (size_t)u32_at(packed, 4));
        return rtf->n == u32_at(packed, 4);
    }
    bytes = DecompressRTF(&v, &size);
    if (!bytes || size <= 0)
        return false;
    *rtf = str_dup(a, until_nul((struct str){(const char *)bytes, (size_t)size}));
    free(bytes);
    return true;
}

/* add_rtf - and the text in it, where the message says that in no other way. */
static void add_rtf(struct decoding *d, struct str packed, bool has_text)
{
    struct str rtf, text;

    if (packed.n < RTF_HEAD || packed.n > RTF_MOST || u32_at(packed, 4) > RTF_MOST) {
        d->wrong = "its RTF is cut off, or too large";
        return;
    }
    if (!unpack_rtf(d->arena, packed, &rtf)) {
        d->wrong = "its RTF cannot be unpacked";
        return;
    }
    if (!has_text && tnef_rtf_text(d->arena, rtf, &text) && str_trim(text).n)
        add_part(d, TNEF_BODY_TEXT, STR("body.txt"), text);
    add_part(d, TNEF_BODY_RTF, STR("body.rtf"), rtf);
}

static void add_bodies(struct decoding *d, TNEFStruct *t)
{
    struct str text = text_property(&t->MapiProperties, PR_BODY), html, rtf;

    if (!text.n && t->body.data && t->body.size > 0)
        text = until_nul((struct str){(const char *)t->body.data, (size_t)t->body.size});
    html = property(&t->MapiProperties, PT_BINARY, PR_BODY_HTML);
    if (!html.n)
        html = text_property(&t->MapiProperties, PR_BODY_HTML);
    rtf = property(&t->MapiProperties, PT_BINARY, PR_RTF_COMPRESSED);
    if (text.n)
        add_part(d, TNEF_BODY_TEXT, STR("body.txt"), text);
    if (html.n)
        add_part(d, TNEF_BODY_HTML, STR("body.html"), html);
    if (rtf.n)
        add_rtf(d, rtf, text.n > 0);
}

static void add_field(struct decoding *d, const char *name, struct str text)
{
    text = str_trim(until_nul(text));
    if (text.n)
        add_part(d, TNEF_FIELD, str_of(name), tnef_utf8(d->arena, str_slice(text, 0, FIELD_MOST)));
}

/* date_of - a FILETIME, in tenths of microseconds since 1601. */
static struct str date_of(struct arena *a, struct str filetime)
{
    char text[64];
    struct tm tm;
    time_t t;

    if (filetime.n < 8)
        return STR_NONE;
    t = (time_t)((u32_at(filetime, 0) | (uint64_t)u32_at(filetime, 4) << 32) / 10000000) - SECONDS_1601_TO_1970;
    if (t < 0 || t > SECONDS_MOST || !gmtime_r(&t, &tm) ||
        !strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S +0000", &tm))
        return STR_NONE;
    return str_dup(a, str_of(text));
}

/* add_fields - what the header of an embedded message would tell. */
static void add_fields(struct decoding *d, TNEFStruct *t)
{
    struct str subject = text_property(&t->MapiProperties, PR_SUBJECT), date;

    if (!subject.n && t->subject.data && t->subject.size > 0)
        subject = (struct str){(const char *)t->subject.data, (size_t)t->subject.size};
    date = property(&t->MapiProperties, PT_SYSTIME, PR_CLIENT_SUBMIT_TIME);
    if (!date.n)
        date = property(&t->MapiProperties, PT_SYSTIME, PR_MESSAGE_DELIVERY_TIME);
    add_field(d, "subject", subject);
    add_field(d, "from", text_property(&t->MapiProperties, PR_SENDER_NAME));
    add_field(d, "address", text_property(&t->MapiProperties, PR_SENDER_EMAIL_ADDRESS));
    add_field(d, "date", date_of(d->arena, date));
}

/* ---- all of it ---- */

static void decode(struct decoding *d, TNEFStruct *t)
{
    uint32_t seen = 0;

    add_fields(d, t);
    add_bodies(d, t);
    for (Attachment *p = t->starting_attach.next; p && !d->wrong; p = p->next) {
        if (++seen > TNEF_PARTS_MOST)
            break;
        add_attachment(d, p);
    }
    if (!d->wrong && seen != d->attachments)
        d->wrong = "not all of its parts can be read";
}

static bool tnef_run(struct arena *a, struct str bytes, uint64_t ms, struct buf *out, struct str *why)
{
    struct decoding d = {.arena = a, .out = out, .count_at = out->len};
    TNEFStruct t;

    (void)ms;
    frame_add_u32(out, 0);
    d.wrong = walk(bytes, &d.attachments);
    if (!d.wrong) {
        TNEFInitialize(&t);
        t.Debug = 0;
        /* It takes a pointer to bytes that it could write to, and does not. */
        if (TNEFParseMemory((BYTE *)(uintptr_t)bytes.p, (long)bytes.n, &t) < 0)
            d.wrong = "it is damaged";
        else
            decode(&d, &t);
        TNEFFree(&t);
    }
    if (d.wrong) {
        *why = arena_printf(a, "winmail.dat: %s", d.wrong);
        return false;
    }
    memcpy(out->data + d.count_at, &d.count, sizeof d.count);
    return true;
}

const struct worker_kind worker_kind_tnef = {.name = "tnef", .run = tnef_run};
