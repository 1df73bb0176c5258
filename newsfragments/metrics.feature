The proxy tells its metrics to Prometheus (``RVGAHP_METRICS_ADDRESS``); alerts and a dashboard for
Grafana are in ``contrib/prometheus``.
