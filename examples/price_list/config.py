"""The settings of this project. Passwords: python main.py -p, and put what it prints here."""

env = {
    "project": "price_list",
    "supplier": {
        "kind": "sftp",
        "host": "127.0.0.1",
        "port": "env:SFTP_PORT",
        "host_key": "env:SFTP_HOST_KEY",
        "user": "shop",
        "password": "shop",
        "folder": "/out",
        "complete": "name",
    },
    "drops": {"kind": "files", "folder": "data/import"},
    "mail": {
        "kind": "smtp",
        "host": "127.0.0.1",
        "port": "env:SMTP_PORT",
        "security": "none",
        "sender": "etl@shop.example",
        "to": ["data@shop.example"],
        "lists": {"pricing": ["pricing@shop.example", "sales@shop.example"]},
    },
    "dev": {"warehouse": {"kind": "postgres", "url": "embedded"}},
}
