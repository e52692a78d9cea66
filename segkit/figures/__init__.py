"""Sheets of small pictures for people."""
