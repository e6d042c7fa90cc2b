"""What `tools/trace_ui.py` puts together: a trace UI, a Tandem on the simulator, and requests worth looking at."""
