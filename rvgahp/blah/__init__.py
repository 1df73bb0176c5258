"""
The batch GAHP: C{rvgahp_blahpd}, a GAHP server that runs jobs at the site
through local resource managers.  It speaks blahpd's protocol, so that a
gridmanager needs no word changed, and it is started like blahpd.

From the line inwards: L{rvgahp.gahplines} splits, C{server} holds the
dialogue, C{requests} says what each command does, C{registry} finds the local
resource managers, C{ilrm} says what one is, and C{fork} is one.
"""
