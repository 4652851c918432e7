/* worker_tnef.h - what both sides of a winmail.dat's job share. */
#ifndef WORKER_TNEF_H
#define WORKER_TNEF_H

#include "base/arena.h"
#include "base/str.h"

/* tnef_name - a name as it may stand in a MIME header and on a disk: see struct tnef_part. A name that is not UTF-8 is
 * read as Windows-1252. Applied to its own result it changes nothing. */
struct str tnef_name(struct arena *a, struct str raw);

struct str tnef_type(struct str name); /* by its extension; "application/octet-stream" */

/* tnef_utf8 - Windows-1252 in UTF-8; what is UTF-8 already stays. */
struct str tnef_utf8(struct arena *a, struct str s);

/* tnef_rtf_text - the plain text of an RTF document, without any of its looks. False: it is not one. */
bool tnef_rtf_text(struct arena *a, struct str rtf, struct str *text);

#include "base/banned.h"
#endif
