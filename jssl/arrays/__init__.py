"""The ground floor: checks, vectors, distributions, patches, keys, trees and blocks of rows, on arrays
alone.
"""
