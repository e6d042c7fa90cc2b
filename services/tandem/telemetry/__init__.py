"""What Tandem tells about itself while it runs."""
