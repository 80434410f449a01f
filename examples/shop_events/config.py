"""The settings of this project; `run.py` says by variables where its servers are."""

env = {
    "project": "shop_events",
    "shop": {
        "kind": "rest",
        "base_url": "env:API_URL",
        "auth": {"kind": "bearer", "token": "env:API_TOKEN"},
        "modules": {
            "events": {
                "path": "/events",
                "records": "data",
                "page": {
                    "kind": "cursor",
                    "param": "after",
                    "next": "next",
                    "size_param": "limit",
                    "size": 100,
                },
                "cursor": {"field": "created_at", "param": "since"},
            },
        },
    },
    "drops": {
        "kind": "objects",
        "url": "s3://drops/events",
        "endpoint": "env:S3_URL",
        "region": "us-east-1",
        "access_key": "shop",
        "secret_key": "shop-secret",
        "plain_http": True,
    },
    "partner": {"secret": "env:PARTNER_SECRET"},
    "dev": {"warehouse": {"kind": "postgres", "url": "embedded"}},
}
