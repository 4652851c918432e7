/* scenario_queue.c - reads a held message back from Postfix's queue and finds the edits in it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "scenario_postfix.h"

#include "milter/mail/header.h"

struct queued {
    struct headers headers; /* without the Received field on top, which is Postfix's own */
    struct words rcpts;
};

/* postcat - its output; empty when it failed. */
static struct str postcat(struct arena *a, struct str id)
{
    const char *conf = getenv("SME_SCENARIO_CONF");
    struct buf b = buf_in(a);
    int out[2], status = 1;
    char part[8192];
    ssize_t n;
    pid_t pid;

    buf_add(&b, STR_NONE);
    if (!conf || pipe(out) != 0)
        return STR_NONE;
    pid = fork();
    if (pid == 0) {
        dup2(out[1], STDOUT_FILENO);
        close(out[0]);
        execlp("postcat", "postcat", "-c", conf, "-q", str_c(a, id), (char *)NULL);
        _exit(127);
    }
    close(out[1]);
    while ((n = read(out[0], part, sizeof part)) > 0)
        buf_add(&b, (struct str){part, (size_t)n});
    close(out[0]);
    waitpid(pid, &status, 0);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? buf_str(&b) : STR_NONE;
}

static bool queue_read(struct arena *a, struct str id, struct queued *q)
{
    static const struct str rcpt = {"recipient: ", 11}, contents = {"*** MESSAGE CONTENTS", 20};
    struct str text = postcat(a, id), line, body;

    memset(q, 0, sizeof *q);
    while (str_split(&text, '\n', &line) && !str_starts(line, contents)) {
        if (!str_starts(line, rcpt))
            continue;
        q->rcpts.items = arena_grow(a, q->rcpts.items, q->rcpts.count, sizeof *q->rcpts.items);
        q->rcpts.items[q->rcpts.count++] = str_slice(line, rcpt.n, line.n);
    }
    headers_split(a, text, &q->headers, &body);
    /* What a filter inserts at index 0 stands above Postfix's own Received. */
    for (struct header *h = q->headers.first, *before = NULL; h; before = h, h = h->next)
        if (str_is(h->name, STR("Received"))) {
            if (before)
                before->next = h->next;
            else
                q->headers.first = h->next;
            q->headers.count--;
            return true;
        }
    return false;
}

static struct headers sent_headers(struct arena *a, const struct step *step)
{
    struct headers h = {0};
    struct str rest = step->text, name, value;

    while (scenario_field(a, &rest, &name, &value))
        header_add(a, &h, name, value);
    return h;
}

/* has_value - the index-th field (from 1; 0: any) of that name has the value. */
static bool has_value(struct arena *a, const struct headers *h, struct str name, size_t index, struct str value)
{
    const struct header *one;

    for (size_t i = index ? index - 1 : 0; (one = header_find(h, name, i)); i++) {
        if (str_is(str_escaped(a, header_unfold(a, one->value)), value))
            return true;
        if (index)
            break;
    }
    return false;
}

/* unfolded - the escaped value as has_value() compares it: without the ends of its lines. */
static struct str unfolded(struct arena *a, struct str value)
{
    struct buf b = buf_in(a);

    buf_add(&b, STR_NONE);
    for (size_t i = 0; i < value.n; i++) {
        if (str_starts(str_slice(value, i, value.n), STR("\\x0a")))
            i += 3;
        else
            buf_addc(&b, value.p[i]);
    }
    return buf_str(&b);
}

/* listed_additions - of that name, in the checks of the step: a deleted field may be followed by one of ours. */
static size_t listed_additions(const struct step *step, struct str name)
{
    size_t n = 0;

    for (const struct check *c = step->checks; c; c = c->next) {
        struct str rest = c->kind == CHECK_EDIT ? c->edit : STR_NONE, verb = STR_NONE;

        str_token(&rest, &verb);
        rest = str_trim(rest);
        n += (str_is(verb, STR("add-header")) || str_is(verb, STR("insert-header"))) &&
             str_is_nocase(str_slice(rest, 0, str_find(rest, ':')), name);
    }
    return n;
}

/* confirmed - whether the edit, in edit_text()'s words, is to be seen; what it then does to the counts is added up. */
static bool confirmed(struct arena *a, const struct queued *q, const struct headers *sent, const struct step *step,
                      struct str edit, long *fields, long *rcpts)
{
    struct str rest = edit, verb, name, value;
    long index = 0;
    bool there = false;
    size_t colon;

    str_token(&rest, &verb);
    rest = str_trim(rest);
    if (str_is(verb, STR("add-rcpt")) || str_is(verb, STR("del-rcpt"))) {
        bool add = str_is(verb, STR("add-rcpt"));

        for (size_t i = 0; i < q->rcpts.count; i++)
            there |= str_is_nocase(q->rcpts.items[i], rest);
        if (there == add)
            *rcpts += add ? 1 : -1;
        return there == add;
    }
    if (str_is(verb, STR("change-header")) || str_is(verb, STR("delete-header"))) {
        struct str number;

        if (!str_token(&rest, &number) || !str_to_long(number, &index))
            return false;
        rest = str_trim(rest);
    }
    colon = str_find(rest, ':');
    name = str_slice(rest, 0, colon);
    value = unfolded(a, str_trim(str_slice(rest, colon + 1, rest.n)));
    if (str_is(verb, STR("delete-header"))) {
        there = header_count(&q->headers, name) < header_count(sent, name) + listed_additions(step, name);
        *fields -= there;
        return there;
    }
    there = has_value(a, &q->headers, name, (size_t)index, value);
    *fields += there && !str_is(verb, STR("change-header"));
    return there;
}

void queue_edits(struct play *p, const struct step *step, struct str id, unsigned rcpts, struct seen *seen)
{
    struct headers sent = sent_headers(p->arena, step);
    long fields = (long)sent.count, all = rcpts;
    struct queued q;

    seen->edits_known = true;
    if (!queue_read(p->arena, id, &q)) {
        seen->error = STR("postcat does not show the queued message");
        return;
    }
    for (const struct check *c = step->checks; c; c = c->next) {
        if (c->kind != CHECK_EDIT || !c->edit.n)
            continue;
        seen->edits = arena_grow(p->arena, seen->edits, seen->edit_count, sizeof *seen->edits);
        seen->edits[seen->edit_count++] = confirmed(p->arena, &q, &sent, step, c->edit, &fields, &all)
                                              ? c->edit
                                              : STR("that is not to be seen in the queued message");
    }
    if (fields == (long)q.headers.count && all == (long)q.rcpts.count)
        return;
    seen->edits = arena_grow(p->arena, seen->edits, seen->edit_count, sizeof *seen->edits);
    seen->edits[seen->edit_count++] = arena_printf(p->arena, "something else: %zu header fields and %zu recipients are "
                                                   "queued, %ld and %ld follow from what was sent and listed",
                                                   q.headers.count, q.rcpts.count, fields, all);
}
