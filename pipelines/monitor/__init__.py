"""Monitoring: status, health, doctor, alerts, and the inventory of settings."""
