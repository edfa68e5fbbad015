"""Folders and tables that show what a study did and where it stands."""
