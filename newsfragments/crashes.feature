A CE tells its proxy how each GAHP ended: ``rvgahp status`` says of one that crashes again and again
how it does, the audit log of the proxy has it, and ``rvgahp_gahp_ends_total`` counts it.
