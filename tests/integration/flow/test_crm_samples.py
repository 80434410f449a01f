"""The sample declarations, against servers that behave as the makers document it, also badly."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import polars as pl
import psycopg
import pytest

from penstock import Job
from penstock.connectors.registry import connector
from penstock.connectors.rest.samples import hubspot, salesforce
from penstock.flow.connection import Connection
from penstock.ledger import install
from penstock.model.batch import ROW
from penstock.project.environment import choose
from tests.fixtures.api import Api, Asked, Reply
from tests.fixtures.postgres import Database

Connect = Callable[..., Connection]


@pytest.fixture
def connect(api: Api, database: Database, tmp_path: Path) -> Iterator[Connect]:
    with database.connect() as connection:
        install.ensure(connection, database.url)
    made = ExitStack()

    def connected(module: Mapping[str, Any], auth: Mapping[str, str]) -> Connection:
        settings = {"kind": "rest", "base_url": api.url, "auth": auth, "backoff": 0.01}
        crm = connector("crm", {**settings, "modules": {"companies": module}})
        made.callback(crm.close)
        env = choose({"project": "shop", "dev": {}}, "dev", tmp_path)
        job = Job(
            "companies",
            env,
            {"crm": crm},
            flow="shop/main",
            ledger=lambda: psycopg.connect(database.url, autocommit=True),
        )
        made.enter_context(job.stack)
        return job.connect("crm")

    with made:
        yield connected


class HubSpotLike:
    """Objects with properties, read by `after`, upserted in batches with a 207 for a part."""

    def __init__(self, api: Api) -> None:
        self.held: dict[str, dict[str, Any]] = {}
        self.lose: list[Reply] = []
        api.on("GET", "/crm/v3/objects/companies")(self.list)
        api.on("GET", "/crm/v3/objects/companies/*")(self.one)
        api.on("POST", "/crm/v3/objects/companies/batch/upsert")(self.upsert)
        api.on("PUT", "/crm/v4/objects/companies/*")(lambda asked: {"status": "COMPLETE"})

    def list(self, asked: Asked) -> Any:
        if asked.headers["authorization"] != "Bearer pat-1":
            return Reply({"status": "error", "message": "expired", "category": "EXPIRED"}, 401)
        start, size = int(asked.params.get("after", 0)), int(asked.params["limit"])
        every = list(self.held.values())
        answer: dict[str, Any] = {"results": every[start : start + size]}
        if start + size < len(every):
            answer["paging"] = {"next": {"after": str(start + size), "link": "..."}}
        return answer

    def one(self, asked: Asked) -> Any:
        found = self.held.get(asked.path.rpartition("/")[2])
        missing = Reply({"status": "error", "category": "OBJECT_NOT_FOUND"}, 404)
        return missing if found is None or asked.params["idProperty"] != "erp_no" else found

    def upsert(self, asked: Asked) -> Any:
        inputs = asked.body["inputs"]
        if len({one["id"] for one in inputs}) != len(inputs):
            return Reply({"status": "error", "message": "Duplicate IDs found in batch"}, 400)
        results, errors = [], []
        for one in inputs:
            trace = one["objectWriteTraceId"]
            if "@" not in (one["properties"].get("email") or "@"):
                errors.append(
                    {
                        "status": "error",
                        "category": "VALIDATION_ERROR",
                        "message": "Property values were not valid",
                        "context": {"objectWriteTraceId": [trace]},
                    }
                )
                continue
            new = one["id"] not in self.held
            number = str(500 + len(self.held)) if new else self.held[one["id"]]["id"]
            properties = {**one["properties"], one["idProperty"]: one["id"]}
            self.held[one["id"]] = {"id": number, "properties": properties}
            results.append({**self.held[one["id"]], "new": new, "objectWriteTraceId": trace})
        if self.lose:
            return self.lose.pop(0)
        body = {"status": "COMPLETE", "results": results[::-1]}
        return Reply({**body, "errors": errors, "numErrors": len(errors)}, 207 if errors else 200)


def test_a_hubspot_like_api_takes_part_of_a_batch_and_gives_it_back(
    api: Api, connect: Connect
) -> None:
    crm = HubSpotLike(api)
    companies = connect(
        hubspot("companies", "erp_no", ["name", "email"]), {"kind": "bearer", "token": "pat-1"}
    )
    rows = pl.DataFrame(
        {
            "erp_no": [f"C{number:03}" for number in range(250)] + ["C007"],
            "name": [f"N{number}" for number in range(250)] + ["N7 later"],
            "email": ["a@b.example"] * 100 + ["none"] + ["a@b.example"] * 150,
        }
    )
    api.faults = [Reply({"message": "TEN_SECONDLY_ROLLING"}, 429, {"Retry-After": "0"})]
    sent = companies.send(rows, "companies", mode="upsert")
    assert api.fired == 1
    assert dict(sent.counts) == {
        "sent": 250, "unchanged": 0, "refused": 1, "unknown": 0, "not_sent": 0,
    }  # fmt: skip
    assert (sent.result.inserted, sent.result.updated) == (249, 1)
    assert sent.responses().row(100, named=True) == {
        ROW: None, "key": "C100", "outcome": "refused", "target_id": "",
        "code": "VALIDATION_ERROR", "reason": "Property values were not valid",
    }  # fmt: skip
    assert sent.responses()["target_id"][7] == crm.held["C007"]["id"] == "507"
    assert crm.held["C007"]["properties"]["name"] == "N7 later"

    read = companies.read("companies")
    assert read.height == 249
    assert read["properties"].str.json_path_match("$.erp_no").to_list() == list(crm.held)

    crm.lose = [Reply(drop=True)]
    more = pl.DataFrame({"erp_no": ["D1", "D2"], "name": ["x", "y"], "email": [None, None]})
    again = companies.send(more, "companies", mode="upsert")
    assert crm.lose == []
    assert again.responses()["outcome"].to_list() == ["sent", "sent"]
    assert len(api.calls("/crm/v3/objects/companies/batch/upsert")) == 1 + 3 + 1

    links = pl.DataFrame({"id": ["507"], "to_kind": ["contacts"], "to_id": ["9"]})
    assert companies.send(links, "companies", mode="link").counts["sent"] == 1
    assert api.asked[-1].path == "/crm/v4/objects/companies/507/associations/default/contacts/9"


class SalesforceLike:
    """Accounts by External ID, collections of 200 with an answer each, queries by next URL."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.held: dict[str, dict[str, Any]] = {}
        self.tokens = 0
        base = "/services/data/v61.0"
        api.on("POST", "/services/oauth2/token")(self.token)
        api.on("PATCH", f"{base}/composite/sobjects/Account/ErpNo__c")(self.upsert)
        api.on("GET", f"{base}/sobjects/Account/ErpNo__c/*")(self.one)
        api.on("GET", f"{base}/query")(self.query)
        api.on("GET", f"{base}/query/*")(self.query)

    def token(self, asked: Asked) -> Any:
        self.tokens += 1
        return {"access_token": f"00D!{self.tokens}", "token_type": "Bearer"}

    def expired(self, asked: Asked) -> Reply | None:
        if asked.headers["authorization"] == f"Bearer 00D!{self.tokens}":
            return None
        said = [{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}]
        return Reply(said, 401)

    def upsert(self, asked: Asked) -> Any:
        if found := self.expired(asked):
            return found
        assert asked.body["allOrNone"] is False
        assert len(asked.body["records"]) <= 200
        answers: list[dict[str, Any]] = []
        for one in asked.body["records"]:
            assert one["attributes"] == {"type": "Account"}
            if not one["Name"]:
                error = {
                    "statusCode": "REQUIRED_FIELD_MISSING",
                    "message": "Required fields are missing: [Name]",
                    "fields": ["Name"],
                }
                answers.append({"success": False, "errors": [error]})
                continue
            key = one["ErpNo__c"]
            created = key not in self.held
            number = f"001{len(self.held):05}" if created else self.held[key]["Id"]
            self.held[key] = {**one, "Id": number}
            answers.append({"id": number, "success": True, "errors": [], "created": created})
        return answers

    def one(self, asked: Asked) -> Any:
        found = self.held.get(asked.path.rpartition("/")[2])
        return found or Reply([{"errorCode": "NOT_FOUND", "message": "gone"}], 404)

    def query(self, asked: Asked) -> Any:
        start = int(asked.path.rpartition("-")[2]) if "-" in asked.path else 0
        every = [{"Id": one["Id"], "Name": one["Name"]} for one in self.held.values()]
        done = start + 200 >= len(every)
        answer = {"totalSize": len(every), "done": done, "records": every[start : start + 200]}
        if not done:
            answer["nextRecordsUrl"] = f"/services/data/v61.0/query/01g-{start + 200}"
        return answer


