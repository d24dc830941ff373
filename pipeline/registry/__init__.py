"""Schema registries: who asks them (this folder), and readers for what their schemas describe (``payloads``)."""
