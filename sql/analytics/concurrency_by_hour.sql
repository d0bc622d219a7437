-- How many conferences and participants were there at once, hour by hour?
-- Grain: one row per account and hour, from the account's first conference to the hour of
--   `data_as_of`.
-- Promise: the peak within the hour; at once are those that were there in the same minute.
-- NULL: `participants_at_once` before the first participant that is loaded, so always where none are.
-- Caveats: peaks do not add up over accounts or hours: take the maximum over hours. What never ended
--   counts as long as it is pending; timed out and expired ones, of which no end is known, are left
--   out. `participants_at_once_at_most` adds up the peaks of the conferences that ran at once, so it is
--   known without participants, and never too low where Twilio gives these peaks.
-- Ask: When were most conferences held at once?
--   SELECT account_name, running_hour, conferences_at_once, participants_at_once_at_most
--   FROM analytics.concurrency_by_hour
--   ORDER BY conferences_at_once DESC
--   LIMIT 10;
WITH runs AS (
    SELECT
        c.account_sid,
        c.account_name,
        c.start_time AS from_time,
        c.end_time AS to_time,
        1 AS conferences,
        coalesce(c.max_concurrent_participants, 0) AS at_most,
        0 AS participants
    FROM analytics.conferences AS c
    WHERE NOT c.is_not_started
        AND (c.end_time >= c.start_time OR (c.end_time IS NULL AND c.completeness = 'pending'))
    UNION ALL
    SELECT
        p.account_sid,
        p.account_name,
        p.join_time AS from_time,
        p.leave_time AS to_time,
        0 AS conferences,
        0 AS at_most,
        1 AS participants
    FROM analytics.participants AS p
    WHERE p.leave_time >= p.join_time
        OR (p.leave_time IS NULL AND p.participant_completeness = 'pending')
),
-- Of each minute, since to order every start and end takes long. The peak of an hour is the highest
-- sum on the way, added to what all hours before left.
minutes AS (
    SELECT
        g.account_sid,
        g.account_name,
        g.changed_at,
        sum(g.is_start * g.conferences) AS conferences_started,
        sum(g.is_start * g.at_most) AS at_most_started,
        sum(g.is_start * g.participants) AS participants_started,
        sum((1 - g.is_start) * g.conferences) AS conferences_ended,
        sum((1 - g.is_start) * g.at_most) AS at_most_ended,
        sum((1 - g.is_start) * g.participants) AS participants_ended
    FROM (
        SELECT
            s.account_sid,
            s.account_name,
            date_trunc('minute', s.from_time) AS changed_at,
            1 AS is_start,
            s.conferences,
            s.at_most,
            s.participants
        FROM runs AS s
        WHERE s.from_time IS NOT NULL
        UNION ALL
        SELECT
            e.account_sid,
            e.account_name,
            date_trunc('minute', e.to_time) AS changed_at,
            0 AS is_start,
            e.conferences,
            e.at_most,
            e.participants
        FROM runs AS e
        WHERE e.from_time IS NOT NULL AND e.to_time IS NOT NULL
    ) AS g
    GROUP BY g.account_sid, g.account_name, g.changed_at
),
timed AS (
    SELECT
        m.*,
        m.conferences_started - m.conferences_ended AS conferences,
        m.at_most_started - m.at_most_ended AS at_most,
        m.participants_started - m.participants_ended AS participants,
        CASE
            WHEN extract(minute FROM m.changed_at) >= h.change_minute THEN h.local_hour_after
            ELSE coalesce(h.local_hour, date_trunc('hour', m.changed_at))
        END AS running_hour
    FROM minutes AS m
    LEFT JOIN conference_insights._report_hours AS h
        ON h.utc_hour = date_trunc('hour', m.changed_at)
),
summed AS (
    SELECT
        t.account_sid,
        t.account_name,
        t.running_hour,
        t.conferences,
        t.at_most,
        t.participants,
        t.participants_started,
        t.conferences_ended + sum(t.conferences) OVER (
            PARTITION BY t.account_sid, t.running_hour ORDER BY t.changed_at NULLS FIRST
            ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ) AS conferences_so_far,
        t.at_most_ended + sum(t.at_most) OVER (
            PARTITION BY t.account_sid, t.running_hour ORDER BY t.changed_at NULLS FIRST
            ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ) AS at_most_so_far,
        t.participants_ended + sum(t.participants) OVER (
            PARTITION BY t.account_sid, t.running_hour ORDER BY t.changed_at NULLS FIRST
            ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ) AS participants_so_far
    FROM timed AS t
),
parts AS (
    SELECT
        s.account_sid,
        s.account_name,
        s.running_hour,
        0 AS is_asked,
        s.conferences,
        s.at_most,
        s.participants,
        s.conferences_so_far,
        s.at_most_so_far,
        s.participants_so_far,
        CASE WHEN s.participants_started > 0 THEN 1 ELSE 0 END AS is_participant
    FROM summed AS s
    UNION ALL
    SELECT
        v.account_sid,
        v.account_name,
        v.created_hour AS running_hour,
        1 AS is_asked,
        0 AS conferences,
        0 AS at_most,
        0 AS participants,
        0 AS conferences_so_far,
        0 AS at_most_so_far,
        0 AS participants_so_far,
        0 AS is_participant
    FROM analytics.conference_volume AS v
    CROSS JOIN analytics.stg_as_of AS a
    WHERE v.created_hour <= a.as_of_local_hour
),
hours AS (
    SELECT
        p.account_sid,
        p.account_name,
        p.running_hour,
        max(p.is_asked) AS is_asked,
        sum(p.conferences) AS conferences,
        sum(p.at_most) AS at_most,
        sum(p.participants) AS participants,
        max(p.conferences_so_far) AS conferences_rise,
        max(p.at_most_so_far) AS at_most_rise,
        max(p.participants_so_far) AS participants_rise,
        max(p.is_participant) AS is_participant
    FROM parts AS p
    GROUP BY p.account_sid, p.account_name, p.running_hour
),
-- Of the hours before this one; the sums on the way begin at 0, which every hour has.
before AS (
    SELECT
        h.account_sid,
        h.account_name,
        h.running_hour,
        h.is_asked,
        h.conferences_rise,
        h.at_most_rise,
        h.participants_rise,
        sum(h.conferences) OVER (
            PARTITION BY h.account_sid ORDER BY h.running_hour NULLS FIRST
            ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ) - h.conferences AS conferences,
        sum(h.at_most) OVER (
            PARTITION BY h.account_sid ORDER BY h.running_hour NULLS FIRST
            ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ) - h.at_most AS at_most,
        sum(h.participants) OVER (
            PARTITION BY h.account_sid ORDER BY h.running_hour NULLS FIRST
            ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ) - h.participants AS participants,
        max(h.is_participant) OVER (
            PARTITION BY h.account_sid ORDER BY h.running_hour NULLS FIRST
            ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ) AS is_participant
    FROM hours AS h
)
SELECT
    b.account_sid,
    b.account_name,
    b.running_hour,
    CAST(b.running_hour AS DATE) AS running_date,
    CAST(b.conferences + greatest(b.conferences_rise, 0) AS BIGINT) AS conferences_at_once,
    CAST(
        CASE WHEN b.is_participant = 1 THEN b.participants + greatest(b.participants_rise, 0) END
        AS BIGINT
    ) AS participants_at_once,
    CAST(b.at_most + greatest(b.at_most_rise, 0) AS BIGINT) AS participants_at_once_at_most
FROM before AS b
WHERE b.is_asked = 1
