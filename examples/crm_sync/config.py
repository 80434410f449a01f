"""The settings of this project. Passwords: python main.py -p, and put what it prints here."""


def batch(path: str, key: str) -> dict[str, object]:
    """A module that takes 25 records at once, and answers for each."""
    return {
        "find": {"path": path, "params": {key: f"{{{key}}}"}, "records": "data"},
        "upsert": {
            "path": f"{path}/batch",
            "method": "POST",
            "key": key,
            "size": 25,
            "body": {"inputs": "{records}"},
            "answers": "results",
            "accepted": "success",
            "created": "created",
            "message": "error",
        },
    }


env = {
    "project": "crm_sync",
    "erp": {
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
    "crm": {
        "kind": "rest",
        "base_url": "env:CRM_URL",
        "auth": {"kind": "bearer", "token": "env:CRM_TOKEN"},
        "modules": {
            "companies": batch("/companies", "code"),
            "contacts": batch("/contacts", "email"),
        },
    },
    "mail": {
        "kind": "smtp",
        "host": "127.0.0.1",
        "port": "env:SMTP_PORT",
        "security": "none",
        "sender": "etl@shop.example",
        "to": ["data@shop.example"],
        "lists": {"sales": ["sales@shop.example"]},
    },
    "dev": {"warehouse": {"kind": "postgres", "url": "embedded"}},
}
