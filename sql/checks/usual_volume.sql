-- warn: An hour of the last day has less than a fifth of the conferences usual for it.
-- Means: An hour, which is over for two hours at least, has less than a fifth of what the same
--   hour of the week had on average in up to four weeks before, which was 20 or more; accounts that
--   left, or that Twilio refuses, do not count. Either there were fewer calls, as on a holiday, or Twilio did not show them.
-- Do: nothing on a holiday. Otherwise compare with Twilio's console. If it has more, read them
--   again, `conference-insights backfill --from 2d`; if that finds none, ask Twilio's support.
WITH hours AS (
    SELECT s.created_hour, count(*) AS conferences
    FROM analytics.stg_conferences AS s
    CROSS JOIN analytics.stg_as_of AS a
    LEFT JOIN conference_insights.accounts AS n ON n.account_sid = s.account_sid
    -- Of others nothing more is listed.
    WHERE n.left_at IS NULL AND coalesce(n.error_class, '') <> 'RefusedError'
        AND s.create_time >= a.as_of_hour - INTERVAL '30' DAY
    GROUP BY s.created_hour
),
recent AS (
    -- Twilio shows a conference up to half an hour after its end: the last two hours still fill.
    SELECT DISTINCT h.local_hour AS created_hour
    FROM conference_insights._report_hours AS h
    CROSS JOIN analytics.stg_as_of AS a
    WHERE h.utc_hour >= a.as_of_hour - INTERVAL '26' HOUR
        AND h.utc_hour < a.as_of_hour - INTERVAL '2' HOUR
),
before AS (
    SELECT r.created_hour, r.created_hour - INTERVAL '7' DAY AS past_hour
    FROM recent AS r
    UNION ALL
    SELECT r.created_hour, r.created_hour - INTERVAL '14' DAY AS past_hour
    FROM recent AS r
    UNION ALL
    SELECT r.created_hour, r.created_hour - INTERVAL '21' DAY AS past_hour
    FROM recent AS r
    UNION ALL
    SELECT r.created_hour, r.created_hour - INTERVAL '28' DAY AS past_hour
    FROM recent AS r
),
firsts AS (
    SELECT min(h.created_hour) AS first_hour
    FROM hours AS h
),
usual AS (
    SELECT
        b.created_hour,
        count(*) AS weeks,
        1.0 * sum(coalesce(h.conferences, 0)) / count(*) AS conferences
    FROM before AS b
    INNER JOIN firsts AS f ON b.past_hour >= f.first_hour
    LEFT JOIN hours AS h ON h.created_hour = b.past_hour
    GROUP BY b.created_hour
)
SELECT u.created_hour, coalesce(h.conferences, 0) AS conferences, u.conferences AS usual
FROM usual AS u
LEFT JOIN hours AS h ON h.created_hour = u.created_hour
WHERE u.weeks >= 2 AND u.conferences >= 20 AND coalesce(h.conferences, 0) < 0.2 * u.conferences
