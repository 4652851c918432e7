# t/unit/serving.mk - the listening socket, and the serving child around a filter of the test's own.
check_PROGRAMS += t/unit/listener t/unit/serving
TESTS += t/unit/listener t/unit/serving

t_unit_listener_SOURCES = t/unit/listener.c milter/listener.c milter/listener.h t/lib/tap.c t/lib/tap.h
t_unit_listener_LDADD = libsme.a $(SME_LIBS) $(SYSTEMD_LIBS)
t_unit_serving_SOURCES = \
	t/unit/serving.c milter/listener.c milter/listener.h milter/serving.c milter/serving.h t/lib/tap.c t/lib/tap.h \
	t/lib/wire.c t/lib/wire.h
t_unit_serving_LDADD = libsme.a $(SME_LIBS) $(MILTER_LIBS) $(SYSTEMD_LIBS)
