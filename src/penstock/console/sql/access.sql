-- Users of the console, their sessions, and what they did.

-- name: user
-- One user.
select user_name, role, password_hash, disabled_at is not null as disabled
from penstock.users where user_name = %(name)s;

-- name: users
-- All of them.
select user_name, role, made_at, changed_at, disabled_at is not null as disabled
from penstock.users order by user_name;

-- name: put_user
-- Make one, or give one another role or password; who was disabled may sign in again.
insert into penstock.users as u (user_name, role, password_hash) values (%(name)s, %(role)s, %(hash)s)
on conflict (user_name) do update
set role = excluded.role, password_hash = excluded.password_hash, changed_at = clock_timestamp(),
    disabled_at = null;

-- name: rehash
-- The same password, hashed as it is done today.
update penstock.users set password_hash = %(hash)s where user_name = %(name)s;

-- name: disable_user
-- Nobody is deleted: the audit names them.
update penstock.users set disabled_at = clock_timestamp()
where user_name = %(name)s and disabled_at is null;

-- name: end_sessions
-- All of a user's, when the password, the role or the right to sign in has changed.
delete from penstock.sessions where user_name = %(name)s;

-- name: begin_session
-- Somebody has signed in.
insert into penstock.sessions (token_sha256, user_name, csrf, address)
values (%(token)s, %(name)s, %(csrf)s, %(address)s);

-- name: session
-- The session of a cookie, and that it was used now; none where it is over.
update penstock.sessions s set seen_at = clock_timestamp()
from penstock.users u
where s.token_sha256 = %(token)s and u.user_name = s.user_name and u.disabled_at is null
  and s.seen_at > clock_timestamp() - %(idle)s::interval
  and s.began_at > clock_timestamp() - %(longest)s::interval
returning s.user_name, u.role, s.csrf;

-- name: end_session
-- Somebody signs out.
delete from penstock.sessions where token_sha256 = %(token)s;

-- name: sweep
-- Sessions that are over, and what was tried long ago.
with gone as (
    delete from penstock.sessions
    where seen_at < clock_timestamp() - %(idle)s::interval
       or began_at < clock_timestamp() - %(longest)s::interval
)
delete from penstock.sign_ins where tried_at < clock_timestamp() - %(kept)s::interval;

-- name: failures
-- How often it was tried in vain of late: as this user, and from this address.
select count(*) filter (where user_name = %(name)s), count(*) filter (where address = %(address)s)
from penstock.sign_ins
where not succeeded and tried_at > clock_timestamp() - %(window)s::interval;

-- name: tried
-- Somebody has tried to sign in.
insert into penstock.sign_ins (user_name, address, succeeded)
values (%(name)s, %(address)s, %(succeeded)s);

-- name: note
-- What somebody did; it is never changed.
insert into penstock.audit (user_name, address, action, details)
values (%(name)s, %(address)s, %(action)s, %(details)s);
