Proxy and CE tell their metrics to Prometheus (``RVGAHP_METRICS_ADDRESS``); alerts and dashboards for
Grafana are in ``contrib/prometheus``.
