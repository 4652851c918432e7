/* spamd.c - SPAMC/1.5: SYMBOLS, which gives the score and the tests, and no message back. */
#include <string.h>

#include "scan/spamd.h"
#include "scan/trouble.h"

#define ANSWER_MOST 65536
#define TESTS_MOST 300
#define TEST_NAME_MOST 100
#define SHOWN_MOST 100  /* bytes of a bad answer that are told */
#define NUMBER_MOST 12  /* digits and sign of a score */

static struct trouble trouble;

struct spamd_scan {
    struct arena *arena;
    struct talk *talk;
    struct str say[1 + RAW_PIECES];
    struct spam_answer answer;
};

/* ---- what it says ---- */

static struct spam_answer problem(struct arena *a, const char *what, struct str text)
{
    struct spam_answer answer = {.ok = false};

    answer.problem = arena_printf(a, "spamd %s: \"" STR_FMT "\"", what, STR_ARG(str_slice(text, 0, SHOWN_MOST)));
    return answer;
}

static bool next_line(struct str *rest, struct str *line)
{
    size_t end = str_find(*rest, '\n');

    if (end == rest->n)
        return false;
    *line = str_slice(*rest, 0, end);
    if (line->n && line->p[line->n - 1] == '\r')
        line->n--;
    *rest = str_slice(*rest, end + 1, rest->n);
    return true;
}

/* number - digits with at most one dot and a sign: "nan", "inf" and "1e9" are none. */
static bool number(struct str s, double *value)
{
    double n = 0, unit = 1;
    bool minus = s.n && s.p[0] == '-', dot = false;
    size_t digits = 0;

    if (s.n > NUMBER_MOST)
        return false;
    for (size_t i = minus; i < s.n; i++) {
        if (s.p[i] == '.' && !dot && digits) {
            dot = true;
        } else if (s.p[i] >= '0' && s.p[i] <= '9') {
            digits++;
            n = n * 10 + (s.p[i] - '0');
            unit *= dot ? 10 : 1;
        } else {
            return false;
        }
    }
    *value = (minus ? -n : n) / unit;
    return digits && s.p[s.n - 1] != '.';
}

/* spam_line - "True ; 15.0 / 5.0". */
static bool spam_line(struct str s, struct spam_answer *answer)
{
    struct str word, semicolon, slash, extra;

    if (!str_token(&s, &word) || !str_token(&s, &semicolon) || !str_token(&s, &answer->score_text) ||
        !str_token(&s, &slash) || !str_token(&s, &answer->required_text) || str_token(&s, &extra))
        return false;
    return (str_is_nocase(word, STR("True")) || str_is_nocase(word, STR("False"))) && str_is(semicolon, STR(";")) &&
           str_is(slash, STR("/")) && number(answer->score_text, &answer->score) &&
           number(answer->required_text, &answer->required);
}

static bool is_test_name(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];

        if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'))
            return false;
    }
    return s.n > 0 && s.n <= TEST_NAME_MOST;
}

static bool read_tests(struct arena *a, struct str text, struct str *tests)
{
    struct buf b = buf_in(a);
    struct str name;
    size_t count = 0;

    buf_add(&b, STR_NONE);
    text = str_trim(text);
    if (str_is(text, STR("none")))
        text = STR_NONE;
    while (text.n) {
        size_t comma = str_find(text, ',');

        name = str_trim(str_slice(text, 0, comma));
        if (!is_test_name(name) || ++count > TESTS_MOST || comma + 1 == text.n)
            return false;
        text = str_slice(text, comma + 1, text.n);
        if (b.len)
            buf_addc(&b, ',');
        buf_add(&b, name);
    }
    *tests = buf_str(&b);
    return true;
}

/* status_line - "SPAMD/1.1 0 EX_OK". */
static bool status_line(struct str line, long *code)
{
    struct str protocol, word;

    return str_token(&line, &protocol) && str_starts(protocol, STR("SPAMD/1.")) && str_token(&line, &word) &&
           str_to_long(word, code);
}

struct spam_answer spamd_parse(struct arena *a, struct str reply)
{
    struct spam_answer answer = {.ok = false};
    bool has_spam = false, has_length = false;
    struct str rest = reply, line;
    long code, length = 0;

    if (!next_line(&rest, &line) || !status_line(line, &code))
        return problem(a, "says something else than it should", reply);
    if (code != 0)
        return problem(a, "has an error", line);
    for (;;) {
        size_t colon;
        struct str name, value;

        if (!next_line(&rest, &line))
            return problem(a, "gave half an answer", reply);
        if (line.n == 0)
            break;
        colon = str_find(line, ':');
        name = str_slice(line, 0, colon);
        value = str_trim(str_slice(line, colon + 1, line.n));
        if (str_is_nocase(name, STR("Spam"))) {
            if (has_spam || !spam_line(value, &answer))
                return problem(a, "gave no usable score", line);
            has_spam = true;
        } else if (str_is_nocase(name, STR("Content-length"))) {
            if (has_length || !str_to_long(value, &length) || length < 0)
                return problem(a, "gave no usable length", line);
            has_length = true;
        }
    }
    if (!has_spam)
        return problem(a, "gave no score", reply);
    if (has_length && rest.n != (size_t)length)
        return problem(a, "gave half an answer", reply);
    if (!read_tests(a, rest, &answer.tests))
        return problem(a, "gave no usable list of tests", rest);
    answer.ok = true;
    return answer;
}

/* ---- asking ---- */

struct spamd_scan *spamd_begin(struct arena *a, const struct talk_where *where, struct str user, const struct raw *raw,
                               int64_t deadline)
{
    struct spamd_scan *scan = arena_zalloc(a, sizeof *scan);
    struct talk_plan plan = {.where = where, .say = scan->say, .pieces = 1 + RAW_PIECES, .half_close = true,
                             .until = TALK_TO_END, .most = ANSWER_MOST, .deadline = deadline};
    struct buf b = buf_in(a);

    scan->arena = a;
    buf_addf(&b, "SYMBOLS SPAMC/1.5\r\nContent-length: %llu\r\n", (unsigned long long)raw->bytes);
    if (user.n)
        buf_addf(&b, "User: " STR_FMT "\r\n", STR_ARG(user));
    buf_add(&b, STR("\r\n"));
    scan->say[0] = buf_str(&b);
    for (size_t i = 0; i < RAW_PIECES; i++)
        scan->say[1 + i] = raw->pieces[i];
    scan->talk = talk_begin(a, &plan);
    return scan;
}

const struct spam_answer *spamd_finish(struct spamd_scan *scan)
{
    const struct talk_answer *heard = talk_finish(scan->talk);

    scan->answer = heard->ok ? spamd_parse(scan->arena, heard->text)
                             : (struct spam_answer){.ok = false, .problem = heard->problem};
    if (scan->answer.ok && heard->early)
        scan->answer = (struct spam_answer){.problem = STR("spamd answers before it has the whole message")};
    if (!scan->answer.ok)
        trouble_warn(&trouble, "spamassassin", scan->answer.problem);
    return &scan->answer;
}
