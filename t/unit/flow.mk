# t/unit/flow.mk - tests of the flow's own pieces: replies, log lines, edits, spool, configuration.
check_PROGRAMS += t/unit/flow t/unit/config
TESTS += t/unit/flow t/unit/config

t_unit_flow_SOURCES = t/unit/flow.c t/lib/tap.c t/lib/tap.h
t_unit_flow_LDADD = libsme.a $(SME_LIBS)
t_unit_config_SOURCES = t/unit/config.c t/lib/tap.c t/lib/tap.h
t_unit_config_LDADD = libsme.a $(SME_LIBS)
