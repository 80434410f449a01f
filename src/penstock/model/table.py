"""What the catalog says about a target table. Not for: reading the catalog (`postgres.catalog`)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class TableName:
    """A schema and a table, unquoted, exactly as PostgreSQL stores them."""

    schema: str
    table: str

    def __str__(self) -> str:
        return self.table if self.schema == "public" else f"{self.schema}.{self.table}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of a target table.

    Attributes:
        name: As PostgreSQL stores it.
        number: `attnum`, from 1.
        type: As PostgreSQL writes it: `numeric(10,2)`, `character varying(20)`.
        base: The type's short name (`pg_type.typname`): `int4`, `numeric`, `varchar`, `bpchar`,
            `timestamptz`, `_int4` for an array, `record` for every composite; for a domain that of
            the type beneath it.
        category: `typtype`: `b` base, `d` domain, `e` enum, `c` composite, `r` range, `m`
            multirange.
        kind: The same of the type beneath its domains, so never `d`.
        element: Of an array: its elements, as a column. Of a range or multirange: its bounds.
        fields: Of a composite, in its order.
        labels: Of an enum, in its order.
        beneath: The type beneath its domains with its modifier, as `type` is written; the type
            itself where it is no domain.
        plain_type: The type without its modifier, beneath its domain, by its internal name, for
            which no modifier is implied: `pg_catalog."bit"`, `pg_catalog._bpchar`.
        modified: True with a modifier, such as the 2 of `time(2)`.
        unjudged: What in the type the server's input may change silently while nothing can tell:
            `name` in `name[]`; empty for all other types.
        precision: Digits of `numeric(p,s)`; None where unbounded or another type.
        scale: Decimals of `numeric(p,s)`, may be negative; None where precision is None.
        length: Characters of `varchar(n)` and `char(n)`; None where unbounded.
        fraction: Fractional digits of seconds of `timestamp(p)` and `time(p)`; None means 6.
        nullable: False with NOT NULL.
        has_default: True with a default or an identity.
        identity: `a` ALWAYS, `d` BY DEFAULT, empty otherwise.
        generated: True for a generated column, which no load may fill.
        collation: A nondeterministic collation, as SQL writes it: equality is the server's. Empty
            for all others.
    """

    name: str
    number: int
    type: str
    base: str
    category: str = "b"
    kind: str = "b"
    element: Column | None = None
    fields: tuple[Column, ...] = ()
    labels: tuple[str, ...] = ()
    beneath: str = ""
    plain_type: str = ""
    modified: bool = False
    unjudged: str = ""
    precision: int | None = None
    scale: int | None = None
    length: int | None = None
    fraction: int | None = None
    nullable: bool = True
    has_default: bool = False
    identity: str = ""
    generated: bool = False
    collation: str = ""

    @property
    def deterministic(self) -> bool:
        """True where values are equal that are the same, and no others."""
        return not self.collation


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A primary key or unique constraint or unique index over plain columns.

    Attributes:
        name: The constraint's name, or the index's where there is no constraint.
        columns: In index order.
        primary: True for the primary key.
        nulls_distinct: False with NULLS NOT DISTINCT: two NULLs are a duplicate.
    """

    name: str
    columns: tuple[str, ...]
    primary: bool = False
    nulls_distinct: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignKey:
    """A foreign key of the target.

    Attributes:
        name: The constraint's name.
        columns: Of the target, in order.
        parent: The referenced table.
        parent_columns: Of the parent, in the same order.
        match_full: True with MATCH FULL; otherwise a NULL in any column passes.
        validated: False with NOT VALID; the load then checks new rows only.
        enforced: False with NOT ENFORCED (PostgreSQL 18).
        row_security: True where the role does not see every row of the parent.
        readable: True where the role may SELECT from the parent.
    """

    name: str
    columns: tuple[str, ...]
    parent: TableName
    parent_columns: tuple[str, ...]
    match_full: bool = False
    validated: bool = True
    enforced: bool = True
    row_security: bool = False
    readable: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckConstraint:
    """A CHECK of the target, to say what a refused row violates.

    Attributes:
        name: The constraint's name.
        columns: That it looks at.
        definition: As PostgreSQL writes it: `CHECK ((price >= 0))`.
    """

    name: str
    columns: tuple[str, ...]
    definition: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TableSpec:
    """A target table: columns, keys, foreign keys and the role's rights on it.

    Attributes:
        name: Schema and table.
        oid: Its object id.
        kind: `relkind`: `r` table, `p` partitioned, `v` view, `m` materialized view, `f` foreign.
        columns: In table order, dropped ones left out.
        keys: Primary key first.
        foreign_keys: By name.
        checks: By name.
        owned: True where the role owns the table (or is a member of its owner).
        rights: Of SELECT, INSERT, UPDATE, DELETE, TRUNCATE: those that the role has.
        row_security: True where policies apply to the role.
        plain: True for an ordinary heap without partitions, parents or children.
        referenced_by: Tables whose foreign keys point here, itself left out.
        has_triggers: True with user triggers that fire on INSERT.
        has_exclusions: True with an exclusion constraint.
        has_odd_keys: True with a unique index over an expression or a part of the rows.
        has_insert_rules: True with a rule on INSERT, which COPY would ignore.
    """

    name: TableName
    oid: int
    kind: str
    columns: tuple[Column, ...]
    keys: tuple[Key, ...] = ()
    foreign_keys: tuple[ForeignKey, ...] = ()
    checks: tuple[CheckConstraint, ...] = ()
    owned: bool = False
    rights: frozenset[str] = frozenset()
    row_security: bool = False
    plain: bool = True
    referenced_by: tuple[TableName, ...] = ()
    has_triggers: bool = False
    has_exclusions: bool = False
    has_odd_keys: bool = False
    has_insert_rules: bool = False

    @property
    def primary_key(self) -> Key | None:
        """The primary key, or None."""
        return next((key for key in self.keys if key.primary), None)

    @property
    def own_keys(self) -> tuple[ForeignKey, ...]:
        """The enforced foreign keys of the table to itself."""
        return tuple(key for key in self.foreign_keys if key.parent == self.name and key.enforced)

    def column(self, name: str) -> Column:
        """The column of that exact name.

        Raises:
            KeyError: There is none.
        """
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)
