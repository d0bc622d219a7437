-- How many conferences and participants were there at once, hour by hour?
-- Grain: one row per account and hour, from the account's first conference to the hour of
--   `data_as_of`.
-- Promise: the peak within the hour; at once are those that were there in the same minute.
-- NULL: `participants_at_once` before the first participant that is loaded, so always where none are.
-- Caveats: peaks do not add up over accounts or hours: take the maximum over hours. What never ended
--   counts as long as it is pending; timed out and expired ones, of which no end is known, are left
--   out. A participant of whom Twilio does not tell when they left was there until the conference
--   ended. `participants_at_once_at_most` adds up the peaks of the conferences that ran at once, so it is
--   known without participants, and never too low where Twilio gives these peaks.
-- Ask: When were most conferences held at once?
--   SELECT account_name, running_hour, conferences_at_once, participants_at_once_at_most
--   FROM analytics.concurrency_by_hour
--   ORDER BY conferences_at_once DESC
--   LIMIT 10;
WITH accounts AS (
    -- Accounts have numbers here, since every row of every hour is ordered by them.
    SELECT
        b.account_sid,
        b.account_name,
        row_number() OVER (ORDER BY b.account_sid NULLS FIRST) AS account_number
    FROM analytics.by_account AS b
),
runs AS (
    SELECT
        c.account_sid,
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
        p.join_time AS from_time,
        p.leave_time AS to_time,
        0 AS conferences,
        0 AS at_most,
        1 AS participants
    FROM analytics.participants AS p
    WHERE p.leave_time >= p.join_time
    UNION ALL
    SELECT
        p.account_sid,
        p.join_time AS from_time,
        s.end_time AS to_time,
        0 AS conferences,
        0 AS at_most,
        1 AS participants
    -- In this order, since ClickHouse 26 otherwise misses a column in concurrency_by_day.
    FROM conference_insights.conference_summaries AS s
    INNER JOIN analytics.participants AS p ON p.conference_sid = s.conference_sid
    WHERE p.leave_time IS NULL
        AND (
            s.end_time >= p.join_time
            OR (s.end_time IS NULL AND p.participant_completeness = 'pending')
        )
),
-- Of each minute, since to order every start and end takes long. The peak of an hour is the highest
-- sum on the way, added to what all hours before left.
minutes AS (
    SELECT
        g.account_sid,
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
            date_trunc('minute', e.to_time) AS changed_at,
            0 AS is_start,
            e.conferences,
            e.at_most,
            e.participants
        FROM runs AS e
        WHERE e.from_time IS NOT NULL AND e.to_time IS NOT NULL
    ) AS g
    GROUP BY g.account_sid, g.changed_at
),
timed AS (
    SELECT
        a.account_number,
        m.changed_at,
        m.participants_started,
        m.conferences_ended,
        m.at_most_ended,
        m.participants_ended,
        m.conferences_started - m.conferences_ended AS conferences,
        m.at_most_started - m.at_most_ended AS at_most,
        m.participants_started - m.participants_ended AS participants,
        CASE
            WHEN extract(minute FROM m.changed_at) >= h.change_minute THEN h.local_hour_after
            ELSE coalesce(h.local_hour, date_trunc('hour', m.changed_at))
        END AS changed_hour
    FROM minutes AS m
    INNER JOIN accounts AS a ON a.account_sid IS NOT DISTINCT FROM m.account_sid
    LEFT JOIN conference_insights._report_hours AS h
        ON h.utc_hour = date_trunc('hour', m.changed_at)
),
summed AS (
    SELECT
        t.*,
        t.conferences_ended + sum(t.conferences) OVER (
            PARTITION BY t.account_number, t.changed_hour ORDER BY t.changed_at NULLS FIRST
            ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ) AS conferences_so_far,
        t.at_most_ended + sum(t.at_most) OVER (
            PARTITION BY t.account_number, t.changed_hour ORDER BY t.changed_at NULLS FIRST
            ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ) AS at_most_so_far,
        t.participants_ended + sum(t.participants) OVER (
            PARTITION BY t.account_number, t.changed_hour ORDER BY t.changed_at NULLS FIRST
            ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ) AS participants_so_far
    FROM timed AS t
),
changes AS (
    SELECT
        s.account_number,
        s.changed_hour,
        sum(s.conferences) AS conferences,
        sum(s.at_most) AS at_most,
        sum(s.participants) AS participants,
        greatest(max(s.conferences_so_far), 0) AS conferences_rise,
        greatest(max(s.at_most_so_far), 0) AS at_most_rise,
        greatest(max(s.participants_so_far), 0) AS participants_rise,
        max(CASE WHEN s.participants_started > 0 THEN 1 ELSE 0 END) AS is_participant
    FROM summed AS s
    GROUP BY s.account_number, s.changed_hour
),
-- What an hour with changes leaves.
states AS (
    SELECT
        g.*,
        sum(g.conferences) OVER (
            PARTITION BY g.account_number ORDER BY g.changed_hour NULLS FIRST
            ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ) AS conferences_left,
        sum(g.at_most) OVER (
            PARTITION BY g.account_number ORDER BY g.changed_hour NULLS FIRST
            ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ) AS at_most_left,
        sum(g.participants) OVER (
            PARTITION BY g.account_number ORDER BY g.changed_hour NULLS FIRST
            ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ) AS participants_left,
        max(g.is_participant) OVER (
            PARTITION BY g.account_number ORDER BY g.changed_hour NULLS FIRST
            ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ) AS has_participants
    FROM changes AS g
),
-- Each hour with the last one that had changes, which may be itself.
hours AS (
    SELECT
        k.account_number,
        k.is_asked,
        k.running_hour,
        max(k.changed_hour) OVER (
            PARTITION BY k.account_number ORDER BY k.running_hour NULLS FIRST
            RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ) AS changed_hour
    FROM (
        SELECT
            a.account_number,
            1 AS is_asked,
            v.created_hour AS running_hour,
            CAST(NULL AS TIMESTAMP) AS changed_hour
        FROM analytics.conference_volume AS v
        INNER JOIN accounts AS a ON a.account_sid IS NOT DISTINCT FROM v.account_sid
        CROSS JOIN analytics.stg_as_of AS d
        WHERE v.created_hour <= d.as_of_local_hour
        UNION ALL
        SELECT
            g.account_number,
            0 AS is_asked,
            g.changed_hour AS running_hour,
            g.changed_hour
        FROM changes AS g
    ) AS k
)
SELECT
    a.account_sid,
    a.account_name,
    h.running_hour,
    CAST(h.running_hour AS DATE) AS running_date,
    CAST(
        coalesce(s.conferences_left, 0)
        + CASE WHEN s.changed_hour = h.running_hour THEN s.conferences_rise - s.conferences ELSE 0 END
        AS BIGINT
    ) AS conferences_at_once,
    CAST(
        CASE
            WHEN s.has_participants = 1 THEN s.participants_left
                + CASE
                    WHEN s.changed_hour = h.running_hour THEN s.participants_rise - s.participants
                    ELSE 0
                END
        END
        AS BIGINT
    ) AS participants_at_once,
    CAST(
        coalesce(s.at_most_left, 0)
        + CASE WHEN s.changed_hour = h.running_hour THEN s.at_most_rise - s.at_most ELSE 0 END
        AS BIGINT
    ) AS participants_at_once_at_most
FROM hours AS h
INNER JOIN accounts AS a ON a.account_number = h.account_number
LEFT JOIN states AS s
    ON s.account_number = h.account_number AND s.changed_hour = h.changed_hour
WHERE h.is_asked = 1
