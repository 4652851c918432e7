/* journal_file.c - the journal as commands open it. */
#include <sysexits.h>
#include <unistd.h>

#include "../base/clock.h"
#include "../option_list.h"
#include "control_client.h"
#include "journal_file.h"

#define SHOW_AFTER_MS 1000
#define SHOW_EVERY_MS 200

sqlite3 *ctl_journal(struct ctl *ctl, const struct ctl_command *command, const struct config *config, int *status)
{
    struct str path = arena_printf(ctl->arena, STR_FMT "/journal.sqlite", STR_ARG(config->global.state_dir)), error,
               answer;
    sqlite3 *db;

    if (access(path.p, F_OK) != 0 && !config->journal.enabled) {
        fprintf(stderr, "sme-milterctl %s: there is no journal: journal { enabled = no }\n", command->words);
        *status = EX_UNAVAILABLE;
        return NULL;
    }
    control_tell(ctl, config, "journal", &answer); /* what it has not written yet; what is wrong there it has said */
    db = database_open_file(path.p, &journal_schema, false, false, ctl->arena, &error, status);
    if (!db)
        fprintf(stderr, "sme-milterctl %s: " STR_FMT "%s\n", command->words, STR_ARG(str_escaped(ctl->arena, error)),
                *status == EX_NOPERM    ? "; run this as root, or as the daemon's user"
                : *status == EX_NOINPUT ? "; the daemon makes it with the first message"
                                        : "");
    return db;
}

bool ctl_since(struct ctl *ctl, const struct ctl_command *command, const char *word, int64_t *from_ms)
{
    static const struct option row = {.name = "since", .type = OPTION_DURATION, .min = 0, .max = 3e12};
    struct str text = str_trim(str_of(word)), error = STR_NONE;
    bool day = text.n == 10;
    int64_t ms = 0;

    if (clock_parse_rfc3339(day ? arena_printf(ctl->arena, STR_FMT "T00:00:00Z", STR_ARG(text)) : text, from_ms))
        return true;
    if (text.n && (text.p[text.n - 1] < '0' || text.p[text.n - 1] > '9')
        && option_value(ctl->arena, &row, text, &ms, &error)) {
        *from_ms = clock_wall_ms() - ms;
        return true;
    }
    ctl_usage(command, "--since \"" STR_FMT "\" is neither a duration, like 12h or 7d, nor a day, like 2026-01-05",
              STR_ARG(str_escaped(ctl->arena, str_of(word))));
    return false;
}

void progress_begin(struct progress *p, const char *what)
{
    *p = (struct progress){.what = what, .began = clock_ms(), .terminal = isatty(STDERR_FILENO)};
}

void progress_step(struct progress *p)
{
    int64_t now;

    p->done++;
    if (!p->terminal || p->done % 256)
        return;
    now = clock_ms();
    if (now - p->began < SHOW_AFTER_MS || now - p->shown < SHOW_EVERY_MS)
        return;
    p->shown = now;
    fprintf(stderr, "\r%llu %s ...", (unsigned long long)p->done, p->what);
    fflush(stderr);
}

void progress_end(struct progress *p)
{
    if (p->shown)
        fprintf(stderr, "\r\033[K");
}
