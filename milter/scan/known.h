/* known.h - what a virus scanner has said before, for the whole process: identical content is not scanned again.
 *
 * An entry is found by the content, the scanner, the version of its signatures and whatever options change the answer;
 * a new version makes all older entries unfindable. A scanner that tells no version of its signatures ("ClamAV 1.4.6"
 * alone, as with private databases only) is never answered for: nobody would see them change. The table has a fixed
 * size, and an entry holds for ten minutes at most.
 */
#ifndef SCAN_KNOWN_H
#define SCAN_KNOWN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/str.h"

#define KNOWN_VERSION_MS 60000  /* how long a version is believed */
#define KNOWN_ENTRY_MS 600000
#define KNOWN_NAME_MOST 103     /* bytes of a virus's name; what is longer is not kept */

struct known_key {
    uint8_t bytes[32]; /* SHA-256 */
};

/* known_version - the version of that scanner's signatures as last heard; empty when that is too long ago. *ask: nobody
 * else is asking, and the caller should, and tell known_heard() what he heard. */
struct str known_version(struct arena *a, struct str scanner, bool *ask);
void known_heard(struct str scanner, struct str version);

struct known_key known_key(struct str scanner, struct str version, struct str options, const struct str *content,
                           size_t pieces);

/* known_find - whether there is an entry; *virus is its name, or empty for clean content. */
bool known_find(struct arena *a, const struct known_key *key, struct str *virus);
void known_add(const struct known_key *key, struct str virus);

void known_forget(void); /* everything: tests */

#include "base/banned.h"
#endif
