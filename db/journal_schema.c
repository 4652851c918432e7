/* journal_schema.c - the journal's tables. A step that was released is never changed again.
 *
 * Text stands in them as journal_text.c writes it: printable UTF-8, everything else as \xHH, so that any sqlite3 can show
 * it on any terminal. Names that are words of SQL are avoided; for the rest columns are called as the log's fields are.
 */
#include <stddef.h>

#include "journal.h"

#define UTC(column) "strftime('%Y-%m-%dT%H:%M:%SZ', " column " / 1000, 'unixepoch')"

static const char journal_1[] =
    "CREATE TABLE ran ("                           /* which policies were run, once per spelling */
    " id INTEGER PRIMARY KEY,"
    " stages TEXT NOT NULL UNIQUE"                 /* "connect:loadcheck,relay;helo:helo" */
    ");"
    "CREATE TABLE message ("                       /* or a connection that never reached MAIL */
    " id INTEGER PRIMARY KEY,"
    " time INTEGER NOT NULL,"                      /* of its end: milliseconds since 1970 */
    " kind TEXT NOT NULL,"                         /* message, connection */
    " ref TEXT NOT NULL,"
    " queue_id TEXT NOT NULL,"
    " message_id TEXT NOT NULL,"                   /* without its brackets */
    " host TEXT NOT NULL,"
    " profile TEXT NOT NULL,"
    " client TEXT NOT NULL,"                       /* empty: not known */
    " client_port INTEGER NOT NULL,"
    " server_port INTEGER NOT NULL,"
    " name TEXT NOT NULL,"
    " helo TEXT NOT NULL,"
    " auth TEXT NOT NULL,"
    " tls TEXT NOT NULL,"
    " daemon_name TEXT NOT NULL,"
    " sender TEXT NOT NULL,"                       /* with its brackets */
    " nrcpt INTEGER NOT NULL,"
    " size INTEGER NOT NULL,"
    " declared_size INTEGER NOT NULL,"
    " body_bytes INTEGER NOT NULL,"
    " local INTEGER NOT NULL,"
    " whitelisted INTEGER NOT NULL,"
    " unknown_commands INTEGER NOT NULL,"
    " verdict TEXT NOT NULL,"
    " decided_by TEXT NOT NULL,"                   /* policy, limits, or empty */
    " stage TEXT NOT NULL,"                        /* where the client heard of it */
    " reply TEXT NOT NULL,"
    " karma_before INTEGER NOT NULL,"
    " karma INTEGER NOT NULL,"
    " history TEXT NOT NULL,"
    " ms INTEGER NOT NULL,"
    " subject TEXT NOT NULL,"
    " ran INTEGER NOT NULL"
    ");"
    "CREATE INDEX message_time ON message (time);"
    "CREATE INDEX message_ref ON message (ref);"
    "CREATE INDEX message_queue_id ON message (queue_id) WHERE queue_id <> '';"
    "CREATE INDEX message_message_id ON message (message_id) WHERE message_id <> '';"
    "CREATE INDEX message_client ON message (client);"
    "CREATE INDEX message_sender ON message (lower(sender)) WHERE sender <> '';"
    "CREATE TABLE recipient ("
    " message INTEGER NOT NULL,"
    " number INTEGER NOT NULL,"                    /* from 0 */
    " address TEXT NOT NULL,"                      /* with its brackets */
    " refused_by TEXT NOT NULL,"                   /* empty: accepted */
    " reply TEXT NOT NULL,"
    " PRIMARY KEY (message, number)"
    ") WITHOUT ROWID;"
    "CREATE INDEX recipient_address ON recipient (lower(address));"
    "CREATE TABLE finding ("
    " message INTEGER NOT NULL,"
    " number INTEGER NOT NULL,"                    /* from 0, in the order they were made */
    " policy TEXT NOT NULL,"
    " stage TEXT NOT NULL,"
    " result TEXT NOT NULL,"                       /* good, bad, unsure; nothing: it weighed, or noted facts */
    " judged TEXT NOT NULL,"                       /* none, now, later, never, cleared */
    " status TEXT NOT NULL,"
    " code INTEGER NOT NULL,"
    " text TEXT NOT NULL,"
    " karma INTEGER NOT NULL,"
    " flags INTEGER NOT NULL,"                     /* 1: permanent, 2: temporary, 4: again */
    " rcpt INTEGER NOT NULL,"                      /* recipient.number, or -1 */
    " micros INTEGER NOT NULL,"
    " facts TEXT NOT NULL,"                        /* JSON: {\"spf.result\":\"pass\"} */
    " PRIMARY KEY (message, number)"
    ") WITHOUT ROWID;"
    "CREATE TABLE gap ("                           /* of the journal itself: rows that were lost */
    " id INTEGER PRIMARY KEY,"
    " from_time INTEGER NOT NULL,"
    " to_time INTEGER NOT NULL,"
    " lost INTEGER NOT NULL,"                      /* 0: nobody counted them */
    " why TEXT NOT NULL"
    ");"
    "CREATE VIEW journal_list AS SELECT"
    " " UTC("time") " AS time, kind, ref, queue_id, message_id, profile, client, name, helo, auth, tls, sender,"
    " coalesce((SELECT group_concat(address, ',') FROM recipient WHERE recipient.message = message.id), '') AS rcpt,"
    " nrcpt, size, verdict, decided_by, stage, reply, karma, ms,"
    " coalesce((SELECT group_concat(policy || ':' || result, ',') FROM finding WHERE finding.message = message.id"
    " AND result <> 'nothing'), '') AS findings"
    " FROM message;"
    "CREATE VIEW finding_list AS SELECT"
    " " UTC("message.time") " AS time, ref, queue_id, client, sender, verdict, policy, finding.stage AS stage, result,"
    " judged, status, text, finding.karma AS karma, finding.micros AS micros,"
    " coalesce((SELECT address FROM recipient WHERE recipient.message = message.id AND recipient.number = rcpt), '')"
    " AS rcpt, facts"
    " FROM finding JOIN message ON message.id = finding.message;"
    "CREATE VIEW gap_list AS SELECT"
    " " UTC("from_time") " AS from_time, " UTC("to_time") " AS to_time, lost, why FROM gap;";

static const char *const journal_steps[] = {journal_1, NULL};

const struct schema journal_schema = {
    .name = "journal",
    .application_id = 0x534d456a, /* "SMEj" */
    .steps = journal_steps,
    .before = "PRAGMA auto_vacuum = INCREMENTAL", /* what is forgotten makes the file smaller */
};
