"""APIs over HTTP, and the CRM and ERP systems behind them, by declaration.

Not for: files that lie on web servers, nor the books of what was sent (`flow.sending`).
"""
