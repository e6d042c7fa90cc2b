"""What Grafana shows of Tandem, as a description that `tools/dashboards.py` writes out."""
