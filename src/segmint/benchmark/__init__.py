"""Mask methods side by side: scored on images whose true masks are known."""
