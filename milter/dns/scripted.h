/* scripted.h - answers from a zone file, for dns.c. */
#ifndef DNS_SCRIPTED_H
#define DNS_SCRIPTED_H

#include "cache.h"

bool scripted_load(struct str file, struct str text, bool strict, struct str *error, struct arena *error_arena);
void scripted_unload(void);
void scripted_note(struct str name, enum dns_type type); /* somebody asked this */
void scripted_answer(struct entry *e);                   /* a fresh entry: answered, maybe due later */

#endif
