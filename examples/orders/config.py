"""The settings of this project. Passwords: python main.py -p, and put what it prints here."""

env = {
    "project": "orders",
    # Where the host puts its files; with the real one: "kind": "sftp".
    "host": {"kind": "files", "folder": "share", "complete": "name"},
    "drops": {"kind": "files", "folder": "data/import"},
    "dev": {"warehouse": {"kind": "postgres", "url": "embedded"}},
}
