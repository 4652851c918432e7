# t/unit/zone.mk - tests of DNS lists, of what is believed of them, of the names of clients, and of public suffixes.
zone_tests = t/unit/zone t/unit/health t/unit/peer_names t/unit/suffix

check_PROGRAMS += $(zone_tests)
TESTS += $(zone_tests)

t_unit_zone_SOURCES = t/unit/zone.c t/lib/tap.c t/lib/tap.h
t_unit_zone_LDADD = libsme.a $(SME_LIBS)
t_unit_health_SOURCES = t/unit/health.c t/lib/tap.c t/lib/tap.h
t_unit_health_LDADD = libsme.a $(SME_LIBS)
t_unit_peer_names_SOURCES = t/unit/peer_names.c t/lib/tap.c t/lib/tap.h
t_unit_peer_names_LDADD = libsme.a $(SME_LIBS)
t_unit_suffix_SOURCES = t/unit/suffix.c t/lib/tap.c t/lib/tap.h
t_unit_suffix_LDADD = libsme.a $(SME_LIBS)

