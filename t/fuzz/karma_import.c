/* karma_import.c - fuzz target: karma_line_read, every line of the input in both dialects. */
#include "../../milter/ctl/karma_lines.h"
#include "fuzz.h"

static void check(struct arena *a, enum karma_dialect dialect, struct str line)
{
    const struct karma_line_rules rules = {.now = 1767225600, .penalty_s = 86400};
    struct karma_net net, again;
    struct karma_record r;
    struct str why;
    enum karma_line result = karma_line_read(a, dialect, line, &rules, &net, &r, &why);

    if (result != KARMA_LINE_ROW) {
        must((result == KARMA_LINE_NOTHING) == (why.n == 0));
        touch(why);
        for (size_t i = 0; i < why.n; i++)
            must(why.p[i] >= 0x20 && why.p[i] < 0x7f); /* it goes to a terminal */
        return;
    }
    must(net.b[0] == 128 || net.b[0] == 64);
    must(karma_net_parse(karma_net_text(a, &net), &again) && memcmp(&net, &again, sizeof net) == 0);
    must(r.nice >= 0 && r.naughty >= 0 && r.connects >= 0);
    must(r.penalty_until >= 0 && r.cleared_at >= 0 && r.first_seen >= 0 && r.last_seen >= 0);
    must(memchr(r.last_reason, '\0', sizeof r.last_reason));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str rest = {(const char *)data, size}, line;
    struct arena *a = arena_new(0);

    while (str_split(&rest, '\n', &line)) {
        check(a, KARMA_EXPORT, line);
        check(a, KARMA_TOOL, line);
    }
    arena_free(&a);
    return 0;
}
