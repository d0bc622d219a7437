-- How fresh is the data, and what is still pending?
-- Grain: one row per account.
-- Promise: `pending` counts what the next runs fetch again.
-- NULL: `oldest_pending_created_at` if nothing is pending.
-- Caveats: an account without calls gets no newer conferences; see load_history for how runs went,
--   and data_as_of for how far everything is loaded.
-- Ask: How old is the newest conference of each account, when data was loaded last?
--   SELECT f.account_sid, f.last_created_at, d.as_of, f.pending, f.oldest_pending_created_at
--   FROM analytics.freshness AS f, analytics.data_as_of AS d;
SELECT
    c.account_sid,
    CAST(count(*) AS BIGINT) AS conferences,
    max(c.create_time) AS last_created_at,
    max(c.fetched_at) AS last_fetched_at,
    CAST(sum(CASE WHEN c.completeness = 'pending' THEN 1 ELSE 0 END) AS BIGINT) AS pending,
    min(CASE WHEN c.completeness = 'pending' THEN c.create_time END) AS oldest_pending_created_at,
    CAST(sum(CASE WHEN c.completeness = 'expired' THEN 1 ELSE 0 END) AS BIGINT) AS expired
FROM analytics.conferences AS c
GROUP BY c.account_sid
