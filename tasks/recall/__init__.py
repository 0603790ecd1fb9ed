"""Recall: which value stood after this key?"""
