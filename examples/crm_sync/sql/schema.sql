create table if not exists companies (
    id        bigint generated always as identity primary key,
    code      text not null unique,
    name      text not null,
    domain    text not null,
    parent_id bigint references companies
);
create table if not exists contacts (
    id         bigint generated always as identity primary key,
    email      text not null unique,
    name       text not null,
    company_id bigint references companies
);
create table if not exists topics (
    id   bigint generated always as identity primary key,
    name text not null unique
);
insert into topics (name) values ('prices'), ('news'), ('service') on conflict do nothing;
create table if not exists contact_topics (
    contact_id bigint not null references contacts,
    topic_id   bigint not null references topics,
    primary key (contact_id, topic_id)
);
create table if not exists offers (
    offer_no integer primary key,
    customer text not null,
    day      date not null,
    amount   numeric(10,2) not null check (amount >= 0)
);
