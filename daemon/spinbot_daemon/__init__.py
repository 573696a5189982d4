"""Supervisor, embedded broker, and the HTTP and WebSocket gateway."""
