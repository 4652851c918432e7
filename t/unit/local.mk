# t/unit/local.mk - one TAP program per module; make check runs them all.

unit_tests = \
	t/unit/str \
	t/unit/arena \
	t/unit/ip \
	t/unit/err \
	t/unit/clock \
	t/unit/address \
	t/unit/mailboxes \
	t/unit/header \
	t/unit/date \
	t/unit/domain \
	t/unit/pattern

check_PROGRAMS += $(unit_tests)
TESTS += $(unit_tests)

t_unit_str_SOURCES = t/unit/str.c t/lib/tap.c t/lib/tap.h
t_unit_str_LDADD = libsme.a $(SME_LIBS)
t_unit_arena_SOURCES = t/unit/arena.c t/lib/tap.c t/lib/tap.h
t_unit_arena_LDADD = libsme.a $(SME_LIBS)
t_unit_ip_SOURCES = t/unit/ip.c t/lib/tap.c t/lib/tap.h
t_unit_ip_LDADD = libsme.a $(SME_LIBS)
t_unit_err_SOURCES = t/unit/err.c t/lib/tap.c t/lib/tap.h
t_unit_err_LDADD = libsme.a $(SME_LIBS)
t_unit_clock_SOURCES = t/unit/clock.c t/lib/tap.c t/lib/tap.h
t_unit_clock_LDADD = libsme.a $(SME_LIBS)
t_unit_address_SOURCES = t/unit/address.c t/lib/tap.c t/lib/tap.h
t_unit_address_LDADD = libsme.a $(SME_LIBS)
t_unit_mailboxes_SOURCES = t/unit/mailboxes.c t/lib/tap.c t/lib/tap.h
t_unit_mailboxes_LDADD = libsme.a $(SME_LIBS)
t_unit_header_SOURCES = t/unit/header.c t/lib/tap.c t/lib/tap.h
t_unit_header_LDADD = libsme.a $(SME_LIBS)
t_unit_date_SOURCES = t/unit/date.c t/lib/tap.c t/lib/tap.h
t_unit_date_LDADD = libsme.a $(SME_LIBS)
t_unit_domain_SOURCES = t/unit/domain.c t/lib/tap.c t/lib/tap.h
t_unit_domain_LDADD = libsme.a $(SME_LIBS)
t_unit_pattern_SOURCES = t/unit/pattern.c t/lib/tap.c t/lib/tap.h
t_unit_pattern_LDADD = libsme.a $(SME_LIBS)
