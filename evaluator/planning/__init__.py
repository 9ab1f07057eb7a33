"""What was asked for, and the plan of a run: files, texts and windows, checked before anything is measured."""
