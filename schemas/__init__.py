"""Everything two processes must agree on. This package imports nothing of ours."""
