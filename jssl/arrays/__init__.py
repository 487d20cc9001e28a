"""The lowest layer: functions of arrays alone, for checks, vectors, distributions, patches, keys, trees and
blocks of rows.
"""
