-- How fresh is the data, and what is still pending?
-- Grain: one row per account.
-- Promise: `pending` counts what is not final and still to be had from Twilio: what the next runs
--   fetch again, if the account is still followed, see `pending_not_followed` in accounts.
-- NULL: `oldest_pending_created_at` if nothing is pending.
-- Caveats: an account without calls gets no newer conferences, and has no row before its first; see
--   accounts for how far each is loaded, and load_history for how runs went.
-- Ask: How old is the newest conference of each account, when data was loaded last?
--   SELECT f.account_name, f.last_created_at, d.as_of, f.pending, f.oldest_pending_created_at
--   FROM analytics.freshness AS f, analytics.data_as_of AS d;
SELECT
    c.account_sid,
    c.account_name,
    CAST(count(*) AS BIGINT) AS conferences,
    max(c.create_time) AS last_created_at,
    max(c.fetched_at) AS last_fetched_at,
    CAST(sum(CASE WHEN c.completeness = 'pending' THEN 1 ELSE 0 END) AS BIGINT) AS pending,
    min(CASE WHEN c.completeness = 'pending' THEN c.create_time END) AS oldest_pending_created_at,
    CAST(sum(CASE WHEN c.completeness = 'expired' THEN 1 ELSE 0 END) AS BIGINT) AS expired
FROM analytics.conferences AS c
GROUP BY c.account_sid, c.account_name
