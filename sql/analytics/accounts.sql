-- Which accounts are followed, how far is each loaded, and what is wrong with it?
-- Grain: one row per account that is or was followed, or has conferences.
-- Promise: every account, once, also one that was refused or never had a conference; every
--   conference in the warehouse counts once.
-- NULL: SID and name of conferences whose account Twilio did not give; what Twilio or a run did not
--   say; the error of an account that could be read when it was asked last.
-- Caveats: `pending` counts what the next runs fetch again; of an account that left over a day ago
--   they are in `pending_not_followed`, since nothing asks for them any more. A refused account is
--   asked again once a day.
-- Ask: Which accounts could not be read when they were asked last, and since when?
--   SELECT account_name, error_class, failing_since, last_error, listed_to
--   FROM analytics.accounts
--   WHERE is_followed AND error_class IS NOT NULL
--   ORDER BY failing_since;
-- Ask: Which accounts are the furthest behind?
--   SELECT account_name, listed_to, pending, oldest_pending_created_at
--   FROM analytics.accounts
--   WHERE is_followed
--   ORDER BY listed_to NULLS FIRST
--   LIMIT 10;
WITH sids AS (
    SELECT a.account_sid
    FROM conference_insights.accounts AS a
    UNION
    SELECT f.account_sid
    FROM analytics.freshness AS f
),
joined AS (
    SELECT
        s.account_sid,
        coalesce(n.account_name, s.account_sid) AS account_name,
        a.status,
        CASE WHEN a.account_sid IS NOT NULL AND a.left_at IS NULL THEN TRUE ELSE FALSE END
            AS is_followed,
        a.first_seen_at,
        a.listed_from,
        a.listed_to,
        a.last_error,
        a.error_class,
        a.failing_since,
        a.asked_at,
        a.followed_by,
        a.left_at,
        CASE WHEN a.left_at < d.as_of - INTERVAL '1' DAY THEN 1 ELSE 0 END AS has_left,
        coalesce(f.conferences, 0) AS conferences,
        f.last_created_at,
        coalesce(f.pending, 0) AS unfinished,
        f.oldest_pending_created_at,
        coalesce(f.expired, 0) AS expired
    FROM sids AS s
    CROSS JOIN analytics.stg_as_of AS d
    LEFT JOIN conference_insights.accounts AS a ON a.account_sid = s.account_sid
    LEFT JOIN analytics.stg_accounts AS n ON n.account_sid = s.account_sid
    LEFT JOIN analytics.freshness AS f ON f.account_sid IS NOT DISTINCT FROM s.account_sid
)
SELECT
    j.account_sid,
    j.account_name,
    j.status,
    j.is_followed,
    j.first_seen_at,
    j.listed_from,
    j.listed_to,
    j.last_error,
    j.error_class,
    j.failing_since,
    j.asked_at,
    j.followed_by,
    j.left_at,
    CAST(j.conferences AS BIGINT) AS conferences,
    j.last_created_at,
    CAST((1 - j.has_left) * j.unfinished AS BIGINT) AS pending,
    CAST(j.has_left * j.unfinished AS BIGINT) AS pending_not_followed,
    j.oldest_pending_created_at,
    CAST(j.expired AS BIGINT) AS expired
FROM joined AS j
