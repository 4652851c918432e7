/* mime_tnef.c - from the content of a winmail.dat to parts with safe headers. */
#include "mime_tnef.h"

#include "../worker.h"
#include "mime_edit_inside.h"
#include "utf8.h"

#define NAME_MOST 255 /* bytes */
#define WORD_BYTES 45 /* in an encoded word, of which 75 characters are the most */

static struct mime_new *from_tnef(struct arena *a, const struct tnef_content *content, bool has_text, size_t *count,
                                  bool *keep, unsigned *number);

bool mime_is_tnef(const struct mime_part *part)
{
    if (!part->leaf || !mime_edit_is_outer(part))
        return false;
    if (str_is(part->type, STR("application/ms-tnef")) || str_is(part->type, STR("application/vnd.ms-tnef")))
        return true;
    if (!str_is(part->type, STR("application/octet-stream")))
        return false;
    for (size_t i = 0; i < part->names.count; i++)
        if (str_is_nocase(part->names.items[i], STR("winmail.dat")))
            return true;
    return false;
}

bool mime_has_text(struct arena *a, const struct mime *m)
{
    struct str text;

    for (const struct mime_part *p = m->first; p; p = p->next)
        if (p->leaf && p->names.count == 0 && mime_edit_is_outer(p) &&
            (str_is(p->type, STR("text/plain")) || str_is(p->type, STR("text/html"))) &&
            mime_decode(a, p, MIME_DECODED_MOST, 0, &text) && str_trim(text).n)
            return true;
    return false;
}

static bool is_token(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] <= ' ' || s.p[i] >= 0x7f || strchr("()<>@,;:\\\"/[]?=", s.p[i]))
            return false;
    return s.n > 0 && s.n < 80;
}

/* safe_type - what would be read as a structure, or is no type, is just bytes. */
static struct str safe_type(struct str type)
{
    size_t slash = str_find(type, '/');

    if (slash == type.n || !is_token(str_slice(type, 0, slash)) || !is_token(str_slice(type, slash + 1, type.n)) ||
        str_starts_nocase(type, STR("multipart/")) || str_starts_nocase(type, STR("message/")))
        return STR("application/octet-stream");
    return type;
}

/* safe_name - no directory, nothing that ends a field or a string. */
static struct str safe_name(struct arena *a, struct str name)
{
    struct buf b = buf_in(a);

    name = str_trim(utf8_is_valid(name) ? name : str_escaped(a, name));
    for (size_t i = 0; i < name.n && i < NAME_MOST; i++) {
        unsigned char c = (unsigned char)name.p[i];

        if (i + 4 > NAME_MOST && c >= 0xc0) /* no half of a character at the end */
            break;
        buf_addc(&b, c < ' ' || c == 0x7f || strchr("\"\\/:", c) ? '_' : (char)c);
    }
    name = buf_str(&b);
    while (name.n && name.p[0] == '.')
        name = str_slice(name, 1, name.n);
    return name.n ? name : STR("unnamed");
}

/* add_parameter - RFC 2231 for what is not ASCII, in pieces that fit on a line. */
static void add_parameter(struct buf *b, const char *parameter, struct str name)
{
    unsigned piece = 0;
    size_t i = 0;

    if (mime_is_ascii(name) && name.n < 60) {
        buf_addf(b, ";\r\n\t%s=\"" STR_FMT "\"", parameter, STR_ARG(name));
        return;
    }
    while (i < name.n) {
        buf_addf(b, ";\r\n\t%s*%u*=%s", parameter, piece, piece ? "" : "utf-8''");
        for (size_t column = 0; i < name.n && column < 48; i++) {
            unsigned char c = (unsigned char)name.p[i];
            bool plain = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
                         (c && strchr("._-", c));

            if (plain)
                buf_addc(b, (char)c);
            else
                buf_addf(b, "%%%02X", c);
            column += plain ? 1 : 3;
        }
        piece++;
    }
}

