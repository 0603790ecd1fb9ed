"""Subject-verb agreement: is the verb that follows these words singular or plural?"""
