"""The bench of routing: rows, protocol, report, plots and gate. The program is tools/bench/routing.py."""
