"""How the warehouse is: status, health, doctor, alerts, and the inventory of settings."""
