"""Micro-simulators made of particles: declared once, run on every backend."""
