"""Claims about other losses."""
