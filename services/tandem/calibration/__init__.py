"""Finds the thresholds that give a share or a cost on given traffic, and says how sure they are."""
