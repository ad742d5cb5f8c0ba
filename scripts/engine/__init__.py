"""What makes an engine built from its Go module complete: a language host for Python."""
