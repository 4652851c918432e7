/* reply.c - RFC 5321, 4.2.1, and the enhanced codes of RFC 2034. */
#include "reply.h"

#include <string.h>

static bool digit(struct str s, size_t i)
{
    return i < s.n && s.p[i] >= '0' && s.p[i] <= '9';
}

/* code_of - "250", "250 text" or "250-text"; 0: the line is none of a reply. */
static int code_of(struct str line)
{
    if (line.n < 3 || line.p[0] < '2' || line.p[0] > '5' || !digit(line, 1) || !digit(line, 2))
        return 0;
    if (line.n > 3 && line.p[3] != ' ' && line.p[3] != '-')
        return 0;
    return (line.p[0] - '0') * 100 + (line.p[1] - '0') * 10 + (line.p[2] - '0');
}

/* line_at - the line that begins there, without its end. */
static struct str line_at(struct str heard, size_t at)
{
    struct str rest = str_slice(heard, at, heard.n);
    struct str line = str_slice(rest, 0, str_find(rest, '\n'));

    if (line.n && line.p[line.n - 1] == '\r')
        line.n--;
    return line;
}

static bool is_last(struct str line)
{
    return line.n == 3 || line.p[3] == ' ';
}

/* status_length - of the enhanced code that the words begin with; 0: there is none, or of another class. */
static size_t status_length(struct str words, char class)
{
    size_t i = 1;

    if (words.n == 0 || words.p[0] != class)
        return 0;
    for (int part = 0; part < 2; part++) {
        size_t from = i + 1;

        if (i >= words.n || words.p[i] != '.')
            return 0;
        for (i = from; digit(words, i) && i < from + 3;)
            i++;
        if (i == from)
            return 0;
    }
    return i == words.n || words.p[i] == ' ' ? i : 0;
}

/* add_words - of one line, as far as there is room; the status is kept once and left out of the words. */
static void add_words(struct buf *b, struct smtp_reply *r, struct str line)
{
    struct str words = str_trim(str_slice(line, 4, line.n));
    size_t n = status_length(words, line.p[0]);

    if (n && n < sizeof r->status && !r->status[0]) {
        memcpy(r->status, words.p, n);
        r->status[n] = '\0';
    }
    words = str_trim(str_slice(words, n, words.n));
    if (words.n && b->len && b->len < SMTP_TEXT_MOST)
        buf_addc(b, ' ');
    buf_add(b, str_slice(words, 0, SMTP_TEXT_MOST - b->len));
}

static unsigned offer_of(struct str line)
{
    struct str words = str_slice(line, 4, line.n), word;

    if (!str_token(&words, &word))
        return 0;
    return str_is_nocase(word, STR("STARTTLS")) ? SMTP_OFFERS_TLS
           : str_is_nocase(word, STR("SMTPUTF8")) ? SMTP_OFFERS_UTF8
                                                  : 0;
}

/* look - whether there is a whole reply; nothing is allocated, for bytes may come one by one. */
static enum smtp_heard look(struct str heard, size_t *taken)
{
    size_t at = 0;
    int first = 0;

    for (unsigned lines = 0; lines < SMTP_LINES_MOST; lines++) {
        struct str rest = str_slice(heard, at, heard.n);
        size_t end = str_find(rest, '\n');
        int code;

        if (end == rest.n)
            return rest.n >= SMTP_LINE_MOST || heard.n >= SMTP_REPLY_MOST ? SMTP_JUNK : SMTP_MORE;
        code = code_of(line_at(heard, at));
        at += end + 1;
        if (code == 0 || (first && code != first) || end >= SMTP_LINE_MOST || at > SMTP_REPLY_MOST)
            return SMTP_JUNK;
        first = code;
        if (is_last(line_at(heard, at - end - 1))) {
            *taken = at;
            return SMTP_WHOLE;
        }
    }
    return SMTP_JUNK;
}

enum smtp_heard smtp_reply_read(struct arena *a, struct str heard, struct smtp_reply *r, size_t *taken)
{
    enum smtp_heard said = look(heard, taken);
    struct buf words;

    memset(r, 0, sizeof *r);
    if (said != SMTP_WHOLE)
        return said;
    words = buf_in(a);
    buf_add(&words, STR_NONE);
    for (size_t at = 0; at < *taken; at += str_find(str_slice(heard, at, heard.n), '\n') + 1) {
        struct str line = line_at(heard, at);

        if (at)
            r->offers |= offer_of(line);
        r->code = code_of(line);
        add_words(&words, r, line);
    }
    r->text = buf_str(&words);
    return SMTP_WHOLE;
}