def test_a_salesforce_like_api_with_an_expired_session(api: Api, connect: Connect) -> None:
    crm = SalesforceLike(api)
    auth = {
        "kind": "oauth2",
        "token_url": f"{api.url}/services/oauth2/token",
        "client_id": "3MVG",
        "secret": "s3cret",
    }
    accounts = connect(salesforce("Account", "ErpNo__c"), auth)
    rows = pl.DataFrame(
        {
            "ErpNo__c": [f"A{number}" for number in range(205)],
            "Name": ["" if number == 3 else f"N{number}" for number in range(205)],
        }
    )
    first = accounts.send(rows, "companies", mode="upsert", only_changed=True)
    assert dict(first.counts) == {
        "sent": 204, "unchanged": 0, "refused": 1, "unknown": 0, "not_sent": 0,
    }  # fmt: skip
    assert first.responses().row(3, named=True) == {
        ROW: None, "key": "A3", "outcome": "refused", "target_id": "",
        "code": "REQUIRED_FIELD_MISSING", "reason": "Required fields are missing: [Name]",
    }  # fmt: skip
    assert first.result.inserted == 204

    crm.tokens += 1  # the session that we have is over
    again = rows.with_columns(
        Name=pl.when(pl.col("ErpNo__c") == "A9").then(pl.lit("Nine")).otherwise("Name")
    )
    asked = len(api.asked)
    second = accounts.send(again, "companies", mode="upsert", only_changed=True)
    assert dict(second.counts) == {
        "sent": 1, "unchanged": 203, "refused": 1, "unknown": 0, "not_sent": 0,
    }  # fmt: skip
    assert [one.path.rpartition("/")[2] for one in api.asked[asked:]] == [
        "ErpNo__c", "token", "ErpNo__c",
    ]  # fmt: skip
    assert crm.held["A9"]["Name"] == "Nine"

    read = accounts.read("companies", params={"q": "select Id, Name from Account"})
    assert read["Name"].to_list() == [one["Name"] for one in crm.held.values()]
    assert read.columns == ["Id", "Name", ROW]
