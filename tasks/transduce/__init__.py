"""Transduce: sentences and their translation into a made-up language, with a known alignment and antecedent."""
