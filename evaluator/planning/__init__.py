"""Check the request and plan the run, before anything is measured."""
