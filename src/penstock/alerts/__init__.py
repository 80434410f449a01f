"""Tells people what the ledger holds: mails on failures and refused rows. Not for: sending them."""
