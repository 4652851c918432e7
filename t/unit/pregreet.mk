# t/unit/pregreet.mk - the test of milter/pregreet.c, with sockets of its own on loopback.
check_PROGRAMS += t/unit/pregreet
TESTS += t/unit/pregreet
t_unit_pregreet_SOURCES = t/unit/pregreet.c t/lib/tap.c t/lib/tap.h
t_unit_pregreet_LDADD = libsme.a $(SME_LIBS)
