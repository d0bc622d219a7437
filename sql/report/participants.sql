-- Which participants had poor quality?
-- Grain: one row per kind of group (`region`, `country`, `call_type` or `direction`) and group that
--   either period has.
-- Promise: sums of participant_quality over days and accounts; `percent` is poor of measured.
-- NULL: `name` where Twilio gave none; shares of a period in which none of the group was measured.
-- Caveats: every participant is in one group of each kind, so do not add up kinds; measured are
--   those with metrics, poor those of them that exceed a threshold in either direction.
WITH counted AS (
    SELECT
        q.participant_region,
        q.country_code,
        q.call_type,
        q.call_direction,
        sum(CASE WHEN q.created_date >= $from THEN q.participants ELSE 0 END) AS participants,
        sum(CASE WHEN q.created_date >= $from THEN q.measured ELSE 0 END) AS measured,
        sum(CASE WHEN q.created_date >= $from THEN q.poor ELSE 0 END) AS poor,
        sum(CASE WHEN q.created_date >= $from THEN q.latency_high ELSE 0 END) AS latency_high,
        sum(CASE WHEN q.created_date >= $from THEN q.jitter_high ELSE 0 END) AS jitter_high,
        sum(CASE WHEN q.created_date >= $from THEN q.loss_high ELSE 0 END) AS loss_high,
        sum(CASE WHEN q.created_date >= $from THEN q.mos_low ELSE 0 END) AS mos_low,
        sum(CASE WHEN q.created_date < $from THEN q.measured ELSE 0 END) AS measured_before,
        sum(CASE WHEN q.created_date < $from THEN q.poor ELSE 0 END) AS poor_before
    FROM analytics.participant_quality AS q
    WHERE q.created_date >= $prior AND q.created_date < $to
    GROUP BY q.participant_region, q.country_code, q.call_type, q.call_direction
),
grouped AS (
    SELECT 'region' AS kind, r.participant_region AS name, r.* FROM counted AS r
    UNION ALL
    SELECT 'country' AS kind, n.country_code AS name, n.* FROM counted AS n
    UNION ALL
    SELECT 'call_type' AS kind, t.call_type AS name, t.* FROM counted AS t
    UNION ALL
    SELECT 'direction' AS kind, d.call_direction AS name, d.* FROM counted AS d
)
SELECT
    g.kind,
    g.name,
    sum(g.participants) AS participants,
    sum(g.measured) AS measured,
    sum(g.poor) AS poor,
    100.0 * sum(g.poor) / nullif(sum(g.measured), 0) AS percent,
    100.0 * sum(g.poor_before) / nullif(sum(g.measured_before), 0) AS percent_before,
    sum(g.latency_high) AS latency_high,
    sum(g.jitter_high) AS jitter_high,
    sum(g.loss_high) AS loss_high,
    sum(g.mos_low) AS mos_low
FROM grouped AS g
GROUP BY g.kind, g.name
ORDER BY percent DESC NULLS LAST, measured DESC, g.name ASC NULLS LAST
