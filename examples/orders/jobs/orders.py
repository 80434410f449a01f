"""Orders and their lines from the host's files: each order is loaded whole, or not at all."""

from maps import order_lines_map, orders_map

from penstock import Job

#: Where fields stand, by kind of line: OH begins an order, OD is a line of it.
HEADER = "ORDER_NO:3-10,CUSTOMER:11-16,DAY:17-24"
LINE = "ORDER_NO:3-10,LINE_NO:11-13,SKU:14-21,UNITS:22-26,PRICE:27-34"
#: FH begins a file; FT ends it, and says how many lines of orders it must have.
HEADERS = "1-2:FH=header,OH=row,OD=header,FT=header"
LINES = "1-2:FH=header,OH=header,OD=row,FT=trailer:3-8"


def run(job: Job) -> None:
    """Read both kinds of lines, load them together, catch."""
    # INITIALISE
    drops, warehouse = job.connect("drops"), job.connect("warehouse")
    # EXTRACT: a file is read once for each kind; one that lost lines on its way fails the job
    lines = drops.read("orders*.dat", fixed=LINE, records=LINES)
    orders = drops.read("orders*.dat", fixed=HEADER, records=HEADERS)
    # LOAD: one transaction; where a row of an order is refused, all of its rows are
    loaded = warehouse.load_together(
        (orders, "orders", orders_map.transform),
        (lines, "order_lines", order_lines_map.transform),
        group="order_no",
        max_rejects="20%",
    )
    # CATCH: refused rows go to data/errors
    job.catch(*loaded)
