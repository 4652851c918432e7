/* schema.c - the tables of our databases, version by version. A step that was released is never changed again. */
#include <stddef.h>

#include "migrate.h"

/* A digit of the key as a number, a byte of it as a decimal number, and a group of an IPv6 address without its leading
 * zeros: the view must be readable with any sqlite3, which has no function of ours. */
#define DIGIT(at) "(instr('0123456789ABCDEF', substr(hex(net), " #at ", 1)) - 1)"
#define BYTE(at, next) "(" DIGIT(at) " * 16 + " DIGIT(next) ")"
#define GROUP(at) "coalesce(nullif(ltrim(lower(substr(hex(net), " #at ", 4)), '0'), ''), '0')"
#define TIME(column) "datetime(nullif(" #column ", 0), 'unixepoch')"

/* WITHOUT ROWID: the key is in the file once, and ten million rows are about one gigabyte. No other index for the same
 * reason: what is asked for by anything but the key is asked by people, who may wait. */
static const char karma_1[] =
    "CREATE TABLE karma ("
    " net BLOB NOT NULL PRIMARY KEY,"              /* prefix length in bits, 16 bytes of address */
    " nice INTEGER NOT NULL DEFAULT 0,"
    " naughty INTEGER NOT NULL DEFAULT 0,"
    " connects INTEGER NOT NULL DEFAULT 0,"
    " penalty_until INTEGER NOT NULL DEFAULT 0,"   /* times: seconds since 1970, 0 for none */
    " cleared_at REAL NOT NULL DEFAULT 0,"
    " first_seen INTEGER NOT NULL DEFAULT 0,"
    " last_seen INTEGER NOT NULL DEFAULT 0,"
    " last_reason TEXT NOT NULL DEFAULT ''"
    ") WITHOUT ROWID;"
    "CREATE VIEW karma_list AS SELECT"
    " CASE"
    " WHEN length(net) = 17 AND substr(hex(net), 1, 26) = '8000000000000000000000FFFF'"
    " THEN printf('%d.%d.%d.%d', " BYTE(27, 28) ", " BYTE(29, 30) ", " BYTE(31, 32) ", " BYTE(33, 34) ")"
    " WHEN length(net) = 17 AND substr(hex(net), 1, 2) = '40'"
    " THEN printf('%s:%s:%s:%s::/64', " GROUP(3) ", " GROUP(7) ", " GROUP(11) ", " GROUP(15) ")"
    " ELSE hex(net) END AS network,"
    " nice, naughty, nice - naughty AS history, connects,"
    " " TIME(penalty_until) " AS penalty_until,"
    " " TIME(last_seen) " AS last_seen,"
    " last_reason"
    " FROM karma;";

/* The view with IPv6 networks as RFC 5952 has them. */
static const char karma_2[] =
    "DROP VIEW IF EXISTS karma_list;"
    "CREATE VIEW karma_list AS SELECT"
    " CASE"
    " WHEN length(net) = 17 AND substr(hex(net), 1, 26) = '8000000000000000000000FFFF'"
    " THEN printf('%d.%d.%d.%d', " BYTE(27, 28) ", " BYTE(29, 30) ", " BYTE(31, 32) ", " BYTE(33, 34) ")"
    " WHEN length(net) = 17 AND substr(hex(net), 1, 2) = '40'" /* as RFC 5952 has it: no zeros before the "::" */
    " THEN CASE"
    " WHEN substr(hex(net), 3, 16) = '0000000000000000' THEN ''"
    " WHEN substr(hex(net), 7, 12) = '000000000000' THEN " GROUP(3)
    " WHEN substr(hex(net), 11, 8) = '00000000' THEN printf('%s:%s', " GROUP(3) ", " GROUP(7) ")"
    " WHEN substr(hex(net), 15, 4) = '0000' THEN printf('%s:%s:%s', " GROUP(3) ", " GROUP(7) ", " GROUP(11) ")"
    " ELSE printf('%s:%s:%s:%s', " GROUP(3) ", " GROUP(7) ", " GROUP(11) ", " GROUP(15) ")"
    " END || '::/64'"
    " ELSE hex(net) END AS network,"
    " nice, naughty, nice - naughty AS history, connects,"
    " " TIME(penalty_until) " AS penalty_until,"
    " CASE WHEN connects > 0 THEN " TIME(last_seen) " END AS last_seen," /* who was only captured never came */
    " last_reason"
    " FROM karma;";

static const char *const karma_steps[] = {karma_1, karma_2, NULL};

const struct schema karma_schema = {
    .name = "karma",
    .application_id = 0x534d456b, /* "SMEk" */
    .steps = karma_steps,
};
