"""Predictions for patients by a served model, and its evaluation on any data folder."""
