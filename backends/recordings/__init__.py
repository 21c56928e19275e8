"""Recorded requests and responses: found again by what was asked, played in place of a vendor."""
