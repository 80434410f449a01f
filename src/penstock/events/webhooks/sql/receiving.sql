-- Queries of the webhook receiver.

-- name: settings
-- What is answered as received must be on disk, whatever the role's settings are; and a table that
-- somebody has locked must not hold up all senders for ever. Of this transaction alone, so that
-- it holds behind a pooler too.
select set_config('statement_timeout', %(timeout)s, true),
       set_config('lock_timeout', %(timeout)s, true),
       case when current_setting('synchronous_commit') = 'off'
            then set_config('synchronous_commit', 'on', true) end;
