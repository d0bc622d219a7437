-- What people call each account.
-- Grain: one row per account that was to be loaded.
-- Promise: `account_name` says something, and is not unique.
-- NULL: never.
-- Caveats: conferences may be of an account that is not in here.
SELECT
    a.account_sid,
    coalesce(nullif(a.friendly_name, ''), a.account_sid) AS account_name
FROM conference_insights.accounts AS a
