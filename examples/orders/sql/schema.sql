create table if not exists orders (
    order_no integer primary key,
    customer text not null,
    day      date not null
);
create table if not exists order_lines (
    order_no integer not null references orders,
    line_no  integer not null,
    sku      text not null,
    units    integer not null check (units > 0),
    price    numeric(8,2) not null,
    primary key (order_no, line_no)
);
