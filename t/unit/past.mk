# t/unit/past.mk - the journal judged again.
check_PROGRAMS += t/unit/past
TESTS += t/unit/past

t_unit_past_SOURCES = t/unit/past.c t/lib/tap.c t/lib/tap.h
t_unit_past_LDADD = libsme.a $(SME_LIBS)
