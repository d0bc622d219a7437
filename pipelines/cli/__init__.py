"""The command `conference-insights`: what people type, see and get back."""
