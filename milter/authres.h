/* authres.h - Authentication-Results (RFC 8601): forged ones out, our own one in. */
#ifndef AUTHRES_H
#define AUTHRES_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/str.h"

struct message;
struct config;

/* authres_remove - queue the deletion of every field that bears our name; the others stay as they are. False: there are
 * more than AUTHRES_FORGED_MOST, each a question to Postfix, and the message is to be refused. */
#define AUTHRES_FORGED_MOST 500
bool authres_remove(struct message *m, const struct config *config);

/* authres_finish - for a message that was judged: what was found goes above its header. Mail of our own networks and
 * users gets a field only when something was checked. */
void authres_finish(struct message *m, const struct config *config);

/* authres_claims - whether a field's value says, or could be read to say, that it is of `id`. One that is well-formed
 * is taken at its word. One that is not is ours as soon as our name occurs in it: readers differ in what they make of
 * it; and
 * one whose name differs from ours only by what readers may not see or may map (bytes above ASCII, empty labels). */
bool authres_claims(struct arena *a, struct str value, struct str id);

/* authres_text - the value of our own field. */
struct str authres_text(struct arena *a, const struct message *m, struct str id);

/* authres_says - whether the value (without or behind its authserv-id) has this method with this result, "dmarc"
 * "pass"; comments do not count. property and value: it must have that too, "header.from" "a.test"; or empty. */
bool authres_says(struct arena *a, struct str value, const char *method, const char *result, const char *property,
                  struct str property_value);

#include "base/banned.h"
#endif
