"""The settings of this project. Passwords: python main.py -p, and put what it prints here."""

env = {
    "project": "price_list",
    # Static: the same in every environment. The keys of an environment are laid over these.
    "drops": {"kind": "files", "folder": "data/import", "write": True},
    # "mail": {"kind": "smtp", "host": "smtp.example.com", "user": "etl@example.com",
    #          "password": "enc:...", "to": ["data@example.com"]},
    "dev": {
        # The PostgreSQL of this folder; it starts by itself.
        "warehouse": {"kind": "postgres", "url": "embedded"},
    },
    "test": {
        "warehouse": {"kind": "postgres", "host": "localhost", "database": "price_list_test",
                      "user": "etl", "password": "env:WAREHOUSE_PASSWORD"},
    },
    "prod": {
        "warehouse": {"kind": "postgres", "host": "db.example.com", "database": "price_list",
                      "user": "etl", "password": "env:WAREHOUSE_PASSWORD"},
    },
}
