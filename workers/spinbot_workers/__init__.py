"""Warm workers, job bodies, and the engines for voice, look and video."""
