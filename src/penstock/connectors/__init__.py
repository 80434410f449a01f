"""Ways to outside systems: files, SFTP, object storage, databases, REST, mail.

Not for: the row's journey into PostgreSQL (`loading`), nor when anything is fetched (`flow`).
"""
