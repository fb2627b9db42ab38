"""Collects what a bug report needs into one text, without secrets."""
