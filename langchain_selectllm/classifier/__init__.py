"""From a text to the calibrated P(correct) of every member: fitted, saved, loaded, refitted."""
