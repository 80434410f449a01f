"""What an input holds, column by column, with the rows that decide. Not for: loading it."""