/* part_head - of an attachment of that type, which must be one. */
static struct str part_head(struct arena *a, struct str type, struct str name)
{
    struct buf b = buf_in(a);

    name = safe_name(a, name);
    buf_addf(&b, "Content-Type: " STR_FMT, STR_ARG(type));
    add_parameter(&b, "name", name);
    buf_add(&b, STR("\r\nContent-Disposition: attachment"));
    add_parameter(&b, "filename", name);
    buf_add(&b, STR("\r\n"));
    return buf_str(&b);
}

static struct str attachment_head(struct arena *a, struct str type, struct str name)
{
    return part_head(a, safe_type(type), name);
}

/* text_head - of the message's own text. Which charset another than UTF-8 is, nobody told. */
static struct str text_head(struct arena *a, const struct tnef_part *part)
{
    const char *type = part->kind == TNEF_BODY_HTML ? "html" : "plain";

    if (utf8_is_valid(part->data))
        return arena_printf(a, "Content-Type: text/%s; charset=utf-8\r\n", type);
    return arena_printf(a, part->kind == TNEF_BODY_HTML ? "Content-Type: text/%s\r\n"
                                                        : "Content-Type: text/%s; charset=unknown-8bit\r\n", type);
}

/* best_body - the kind that is shown where the message has no text: HTML, else plain text. */
static enum tnef_kind best_body(const struct tnef_content *content)
{
    enum tnef_kind best = TNEF_KINDS;

    for (size_t i = 0; i < content->count; i++) {
        enum tnef_kind kind = content->parts[i].kind;

        if (kind == TNEF_BODY_HTML || (kind == TNEF_BODY_TEXT && best == TNEF_KINDS))
            best = kind;
    }
    return best;
}

/* ---- embedded messages ---- */

static struct str field_of(const struct tnef_content *content, const char *name)
{
    for (size_t i = 0; i < content->count; i++)
        if (content->parts[i].kind == TNEF_FIELD && str_is(content->parts[i].name, str_of(name)))
            return content->parts[i].data;
    return STR_NONE;
}

/* add_words - as encoded words (RFC 2047), each on its line. */
static void add_words(struct buf *b, struct str text)
{
    text = utf8_is_valid(text) ? text : str_escaped(b->arena, text);
    while (text.n) {
        size_t n = text.n < WORD_BYTES ? text.n : WORD_BYTES;

        while (n < text.n && ((unsigned char)text.p[n] & 0xc0) == 0x80)
            n--;
        buf_add(b, STR("=?utf-8?B?"));
        mime_add_base64(b, str_slice(text, 0, n), "");
        buf_add(b, STR("?="));
        text = str_slice(text, n, text.n);
        if (text.n)
            buf_add(b, STR("\r\n "));
    }
}

static bool is_mailbox(struct str s)
{
    size_t at = str_find(s, '@');

    for (size_t i = 0; i < s.n; i++)
        if (!((s.p[i] >= 'a' && s.p[i] <= 'z') || (s.p[i] >= 'A' && s.p[i] <= 'Z') ||
              (s.p[i] >= '0' && s.p[i] <= '9') || (s.p[i] && strchr("-_+.@", s.p[i]))))
            return false;
    return at > 0 && at + 1 < s.n && str_rfind(s, '@') == at && s.n < 255;
}

