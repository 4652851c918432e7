/* line.h - a connection to an SMTP server: bytes to and fro, in the clear or in TLS, and nothing that blocks.
 *
 * TLS is taken where it is offered and not verified (RFC 7435): it hides recipients from who only listens.
 */
#ifndef SMTP_LINE_H
#define SMTP_LINE_H

#include <stdbool.h>

#include "../base/arena.h"
#include "../base/ip.h"
#include "../base/str.h"
#include "reply.h"

struct smtp_line;

/* line_open - begin to connect. It is never NULL: what is wrong is told by line_problem(). */
struct smtp_line *line_open(struct ip ip, unsigned port);
void line_close(struct smtp_line **line); /* sends what can be sent; clears the pointer, NULL is fine */

int line_fd(const struct smtp_line *line);
short line_events(const struct smtp_line *line); /* what to poll for */
void line_pump(struct smtp_line *line);          /* everything that can be done now */

bool line_is_connected(const struct smtp_line *line); /* it was, and TLS, once begun, is agreed on */
bool line_is_over(const struct smtp_line *line);      /* it failed, or the server hung up */
struct str line_problem(const struct smtp_line *line); /* of one that is over: "hung up", "Connection refused" */

void line_say(struct smtp_line *line, struct str bytes); /* kept until the server takes it */
struct str line_heard(const struct smtp_line *line);     /* all that has come and was not taken */
void line_take(struct smtp_line *line, size_t n);

/* line_tls - begin the handshake; name is told to the server unless it is empty. False: there is no TLS here. */
bool line_tls(struct smtp_line *line, struct str name);

/* line_is_ours - whether a client with that address and port is one of our own lines: a server that we asked has asked
 * us. What has come back so is told by line_came_back(). */
bool line_is_ours(struct ip ip, unsigned port);
bool line_came_back(const struct smtp_line *line);

#include "../base/banned.h"
#endif
