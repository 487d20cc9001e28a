"""The ground floor: checks, unit vectors, patches, keys, trees and blocks of rows, on arrays alone."""
