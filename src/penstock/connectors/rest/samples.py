"""Declarations for two public CRM APIs, to take as they are or to copy and change.

They follow the makers' documentation (HubSpot "CRM API v3", Salesforce "REST API Developer Guide",
"sObject Collections") and are tested against a server that behaves like it; not against theirs.
Not for: logins, which belong to `env`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def hubspot(kind: str, key: str, properties: Sequence[str]) -> dict[str, Any]:
    """A module of HubSpot's: `companies`, `contacts`, `deals` and the like.

    The base URL is `https://api.hubapi.com`, the login `{"kind": "bearer", "token": ...}`.

    Args:
        kind: The objects' name in the API.
        key: A property that is declared unique there, by which records are known.
        properties: Those that are read, and compared when a record is looked up.
    """
    path = f"/crm/v3/objects/{kind}"
    names = ",".join(dict.fromkeys([key, *properties]))
    return {
        "path": path,
        "records": "results",
        "params": {"properties": names},
        "page": {
            "kind": "cursor",
            "param": "after",
            "next": "paging.next.after",
            "size_param": "limit",
            "size": 100,
        },
        "find": {
            "path": f"{path}/{{{key}}}",
            "params": {"idProperty": key, "properties": names},
            "fields": "properties",
        },
        "upsert": {
            "path": f"{path}/batch/upsert",
            "method": "POST",
            "key": key,
            "size": 100,
            "record": {
                "idProperty": key,
                "id": f"{{{key}}}",
                # Comes back with each result and each error: so it is known whose they are.
                "objectWriteTraceId": f"{{{key}}}",
                "properties": "{record}",
            },
            "body": {"inputs": "{records}"},
            "answers": "results",
            "match": "objectWriteTraceId",
            "created": "new",
            "errors": "errors",
            "error_match": "context.objectWriteTraceId",
        },
        "link": {
            # The columns `id`, `to_kind` and `to_id`: HubSpot's own ids of both records.
            "path": f"/crm/v4/objects/{kind}/{{id}}/associations/default/{{to_kind}}/{{to_id}}",
            "key": ["id", "to_kind", "to_id"],
        },
    }


def salesforce(kind: str, key: str, version: str = "61.0") -> dict[str, Any]:
    """A module of Salesforce's: `Account`, `Contact` or an object of your own.

    The base URL is that of your domain, the login OAuth2 with its `/services/oauth2/token`. It is
    read by a query: `read("accounts", params={"q": "select Id, Name from Account"})`.

    Args:
        kind: The object's name in the API.
        key: Its field that is an External ID, by which records are known.
        version: Of the API.
    """
    base = f"/services/data/v{version}"
    return {
        "path": f"{base}/query",
        "records": "records",
        "page": {"kind": "next_url", "next": "nextRecordsUrl"},
        "find": {"path": f"{base}/sobjects/{kind}/{key}/{{{key}}}", "id": "Id"},
        "upsert": {
            "path": f"{base}/composite/sobjects/{kind}/{key}",
            "method": "PATCH",
            "key": key,
            "size": 200,
            "record": {"attributes": {"type": kind}, "*": "{record}"},
            "body": {"allOrNone": False, "records": "{records}"},
            "accepted": "success",
            "created": "created",
        },
    }