/* message_of - what is embedded, as a message with what is known of its header. False: something would be lost. */
static bool message_of(struct arena *a, const struct tnef_content *content, struct mime_new *made, unsigned *number)
{
    struct str subject = field_of(content, "subject"), name = field_of(content, "from");
    struct str address = field_of(content, "address"), date = field_of(content, "date");
    struct buf b = buf_in(a);
    unsigned mine = ++*number;
    struct mime_new *list;
    size_t count;
    int64_t ms;
    bool keep;

    list = from_tnef(a, content, false, &count, &keep, number);
    if (keep || count == 0)
        return false;
    if (is_mailbox(address)) {
        buf_add(&b, STR("From: "));
        add_words(&b, name);
        buf_addf(&b, "%s<" STR_FMT ">\r\n", name.n ? "\r\n " : "", STR_ARG(address));
    } else if (name.n) { /* a group is what a sender without an address may be (RFC 6854) */
        buf_add(&b, STR("From: "));
        add_words(&b, name);
        buf_add(&b, STR(":;\r\n"));
    }
    if (subject.n) {
        buf_add(&b, STR("Subject: "));
        add_words(&b, subject);
        buf_add(&b, STR("\r\n"));
    }
    if (date.n && date.n < 60 && mime_is_ascii(date) && str_find(date, '\n') == date.n && header_date(date, &ms))
        buf_addf(&b, "Date: " STR_FMT "\r\n", STR_ARG(date));
    buf_addf(&b, "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"=_sme-inside-%u.\"\r\n\r\n", mine);
    made->leaves = 0;
    for (size_t i = 0; i < count; i++) {
        buf_addf(&b, "--=_sme-inside-%u.\r\n" STR_FMT, mine, STR_ARG(list[i].head));
        if (!list[i].leaves)
            buf_add(&b, STR("Content-Transfer-Encoding: base64\r\n"));
        buf_add(&b, STR("\r\n"));
        if (list[i].leaves)
            buf_add(&b, list[i].bytes);
        else
            mime_add_base64(&b, list[i].bytes, "\r\n");
        buf_add(&b, STR("\r\n"));
        made->leaves += list[i].leaves ? list[i].leaves : 1;
    }
    buf_addf(&b, "--=_sme-inside-%u.--\r\n", mine);
    made->bytes = buf_str(&b);
    return true;
}

/* object_part - an embedded message as a message, or as it is where that cannot be. False: it is of another kind. */
static bool object_part(struct arena *a, const struct tnef_part *p, struct mime_new *new, unsigned *number)
{
    struct str name = p->name;

    if (!str_is(p->type, STR("application/ms-tnef")))
        return false;
    if (p->inside && message_of(a, p->inside, new, number)) {
        name = str_slice(name, 0, str_rfind(name, '.'));
        new->head = part_head(a, STR("message/rfc822"), arena_printf(a, STR_FMT ".eml", STR_ARG(name)));
    } else {
        new->head = attachment_head(a, p->type, name);
    }
    return true;
}

/* ---- all of it ---- */

static struct mime_new *from_tnef(struct arena *a, const struct tnef_content *content, bool has_text, size_t *count,
                                  bool *keep, unsigned *number)
{
    struct mime_new *list = arena_array(a, content->count + 1, sizeof *list);
    enum tnef_kind shown = has_text ? TNEF_KINDS : best_body(content);

    *count = 0;
    *keep = false;
    for (size_t pass = 0; pass < 2; pass++) { /* what is shown comes first */
        for (size_t i = 0; i < content->count; i++) {
            const struct tnef_part *p = &content->parts[i];
            bool is_shown = p->kind == shown;
            struct mime_new new = {.bytes = p->data};

            if (is_shown != (pass == 0))
                continue;
            if (is_shown)
                new.head = text_head(a, p);
            else if (p->kind == TNEF_FILE)
                new.head = attachment_head(a, p->type, p->name);
            else if (p->kind == TNEF_BODY_HTML)
                new.head = attachment_head(a, STR("text/html"), STR("message.html"));
            else if (p->kind == TNEF_BODY_RTF)
                new.head = attachment_head(a, STR("application/rtf"), STR("message.rtf"));
            else if (p->kind == TNEF_OBJECT)
                *keep |= !object_part(a, p, &new, number);
            if (new.head.n)
                list[(*count)++] = new;
        }
    }
    return list;
}

struct mime_new *mime_from_tnef(struct arena *a, const struct tnef_content *content, bool has_text, size_t *count,
                                bool *keep)
{
    unsigned number = 0;

    return from_tnef(a, content, has_text, count, keep, &number);
}
