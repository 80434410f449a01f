-- Queries about names of what is to be created.

-- name: quoted
-- Each name as it is written in SQL: a keyword or a name with capitals in quotes.
select name, quote_ident(name) from unnest(%(names)s::text[]) as given (name);
