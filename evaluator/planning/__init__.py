"""Check what was asked for and plan the run, before anything is measured."""
