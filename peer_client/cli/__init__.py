"""The command `hospital-client`: parse, call one function, print, end with an exit code."""
